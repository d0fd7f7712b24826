package clip

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sitewatch/edge"
	"sitewatch/video"
	"sitewatch/video/ring"
	"sitewatch/video/rtsptest"
)

// cutOne runs a Cutter on one job with the clock standing at now and the ring as it is.
func cutOne(t *testing.T, dir string, r *ring.Ring, now time.Duration, job edge.ClipJob, e Stiller) (edge.ClipFact, edge.ClipFile, string) {
	t.Helper()
	j := newJournal()
	j.jobs[job.ID] = job
	stop := run(t, New(Options{Dir: dir, Jobs: j, Eye: e, Clock: clock{now}, Log: quiet,
		Cameras: map[edge.CameraID]Camera{"stockroom": {Ring: r, Trouble: func() string { return "rtsp: no route" }}}}).Run)
	defer stop()
	fact, file, reason := j.outcome(t, job.ID)
	if reason == "" {
		checkFile(t, fact, file)
	}
	return fact, file, reason
}

func newRing() *ring.Ring { return ring.New(ring.Options{Keep: time.Hour, LimitBytes: 64 << 20}) }

func TestClipsByWhatTheRingHas(t *testing.T) {
	const sec = time.Second
	for name, c := range map[string]struct {
		from, to  int           // pictures in the ring, ten a second
		now       time.Duration // when the cutter comes to it
		job       edge.ClipJob
		pictures  int
		begins    time.Duration
		reason    string // of a clip that is ready
		whyIsLost string
	}{
		"all of it":                    {0, 300, 30 * sec, alarm(15*sec, 5*sec, 5*sec), 101, 10 * sec, "", ""},
		"asked in the middle of a GOP": {0, 300, 30 * sec, alarm(15500*time.Millisecond, 5*sec, 5*sec), 106, 10 * sec, "", ""},
		"the camera came up late":      {120, 300, 30 * sec, alarm(15*sec, 5*sec, 5*sec), 81, 12 * sec, "begins 2.0 s later than asked: there were no earlier pictures in memory", ""},
		"the camera died midway":       {0, 170, 30 * sec, alarm(15*sec, 5*sec, 5*sec), 70, 10 * sec, "ends 3.1 s earlier than asked: rtsp: no route", ""},
		"no picture at all":            {0, 0, 30 * sec, alarm(15*sec, 5*sec, 5*sec), 0, 0, "", "camera stockroom gave no pictures: rtsp: no route"},
		"pictures of later only":       {250, 300, 30 * sec, alarm(15*sec, 5*sec, 5*sec), 0, 0, "", "camera stockroom gave no pictures: rtsp: no route"},
		"after a restart, nothing kept": {0, 0, 30 * sec, func() edge.ClipJob { j := alarm(15*sec, 5*sec, 5*sec); j.Cutting = true; return j }(),
			0, 0, "", "camera stockroom gave no pictures after a restart of the gateway: rtsp: no route"},
		"a camera that is not configured": {0, 300, 30 * sec, func() edge.ClipJob { j := alarm(15*sec, 5*sec, 5*sec); j.Camera = "yard"; return j }(),
			0, 0, "", "camera yard is not configured"},
		"an id that climbs": {0, 300, 30 * sec, func() edge.ClipJob { j := alarm(15*sec, 5*sec, 5*sec); j.ID = "../../etc/passwd"; return j }(),
			0, 0, "", "its id cannot be the name of a file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRing()
			scripted(t, r, c.from, c.to)
			fact, file, lost := cutOne(t, t.TempDir(), r, c.now, c.job, nil)
			if lost != c.whyIsLost {
				t.Fatalf("lost because %q, want %q", lost, c.whyIsLost)
			}
			if lost != "" {
				return
			}
			if fact.Reason != c.reason {
				t.Errorf("reason %q, want %q", fact.Reason, c.reason)
			}
			if got := fact.From.Sub(wall0); got != c.begins {
				t.Errorf("begins at %v, want %v", got, c.begins)
			}
			if want := fact.From.Add(time.Duration(c.pictures) * 100 * time.Millisecond); !fact.To.Equal(want) {
				t.Errorf("ends at %v, want %v", fact.To, want)
			}
			if p := probe(t, file.Path); len(p.Packets) != c.pictures {
				t.Errorf("got %d pictures, want %d", len(p.Packets), c.pictures)
			}
		})
	}
}

