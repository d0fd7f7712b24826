package motion

import (
	"bytes"
	"context"
	"errors"
	"image/jpeg"
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
	"sitewatch/video/rtsptest"
)

var eyePath string // the real eye, built once

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == mortal {
		mortalEye()
		return
	}
	dir, err := os.MkdirTemp("", "eye")
	if err != nil {
		panic(err)
	}
	eyePath = filepath.Join(dir, "eye")
	if out, err := exec.Command("go", "build", "-o", eyePath, "sitewatch/cmd/eye").CombinedOutput(); err != nil {
		panic("build cmd/eye (needs pkg-config, libavcodec-dev and libavutil-dev): " + err.Error() + "\n" + string(out))
	}
	code := m.Run()
	os.RemoveAll(dir)
	if code == 0 {
		if err := edgetest.Leaked(); err != nil {
			panic(err)
		}
	}
	os.Exit(code)
}

var quietLog = slog.New(slog.NewTextHandler(io.Discard, nil))

// reported is a Reporter that remembers.
type reported struct {
	mu sync.Mutex
	is []Interval

	scenes []SceneChange
}

func (r *reported) Motion(_ context.Context, _ edge.CameraID, i Interval) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.is = append(r.is, i)
}

func (r *reported) Scene(_ context.Context, _ edge.CameraID, c SceneChange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.scenes = append(r.scenes, c)
}

func (r *reported) list() []Interval {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Interval(nil), r.is...)
}

// startEye keeps an eye running as the supervisor does.
func startEye(t *testing.T, opt Options) (*Eye, func()) {
	t.Helper()
	if opt.Command == "" {
		opt.Command = eyePath
	}
	opt.Clock, opt.Log = edge.NewSystemClock(), quietLog
	e := New(opt)
	return e, keepUp(t, e)
}

// keepUp runs an eye again and again, and waits for it to be up.
func keepUp(t *testing.T, e *Eye) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			if err := e.Run(ctx); err == nil {
				t.Error("Run returned nil")
			}
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	waitFor(t, "the eye", func() bool { return e.Status().Up })
	return stop
}

