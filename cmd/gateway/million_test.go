package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/journal"
)

// waiting is how many events wait for the SOC in BenchmarkMillionWaiting.
const waiting = 1_000_000

// BenchmarkMillionWaiting is a gateway that comes up with a million events that the SOC has not acked: first without a SOC,
// then with one that takes them. The metrics are the most memory that it ever held (the goal is 100 MB at most) and the
// events that a SOC on the same machine took per second.
func BenchmarkMillionWaiting(b *testing.B) {
	s := newSite(b, func(*site) string { return "" })
	s.kill("soc")
	fillJournal(b, filepath.Join(s.dir, "gateway"))
	for b.Loop() {
		s.startGateway()
		pid := s.procs["gateway"].Process.Pid
		tick := time.NewTicker(time.Second)
		for range 30 { // as long as the box looks through its file, and somebody at its status
			s.output("gateway", "status", "--config", s.dir+"/gateway.yaml")
			<-tick.C
		}
		b.ReportMetric(peakMB(b, pid), "MB-alone")
		s.startSOC()
		began, now := time.Now(), 0
		for ; now < waiting && time.Since(began) < 2*time.Minute; now = taken(s) {
			<-tick.C
		}
		tick.Stop()
		b.ReportMetric(float64(now)/time.Since(began).Seconds(), "events/s")
		b.ReportMetric(peakMB(b, pid), "MB-draining")
		s.kill("gateway")
		s.kill("soc")
	}
}

// fillJournal makes a journal of so many events that nobody has acked; one of a hundred is an alarm.
func fillJournal(b *testing.B, dir string) {
	b.Helper()
	j, err := journal.Open(b.Context(), journal.Options{Dir: dir, Site: "0417", Clock: edge.NewSystemClock(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := j.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	evs := make([]edge.Event, 1000)
	for n := 0; n < waiting; n += len(evs) {
		for i := range evs {
			evs[i] = edge.Event{Kind: "zone-fault", Code: "BF", Panel: "intruder", Partition: "1", Zone: "1011", ZoneName: "Stock room",
				Why: "Zone fault in Stock room (zone 1011), partition 1", Raw: make([]byte, 25)}
			if i%100 == 0 {
				evs[i].Kind, evs[i].Code = edge.KindIntruder, "BA"
			}
		}
		if _, err := j.Append(ctx, evs...); err != nil {
			b.Fatal(err)
		}
	}
	cancel()
	wg.Wait()
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
}

// taken is how many of the box's events the SOC has.
func taken(s *site) (n int) {
	var sites struct {
		Items []struct {
			Journals []struct {
				Watermarks struct{ Urgent, Routine int }
			}
		}
	}
	if err := s.get("/sites", &sites); err != nil {
		return 0
	}
	for _, i := range sites.Items {
		for _, j := range i.Journals {
			n = max(n, j.Watermarks.Routine)
		}
	}
	return n
}

// peakMB is the most memory that a process has held at once.
func peakMB(b *testing.B, pid int) float64 {
	b.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kb, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(v, "kB")))
			if err != nil {
				b.Fatal(err)
			}
			return float64(kb) / 1024
		}
	}
	b.Fatal("the kernel does not tell the memory of a process")
	return 0
}