func TestClipTellsOfAPauseInIt(t *testing.T) {
	r := newRing()
	scripted(t, r, 0, 140)
	scripted(t, r, 180, 300)
	fact, _, lost := cutOne(t, t.TempDir(), r, 30*time.Second, alarm(15*time.Second, 5*time.Second, 5*time.Second), nil)
	want := "the camera gave no pictures for 4.1 s from " + wall0.Add(13900*time.Millisecond).UTC().Format(time.TimeOnly+" UTC")
	if lost != "" || fact.Reason != want {
		t.Errorf("reason %q, lost %q; want %q", fact.Reason, lost, want)
	}
}

func TestWaitsForADeadCameraNoLongerThanGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		job := alarm(0, 10*time.Second, -4800*time.Millisecond) // its time and the grace are over 200 ms from now
		started := time.Now()
		_, _, lost := cutOne(t, t.TempDir(), newRing(), 0, job, nil)
		if d := time.Since(started); lost == "" || d < 200*time.Millisecond || d > 250*time.Millisecond {
			t.Errorf("lost %q after %v, want after 200 ms", lost, d)
		}
	})
}

// made cuts a whole clip and returns its bytes.
func made(t *testing.T, job edge.ClipJob) []byte {
	t.Helper()
	r := newRing()
	scripted(t, r, 0, 300)
	_, file, lost := cutOne(t, t.TempDir(), r, 30*time.Second, job, nil)
	if lost != "" {
		t.Fatal(lost)
	}
	b, err := os.ReadFile(file.Path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAfterAKill(t *testing.T) {
	job := alarm(15*time.Second, 5*time.Second, 5*time.Second)
	whole := made(t, job)
	var ends []int // of each box
	for pos := 0; pos < len(whole); {
		pos += int(binary.BigEndian.Uint32(whole[pos:]))
		ends = append(ends, pos)
	}
	job.Cutting = true
	for name, c := range map[string]struct {
		file     string
		content  []byte
		pictures int // 0: lost
	}{
		"renamed, the journal had not heard":  {".mp4", whole, 101},
		"whole, not renamed":                  {".tmp", whole, 101},
		"in the middle of the fifth fragment": {".tmp", whole[:ends[3+2*4+1]-100], 40},
		"in the middle of a moof":             {".tmp", whole[:ends[3+2*4]-20], 40},
		"zeros at the end, by a power cut":    {".tmp", append(append([]byte{}, whole[:ends[6]]...), make([]byte, 5000)...), 20},
		"the header alone":                    {".tmp", whole[:ends[2]], 0},
		"in the middle of the header":         {".tmp", whole[:100], 0},
		"an empty file":                       {".tmp", nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, string(job.ID)+c.file), c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			fact, file, lost := cutOne(t, dir, newRing(), 30*time.Second, job, nil)
			if c.pictures == 0 {
				if !strings.Contains(lost, "after a restart") {
					t.Errorf("lost because %q, want a restart", lost)
				}
				if left, _ := os.ReadDir(dir); len(left) != 0 {
					t.Errorf("left behind: %v", left)
				}
				return
			}
			if lost != "" {
				t.Fatalf("lost: %s", lost)
			}
			if p := probe(t, file.Path); len(p.Packets) != c.pictures {
				t.Errorf("got %d pictures, want %d", len(p.Packets), c.pictures)
			}
			if got, want := fact.Reason, "cut short by a restart of the gateway"; (c.file == ".tmp") != (got == want) {
				t.Errorf("reason %q", got)
			}
			if from := fact.From.Sub(wall0); from != 10*time.Second || fact.To.Sub(fact.From) != time.Duration(c.pictures)*100*time.Millisecond {
				t.Errorf("got %v to %v", fact.From, fact.To)
			}
		})
	}
	t.Run("nothing left, but its time is not over", func(t *testing.T) {
		r := newRing()
		scripted(t, r, 160, 300)
		fact, _, lost := cutOne(t, t.TempDir(), r, 18*time.Second, job, nil)
		if lost != "" || !strings.Contains(fact.Reason, "begins 6.0 s later") {
			t.Errorf("lost %q, reason %q, want a late beginning", lost, fact.Reason)
		}
	})
	t.Run("a still whose row is missing", func(t *testing.T) {
		dir := t.TempDir()
		os.WriteFile(filepath.Join(dir, string(job.ID)+".jpg"), []byte("jpeg"), 0o600)
		os.WriteFile(filepath.Join(dir, string(job.ID)+".mp4"), whole, 0o600)
		fact, _, _ := cutOne(t, dir, newRing(), 30*time.Second, job, nil)
		if fact.StillBytes != 4 {
			t.Errorf("got a still of %d bytes, want the one on disk", fact.StillBytes)
		}
	})
}

