package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkAlarmToSOC measures the whole chain on loopback, in real processes: a pty, the gateway with its journal, TLS, the SOC
// with its ledger. It takes the time from the last byte of a block to its ack (on the box's disk) and to the event on the SOC's
// event stream, which the SOC sends after its commit. Run with -benchtime 1000x for a p99.
func BenchmarkAlarmToSOC(b *testing.B) {
	s := newSite(b, panelOnly)
	l := plug(b, s.dir+"/panel")
	s.startGateway()
	l.must(blkAccount, ack)
	arrived := make(chan string, 16)
	resp, err := http.Get(s.api + "/events/stream?after=0")
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	go func() {
		defer close(arrived)
		sc := bufio.NewScanner(resp.Body)
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			var e socEvent
			if data, ok := strings.CutPrefix(sc.Text(), "data:"); ok && json.Unmarshal([]byte(data), &e) == nil && e.Kind == "fire" { // intruder alarms of one zone would be held
				arrived <- e.Raw
			}
		}
	}()
	var acked, committed []time.Duration
	for i := 0; b.Loop(); i++ {
		block := galaxyBlock('N', fmt.Sprintf("ti%02d:%02d:%02d/FA1011", i/3600%24, i/60%60, i%60))
		start := time.Now()
		if got := l.sayBytes(block, 5*time.Second); got != ack {
			b.Fatalf("answer %d is %q", i, got)
		}
		acked = append(acked, time.Since(start))
		if raw := <-arrived; raw != fmt.Sprintf("%x", block) {
			b.Fatalf("event %d is %s, want %x", i, raw, block)
		}
		committed = append(committed, time.Since(start))
	}
	report(b, "ack", acked)
	report(b, "soc", committed)
	b.ReportMetric(0, "ns/op")
}

// report adds p50 and p99 in milliseconds.
func report(b *testing.B, name string, ds []time.Duration) {
	slices.Sort(ds)
	for _, p := range []int{50, 99} {
		b.ReportMetric(float64(ds[(len(ds)-1)*p/100].Microseconds())/1000, fmt.Sprintf("%s-p%d-ms", name, p))
	}
}

// BenchmarkRecord1080p15 takes a 1080p15 2 Mbit/s camera for a minute with the gateway and, in the same minute from the same camera,
// with "ffmpeg -c copy". It reports CPU seconds per camera-minute of both, of the gateway's eye, and the gateway's memory.
func BenchmarkRecord1080p15(b *testing.B) {
	const measured = 60 * time.Second
	bin, err := programs()
	if err != nil {
		b.Fatal(err)
	}
	film := filepath.Join(b.TempDir(), "1080p15.mp4")
	if out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=15,noise=alls=12:allf=t", "-t", "20",
		"-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "main", "-pix_fmt", "yuv420p", "-g", "30", "-bf", "0",
		"-b:v", "2M", "-maxrate", "2M", "-bufsize", "1M", film).CombinedOutput(); err != nil {
		b.Fatalf("ffmpeg (install: apt-get install ffmpeg): %v: %s", err, out)
	}
	for b.Loop() {
		s := newSite(b, func(s *site) string {
			return panelOnly(s) + fmt.Sprintf("cameras:\n  - {id: c1, name: One, main: \"rtsp://%s/c1/main\"}\n", s.rtsp)
		})
		plug(b, s.dir+"/panel")
		sim := exec.Command(filepath.Join(bin, "sitesim"), "camera", "--listen", s.rtsp, "--name", "c1", "--file", film)
		s.run("camera", sim)
		s.startGateway()
		s.until("pictures come", 30*time.Second, func() bool { return s.ringSeconds("c1") > 1 })
		ff := exec.Command("ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", "rtsp://"+s.rtsp+"/c1/main",
			"-c", "copy", "-f", "segment", "-segment_time", "10", filepath.Join(s.dir, "out%03d.mp4"))
		s.run("ffmpeg", ff)
		s.until("ffmpeg writes", 30*time.Second, func() bool { _, err := os.Stat(filepath.Join(s.dir, "out000.mp4")); return err == nil })
		gw := s.procs["gateway"].Process.Pid
		eyes := children(gw)
		cpu := func() (g, e, f float64) {
			for _, p := range eyes {
				e += cpuSeconds(b, p)
			}
			return cpuSeconds(b, gw), e, cpuSeconds(b, ff.Process.Pid)
		}
		g0, e0, f0 := cpu()
		<-time.After(measured)
		g1, e1, f1 := cpu()
		perMinute := float64(time.Minute) / float64(measured)
		b.ReportMetric((g1-g0)*perMinute, "gateway-cpu-s/min")
		b.ReportMetric((e1-e0)*perMinute, "eye-cpu-s/min")
		b.ReportMetric((f1-f0)*perMinute, "ffmpeg-cpu-s/min")
		b.ReportMetric((g1-g0)/(f1-f0), "gateway/ffmpeg")
		b.ReportMetric(rssMB(b, gw), "gateway-MB")
		for _, p := range eyes {
			b.ReportMetric(rssMB(b, p), "eye-MB")
		}
		b.ReportMetric(0, "ns/op")
	}
}

// cpuSeconds is user and system time of a process, from /proc/PID/stat (100 ticks a second on Linux).
func cpuSeconds(tb testing.TB, pid int) float64 {
	tb.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		tb.Fatal(err)
	}
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	u, err1 := strconv.ParseFloat(f[11], 64)
	k, err2 := strconv.ParseFloat(f[12], 64)
	if err1 != nil || err2 != nil {
		tb.Fatal(err1, err2)
	}
	return (u + k) / 100
}

// rssMB is the resident memory of a process.
func rssMB(tb testing.TB, pid int) float64 {
	tb.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		tb.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		tb.Fatal(err)
	}
	return kb / 1024
}
