package clip

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
	"sitewatch/video"
	"sitewatch/video/ring"
	"sitewatch/video/rtsp"
	"sitewatch/video/rtsptest"
)

func TestMain(m *testing.M) { edgetest.Main(m) }

// journal is the smallest thing that keeps clip rows.
type journal struct {
	mu      sync.Mutex
	jobs    map[edge.ClipID]edge.ClipJob
	stills  []edge.ClipFile
	ready   map[edge.ClipID]edge.ClipFact
	files   map[edge.ClipID]edge.ClipFile
	lost    map[edge.ClipID]string
	changed chan struct{}
	err     error
}

func newJournal() *journal {
	return &journal{jobs: map[edge.ClipID]edge.ClipJob{}, ready: map[edge.ClipID]edge.ClipFact{},
		files: map[edge.ClipID]edge.ClipFile{}, lost: map[edge.ClipID]string{}, changed: make(chan struct{})}
}

func (j *journal) change() { close(j.changed); j.changed = make(chan struct{}) }

func (j *journal) want(job edge.ClipJob) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.jobs[job.ID] = job
	j.change()
}
func (j *journal) WantedClips(context.Context) (out []edge.ClipJob, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, job := range j.jobs {
		out = append(out, job)
	}
	return out, j.err
}
func (j *journal) ClipsChanged() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.changed
}
func (j *journal) ClipCutting(_ context.Context, id edge.ClipID) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	job := j.jobs[id]
	job.Cutting = true
	j.jobs[id] = job
	return j.err
}
func (j *journal) StillReady(_ context.Context, f edge.ClipFile) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	job := j.jobs[f.ID]
	job.Still = true
	j.jobs[f.ID] = job
	j.stills = append(j.stills, f)
	return j.err
}
func (j *journal) ClipReady(_ context.Context, fact edge.ClipFact, f edge.ClipFile) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return j.err
	}
	delete(j.jobs, f.ID)
	j.ready[f.ID], j.files[f.ID] = fact, f
	j.change()
	return nil
}
func (j *journal) ClipLost(_ context.Context, id edge.ClipID, reason string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.jobs, id)
	j.lost[id] = reason
	j.change()
	return j.err
}
func (j *journal) ClipClosing(_ context.Context, id edge.ClipID, to time.Time) (time.Time, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if end := j.jobs[id].To; end.After(to) {
		return end, j.err
	}
	return to, j.err
}

// outcome waits for a clip's end.
func (j *journal) outcome(t *testing.T, id edge.ClipID) (edge.ClipFact, edge.ClipFile, string) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; <-time.After(5 * time.Millisecond) {
		j.mu.Lock()
		fact, ready := j.ready[id]
		file, reason := j.files[id], j.lost[id]
		j.mu.Unlock()
		if ready || reason != "" {
			return fact, file, reason
		}
		if time.Now().After(deadline) {
			t.Fatalf("clip %s came to no end", id)
		}
	}
}

// eye is a Stiller that fails the first times.
type eye struct {
	mu    sync.Mutex
	fails int
}

func (e *eye) Still(_ context.Context, p video.Params, u video.AccessUnit) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fails--; e.fails >= 0 {
		return nil, errors.New("no eye is up")
	}
	if !u.Keyframe || !p.Valid() {
		return nil, errors.New("not a keyframe")
	}
	return []byte("\xff\xd8 picture \xff\xd9"), nil
}

