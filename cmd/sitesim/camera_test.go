package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
	"sitewatch/video"
	"sitewatch/video/rtsp"
	"sitewatch/video/rtsptest"
)

// pictures is an rtsp.Sink that counts.
type pictures struct {
	mu    sync.Mutex
	units []video.AccessUnit
	size  video.Size
}

func (p *pictures) OnUnit(u video.AccessUnit, params video.Params) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.units, p.size = append(p.units, u), params.Size
}
func (p *pictures) Lost(context.Context, string)   {}
func (p *pictures) Restored(context.Context)       {}
func (p *pictures) Frozen(context.Context, string) {}
func (p *pictures) Thawed(context.Context)         {}
func (p *pictures) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.units)
}

// look connects to a camera and waits for n pictures.
func look(t *testing.T, opt rtsp.Options, n int) *pictures {
	t.Helper()
	sink := &pictures{}
	opt.ID, opt.Sink, opt.Clock, opt.Log = "x", sink, edge.NewSystemClock(), slog.New(slog.NewTextHandler(io.Discard, nil))
	c, err := rtsp.NewCamera(opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { c.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	for deadline := time.Now().Add(3 * time.Minute); sink.count() < n; <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got %d pictures, want %d: %s", sink.count(), n, c.Trouble())
		}
	}
	return sink
}

func startCameras(t *testing.T, opt cameraOptions) *cameraServer {
	t.Helper()
	opt.Listen, opt.Clock, opt.Log = "127.0.0.1:0", edge.NewSystemClock(), slog.New(slog.NewTextHandler(io.Discard, nil))
	s, err := newCameraServer(opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("cameras: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return s
}

func TestDrawnCameras(t *testing.T) {
	pw := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(pw, []byte("hush hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startCameras(t, cameraOptions{Cameras: []cameraView{{"stockroom", "Stock room"}, {"door", "Front door"}}, User: "sitewatch", Password: "hush hush"})
	s.Walk("door")
	for _, path := range []string{"/stockroom/main", "/door/sub", "/stockroom"} {
		begun := time.Now()
		p := look(t, rtsp.Options{URL: "rtsp://" + s.Addr() + path, User: "sitewatch", PasswordFile: pw}, 25)
		if want := (video.Size{Width: sceneWidth, Height: sceneHeight}); p.size != want {
			t.Errorf("%s: got %v, want %v", path, p.size, want)
		}
		if !p.units[0].Keyframe {
			t.Errorf("%s does not begin with an IDR", path)
		}
		d := (p.units[24].PTS - p.units[0].PTS).Duration()
		// A machine that is too slow skips pictures; it never makes them faster than they are seen.
		if d < 2200*time.Millisecond || d > time.Since(begun)+500*time.Millisecond {
			t.Errorf("%s: 24 pictures take %v by their own times and came within %v, want 2.4 s or as long as they came", path, d, time.Since(begun))
		}
	}
}

func TestFilm(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		args []string
		copy bool
	}{
		"as it is":        {[]string{"-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "10"}, true},
		"with B-pictures": {[]string{"-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "20"}, false},
		"no H.264":        {[]string{"-c:v", "mpeg4"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, name+".mp4")
			args := append([]string{"-v", "error", "-y", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=10", "-t", "2", "-pix_fmt", "yuv420p"}, c.args...)
			ffmpeg(t, append(args, path)...)
			f, err := probeFilm(t.Context(), path)
			if err != nil || f.copy != c.copy {
				t.Errorf("got %+v, %v, want copy %v", f, err, c.copy)
			}
			s := startCameras(t, cameraOptions{Cameras: []cameraView{{"till", "Till"}}, File: path})
			begun := edge.NewSystemClock().Now().Mono
			p := look(t, rtsp.Options{URL: "rtsp://" + s.Addr() + "/till/main"}, 35) // more than one round
			for i := 1; i < len(p.units); i++ {
				if d := (p.units[i].PTS - p.units[i-1].PTS).Duration(); d <= 0 {
					t.Errorf("picture %d is %v after the one before", i, d)
				}
				took := p.units[i].Arrival.Mono - begun // a machine that is too slow sends late, and says so in the PTS
				if d := (p.units[i].PTS - p.units[0].PTS).Duration(); d > took+500*time.Millisecond {
					t.Errorf("picture %d is %v after the first one, and came %v after somebody began to look", i, d, took)
				}
			}
		})
	}
	if _, err := probeFilm(t.Context(), filepath.Join(dir, "none.mp4")); err == nil {
		t.Error("a film that is not there was probed")
	}
}

func TestCameraFaults(t *testing.T) {
	s := startCameras(t, cameraOptions{Cameras: []cameraView{{"stockroom", "Stock room"}}})
	url := "rtsp://" + s.Addr() + "/stockroom/main"
	look(t, rtsp.Options{URL: url}, 3)
	s.SetDown(true)
	opt := rtsp.Options{URL: url, Sink: &pictures{}, Clock: edge.NewSystemClock()}
	if err := rtsp.NewSource(opt).Run(t.Context()); err == nil {
		t.Error("a camera that is down was reached")
	}
	s.SetDown(false)
	s.Fault("stockroom", rtsptest.Stall)
	opt.StallAfter = 300 * time.Millisecond
	if err := rtsp.NewSource(opt).Run(t.Context()); err == nil {
		t.Error("a stalled camera goes on")
	}
	s.Fault("stockroom", rtsptest.None)
	look(t, rtsp.Options{URL: url}, 3)
}

// TestRTPTimesOfALoop: a film hesitates each time it begins anew, and no time is left out because of that: a picture would be taken for lost.
func TestRTPTimesOfALoop(t *testing.T) {
	clock := edgetest.NewClock()
	p := pacer{clock: clock, step: 6000}
	began, last := clock.Now().Mono, p.next()
	for n := 1; n < 20*300; n++ {
		at := clock.Advance(time.Second / 15)
		if n%300 == 0 {
			at = clock.Advance(80 * time.Millisecond)
		}
		ts := p.next()
		if step := ts - last; step < 5600 || step > 6400 {
			t.Fatalf("picture %d is %d ticks after the one before, want about 6000", n, step)
		}
		if off := video.Ticks90k(ts).Duration() - (at.Mono - began); off.Abs() > 300*time.Millisecond {
			t.Fatalf("picture %d is %v away from the clock", n, off)
		}
		last = ts
	}
}

func ffmpeg(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ffmpeg", args...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg (apt-get install ffmpeg): %v: %s", err, out)
	}
}
