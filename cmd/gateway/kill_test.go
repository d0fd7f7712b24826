package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestKilledAtAnyMoment kills gateway, SOC and eye at random while a panel reports alarms, and then counts: what the panel was
// acked for is at the SOC once and in order, and no clip is forgotten.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	s := newSite(t, withCamera)
	s.start("sitesim", "camera", "--listen", s.rtsp, "--name", "stockroom")
	l := plug(t, s.dir+"/panel")
	s.startGateway()
	seed := uint64(os.Getpid())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))

	const alarms = 30
	for i := range alarms {
		block := galaxyBlock('N', fmt.Sprintf("ti%02d:%02d/BA1011", i/60, i%60))
		switch rnd.IntN(6) {
		case 0:
			s.kill("gateway")
			s.start("gateway", "run", "--config", s.dir+"/gateway.yaml")
		case 1:
			s.kill("soc")
			s.start("soc", "run", "--config", s.dir+"/soc.yaml")
		case 2:
			s.killEyes()
		case 3: // in the middle of the exchange: the block is on the line, the gateway dies, the panel repeats
			if _, err := l.f.Write(block); err != nil {
				t.Fatal(err)
			}
			s.kill("gateway")
			l.drain()
			s.start("gateway", "run", "--config", s.dir+"/gateway.yaml")
		}
		l.mustBytes(block, ack)
	}
	s.until("every acked alarm is at the SOC", 60*time.Second, func() bool { return len(s.alarms()) >= alarms })
	got := s.alarms()
	for i, e := range got {
		if want := fmt.Sprintf("ti%02d:%02d/", i/60, i%60); !strings.Contains(string(unhex(t, e.Raw)), want) {
			t.Errorf("alarm %d at the SOC holds %q, want %s: lost, twice or out of order", i, unhex(t, e.Raw), want)
		}
	}
	if len(got) != alarms {
		t.Errorf("%d alarms at the SOC, want %d", len(got), alarms)
	}
	s.until("every clip is ready or lost", 90*time.Second, func() bool {
		for _, e := range got {
			for _, id := range e.Clips {
				var c socClip
				if s.get("/clips/"+id, &c) != nil || (c.State != "ready" && c.State != "lost") {
					return false
				}
			}
		}
		return true
	})
	ready := 0
	for _, e := range got {
		for _, id := range e.Clips {
			var c socClip
			if err := s.get("/clips/"+id, &c); err != nil {
				t.Error(err)
			} else if c.State == "lost" && c.Reason == "" {
				t.Errorf("clip %s is lost without a reason", id)
			} else if c.State == "ready" {
				ready++
				if fi, err := os.Stat(filepath.Join(s.dir, "soc", "clips", "0417", id+".mp4")); err != nil || fi.Size() != c.Bytes {
					t.Errorf("clip %s is ready and its file is %v, %v", id, fi, err)
				}
			}
		}
	}
	if ready == 0 {
		t.Error("no clip survived")
	}
	t.Logf("%d of %d clips ready", ready, alarms)
}

// TestPanelKilledOnABadLine kills the panel and the gateway at random on a line with noise, pauses, wrong parity and lost acks:
// what the panel was acked for is at the SOC once, and nothing is there twice.
func TestPanelKilledOnABadLine(t *testing.T) {
	t.Parallel()
	s := newSite(t, panelOnly)
	seed := uint64(os.Getpid())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	var say io.WriteCloser
	panel := func() {
		cmd := exec.Command(filepath.Join(s.bin, "sitesim"), "panel", "--link", s.dir+"/panel", "--state", s.dir+"/panel.state", "--baud", "57600",
			"--fault-noise", "15", "--fault-split", "15", "--fault-parity", "15", "--fault-dup", "20", "--fault-seed", strconv.Itoa(rnd.IntN(1000)))
		var err error
		if say, err = cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		log, err := os.OpenFile(filepath.Join(s.dir, "sitesim.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		s.procs["sitesim"] = cmd
	}
	panel()
	s.startGateway()
	const alarms = 10
	printed := func(what string, zone int) func() bool {
		return func() bool { return strings.Contains(s.read("sitesim.log"), fmt.Sprintf("%s: BA %d ", what, zone)) }
	}
	queued := func(zone int) func() bool {
		return func() bool { return strings.Contains(s.read("sitesim.log"), fmt.Sprintf("queued: BA %d\n", zone)) }
	}
	for i := range alarms {
		zone := 1011 + i/8*10 + i%8
		fmt.Fprintf(say, "BA %d 1 - ALARM %d\n", zone, i)
		s.until("the panel has heard", 20*time.Second, queued(zone))
		switch rnd.IntN(5) {
		case 0: // before, while or after it says so
			s.kill("sitesim")
			panel()
		case 1:
			s.kill("gateway")
			s.start("gateway", "run", "--config", s.dir+"/gateway.yaml")
		case 2:
			s.until("the alarm is acked", 60*time.Second, printed("acknowledged", zone))
			s.kill("sitesim")
			panel()
		}
	}
	// A panel that is killed between the ack and the line that tells of it says the alarm again: the gateway knows it.
	const last = 1041
	fmt.Fprintf(say, "BA %d 1 - LAST\n", last)
	s.until("the last alarm is acked", 120*time.Second, printed("acknowledged", last))
	s.until("every alarm is at the SOC", 60*time.Second, func() bool { return s.count("intruder") >= alarms+1 })
	at := map[string]int{}
	for _, e := range s.events() {
		if e.Kind == "intruder" {
			at[e.Zone]++
		}
	}
	for z, n := range at {
		if n != 1 {
			t.Errorf("the alarm of zone %s is at the SOC %d times", z, n)
		}
	}
	if len(at) != alarms+1 {
		t.Errorf("alarms of %d zones are at the SOC, want %d", len(at), alarms+1)
	}
}

// mustBytes says a block until it is acked, as a panel does.
func (l *line) mustBytes(block []byte, want string) {
	l.t.Helper()
	for range 20 {
		if got := l.sayBytes(block, 2500*time.Millisecond); got == want {
			return
		}
	}
	l.t.Fatalf("no ack for %q", block)
}

// drain throws away what is on its way to the panel.
func (l *line) drain() {
	l.f.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	b := make([]byte, 256)
	for {
		if _, err := l.f.Read(b); err != nil {
			return
		}
	}
}

// killEyes kills the eyes of the running gateway.
func (s *site) killEyes() {
	cmd := s.procs["gateway"]
	if cmd == nil {
		return
	}
	for _, pid := range children(cmd.Process.Pid) {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// children returns the child processes of pid.
func children(pid int) (pids []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, t := range tasks {
		b, err := os.ReadFile(t)
		if err != nil {
			continue
		}
		for _, f := range strings.Fields(string(b)) {
			if p, err := strconv.Atoi(f); err == nil {
				pids = append(pids, p)
			}
		}
	}
	return pids
}
