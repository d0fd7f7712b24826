package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/video"
	"sitewatch/video/film"
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

// alarmEvery is the pause from fire to fire. It is no multiple of the beat on which cameras are read, so that fires fall everywhere in it.
const alarmEvery = 170 * time.Millisecond

// BenchmarkRecord24 has a site with 24 cameras of 2 Mbit/s, of which a fire is reported six times a second: without cameras; with all of them
// recorded by a second gateway on the same machine, which is what the machine costs; with all of them in memory only; and with all of them
// recorded, which is the longest (-record). It reports the gateway's share of one core, the memory of gateway and eyes, the alarms' way to
// the SOC, and which of the pictures that were shown are not on disk.
func BenchmarkRecord24(b *testing.B) {
	path := film1080p15(b)
	for _, mode := range []string{"none", "beside", "memory", "recorded"} {
		b.Run(mode, func(b *testing.B) {
			for b.Loop() {
				record24(b, path, mode)
			}
		})
	}
}

func record24(b *testing.B, path, mode string) {
	b.Helper()
	s := newSite(b, func(s *site) string {
		switch mode {
		case "memory":
			return panelOnly(s) + manyCameras(s, "alarm")
		case "recorded":
			return panelOnly(s) + manyCameras(s, "continuous")
		}
		return panelOnly(s)
	})
	l := plug(b, s.dir+"/panel")
	s.run("camera", exec.Command(filepath.Join(s.bin, "sitesim"), "camera", "--listen", s.rtsp, "--name", "c", "--file", path))
	s.startGateway()
	l.must(blkAccount, ack)
	took := *recordFor
	if mode != "recorded" {
		took /= 4
	}
	switch mode {
	case "none":
	case "beside":
		s.awaitCameras(s.startBeside())
	default:
		s.awaitCameras(s.local)
	}
	began, ended := recordMany(b, s, l, took)
	if mode == "recorded" {
		countMissing(b, s, path, began, ended)
	}
}

// manyCameras are the cameras, which all show one film.
func manyCameras(s *site, record string) string {
	y := "limits: {segments: 100GiB}\ncameras:\n"
	for n := range *recordAll {
		y += fmt.Sprintf("  - {id: c%d, main: \"rtsp://%s/c/main\", sub: \"rtsp://%s/c/sub\", record: %s}\n", n+1, s.rtsp, s.rtsp, record)
	}
	return y
}

// startBeside starts a gateway that has the cameras and no panel, and returns where it listens.
func (s *site) startBeside() (local string) {
	s.t.Helper()
	local = freeAddrs(s.t, 1)[0]
	s.write("beside.yaml", fmt.Sprintf("site: {id: \"0418\", name: Beside, kind: shop, timezone: Europe/London}\ndata: %s/beside\nlisten: %s\nclips: {before: 4s, after: 3s}\nuplink: {soc: \"%s\"}\n%s",
		s.dir, local, s.uplink, manyCameras(s, "continuous")))
	s.run("beside", exec.Command(filepath.Join(s.bin, "gateway"), "run", "--config", s.dir+"/beside.yaml"))
	return local
}

// awaitCameras waits for all cameras of the gateway that listens there.
func (s *site) awaitCameras(local string) {
	s.t.Helper()
	s.until("all cameras are there, and their rings full", 2*time.Minute, func() bool {
		st, err := statusAt(local)
		full := 0
		for _, c := range st.Cameras {
			if c.RingSeconds >= 14 { // 4 s before an alarm and the margin
				full++
			}
		}
		return err == nil && full == *recordAll
	})
}

// recordMany reports fires for as long as that, and what it costs.
func recordMany(b *testing.B, s *site, l *line, took time.Duration) (began, ended time.Time) {
	b.Helper()
	arrived := fires(b, s)
	gw := s.procs["gateway"].Process.Pid
	eyes := children(gw)
	cpu := func() (g, e float64) {
		for _, p := range eyes {
			e += cpuSeconds(b, p)
		}
		return cpuSeconds(b, gw), e
	}
	began = time.Now()
	g0, e0 := cpu()
	var acked, committed []time.Duration
	tick := time.NewTicker(alarmEvery)
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
	ended = time.Now()
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
	return began, ended
}

// countMissing compares what is recorded with what was shown: the film in a loop, which has no two pictures alike.
func countMissing(b *testing.B, s *site, path string, from, to time.Time) {
	b.Helper()
	f, err := film.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	shown := map[[sha256.Size]byte]int{} // which picture of the film it is
	if err := f.Each(func(u video.AccessUnit, _ video.Params) error {
		shown[sha256.Sum256(u.Data)] = len(shown)
		return nil
	}); err != nil || len(shown) != f.Pictures() {
		b.Fatalf("the film has %d pictures, of which %d differ: %v", f.Pictures(), len(shown), err)
	}
	<-time.After(2 * time.Second) // until what came is on disk
	st, err := s.status()
	if err != nil {
		b.Fatal(err)
	}
	pictures, lost, dropped := 0, 0, uint64(0) // dropped: of the lost by the recording, not by the camera or on the way
	for _, c := range st.Cameras {
		p, l := s.missing(c.ID, shown, from, to)
		pictures, lost, dropped = pictures+p, lost+l, dropped+c.Recording.Dropped
	}
	b.ReportMetric(float64(pictures), "pictures")
	b.ReportMetric(float64(lost), "lost")
	b.ReportMetric(float64(dropped), "dropped")
}

// missing counts the pictures of a camera that are on disk from one time to another, and those that were shown between them and are not.
func (s *site) missing(camera edge.CameraID, shown map[[sha256.Size]byte]int, from, to time.Time) (pictures, lost int) {
	s.t.Helper()
	var last video.AccessUnit
	before, after := -1, false // the picture of the film that came last; one came after to
	s.eachRecorded(camera, edge.Stamp{Wall: from.Add(-time.Minute)}, func(u video.AccessUnit, _ video.Params) {
		at, ok := shown[sha256.Sum256(u.Data)]
		if !ok {
			s.t.Fatalf("picture of %v of camera %s was never shown", u.Arrival.Wall, camera)
		}
		if !after && u.Arrival.Wall.After(from) {
			if before < 0 || u.Arrival.Mono-last.Arrival.Mono > 10*time.Second {
				s.t.Fatalf("camera %s: nothing is recorded from %v to %v", camera, last.Arrival.Wall, u.Arrival.Wall)
			}
			pictures++
			lost += (at - before - 1 + len(shown)) % len(shown)
			after = u.Arrival.Wall.After(to)
		}
		before, last = at, u
	})
	if !after {
		s.t.Fatalf("camera %s: nothing is recorded after %v", camera, last.Arrival.Wall)
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
