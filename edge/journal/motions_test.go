package journal

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sitewatch/edge"
)

func TestMovementIsFoundByTimeAndPlace(t *testing.T) {
	j := open(t, testOptions(t.TempDir()))
	at := func(s int) time.Time { return time.Date(2026, 11, 25, 3, 0, s, 0, time.UTC) }
	all := []Motion{
		{Camera: "door", From: at(0), To: at(5), Clock: edge.ClockSynced, Cells: 1, Rule: "set", Sent: true, Why: "region"},
		{Camera: "till", From: at(4), To: at(9), Clock: edge.ClockUnset, Cells: 1 << 63, Why: strings.Repeat("é", 300)},
		{Camera: "door", From: at(20), To: at(21), Clock: edge.ClockSynced},
	}
	must(t, j.AddMotions(t.Context(), all))
	all[1].Why = strings.Repeat("é", maxWhy)
	for name, c := range map[string]struct {
		q    MotionQuery
		want []Motion
	}{
		"all, newest first":    {MotionQuery{}, []Motion{all[2], all[1], all[0]}},
		"one camera":           {MotionQuery{Camera: "till"}, all[1:2]},
		"a span":               {MotionQuery{From: at(5), To: at(10)}, []Motion{all[1], all[0]}},
		"before":               {MotionQuery{To: at(3)}, all[:1]},
		"after":                {MotionQuery{From: at(10)}, all[2:]},
		"the last cell":        {MotionQuery{Cells: 1 << 63}, all[1:2]},
		"either of two":        {MotionQuery{Cells: 1<<63 | 1}, []Motion{all[1], all[0]}},
		"a cell where is none": {MotionQuery{Cells: 2}, nil},
		"the newest":           {MotionQuery{Limit: 1}, all[2:]},
	} {
		got, err := j.Motions(t.Context(), c.q)
		must(t, err)
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestMovementTakesNoRoomFromEvents(t *testing.T) {
	opt := testOptions(t.TempDir())
	opt.LimitBytes = 1 << 20
	j := open(t, opt)
	most := (1 << 20) / 16 / motionBytes
	for i := range 2 {
		var ms []Motion
		for k := range most {
			ms = append(ms, Motion{Camera: "door", From: time.Unix(int64(i*most+k), 0), To: time.Unix(int64(i*most+k), 1)})
		}
		must(t, j.AddMotions(t.Context(), ms))
	}
	got, err := j.Motions(t.Context(), MotionQuery{Limit: 1000})
	must(t, err)
	if len(got) != most || got[0].From.Unix() != int64(2*most-1) {
		t.Errorf("kept %d, newest of %v, want the newest %d", len(got), got[0].From, most)
	}
}

// In a long outage movement that is only searched goes before anything that the SOC has not seen.
func TestMovementGoesBeforeEventsThatTheSOCHasNotSeen(t *testing.T) {
	opt := small(t.TempDir())
	opt.LimitBytes = 2 << 20
	b := open(t, opt)
	most := (2 << 20) / 16 / motionBytes
	ms := make([]Motion, most)
	for i := range ms {
		ms[i] = Motion{Camera: "door", From: time.Unix(int64(i), 0), To: time.Unix(int64(i), 1), Why: strings.Repeat("w", maxWhy)}
	}
	must(t, b.AddMotions(t.Context(), ms))
	left := most
	for n := 0; b.kinds()[edge.KindEventsLost] == 0; n++ {
		got, err := b.Motions(t.Context(), MotionQuery{Limit: 1000})
		must(t, err)
		left = len(got)
		evs := make([]edge.Event, 20)
		for k := range evs {
			evs[k] = filler(edge.KindSet, 20*n+k)
		}
		b.append(evs...)
	}
	got, err := b.Motions(t.Context(), MotionQuery{Limit: 1000})
	must(t, err)
	if left > most/2 || len(got) == 0 || got[0].From.Unix() != int64(most-1) {
		t.Errorf("events are lost with %d of %d rows of movement before and %d after, want the older half gone first, and the newest kept", left, most, len(got))
	}
	b.withinLimit()
	b.verify()
}
