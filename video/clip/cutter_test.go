package clip

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"sitewatch/edge"
)

func TestCuttingIsToldOfByTheCutter(t *testing.T) {
	r := newRing()
	scripted(t, r, 0, 300)
	j := newJournal()
	job := alarm(15*time.Second, 5*time.Second, 5*time.Second)
	j.jobs[job.ID] = job
	told := make(chan edge.ClipRef, 2) // one more than there should be
	stop := run(t, New(Options{Dir: t.TempDir(), Jobs: j, Clock: clock{30 * time.Second}, Log: quiet, Cutting: func(c edge.ClipRef) {
		j.mu.Lock()
		defer j.mu.Unlock()
		if !j.jobs[c.ID].Cutting {
			t.Error("told of before it was journalled")
		}
		told <- c
	}, Cameras: map[edge.CameraID]Camera{"stockroom": {Ring: r}}}).Run)
	j.outcome(t, job.ID)
	stop()
	if len(told) != 1 || <-told != job.ClipRef {
		t.Errorf("told %d times, want once of %+v", len(told), job.ClipRef)
	}
}

var errJournal = errors.New("disk full")

// failing is a journal that refuses all that it is told of the clips in ids, so many times each.
type failing struct {
	*journal
	mu  sync.Mutex
	ids map[edge.ClipID]int
}

func (f *failing) refuse(id edge.ClipID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ids[id]--; f.ids[id] >= 0 {
		return errJournal
	}
	return nil
}

func (f *failing) left(id edge.ClipID) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ids[id]
}

func (f *failing) ClipReady(ctx context.Context, fact edge.ClipFact, file edge.ClipFile) error {
	if err := f.refuse(file.ID); err != nil {
		return err
	}
	return f.journal.ClipReady(ctx, fact, file)
}

func (f *failing) ClipLost(ctx context.Context, id edge.ClipID, reason string) error {
	if err := f.refuse(id); err != nil {
		return err
	}
	return f.journal.ClipLost(ctx, id, reason)
}

func (f *failing) ClipCutting(ctx context.Context, id edge.ClipID) error {
	if err := f.refuse(id); err != nil {
		return err
	}
	return f.journal.ClipCutting(ctx, id)
}

func (f *failing) StillReady(ctx context.Context, file edge.ClipFile) error {
	if err := f.refuse(file.ID); err != nil {
		return err
	}
	return f.journal.StillReady(ctx, file)
}

// WantedClips fails as often as is said of the clip "".
func (f *failing) WantedClips(ctx context.Context) ([]edge.ClipJob, error) {
	if err := f.refuse(""); err != nil {
		return nil, err
	}
	return f.journal.WantedClips(ctx)
}

func TestJournalErrorOfOneClipLeavesTheOthersAlone(t *testing.T) {
	r := newRing()
	scripted(t, r, 0, 165) // the alarm was 1.5 s ago
	job, lost, whole := alarm(5*time.Second, 5*time.Second, 5*time.Second), alarm(15*time.Second, 5*time.Second, 5*time.Second), alarm(15*time.Second, 5*time.Second, 5*time.Second)
	lost.Camera = "yard"
	j := &failing{journal: newJournal(), ids: map[edge.ClipID]int{job.ID: 3, lost.ID: 3}}
	j.jobs[job.ID], j.jobs[lost.ID], j.jobs[whole.ID] = job, lost, whole
	run(t, New(Options{Dir: t.TempDir(), Jobs: j, Clock: clock{16500 * time.Millisecond}, Log: quiet, Eye: &eye{},
		Cameras: map[edge.CameraID]Camera{"stockroom": {Ring: r}}}).Run)
	if fact, _, reason := j.outcome(t, job.ID); reason != "" || fact.Reason != "" {
		t.Errorf("refused three times: lost %q, short %q", reason, fact.Reason)
	}
	if _, _, reason := j.outcome(t, lost.ID); reason != "camera yard is not configured" {
		t.Errorf("refused three times: lost because %q", reason)
	}
	j.mu.Lock()
	j.ids[""] = 1 // and the list cannot be read once, while the other is being cut
	j.mu.Unlock()
	j.want(alarm(5*time.Second, 5*time.Second, 5*time.Second))
	for deadline := time.Now().Add(time.Minute); j.left("") > 0 && time.Now().Before(deadline); {
		<-time.After(5 * time.Millisecond)
	}
	scripted(t, r, 165, 300)
	if fact, _, reason := j.outcome(t, whole.ID); reason != "" || fact.Reason != "" {
		t.Errorf("the clip beside them: lost %q, short %q", reason, fact.Reason)
	}
}

