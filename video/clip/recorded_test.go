package clip

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/video/ring"
	"sitewatch/video/segment"
)

// recording is a folder with what a camera sent before.
type recording struct {
	t   *testing.T
	dir string
}

func (r recording) open(clk edge.Clock) *segment.Store {
	return segment.Open(segment.Options{Dir: r.dir, LimitBytes: 1 << 30, MinFreeBytes: 1, Clock: clk, Log: quiet,
		Cameras: map[edge.CameraID]segment.Camera{"stockroom": {}}})
}

// record writes pieces as one run of the program.
func (r recording) record(clk edge.Clock, pieces []piece) {
	r.t.Helper()
	s := r.open(clk)
	for _, p := range pieces {
		s.Writer("stockroom").Push(p.u, p.p)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	cancel() // what has come is written, and that is all
	if err := s.Run(ctx); err != nil && ctx.Err() == nil {
		r.t.Fatal(err)
	}
}

// between are the pieces that arrived in a stretch of time.
func between(pieces []piece, from, to time.Duration) (out []piece) {
	for _, p := range pieces {
		if p.u.Arrival.Mono >= from && p.u.Arrival.Mono < to {
			out = append(out, p)
		}
	}
	return out
}

func (r recording) cut(clk clock, rg *ring.Ring, job edge.ClipJob, dir string) (edge.ClipFact, edge.ClipFile, string) {
	r.t.Helper()
	j := newJournal()
	j.jobs[job.ID] = job
	s := r.open(clk)
	stop := run(r.t, New(Options{Dir: dir, Jobs: j, Clock: clk, Log: quiet, Store: s, Cameras: map[edge.CameraID]Camera{"stockroom": {Ring: rg}}}).Run)
	defer stop()
	fact, file, lost := j.outcome(r.t, job.ID)
	if lost == "" {
		checkFile(r.t, fact, file)
	}
	return fact, file, lost
}

// same fails when the clip does not hold exactly the pieces that arrived in that time.
func same(t *testing.T, path string, pieces []piece) {
	t.Helper()
	got := tracks(t, path)
	var pictures, sound []string
	for _, p := range pieces {
		h := fmt.Sprintf("SHA256:%x", sha256.Sum256(p.u.Data))
		if p.u.Audio != nil {
			sound = append(sound, h)
		} else {
			pictures = append(pictures, h)
		}
	}
	if g := got["video"].hashes; strings.Join(g, "\n") != strings.Join(pictures, "\n") {
		t.Errorf("%d pictures, want %d, each the source's", len(g), len(pictures))
	}
	if a := got["audio"]; len(sound) > 0 && (a == nil || strings.Join(a.hashes, "\n") != strings.Join(sound, "\n")) {
		t.Errorf("sound is not the source's: %v, want %d packets", a, len(sound))
	}
}

func asked(from, to, now time.Duration) edge.ClipJob {
	job := alarm(now, now-from, to-now)
	job.Kind = edge.KindCommandDone
	return job
}

func TestWhatTheRingNoLongerHasComesFromDisk(t *testing.T) {
	pieces := encoded(t, args(picture, tone, x264, aac)...)
	const sec = time.Second
	for name, c := range map[string]struct {
		ringFrom, now time.Duration
		job           edge.ClipJob
		first, last   time.Duration
	}{
		"all from disk":                    {19 * sec, 30 * sec, alarm(10*sec, 5*sec, 5*sec), 5 * sec, 15 * sec},
		"the ring has the second half":     {12 * sec, 30 * sec, alarm(10*sec, 5*sec, 5*sec), 5 * sec, 15 * sec},
		"the ring has all":                 {0, 30 * sec, alarm(10*sec, 5*sec, 5*sec), 5 * sec, 15 * sec},
		"asked by the wall clock":          {19 * sec, 3600 * sec, asked(3*sec, 7*sec, 3600*sec), 3 * sec, 7 * sec},
		"asked, both":                      {9 * sec, 30 * sec, asked(3*sec, 15*sec, 30*sec), 3 * sec, 15 * sec},
		"asked in the middle of a picture": {19 * sec, 30 * sec, asked(3450*time.Millisecond, 7*sec, 30*sec), 3450 * time.Millisecond, 7 * sec},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := recording{t, t.TempDir()}
			r.record(clock{20 * sec}, pieces)
			fact, file, lost := r.cut(clock{c.now}, ringOf(between(pieces, c.ringFrom, time.Hour)), c.job, t.TempDir())
			if lost != "" || fact.Reason != "" || fact.Lost != 0 || len(fact.Holes) != 0 {
				t.Fatalf("lost %q, fact %+v", lost, fact)
			}
			first := c.first
			for _, p := range pieces {
				if p.u.Keyframe && p.u.Arrival.Mono <= c.first {
					first = p.u.Arrival.Mono
				}
			}
			same(t, file.Path, between(pieces, first, c.last+1))
		})
	}
}