func TestManyAtOnceAllEnd(t *testing.T) {
	r := newRing()
	scripted(t, r, 0, 300)
	j := newJournal()
	for range 50 {
		job := alarm(15*time.Second, 5*time.Second, 5*time.Second)
		j.jobs[job.ID] = job
	}
	jobs, _ := j.WantedClips(t.Context())
	stop := run(t, New(Options{Dir: t.TempDir(), Jobs: j, Clock: clock{30 * time.Second}, Log: quiet, AtOnce: 4,
		Cameras: map[edge.CameraID]Camera{"stockroom": {Ring: r}}}).Run)
	for _, job := range jobs {
		if _, _, lost := j.outcome(t, job.ID); lost != "" {
			t.Errorf("lost: %s", lost)
		}
	}
	stop()
}

func TestStoppedInTheMiddle(t *testing.T) {
	r := newRing()
	scripted(t, r, 0, 165) // the alarm was 1.5 s ago, and the last fragment is half full
	dir, j := t.TempDir(), newJournal()
	job := alarm(15*time.Second, 5*time.Second, 5*time.Second)
	j.jobs[job.ID] = job
	stop := run(t, New(Options{Dir: dir, Jobs: j, Clock: clock{16500 * time.Millisecond}, Log: quiet, Cameras: map[edge.CameraID]Camera{"stockroom": {Ring: r}}}).Run)
	for deadline := time.Now().Add(time.Minute); ; <-time.After(5 * time.Millisecond) {
		if fi, err := os.Stat(filepath.Join(dir, string(job.ID)+".tmp")); err == nil && fi.Size() > 40_000 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing was written")
		}
	}
	stop()
	job.Cutting = true
	fact, file, lost := cutOne(t, dir, newRing(), 17*time.Second, job, nil)
	if lost != "" || fact.Reason != "cut short by a restart of the gateway" {
		t.Errorf("lost %q, reason %q", lost, fact.Reason)
	}
	if p := probe(t, file.Path); len(p.Packets) != 65 {
		t.Errorf("got %d pictures, want all 65 that there were", len(p.Packets))
	}
}

func TestDirectoryThatIsGone(t *testing.T) {
	r := newRing()
	scripted(t, r, 0, 300)
	dir := t.TempDir()
	j := newJournal()
	job := alarm(15*time.Second, 5*time.Second, 5*time.Second)
	left := filepath.Join(dir, edge.NewID()+".tmp")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := New(Options{Dir: dir, Jobs: j, Clock: clock{30 * time.Second}, Log: quiet, Cameras: map[edge.CameraID]Camera{"stockroom": {Ring: r}}})
	stop := run(t, c.Run)
	gone(t, left) // it has made its folder, and looked through it
	os.RemoveAll(dir)
	j.want(job)
	if _, _, lost := j.outcome(t, job.ID); !strings.HasPrefix(lost, "cannot write it") || strings.Contains(lost, dir) {
		t.Errorf("lost because %q", lost)
	}
	stop()
}