func TestRunEndsWhenTheListCannotBeReadAndNothingIsBeingCut(t *testing.T) {
	j := &failing{journal: newJournal(), ids: map[edge.ClipID]int{"": 1}}
	if err := New(Options{Dir: t.TempDir(), Jobs: j, Clock: clock{}, Log: quiet}).Run(t.Context()); !errors.Is(err, errJournal) {
		t.Errorf("got %v, want the journal's error, for the supervisor to report", err)
	}
}

func TestStopWhileTheJournalRefuses(t *testing.T) {
	r, dir := newRing(), t.TempDir()
	scripted(t, r, 0, 300)
	job := alarm(15*time.Second, 5*time.Second, 5*time.Second)
	j := &failing{journal: newJournal(), ids: map[edge.ClipID]int{job.ID: 1 << 30}}
	j.jobs[job.ID] = job
	stop := run(t, New(Options{Dir: dir, Jobs: j, Clock: clock{30 * time.Second}, Log: quiet, Cameras: map[edge.CameraID]Camera{"stockroom": {Ring: r}}}).Run)
	for deadline := time.Now().Add(time.Minute); j.left(job.ID) == 1<<30 && time.Now().Before(deadline); {
		<-time.After(5 * time.Millisecond)
	}
	stopped := time.Now()
	if stop(); time.Since(stopped) > time.Minute { // the journal refuses for longer
		t.Errorf("Run took %v to end", time.Since(stopped))
	}
}

// short is a journal that shows the newest jobs only, and counts how often a clip is begun.
type short struct {
	*journal
	max   int
	begun map[edge.ClipID]int
}

func (s *short) WantedClips(ctx context.Context) ([]edge.ClipJob, error) {
	jobs, err := s.journal.WantedClips(ctx)
	slices.SortFunc(jobs, func(a, b edge.ClipJob) int { return cmp.Compare(b.Seq, a.Seq) })
	return jobs[:min(len(jobs), s.max)], err
}

func (s *short) ClipCutting(ctx context.Context, id edge.ClipID) error {
	s.mu.Lock()
	s.begun[id]++
	s.mu.Unlock()
	return s.journal.ClipCutting(ctx, id)
}

func TestAListThatShowsAFewClipsOnly(t *testing.T) {
	for name, atOnce := range map[string]int{"fewer at once than it shows": 3, "more at once than it shows": 40} {
		t.Run(name, func(t *testing.T) {
			r := newRing()
			scripted(t, r, 0, 300)
			j := &short{journal: newJournal(), max: 8, begun: map[edge.ClipID]int{}}
			for n := range 50 {
				job := alarm(15*time.Second, 5*time.Second, 5*time.Second)
				if job.Seq = edge.Seq(n); n%10 == 9 {
					job.Camera = "yard"
				}
				j.jobs[job.ID] = job
			}
			jobs := maps.Clone(j.jobs)
			stop := run(t, New(Options{Dir: t.TempDir(), Jobs: j, Clock: clock{30 * time.Second}, Log: quiet, AtOnce: atOnce,
				Cameras: map[edge.CameraID]Camera{"stockroom": {Ring: r}}}).Run)
			for id := range jobs {
				j.outcome(t, id)
			}
			stop()
			for id, n := range j.begun {
				if n != 1 {
					t.Errorf("clip %d was begun %d times", jobs[id].Seq, n)
				}
			}
			if len(j.begun) != 45 {
				t.Errorf("%d clips were begun, want 45", len(j.begun))
			}
		})
	}
}