func TestAskedClipOfARecordedCamera(t *testing.T) {
	pieces := encoded(t, args(picture, x264)...)
	const sec = time.Second
	r := recording{t, t.TempDir()}
	r.record(clock{8 * sec}, between(pieces, 2*sec, 8*sec))
	r.record(clock{20 * sec}, between(pieces, 15*sec, 20*sec)) // the camera was away
	for name, c := range map[string]struct {
		from, to     time.Duration
		reason, lost string
	}{
		"before the oldest":      {-3600 * sec, -3500 * sec, "", "the box has no pictures of that time any more; its oldest are of 2026-05-06 07:08:11 UTC"},
		"in a gap, near its end": {13500 * time.Millisecond, 14 * sec, "", "the box has no pictures of that time; the next are of 2026-05-06 07:08:24 UTC"},
		"in a gap":               {10 * sec, 12 * sec, "", "the box has no pictures of that time; the last before are of 2026-05-06 07:08:16 UTC"},
		"begins before":          {0, 5 * sec, "begins 2.0 s later than asked: there were no earlier pictures", ""},
		"ends in the gap":        {3 * sec, 12 * sec, "ends 4.1 s earlier than asked", ""},
		"over the gap":           {4 * sec, 17 * sec, "the camera gave no pictures for 7.1 s from 07:08:16 UTC", ""},
		"begins in the gap":      {13500 * time.Millisecond, 17 * sec, "begins 1.5 s later than asked: there were no earlier pictures", ""},
		"of what is not yet":     {25 * sec, 26 * sec, "", "camera stockroom gave no pictures"},
		"begins at the newest":   {19500 * time.Millisecond, 21 * sec, "ends 1.1 s earlier than asked", ""},
		"whole, and long after":  {3 * sec, 7 * sec, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := clock{3600 * sec}
			if strings.HasPrefix(name, "of what") {
				now = clock{23 * sec}
			}
			fact, file, lost := r.cut(now, newRing(), asked(c.from, c.to, now.at), t.TempDir())
			if lost != c.lost || fact.Reason != c.reason {
				t.Fatalf("lost %q, want %q; reason %q, want %q", lost, c.lost, fact.Reason, c.reason)
			}
			if lost == "" {
				tracks(t, file.Path)
			}
			if name == "over the gap" && (len(fact.Holes) != 1 || fact.Holes[0].From != wall0.Add(7900*time.Millisecond) || fact.Holes[0].To != wall0.Add(15*sec)) {
				t.Errorf("holes %v, want from 7.9 s to 15 s", fact.Holes)
			}
		})
	}
}

// A camera's id was changed, or it was taken out of the configuration: what is on the disk of it is still asked for under the old id.
func TestAskedClipOfACameraThatIsNoLongerConfigured(t *testing.T) {
	pieces := encoded(t, args(picture, x264)...)
	const sec = time.Second
	r := recording{t, t.TempDir()}
	r.record(clock{20 * sec}, pieces)
	clk := clock{3600 * sec}
	for name, c := range map[string]struct {
		camera   edge.CameraID
		from, to time.Duration
		lost     string
	}{
		"recorded":       {"stockroom", 3 * sec, 7 * sec, ""},
		"not any more":   {"stockroom", -900 * sec, -890 * sec, "the box has no pictures of that time any more; its oldest are of 2026-05-06 07:08:09 UTC"},
		"never recorded": {"cellar", 3 * sec, 7 * sec, "camera cellar is not configured"},
	} {
		t.Run(name, func(t *testing.T) {
			s := segment.Open(segment.Options{Dir: r.dir, LimitBytes: 1 << 30, MinFreeBytes: 1, Clock: clk, Log: quiet})
			j := newJournal()
			job := asked(c.from, c.to, clk.at)
			job.Camera = c.camera
			j.jobs[job.ID] = job
			defer run(t, New(Options{Dir: t.TempDir(), Jobs: j, Clock: clk, Log: quiet, Store: s, Cameras: map[edge.CameraID]Camera{"door": {Ring: newRing()}}}).Run)()
			fact, file, lost := j.outcome(t, job.ID)
			if lost != c.lost || fact.Reason != "" {
				t.Fatalf("lost %q, want %q; reason %q, want none", lost, c.lost, fact.Reason)
			}
			if lost == "" {
				same(t, file.Path, between(pieces, c.from, c.to+1))
			}
		})
	}
}

