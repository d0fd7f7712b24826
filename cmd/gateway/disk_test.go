package main

import (
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// onSmallDisk gives the gateway a data directory on a disk of its own.
func onSmallDisk(t *testing.T, s *site) (dir string) {
	t.Helper()
	dir = filepath.Join(s.dir, "gateway")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=48m"); err != nil {
		t.Skipf("not tried: a small disk of its own needs root: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// runs says whether the program that was started first is still the same process.
func (s *site) runs(name string, p *proc) bool {
	select {
	case <-p.ended:
		return false
	default:
		return s.procs[name] == p
	}
}

// TestDiskFullForGood: nothing can be deleted any more and the panel goes on. The SOC hears every alarm, the panel is acked for
// none that is not on disk, and all goes on by itself when there is room.
func TestDiskFullForGood(t *testing.T) {
	t.Parallel()
	s := newFiles(t, panelOnly)
	dir := onSmallDisk(t, s)
	s.enrol()
	x := newTorture(t, s)
	x.panel = newTalker(t, x.dir+"/panel", 0, 0)
	x.live("gateway", "")
	gateway := x.procs["gateway"]
	x.until("alarms are acked", 30*time.Second, func() bool { return len(x.panel.said()) > 20 })
	ballast := filepath.Join(dir, "ballast")
	x.fill(ballast)
	x.waitEvent("the journal is on its reserve", 30*time.Second, func(e socEvent) bool { return e.Kind == "disk-full" })
	var inMemory []socEvent
	x.until("the SOC hears that the journal is in memory", time.Minute, func() bool {
		x.fill(ballast) // others take what the journal gives up; to fill the reserve alone takes the panel minutes on a busy machine
		inMemory = slices.DeleteFunc(x.events(), func(e socEvent) bool { return e.Kind != "disk-full" || !strings.Contains(e.Why, "memory only") })
		return len(inMemory) > 0
	})
	n := len(x.panel.said())
	x.waitEvent("the alarm that the panel has", 30*time.Second, func(e socEvent) bool { return e.Journal == inMemory[0].Journal && e.Raw != "" })
	if got := len(x.panel.said()); got != n {
		t.Errorf("the panel was acked %d times while nothing was on disk", got-n)
	}
	if got := unhealthy(t, x.local); !strings.Contains(got, "memory only") {
		t.Errorf("health says %q, want that events are in memory only", got)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	x.until("alarms are acked again", time.Minute, func() bool { return len(x.panel.said()) > n+20 })
	if !x.runs("gateway", gateway) {
		t.Error("the gateway did not go on by itself")
	}
	x.panel.hush()
	x.settled(time.Minute)
	at := map[string]int{}
	for _, e := range x.events() {
		at[e.Raw]++
	}
	for i, b := range x.panel.said() {
		if got := at[hex.EncodeToString(b.raw)]; got == 0 || got > 2 { // twice: once from memory, once from the disk
			t.Errorf("alarm %d of %d is at the SOC %d times", i, len(x.panel.said()), got)
		}
	}
	if len(inMemory) != 1 || x.count("disk-failing-restored") != 1 {
		t.Errorf("in memory %d times, back on the disk %d times; want once each", len(inMemory), x.count("disk-failing-restored"))
	}
}

// TestDiskReadOnlyAtStart: the machine came up with a disk that was mounted read-only after an error.
func TestDiskReadOnlyAtStart(t *testing.T) {
	t.Parallel()
	s := newFiles(t, panelOnly)
	dir := onSmallDisk(t, s)
	s.enrol()
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	l := plug(t, s.dir+"/panel")
	s.start("gateway", "run", "--config", s.dir+"/gateway.yaml")
	s.until("the SOC hears of the disk", 30*time.Second, func() bool { return s.count("disk-failing") == 1 })
	if got := l.say(blkIntruder, 2*time.Second); got != "" {
		t.Errorf("the panel heard %s, want nothing while nothing is on disk", got)
	}
	s.until("the alarm is at the SOC", 30*time.Second, func() bool { return s.count("intruder") == 1 })
	if got := unhealthy(t, s.local); !strings.Contains(got, "read-only") {
		t.Errorf("health says %q, want that the disk is read-only", got)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT, "size=48m"); err != nil {
		t.Fatal(err)
	}
	s.until("it goes on on the disk", time.Minute, func() bool { return s.count("disk-failing-restored") == 1 })
	l.must(blkIntruder, ack)
}

// unhealthy is why the gateway at addr says that it is not well; "" when it says that it is.
func unhealthy(t *testing.T, addr string) string {
	t.Helper()
	resp, err := http.Get("http://" + addr + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode == http.StatusOK {
		return ""
	}
	return string(b)
}