func TestLeftoverOfAClipThatTheListDoesNotShowYet(t *testing.T) {
	job := alarm(15*time.Second, 5*time.Second, 5*time.Second)
	whole := made(t, job)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, string(job.ID)+".tmp"), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	j := &short{journal: newJournal(), max: 8, begun: map[edge.ClipID]int{}}
	job.Cutting, job.Seq = true, 1
	j.jobs[job.ID] = job
	for n := range 20 {
		newer := alarm(15*time.Second, 5*time.Second, 5*time.Second)
		newer.Seq = edge.Seq(n + 2)
		j.jobs[newer.ID] = newer
	}
	run(t, New(Options{Dir: dir, Jobs: j, Clock: clock{30 * time.Second}, Log: quiet, AtOnce: 2,
		Cameras: map[edge.CameraID]Camera{"stockroom": {Ring: newRing()}}}).Run)
	if fact, _, lost := j.outcome(t, job.ID); lost != "" || fact.Reason != "cut short by a restart of the gateway" {
		t.Errorf("lost %q, reason %q, want what was on disk", lost, fact.Reason)
	}
}

// stale is a journal whose answer is slow: clips end between the question and the answer.
type stale struct {
	*short
	once sync.Once
}

func (s *stale) WantedClips(ctx context.Context) ([]edge.ClipJob, error) {
	jobs, err := s.short.WantedClips(ctx)
	if len(s.begunNow()) > 0 {
		s.once.Do(func() {
			for id := range s.begunNow() {
				for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-time.After(time.Millisecond) {
					s.mu.Lock()
					_, ended := s.ready[id]
					s.mu.Unlock()
					if ended {
						break
					}
				}
			}
			<-time.After(50 * time.Millisecond) // and the cutter has heard of it
		})
	}
	return jobs, err
}

func (s *stale) begunNow() map[edge.ClipID]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.begun)
}

func TestClipThatEndsWhileTheListIsReadIsNotBegunAgain(t *testing.T) {
	r := newRing()
	scripted(t, r, 0, 165)
	j := &stale{short: &short{journal: newJournal(), max: 8, begun: map[edge.ClipID]int{}}}
	job := alarm(15*time.Second, 5*time.Second, 5*time.Second)
	j.jobs[job.ID] = job
	dir := t.TempDir()
	stop := run(t, New(Options{Dir: dir, Jobs: j, Clock: clock{16500 * time.Millisecond}, Log: quiet,
		Cameras: map[edge.CameraID]Camera{"stockroom": {Ring: r}}}).Run)
	for deadline := time.Now().Add(time.Minute); len(j.begunNow()) == 0 && time.Now().Before(deadline); {
		<-time.After(time.Millisecond)
	}
	other := alarm(5*time.Second, 5*time.Second, 5*time.Second)
	j.want(other) // the list is asked for, and held back
	<-time.After(20 * time.Millisecond)
	scripted(t, r, 165, 300)
	_, file, _ := j.outcome(t, job.ID)
	j.mu.Lock()
	os.Remove(file.Path) // the SOC has it, and its room was needed
	j.mu.Unlock()
	j.outcome(t, other.ID)
	stop()
	if n := j.begunNow()[job.ID]; n != 1 {
		t.Errorf("begun %d times, want once", n)
	}
}

// gone waits until a file is.
func gone(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; <-time.After(5 * time.Millisecond) {
		if _, err := os.Stat(path); os.IsNotExist(err) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is still there", path)
		}
	}
}

func TestLeftoversThatNobodyWantsGo(t *testing.T) {
	dir := t.TempDir()
	for _, ext := range []string{".tmp", ".jtmp", ".ktmp"} {
		if err := os.WriteFile(filepath.Join(dir, edge.NewID()+ext), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, New(Options{Dir: dir, Jobs: newJournal(), Clock: clock{}, Log: quiet}).Run)
	for deadline := time.Now().Add(time.Minute); ; <-time.After(5 * time.Millisecond) {
		left, err := os.ReadDir(dir)
		if err == nil && len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left behind: %v, %v", left, err)
		}
	}
}