func run(t testing.TB, f func(ctx context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := f(ctx); err != nil && ctx.Err() == nil {
			t.Errorf("Run: %v", err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return stop
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// footage is ten seconds of test picture at 10/s with an IDR every second.
var footage = sync.OnceValues(func() (units [][][]byte, err error) {
	err = rtsptest.Encode(context.Background(), nil, rtsptest.TestPicture(320, 240, 10, 10, 10), func(n [][]byte) error {
		units = append(units, n)
		return nil
	})
	return units, err
})

// scripted fills a ring with pictures that came in at 10/s from Mono 0 on, without waiting for them.
func scripted(t testing.TB, r *ring.Ring, from, to int) {
	t.Helper()
	units, err := footage()
	if err != nil {
		t.Fatal(err)
	}
	var params video.Params
	for n := from; n < to; n++ {
		at := time.Duration(n) * 100 * time.Millisecond
		stamp := edge.Stamp{Wall: wall0.Add(at), Mono: at, Boot: "b"}
		u, sps, pps, err := video.NewH264Unit(units[n%len(units)], video.TicksOf(at), stamp)
		if err != nil {
			t.Fatal(err)
		}
		if sps != nil {
			if params, err = video.NewH264Params(sps, pps); err != nil {
				t.Fatal(err)
			}
		}
		r.Push(u, params)
	}
}

var wall0 = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)

// clock stands still.
type clock struct{ at time.Duration }

func (c clock) Now() edge.Stamp { return edge.Stamp{Wall: wall0.Add(c.at), Mono: c.at, Boot: "b"} }

// alarm is a job for an alarm at Mono at.
func alarm(at, before, after time.Duration) edge.ClipJob {
	stamp := clock{at}.Now()
	return edge.ClipJob{ClipRef: edge.ClipRef{ID: edge.ClipID(edge.NewID()), Camera: "stockroom",
		From: stamp.Wall.Add(-before), To: stamp.Wall.Add(after)}, Seq: 7, Kind: edge.KindIntruder, At: stamp}
}

type probed struct {
	Packets []struct {
		PTS   float64 `json:"pts_time,string"`
		DTS   float64 `json:"dts_time,string"`
		Flags string  `json:"flags"`
		Hash  string  `json:"data_hash"`
	} `json:"packets"`
	Streams []struct {
		Codec    string `json:"codec_name"`
		Width    int    `json:"width"`
		TimeBase string `json:"time_base"`
		Frames   string `json:"nb_read_frames"`
	} `json:"streams"`
}

// probe lets ffprobe look at a clip without B-pictures, which begins at 0.
func probe(t *testing.T, path string) probed {
	t.Helper()
	p := probeAny(t, path)
	if p.Packets[0].PTS != 0 || p.Packets[0].DTS != 0 {
		t.Errorf("first packet is %+v, want it at 0", p.Packets[0])
	}
	return p
}

// probeAny lets ffprobe demux and decode the whole file; anything on its stderr fails the test.
func probeAny(t *testing.T, path string) (p probed) {
	t.Helper()
	if _, err := exec.LookPath("ffprobe"); err != nil {
		t.Fatal("ffprobe is not installed: apt-get install ffmpeg")
	}
	cmd := exec.Command("ffprobe", "-v", "warning", "-of", "json", "-show_packets", "-show_streams", "-count_frames", "-show_data_hash", "sha256", path)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("ffprobe: %v: %s", err, stderr.String())
	}
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Streams) != 1 || len(p.Packets) == 0 || p.Streams[0].Codec != "h264" || p.Streams[0].TimeBase != "1/90000" {
		t.Fatalf("got %d packets, streams %+v", len(p.Packets), p.Streams)
	}
	if !strings.HasPrefix(p.Packets[0].Flags, "K") {
		t.Errorf("first packet is %+v, want a keyframe", p.Packets[0])
	}
	for i := 1; i < len(p.Packets); i++ {
		if p.Packets[i].DTS <= p.Packets[i-1].DTS {
			t.Errorf("packet %d is at %v after %v", i, p.Packets[i].DTS, p.Packets[i-1].DTS)
		}
	}
	return p
}

func checkFile(t *testing.T, fact edge.ClipFact, f edge.ClipFile) {
	t.Helper()
	b, err := os.ReadFile(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(b); sum != f.SHA256 || fact.SHA256.String() != edge.HexBytes(sum[:]).String() || f.SizeBytes != int64(len(b)) {
		t.Errorf("digest or size of %s is wrong", f.Path)
	}
	if left, _ := filepath.Glob(strings.TrimSuffix(f.Path, filepath.Ext(f.Path)) + "*tmp"); len(left) > 0 { // of this clip: others may be being cut
		t.Errorf("left behind: %v", left)
	}
}

func TestFromTheCameraToAPlayableClip(t *testing.T) {
	units, err := footage()
	if err != nil {
		t.Fatal(err)
	}
	s, err := rtsptest.Listen(rtsptest.Options{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	cam := s.Camera("stockroom/main")
	run(t, s.Run)
	var pause atomic.Int64 // the longest of the camera: it is of this machine, which may be held up
	run(t, func(ctx context.Context) error {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		begun := time.Now()
		last := begun
		for n := 0; ctx.Err() == nil; <-tick.C {
			pause.Store(max(pause.Load(), int64(time.Since(last))))
			last = time.Now()
			for ; time.Since(begun) >= time.Duration(n)*100*time.Millisecond; n++ { // a busy machine leaves ticks out
				cam.Write(units[n%len(units)], uint32(n*9000))
			}
		}
		return nil
	})
	clk := edge.NewSystemClock()
	r := ring.New(ring.Options{Keep: 5 * time.Minute, LimitBytes: 8 << 20}) // however late a busy machine begins to cut
	idrs := &idrs{}
	camera, err := rtsp.NewCamera(rtsp.Options{ID: "stockroom", URL: s.URL("stockroom/main"), Sink: intoRing{r, idrs}, Clock: clk, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	run(t, camera.Run)
	dir, j := t.TempDir(), newJournal()
	eye := &eye{fails: 2}
	run(t, New(Options{Dir: dir, Cameras: map[edge.CameraID]Camera{"stockroom": {Ring: r, Trouble: camera.Trouble}}, Jobs: j, Eye: eye, Clock: clk, Log: quiet}).Run)

	for deadline := time.Now().Add(3 * time.Minute); r.Stats().Span < 4*time.Second; <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the ring does not fill: %+v, %q", r.Stats(), camera.Trouble())
		}
	}
	const before, after = 3 * time.Second, 2 * time.Second
	now := clk.Now()
	first := idrs.before(now.Mono - before)
	ids := []edge.ClipID{edge.ClipID(edge.NewID()), edge.ClipID(edge.NewID())} // two alarms share the ring
	for i, id := range ids {
		j.want(edge.ClipJob{ClipRef: edge.ClipRef{ID: id, Camera: "stockroom", From: now.Wall.Add(-before), To: now.Wall.Add(after)}, Seq: edge.Seq(i + 1), At: now})
	}
	for _, id := range ids {
		fact, file, reason := j.outcome(t, id)
		ended := clk.Now()
		held := time.Duration(pause.Load()) > holeFrom/2 && strings.HasPrefix(fact.Reason, "the camera gave no pictures for ")
		if reason != "" || fact.Reason != "" && !held {
			t.Fatalf("clip lost %q, short %q", reason, fact.Reason)
		}
		checkFile(t, fact, file)
		p := probe(t, file.Path)
		// The pictures before the alarm: the first one is the last keyframe that had come by then.
		if !fact.From.Equal(first.Wall) {
			t.Errorf("begins at %v, want %v, the last keyframe before %v", fact.From, first.Wall, now.Wall.Add(-before))
		}
		// How many there are is the machine's affair, too: a busy one takes some after the end. None is missing.
		n := len(p.Packets)
		took, _ := ended.Since(now)
		most := 82 + int((took-after).Seconds()*10)
		if span := p.Packets[n-1].PTS - p.Packets[0].PTS; n < 40 || n > most || !near(span, float64(n-1)/10, 0.001) {
			t.Errorf("got %d pictures in %.3f s, want 50 to %d, each 0.1 s after the one before", n, span, most)
		}
		if fact.StillBytes == 0 || fact.StillSHA256 == nil {
			t.Error("no still, although the eye came up at the third try")
		}
	}
	if len(j.stills) != 2 || j.stills[0].Part != edge.PartStill {
		t.Errorf("got stills %+v, want 2", j.stills)
	}
}

type intoRing struct {
	r    *ring.Ring
	idrs *idrs
}

func (i intoRing) OnUnit(u video.AccessUnit, p video.Params) {
	i.idrs.note(u)
	i.r.Push(u, p)
}
func (i intoRing) Lost(context.Context, string)   {}
func (i intoRing) Restored(context.Context)       {}
func (i intoRing) Frozen(context.Context, string) {}
func (i intoRing) Thawed(context.Context)         {}

// idrs is when keyframes came.
type idrs struct {
	mu sync.Mutex
	at []edge.Stamp
}

func (i *idrs) note(u video.AccessUnit) {
	if u.Keyframe {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.at = append(i.at, u.Arrival)
	}
}

// before returns the last one that had come at mono.
func (i *idrs) before(mono time.Duration) (last edge.Stamp) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, at := range i.at {
		if at.Mono <= mono {
			last = at
		}
	}
	return last
}
