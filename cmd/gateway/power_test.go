package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cuts is how often TestPowerCuts cuts the power; make torture-power asks for it, as root.
var cuts = flag.Int("cuts", 0, "how often the power is cut by TestPowerCuts, which needs root; 0: skip what needs root")

// disk is an ext4 on a loop device, whose power can be cut.
type disk struct {
	t     testing.TB
	image string
	dir   string // where it is mounted
	loop  string
}

// newDisk makes and mounts a disk. What ext4 has not written yet is lost in a power cut; what it has handed to the loop device
// is not, flushed or not: the device passes writes on with direct I/O where it can, and has no cache to lose.
func newDisk(t testing.TB, image, dir string, megabytes int64) *disk {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("loop devices need root: make torture-power")
	}
	d := &disk{t: t, image: image, dir: dir}
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(megabytes << 20); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	d.must("mkfs.ext4", "-q", "-m", "0", image)
	direct := "direct I/O"
	out, err := exec.Command("losetup", "--find", "--show", "--direct-io=on", image).Output()
	if err != nil {
		direct = "buffered I/O: the kernel refuses direct"
		out = d.must("losetup", "--find", "--show", image)
	}
	d.loop = strings.TrimSpace(string(out))
	t.Logf("%s on %s, %s", dir, d.loop, direct)
	t.Cleanup(func() {
		unix.Unmount(d.dir, unix.MNT_DETACH)
		d.must("losetup", "-d", d.loop)
	})
	d.mount()
	return d
}

func (d *disk) must(name string, args ...string) []byte {
	d.t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		d.t.Fatalf("%s %v: %v", name, args, err)
	}
	return out
}

func (d *disk) mount() {
	d.t.Helper()
	if err := unix.Mount(d.loop, d.dir, "ext4", 0, ""); err != nil {
		d.t.Fatalf("mount %s: %v", d.loop, err)
	}
}

// Power cut by ext4: EXT4_IOC_SHUTDOWN, without flushing its log.
const (
	ext4Shutdown = 0x8004587d
	noLogFlush   = 2
)

// cut takes the power away: from now on nothing reaches the disk, and what ext4 had not written is gone.
func (d *disk) cut() {
	d.t.Helper()
	f, err := os.Open(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), ext4Shutdown, noLogFlush); err != nil {
		d.t.Fatalf("shut %s down: %v", d.dir, err)
	}
}

// back mounts the disk again, when nobody uses it any more.
func (d *disk) back() {
	d.t.Helper()
	for range 100 {
		err := unix.Unmount(d.dir, 0)
		if err == nil {
			d.mount()
			return
		}
		if err != unix.EBUSY {
			d.t.Fatalf("unmount %s: %v", d.dir, err)
		}
		<-time.After(20 * time.Millisecond) // an eye that has not ended yet
	}
	d.t.Fatalf("%s stays busy", d.dir)
}

// onDisks puts the data of both programs on disks of their own and enrols the box.
func onDisks(t *testing.T, x *torture, megabytes int64) map[string]*disk {
	t.Helper()
	disks := map[string]*disk{}
	for _, p := range []string{"gateway", "soc"} {
		disks[p] = newDisk(t, filepath.Join(x.dir, p+".img"), filepath.Join(x.dir, p), megabytes)
	}
	t.Cleanup(func() { // before the disks are taken away
		for name := range x.procs {
			x.kill(name)
		}
	})
	x.enrol()
	return disks
}

// TestPowerCuts takes the power from the gateway's disk and from the SOC's in turn, while a panel reports without a pause and
// clips are cut. What the panel was acked for is at the SOC once and in order.
func TestPowerCuts(t *testing.T) {
	if *cuts == 0 {
		t.Skip("not tried: power cuts, which need root and loop devices (make torture-power)")
	}
	s := newFiles(t, withCamera)
	s.write("gateway.yaml", replaceOnce(t, s.read("gateway.yaml"), "before: 4s, after: 3s", "before: 1s, after: 1s"))
	x := newTorture(t, s)
	disks := onDisks(t, x, 4096)
	x.start("sitesim", "camera", "--listen", x.rtsp, "--name", "stockroom")
	x.panel = newTalker(t, x.dir+"/panel", 60, time.Millisecond)
	x.live("gateway", "")
	for n := 1; n <= *cuts; n++ {
		program := "gateway"
		if n%2 == 0 {
			program = "soc"
		}
		life := time.Duration(50+x.rnd.IntN(600)) * time.Millisecond
		if n%10 < 2 {
			life += 3 * time.Second // long enough for a clip
		}
		<-time.After(life)
		disks[program].cut()
		x.fall(program)
		disks[program].back()
		x.live(program, "")
		if n%25 == 0 {
			fmt.Fprintf(os.Stderr, "    %d power cuts in %.0f s; %d alarms acked to the panel\n", n, time.Since(x.began).Seconds(), len(x.panel.said()))
		}
	}
	x.panel.hush()
	x.settled(2 * time.Minute)
	lost, twice := x.audit()
	for _, e := range x.events() {
		for _, id := range e.Clips {
			var c socClip
			if err := x.get("/clips/"+id, &c); err == nil && c.State == "lost" && strings.Contains(c.Reason, "missing") {
				t.Errorf("clip %s: %s: it had a row before it had a file", id, c.Reason)
			}
		}
	}
	x.leaks()
	t.Logf("%d power cuts; %d alarms acked to the panel; %d lost, %d twice", *cuts, len(x.panel.said()), lost, twice)
}

// fall kills a program whose disk is gone; it may have ended by itself.
func (x *torture) fall(program string) {
	p := x.procs[program]
	p.Process.Signal(syscall.SIGKILL)
	<-p.ended
	delete(x.procs, program)
	if program == "gateway" {
		x.panel.cut()
	}
}

// TestFullDisk fills the gateway's disk while alarms come: they go on, on the reserve, also when the gateway dies the moment
// that it has given it up.
func TestFullDisk(t *testing.T) {
	if *cuts == 0 {
		t.Skip("not tried: a full disk, which needs root and a loop device (make torture-power)")
	}
	x := newTorture(t, newFiles(t, panelOnly))
	onDisks(t, x, 64)
	x.panel = newTalker(t, x.dir+"/panel", 0, time.Millisecond)
	ballast := filepath.Join(x.dir, "gateway", "lost+found", "ballast")
	for _, p := range of("gateway", fullDisk) {
		x.live("gateway", "")
		x.until("the reserve is there", 30*time.Second, func() bool {
			_, err := os.Stat(filepath.Join(x.dir, "gateway", "journal.reserve"))
			return err == nil && len(x.panel.said()) > 0
		})
		x.slay("gateway")
		x.fill(ballast)
		x.live("gateway", x.pass(p))
		x.untilDead("gateway", 2*time.Minute)
	}
	x.live("gateway", "")
	n := len(x.panel.said())
	x.until("alarms are acked on a full disk", time.Minute, func() bool { return len(x.panel.said()) > n+100 })
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	x.until("the SOC hears of it", time.Minute, func() bool { return x.count("disk-full") > 0 && x.count("disk-full-restored") > 0 })
	x.panel.hush()
	x.settled(time.Minute)
	lost, twice := x.audit()
	t.Logf("%d alarms acked to the panel; %d lost, %d twice", len(x.panel.said()), lost, twice)
}

// fill takes all the room of a disk.
func (x *torture) fill(path string) {
	x.t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		x.t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size >= 4096; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	f.Sync()
}
