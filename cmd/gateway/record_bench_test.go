package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/video"
)

var (
	recordFor = flag.Duration("record", 10*time.Minute, "how long BenchmarkRecord24 records")
	recordAll = flag.Int("cameras", 24, "how many cameras BenchmarkRecord24 has")
)

// film1080p15 makes 20 s of 1080p15 at 2 Mbit/s, as a camera sends it.
func film1080p15(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "1080p15.mp4")
	if out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=15,noise=alls=12:allf=t", "-t", "20",
		"-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "main", "-pix_fmt", "yuv420p", "-g", "30", "-bf", "0",
		"-b:v", "2M", "-maxrate", "2M", "-bufsize", "1M", path).CombinedOutput(); err != nil {
		b.Fatalf("ffmpeg (install: apt-get install ffmpeg): %v: %s", err, out)
	}
	return path
}

// fires gives the raw bytes of each fire that the SOC has committed.
func fires(b *testing.B, s *site) <-chan string {
	b.Helper()
	resp, err := http.Get(s.api + "/events/stream?after=0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { resp.Body.Close() })
	arrived := make(chan string, 16)
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
	return arrived
}

// fire reports fire i and returns when it was acked and when it was at the SOC, counted from the last byte of its block.
func fire(b *testing.B, l *line, arrived <-chan string, i int) (acked, committed time.Duration) {
	b.Helper()
	block := galaxyBlock('N', fmt.Sprintf("ti%02d:%02d:%02d/FA1011", i/3600%24, i/60%60, i%60))
	start := time.Now()
	if got := l.sayBytes(block, 5*time.Second); got != ack {
		b.Fatalf("answer %d is %q", i, got)
	}
	acked = time.Since(start)
	if raw := <-arrived; raw != fmt.Sprintf("%x", block) {
		b.Fatalf("event %d is %s, want %x", i, raw, block)
	}
	return acked, time.Since(start)
}

// BenchmarkRecord24 has a site with 24 cameras of 2 Mbit/s, of which a fire is reported five times a second: without cameras, with all of them in
// memory only, and with all of them recorded, which is the longest (-record). It reports the gateway's share of one core, the memory of
// gateway and eyes, the alarms' way to the SOC, and the pictures that are missing on disk.
func BenchmarkRecord24(b *testing.B) {
	bin, err := programs()
	if err != nil {
		b.Fatal(err)
	}
	path := film1080p15(b)
	for _, mode := range []string{"none", "memory", "recorded"} {
		b.Run(mode, func(b *testing.B) {
			for b.Loop() {
				s := newSite(b, func(s *site) string { return panelOnly(s) + manyCameras(s, mode) })
				l := plug(b, s.dir+"/panel")
				s.run("camera", exec.Command(filepath.Join(bin, "sitesim"), "camera", "--listen", s.rtsp, "--name", "c", "--file", path))
				s.startGateway()
				l.must(blkAccount, ack)
				took := *recordFor
				if mode != "recorded" {
					took /= 4
				}
				recordMany(b, s, l, mode, took)
			}
		})
	}
}

// manyCameras are the cameras, which all show one film.
func manyCameras(s *site, mode string) string {
	if mode == "none" {
		return ""
	}
	record := map[string]string{"memory": "alarm", "recorded": "continuous"}[mode]
	y := "limits: {segments: 100GiB}\ncameras:\n"
	for n := range *recordAll {
		y += fmt.Sprintf("  - {id: c%d, main: \"rtsp://%s/c/main\", sub: \"rtsp://%s/c/sub\", record: %s}\n", n+1, s.rtsp, s.rtsp, record)
	}
	return y
}

func recordMany(b *testing.B, s *site, l *line, mode string, took time.Duration) {
	b.Helper()
	arrived := fires(b, s)
	n := 0
	if mode != "none" {
		n = *recordAll
		s.until("all cameras are there, and their rings full", 2*time.Minute, func() bool {
			st, err := s.status()
			full := 0
			for _, c := range st.Cameras {
				if c.RingSeconds >= 14 { // 4 s before an alarm and the margin
					full++
				}
			}
			return err == nil && full == n
		})
	}
	gw := s.procs["gateway"].Process.Pid
	eyes := children(gw)
	cpu := func() (g, e float64) {
		for _, p := range eyes {
			e += cpuSeconds(b, p)
		}
		return cpuSeconds(b, gw), e
	}
	began := time.Now()
	g0, e0 := cpu()
	var acked, committed []time.Duration
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	most := 0.0
	for i := 0; time.Since(began) < took; i++ {
		<-tick.C
		a, c := fire(b, l, arrived, i)
		acked, committed = append(acked, a), append(committed, c)
		if i%5 == 0 {
			most = max(most, rssMB(b, gw))
		}
	}
	g1, e1 := cpu()
	ended := time.Now()
	real := ended.Sub(began).Seconds()
	b.ReportMetric(100*(g1-g0)/real, "gateway-%core")
	b.ReportMetric(100*(e1-e0)/real, "eyes-%core")
	b.ReportMetric(most, "gateway-MB")
	for _, p := range eyes {
		most += rssMB(b, p)
	}
	b.ReportMetric(most, "all-MB")
	report(b, "ack", acked)
	report(b, "soc", committed)
	b.ReportMetric(0, "ns/op")
	if mode != "recorded" {
		return
	}
	<-time.After(2 * time.Second) // until what came is on disk
	lost, pictures := 0, 0
	for c := range n {
		p, l := s.missing(edge.CameraID("c"+strconv.Itoa(c+1)), began, ended)
		pictures, lost = pictures+p, lost+l
	}
	b.ReportMetric(float64(pictures), "pictures")
	b.ReportMetric(float64(lost), "lost")
	st, err := s.status()
	if err != nil {
		b.Fatal(err)
	}
	dropped := uint64(0) // of the lost: by the recording, not by the camera or on the way
	for _, c := range st.Cameras {
		dropped += c.Recording.Dropped
	}
	b.ReportMetric(float64(dropped), "dropped")
}

// missing counts the pictures of a camera of 15 a second that are on disk from one time to another, and those that are not.
func (s *site) missing(camera edge.CameraID, from, to time.Time) (pictures, lost int) {
	var last video.AccessUnit
	s.eachRecorded(camera, edge.Stamp{Wall: from}, func(u video.AccessUnit, _ video.Params) {
		if u.Audio != nil || u.Arrival.Wall.Before(from) || u.Arrival.Wall.After(to) {
			return
		}
		if pictures++; pictures > 1 {
			lost += max(0, int((u.PTS-last.PTS+video.Second/30)/(video.Second/15))-1)
		}
		last = u
	})
	if end := to.Sub(last.Arrival.Wall); end > time.Second {
		lost += int(end.Seconds() * 15)
	}
	return pictures, lost
}

// dirBytes is how much a directory holds.
func dirBytes(dir string) (n int64) {
	filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if st, err := d.Info(); err == nil {
				n += st.Size()
			}
		}
		return nil
	})
	return n
}