func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !cond(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// film encodes keyframes: a still scene, and from picture 8 to 11 a bright block that wanders.
func film(t *testing.T) (units []video.AccessUnit, p video.Params) {
	return filmOf(t, 20, func(i, x, y int) byte {
		if i >= 8 && i < 12 && x > 40*(i-6) && x < 40*(i-6)+60 && y > 50 && y < 150 {
			return 220
		}
		return chequered(i, x, y)
	})
}

// chequered is the brightness of a still scene.
func chequered(i, x, y int) byte { return byte(60 + 40*((x/20+y/20)%2) + (x*7+y*13+i*31)%5) }

// filmOf encodes n keyframes, one a second, of the brightness that is given.
func filmOf(t *testing.T, n int, brightness func(i, x, y int) byte) (units []video.AccessUnit, p video.Params) {
	t.Helper()
	const w, h = 320, 180
	var raw bytes.Buffer
	for i := range n {
		for y := range h {
			for x := range w {
				raw.WriteByte(brightness(i, x, y))
			}
		}
		raw.Write(bytes.Repeat([]byte{128}, w*h/2))
	}
	args := []string{"-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", "320x180", "-r", "1", "-i", "pipe:0",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-threads", "1", "-g", "1", "-qp", "20"}
	at := edge.NewSystemClock().Now()
	err := rtsptest.Encode(t.Context(), &raw, args, func(nalus [][]byte) error {
		pts := video.Ticks90k(len(units)) * video.Second
		stamp := at
		stamp.Mono += pts.Duration()
		stamp.Wall = stamp.Wall.Add(pts.Duration())
		u, sps, pps, err := video.NewH264Unit(nalus, pts, stamp)
		if err != nil {
			return err
		}
		if sps != nil {
			if p, err = video.NewH264Params(sps, pps); err != nil {
				return err
			}
		}
		units = append(units, u)
		return nil
	})
	if err != nil || len(units) != n {
		t.Fatalf("got %d pictures, %v", len(units), err)
	}
	return units, p
}

func TestMovementIsReported(t *testing.T) {
	rep := &reported{}
	e, stop := startEye(t, Options{Reporter: rep})
	units, p := film(t)
	for _, u := range units {
		e.Push("stockroom", u, p)
	}
	waitFor(t, "an interval", func() bool { return len(rep.list()) >= 2 })
	stop()
	got := rep.list()
	if len(got) != 2 || !got[0].Open || got[1].Open || got[0].Why == "" {
		t.Fatalf("got %+v, want one interval, opened and ended", got)
	}
	from, to := units[8].Arrival, units[11].Arrival
	if got[1].From.Mono != from.Mono || got[1].To.Mono != to.Mono {
		t.Errorf("got %v to %v, want %v to %v", got[1].From.Mono, got[1].To.Mono, from.Mono, to.Mono)
	}
	if s := e.Status(); s.Up || s.Moving != 0 {
		t.Errorf("got %+v after the end", s)
	}
}

func TestStill(t *testing.T) {
	e, stop := startEye(t, Options{})
	units, p := film(t)
	b, err := e.Still(t.Context(), p, units[9])
	if err != nil {
		t.Fatal(err)
	}
	img, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if s := img.Bounds().Size(); s.X != 320 || s.Y != 180 {
		t.Errorf("got a picture of %v", s)
	}
	// 220 of limited range is 238 of full range.
	if r, _, _, _ := img.At(150, 100).RGBA(); r>>8 < 228 || r>>8 > 248 {
		t.Errorf("got brightness %d in the block, want 238", r>>8)
	}
	broken := units[9]
	broken.Data = append([]byte{0, 0, 0, 50, 0x65}, bytes.Repeat([]byte{0xA7}, 49)...)
	if _, err := e.Still(t.Context(), p, broken); err == nil || errors.Is(err, ErrNoEye) {
		t.Errorf("a broken picture: got %v, want the eye's complaint", err)
	}
	if _, err := e.Still(t.Context(), p, units[9]); err != nil {
		t.Errorf("after a broken picture: %v", err)
	}
	stop()
	if _, err := e.Still(t.Context(), p, units[9]); !errors.Is(err, ErrNoEye) {
		t.Errorf("without an eye: got %v, want ErrNoEye", err)
	}
	e.Push("stockroom", units[0], p)
	e.setUp(true)
	if e.bytes != len(units[0].Data) {
		t.Errorf("%d bytes wait for the next eye, want the picture that came meanwhile", e.bytes)
	}
}

func TestEyeThatIsKilledComesBack(t *testing.T) {
	rep := &reported{}
	e, _ := startEye(t, Options{Reporter: rep})
	units, p := film(t)
	for _, u := range units[:10] {
		e.Push("stockroom", u, p)
	}
	waitFor(t, "an open interval", func() bool { return len(rep.list()) == 1 })
	kill(t)
	waitFor(t, "another eye", func() bool { s := e.Status(); return s.Up && s.Starts == 2 })
	waitFor(t, "the end of the interval", func() bool { return len(rep.list()) == 2 })
	if got := rep.list()[1]; got.Open {
		t.Errorf("got %+v, want it closed", got)
	}
	if _, err := e.Still(t.Context(), p, units[0]); err != nil {
		t.Errorf("still of the new eye: %v", err)
	}
}

// kill ends the eye that this test's process has started.
func kill(t *testing.T) {
	t.Helper()
	dirs, _ := filepath.Glob("/proc/self/task/*/children")
	for _, d := range dirs {
		b, _ := os.ReadFile(d)
		for _, pid := range bytes.Fields(b) {
			if exe, _ := os.Readlink("/proc/" + string(pid) + "/exe"); exe == eyePath {
				if err := exec.Command("kill", "-9", string(pid)).Run(); err != nil {
					t.Fatal(err)
				}
				return
			}
		}
	}
	t.Fatal("no eye to kill")
}

func TestEyesThatAreNone(t *testing.T) {
	for name, opt := range map[string]Options{
		"is missing":       {Command: "/nonexistent/eye"},
		"ends at once":     {Command: "/bin/true"},
		"speaks otherwise": {Command: "/bin/echo", Args: []string{"I am not an eye at all"}},
		"complains":        {Command: "/bin/cat", Args: []string{"/nonexistent"}},
		"another version":  {Command: "/usr/bin/printf", Args: []string{`\000\000\000\004\201\000\011\000`}},
	} {
		opt.Clock, opt.Log = edge.NewSystemClock(), quietLog
		if err := New(opt).Run(t.Context()); err == nil {
			t.Errorf("%s: got no error", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

func TestEyeThatDoesNotReadLosesPicturesOnly(t *testing.T) {
	e := New(Options{Command: eyePath, Clock: edge.NewSystemClock(), Log: quietLog})
	e.setUp(true) // nobody empties the queue
	u := video.AccessUnit{Keyframe: true, Data: make([]byte, 1<<20)}
	for range 100 {
		e.Push("stockroom", u, video.Params{})
	}
	if e.bytes > queueBytes || e.Status().Dropped == 0 {
		t.Errorf("%d bytes wait, %d dropped", e.bytes, e.Status().Dropped)
	}
}

func TestEyeEndsWithItsInput(t *testing.T) {
	cmd := exec.Command(eyePath)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("got %v", err)
	}
	if m, err := ReadMessage(&out); err != nil || m.(*Ready).Version != Version {
		t.Errorf("got %+v, %v, want Ready", m, err)
	}
	cmd = exec.Command(eyePath)
	cmd.Stdin = bytes.NewReader([]byte("rubbish on the pipe"))
	if err := cmd.Run(); err == nil {
		t.Error("the eye took rubbish")
	}
}

// waiting is a Reporter whose disk does not answer.
type waiting struct{ called, ended chan struct{} }

func (w waiting) Scene(context.Context, edge.CameraID, SceneChange) {}

func (w waiting) Motion(ctx context.Context, _ edge.CameraID, i Interval) {
	if i.Open {
		close(w.called)
		<-ctx.Done()
		close(w.ended)
	}
}

func TestReporterThatWaitsForADiskEndsWithRun(t *testing.T) {
	w := waiting{make(chan struct{}), make(chan struct{})}
	e, stop := startEye(t, Options{Reporter: w})
	units, p := film(t)
	for _, u := range units[:12] {
		e.Push("door", u, p)
	}
	select {
	case <-w.called:
	case <-time.After(3 * time.Minute):
		t.Fatal("nothing was reported")
	}
	stopped := time.Now()
	stop()
	if d := time.Since(stopped); d > time.Minute {
		t.Errorf("Run took %v to end, want it not to wait for the disk", d)
	}
	<-w.ended
}
