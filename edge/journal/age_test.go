package journal

import (
	"context"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
)

func TestOldEventsGoOnceTheyAreAcked(t *testing.T) {
	ctx := t.Context()
	clock := edgetest.NewClock()
	opt := testOptions(t.TempDir())
	opt.Clock, opt.KeepAge, opt.Sign = clock, 10*24*time.Hour, testSign
	j, err := Open(ctx, opt) // without Run: the test is the writer
	must(t, err)
	defer j.Close()
	add := func(n int, k edge.Kind) {
		t.Helper()
		must(t, j.alone(ctx, func(ctx context.Context, t *tx) error {
			for range n {
				if _, err := t.emit(ctx, edge.Event{Kind: k}); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	acked := func(lane edge.Lane, seq int) {
		t.Helper()
		_, err := j.store.exec(ctx, `update cursors set seq = ? where lane = ?`, seq, int64(lane))
		must(t, err)
	}
	first := func() (seq edge.Seq) {
		t.Helper()
		j.aged = edge.Stamp{}
		for range 3 { // a thousand at a time
			must(t, j.forgetOld(ctx))
		}
		must(t, j.store.row(ctx, `select coalesce(min(seq), 0) from events`, nil, &seq))
		return seq
	}
	year := clock.Now().Wall
	clock.Step(time.Unix(60, 0).Sub(year)) // the clock has never been set
	add(5, edge.KindSet)
	clock.Step(year.Sub(time.Unix(60, 0)))
	add(1500, edge.KindSet)
	add(1, edge.KindFire) // 1506
	add(100, edge.KindSet)
	acked(edge.Routine, 1606)
	if got := first(); got != 1 {
		t.Errorf("the first event is %d although none is old", got)
	}
	clock.Advance(11 * 24 * time.Hour)
	add(10, edge.KindSet)
	acked(edge.Routine, 1616)
	if got := first(); got != 1506 {
		t.Errorf("the first event is %d, want the fire that the SOC has not acked", got)
	}
	acked(edge.Urgent, 1506)
	clock.Sync(false)
	if got := first(); got != 1506 {
		t.Errorf("the first event is %d: a clock that nobody keeps was believed", got)
	}
	clock.Sync(true)
	if got := first(); got != 1607 {
		t.Errorf("the first event is %d, want the first that is young", got)
	}
	must(t, VerifySigned(ctx, j.Path(), testCheck))
}
