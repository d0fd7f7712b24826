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
		s.run("sitesim", cmd)
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

// killEyes kills the eyes of the running gateway.
func (s *site) killEyes() {
	gw := s.procs["gateway"]
	if gw == nil {
		return
	}
	for _, pid := range children(gw.Process.Pid) {
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