// rebooted is the box after its power came back: another boot, a monotonic clock that begins again.
type rebooted struct{ after time.Duration }

func (r rebooted) Now() edge.Stamp {
	return edge.Stamp{Wall: wall0.Add(r.after), Mono: 5 * time.Second, Boot: "c"}
}

func TestAfterARestartARecordedClipIsCutWhole(t *testing.T) {
	pieces := encoded(t, args(picture, x264)...)
	const sec = time.Second
	job := alarm(10*sec, 5*sec, 5*sec)
	job.Cutting = true
	half := made(t, job)
	half = half[:len(half)/2]
	for name, clk := range map[string]edge.Clock{"of the gateway": clock{30 * sec}, "of the box": rebooted{60 * sec}} {
		for kind, left := range map[string][]byte{"with half a clip": half, "with nothing": nil} {
			t.Run(name+" "+kind, func(t *testing.T) {
				r := recording{t, t.TempDir()}
				r.record(clock{20 * sec}, pieces)
				dir := t.TempDir()
				if left != nil {
					if err := os.WriteFile(filepath.Join(dir, string(job.ID)+".tmp"), left, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				j := newJournal()
				j.jobs[job.ID] = job
				defer run(t, New(Options{Dir: dir, Jobs: j, Clock: clk, Log: quiet, Store: r.open(clk), Cameras: map[edge.CameraID]Camera{"stockroom": {Ring: newRing()}}}).Run)()
				fact, file, lost := j.outcome(t, job.ID)
				if lost != "" || fact.Reason != "" {
					t.Fatalf("lost %q, reason %q, want the whole clip", lost, fact.Reason)
				}
				same(t, file.Path, between(pieces, 5*sec, 15*sec+1))
			})
		}
	}
}

// What the disk has only seems to be all of it: between its oldest and its newest picture much is missing.
func TestAClipThatIsCutAgainIsNeverLessThanWhatWasThere(t *testing.T) {
	pieces := encoded(t, args(picture, x264)...)
	const sec = time.Second
	job := alarm(12*sec, 4*sec, 4*sec)
	job.Cutting = true
	whole := made(t, job)
	half := whole[:len(whole)/2]
	for name, c := range map[string]struct {
		recorded time.Duration // until then, and again from 19 s on
		left     map[string][]byte
	}{
		"shorter":                          {10 * sec, map[string][]byte{".tmp": whole}},
		"lost":                             {2 * sec, map[string][]byte{".tmp": whole}},
		"a second time, after more":        {10 * sec, map[string][]byte{".ktmp": whole, ".tmp": half}},
		"a second time, after less":        {10 * sec, map[string][]byte{".ktmp": half, ".tmp": whole}},
		"a second time, and none was left": {10 * sec, map[string][]byte{".ktmp": whole, ".tmp": nil}},
	} {
		t.Run(name, func(t *testing.T) {
			r := recording{t, t.TempDir()}
			r.record(clock{c.recorded}, between(pieces, 0, c.recorded))
			r.record(clock{20 * sec}, between(pieces, 19*sec, 20*sec))
			dir := t.TempDir()
			for ext, b := range c.left {
				if err := os.WriteFile(filepath.Join(dir, string(job.ID)+ext), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			fact, file, lost := r.cut(clock{30 * sec}, newRing(), job, dir)
			if lost != "" || fact.Reason != "cut short by a restart of the gateway" {
				t.Fatalf("lost %q, reason %q, want what was there", lost, fact.Reason)
			}
			if b, err := os.ReadFile(file.Path); err != nil || !bytes.Equal(b, whole) {
				t.Errorf("the clip has %d bytes, %v, want the %d that were there", len(b), err, len(whole))
			}
		})
	}
}