// A camera changes its picture and back, as from day to night: each keyframe behind the first change has its parameters with it.
func TestParametersThatChangeInTheMiddle(t *testing.T) {
	r := newRing()
	scripted(t, r, 0, 150)
	n := 150
	var bigger video.Params
	err := rtsptest.Encode(t.Context(), nil, rtsptest.TestPicture(640, 360, 10, 10, 3), func(nalus [][]byte) error {
		at := time.Duration(n) * 100 * time.Millisecond
		u, sps, pps, err := video.NewH264Unit(nalus, video.TicksOf(at), edge.Stamp{Wall: wall0.Add(at), Mono: at, Boot: "b"})
		if err != nil {
			return err
		}
		if sps != nil {
			if bigger, err = video.NewH264Params(sps, pps); err != nil {
				return err
			}
		}
		r.Push(u, bigger)
		n++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	scripted(t, r, n, 300)
	_, file, lost := cutOne(t, t.TempDir(), r, 30*time.Second, alarm(15*time.Second, 5*time.Second, 5*time.Second), nil)
	if lost != "" {
		t.Fatal(lost)
	}
	tracks(t, file.Path) // without a word from the decoder
	if p := probe(t, file.Path); len(p.Packets) != 101 || p.Streams[0].Frames != "101" {
		t.Errorf("got %d pictures, %s decoded, want 101", len(p.Packets), p.Streams[0].Frames)
	}
}

func TestExport(t *testing.T) {
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "a.mp4"), filepath.Join(dir, "b.mp4")
	if err := os.WriteFile(src, made(t, alarm(15*time.Second, 5*time.Second, 5*time.Second)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Export(src, dst); err != nil {
		t.Fatal(err)
	}
	got, want := probe(t, dst), probe(t, src)
	if len(got.Packets) != len(want.Packets) {
		t.Fatalf("got %d pictures, want %d", len(got.Packets), len(want.Packets))
	}
	for i := range want.Packets {
		if got.Packets[i] != want.Packets[i] {
			t.Errorf("picture %d is %+v, want %+v", i, got.Packets[i], want.Packets[i])
		}
	}
	if got.Streams[0] != want.Streams[0] {
		t.Errorf("stream %+v, want %+v", got.Streams[0], want.Streams[0])
	}
	if _, err := Export(src, dst); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second time: got %v, want that it exists", err)
	}
	junk := filepath.Join(dir, "junk.mp4")
	os.WriteFile(junk, []byte("no MP4 at all"), 0o600)
	if _, err := Export(junk, filepath.Join(dir, "c.mp4")); err == nil {
		t.Error("junk was exported")
	}
	if _, err := os.Stat(filepath.Join(dir, "c.mp4")); err == nil {
		t.Error("a failed export left a file")
	}
}

// Whoever asks for many minutes must not keep an alarm's clip waiting.
func TestAskedClipsLeaveRoomForAlarms(t *testing.T) {
	c := New(Options{AtOnce: 8})
	for i := range 8 {
		job := edge.ClipJob{ClipRef: edge.ClipRef{ID: edge.ClipID(edge.NewID())}, Kind: edge.KindCommandDone}
		if got, want := c.begin(job), i < 2; got != want {
			t.Errorf("asked clip %d is begun: %v, want %v", i, got, want)
		}
	}
	for i := range 7 {
		if got, want := c.begin(edge.ClipJob{ClipRef: edge.ClipRef{ID: edge.ClipID(edge.NewID())}, Kind: edge.KindFire}), i < 6; got != want {
			t.Errorf("alarm's clip %d is begun: %v, want %v", i, got, want)
		}
	}
}

// breaking is an eye that panics.
type breaking struct{}

func (breaking) Still(context.Context, video.Params, video.AccessUnit) ([]byte, error) {
	panic("no such picture")
}

func TestAStillThatPanicsCostsNoClip(t *testing.T) {
	r := newRing()
	scripted(t, r, 0, 300)
	fact, _, lost := cutOne(t, t.TempDir(), r, 30*time.Second, alarm(15*time.Second, 5*time.Second, 5*time.Second), breaking{})
	if lost != "" || fact.Reason != "" || fact.StillBytes != 0 {
		t.Errorf("lost %q, fact %+v, want a whole clip without a still", lost, fact)
	}
}
