package clip

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"sitewatch/edge"
)

// The ring is memory: what it had when the alarm came is gone with the boot, whatever the wall clock makes of the distance.
func TestAlarmOfAnEarlierBootIsLostWhateverTheWallClockSays(t *testing.T) {
	for name, wall := range map[string]time.Duration{
		"the same time of day":              0,
		"a clock that stands at 1970":       time.Unix(0, 0).Sub(wall0),
		"a clock that is 20 minutes behind": -20 * time.Minute,
		"a clock that is a year ahead":      365 * 24 * time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRing()
			scripted(t, r, 0, 300)
			job := alarm(15*time.Second, 5*time.Second, 5*time.Second)
			job.At.Boot, job.At.Mono = "before", 4000*time.Hour
			for _, wall1 := range []*time.Time{&job.At.Wall, &job.From, &job.To} {
				*wall1 = wall1.Add(-wall)
			}
			_, _, lost := cutOne(t, t.TempDir(), r, 30*time.Second, job, nil)
			if want := "the box was started again before it was cut"; lost != want {
				t.Errorf("lost because %q, want %q", lost, want)
			}
		})
	}
}

func TestClipOfAnEarlierBootThatWasBegunIsSealed(t *testing.T) {
	job := alarm(15*time.Second, 5*time.Second, 5*time.Second)
	whole := made(t, job)
	job.At.Boot, job.At.Mono, job.Cutting = "before", 4000*time.Hour, true
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, string(job.ID)+".tmp"), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	fact, _, lost := cutOne(t, dir, newRing(), 30*time.Second, job, nil)
	if lost != "" || fact.Reason != "cut short by a restart of the gateway" {
		t.Errorf("lost %q, reason %q, want what there was", lost, fact.Reason)
	}
}

// From and To are of the wall clock when the signal came in, At is of the commit: NTP may have stepped the clock between them.
func TestSpanWhenTheWallClockStepsBeforeTheCommit(t *testing.T) {
	const sec = time.Second
	now := clock{30 * sec}.Now()
	for name, c := range map[string]struct {
		step     time.Duration
		from, to time.Duration
	}{
		"no step":                        {0, 10 * sec, 25 * sec},
		"the signal waited for the disk": {3 * sec, 7 * sec, 22 * sec},
		"set by NTP after years":         {56 * 365 * 24 * time.Hour, 7500 * time.Millisecond, 22500 * time.Millisecond},
		"put back by an hour":            {-time.Hour, 7500 * time.Millisecond, 22500 * time.Millisecond},
		"put back to 1970":               {-56 * 365 * 24 * time.Hour, 7500 * time.Millisecond, 22500 * time.Millisecond},
		"put back by less than the clip": {-2 * sec, 12 * sec, 27 * sec},
	} {
		t.Run(name, func(t *testing.T) {
			job := alarm(15*sec, 5*sec, 10*sec)
			job.At.Wall = job.At.Wall.Add(c.step)
			got := spanOf(job, now)
			if want := [3]time.Duration{15 * sec, c.from, c.to}; [3]time.Duration{got.at.Mono, got.from.Mono, got.to.Mono} != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestSpanIsNeverAbsurd(t *testing.T) {
	now := clock{30 * time.Second}.Now()
	for name, job := range map[string]edge.ClipJob{
		"ends before it begins":  alarm(15*time.Second, 5*time.Second, -20*time.Second),
		"ends in a year":         alarm(15*time.Second, 5*time.Second, 365*24*time.Hour),
		"begins in a year":       alarm(15*time.Second, -365*24*time.Hour, 366*24*time.Hour),
		"a stamp of the future":  alarm(365*24*time.Hour, 5*time.Second, 5*time.Second),
		"ended a thousand years": alarm(15*time.Second, 250*365*24*time.Hour, -249*365*24*time.Hour),
	} {
		if s := spanOf(job, now); s.from.Mono > s.to.Mono || s.to.Mono > now.Mono+10*time.Minute || s.at.Mono > now.Mono {
			t.Errorf("%s: got %v", name, s)
		}
	}
}

// A ring keeps its last pictures however old they are: they are of another time than the alarm's.
func TestCameraThatDiedLongBeforeTheAlarm(t *testing.T) {
	r := newRing()
	scripted(t, r, 0, 50)
	_, _, lost := cutOne(t, t.TempDir(), r, time.Hour+30*time.Second, alarm(time.Hour, 5*time.Second, 5*time.Second), &eye{})
	if want := "camera stockroom gave no pictures: rtsp: no route"; lost != want {
		t.Errorf("lost because %q, want %q", lost, want)
	}
}

// Somebody asks for pictures of certain minutes: they get those or none, never others.
func TestAskedClip(t *testing.T) {
	const sec = time.Second
	for name, c := range map[string]struct {
		before, after time.Duration // of the moment of asking
		lost          string
		first         time.Duration
	}{
		"what is in the ring still":   {20 * sec, -10 * sec, "", 10 * sec},
		"from then until a bit later": {5 * sec, 4 * sec, "", 25 * sec},
		"what was never there":        {50 * time.Minute, -49 * time.Minute, "the box has no pictures of that time any more; its oldest are of " + clockTime(wall0), 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRing()
			scripted(t, r, 0, 400)
			job := alarm(30*sec, c.before, c.after)
			job.Kind = edge.KindCommandDone
			fact, _, lost := cutOne(t, t.TempDir(), r, 30*sec, job, nil)
			if lost != c.lost {
				t.Fatalf("lost because %q, want %q", lost, c.lost)
			}
			if first := fact.From.Sub(wall0); lost == "" && (first > c.first || first < c.first-2*sec) {
				t.Errorf("begins at %v, want the IDR at or before %v", first, c.first)
			}
		})
	}
}
