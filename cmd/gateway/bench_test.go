package main

import (
	"fmt"
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
	arrived := fires(b, s)
	var acked, committed []time.Duration
	for i := 0; b.Loop(); i++ {
		a, c := fire(b, l, arrived, i)
		acked, committed = append(acked, a), append(committed, c)
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

// BenchmarkRecord1080p15 takes a 1080p15 2 Mbit/s camera for a minute with the gateway, in memory only and recorded, and, in the same
// minute from the same camera, with "ffmpeg -c copy" to the same disk. It reports CPU seconds per camera-minute of both, of the
// gateway's eye, and the gateway's memory.
func BenchmarkRecord1080p15(b *testing.B) {
	path := film1080p15(b)
	for _, mode := range []string{"memory", "recorded"} {
		b.Run(mode, func(b *testing.B) {
			for b.Loop() {
				recordOne(b, path, mode)
			}
		})
	}
}

func recordOne(b *testing.B, path, mode string) {
	b.Helper()
	const measured = 60 * time.Second
	bin, err := programs()
	if err != nil {
		b.Fatal(err)
	}
	record := map[string]string{"memory": "alarm", "recorded": "continuous"}[mode]
	s := newSite(b, func(s *site) string {
		return panelOnly(s) + fmt.Sprintf("limits: {segments: 10GiB}\ncameras:\n  - {id: c1, name: One, main: \"rtsp://%s/c1/main\", record: %s}\n", s.rtsp, record)
	})
	plug(b, s.dir+"/panel")
	sim := exec.Command(filepath.Join(bin, "sitesim"), "camera", "--listen", s.rtsp, "--name", "c1", "--file", path)
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
	b.ReportMetric(float64(dirBytes(filepath.Join(s.dir, "gateway", "segments")))/1e6, "recorded-MB")
	for _, p := range eyes {
		b.ReportMetric(rssMB(b, p), "eye-MB")
	}
	b.ReportMetric(0, "ns/op")
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
