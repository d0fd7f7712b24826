package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
)

// box is an open journal whose writer runs until the test ends or stop is called.
type box struct {
	*Journal
	t     *testing.T
	clock *edgetest.Clock
	stop  func() // ends the writer and closes the files; once
}

func testOptions(dir string) Options {
	return Options{Dir: dir, Site: "0417", Clock: edgetest.NewClock(), Log: slog.New(slog.DiscardHandler)}
}

func open(t *testing.T, opt Options) *box {
	t.Helper()
	j, err := Open(t.Context(), opt)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := j.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	clock, _ := opt.Clock.(*edgetest.Clock)
	b := &box{Journal: j, t: t, clock: clock}
	b.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		if err := j.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	t.Cleanup(func() { b.stop() })
	return b
}

func (b *box) append(evs ...edge.Event) edge.Seq {
	b.t.Helper()
	seq, err := b.Append(b.t.Context(), evs...)
	if err != nil {
		b.t.Fatalf("Append: %v", err)
	}
	return seq
}

func (b *box) lane(lane edge.Lane, after edge.Seq) []edge.Event {
	b.t.Helper()
	var out []edge.Event
	for {
		recs, err := b.Read(b.t.Context(), lane, after, 1000)
		if err != nil {
			b.t.Fatalf("Read: %v", err)
		}
		if len(recs) == 0 {
			return out
		}
		for _, r := range recs {
			ev, err := edge.DecodeEvent(r.Body)
			if err != nil {
				b.t.Fatalf("event %d: %v", r.Seq, err)
			}
			if r.Hash != chain(r.Prev, r.Body) || r.Seq != ev.Seq || r.Lane != ev.Lane {
				b.t.Fatalf("record %d does not fit its event %+v", r.Seq, ev)
			}
			out = append(out, ev)
			after = r.Seq
		}
	}
}

func (b *box) verify() {
	b.t.Helper()
	if err := Verify(b.t.Context(), b.Path()); err != nil {
		b.t.Fatalf("Verify: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAppendFillsInWhatTheJournalKnows(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	now := b.clock.Now()
	said := now.Wall.Add(-time.Minute)
	last := b.append(edge.Event{Kind: edge.KindIntruder, Zone: "1011", Occurred: said}, edge.Event{Kind: "zone-fault"})
	if last != 2 || b.Last() != 2 {
		t.Errorf("last = %d, Last() = %d, want 2", last, b.Last())
	}
	want := []edge.Event{{V: 1, Site: "0417", Journal: b.ID(), Seq: 1, Lane: edge.Urgent, Kind: edge.KindIntruder, Zone: "1011",
		Occurred: said, Clock: edge.ClockSynced, Recorded: now}}
	if d := cmp.Diff(want, b.lane(edge.Urgent, 0)); d != "" {
		t.Errorf("urgent lane (-want +got):\n%s", d)
	}
	routine := b.lane(edge.Routine, 0)
	if len(routine) != 1 || routine[0].Seq != 2 || !routine[0].Occurred.Equal(now.Wall) {
		t.Errorf("routine lane = %+v, want event 2 that occurred now", routine)
	}
	b.verify()
}

func TestJournalGoesOnAfterReopen(t *testing.T) {
	dir := t.TempDir()
	b := open(t, testOptions(dir))
	id := b.ID()
	b.append(edge.Event{Kind: edge.KindFire})
	must(t, b.Acked(t.Context(), edge.Urgent, 1))
	b.stop()
	b = open(t, testOptions(dir))
	if b.ID() != id {
		t.Errorf("id = %s, want %s", b.ID(), id)
	}
	if seq := b.append(edge.Event{Kind: edge.KindFire}); seq != 2 {
		t.Errorf("seq = %d, want 2", seq)
	}
	if w, err := b.Watermark(t.Context(), edge.Urgent); w != 1 || err != nil {
		t.Errorf("watermark = %d, %v, want 1", w, err)
	}
	b.verify()
}

func TestSecondGatewayIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, testOptions(dir))
	if _, err := Open(t.Context(), testOptions(dir)); !errors.Is(err, ErrBusy) || edge.HintOf(err) == "" {
		t.Errorf("second Open: %v, want ErrBusy with a hint", err)
	}
}

func TestAnotherSitesJournalIsRefused(t *testing.T) {
	dir := t.TempDir()
	b := open(t, testOptions(dir))
	b.append(edge.Event{Kind: edge.KindStarted})
	b.stop()
	opt := testOptions(dir)
	opt.Site = "0418"
	if _, err := Open(t.Context(), opt); err == nil || !strings.Contains(err.Error(), `site "0417"`) {
		t.Errorf("Open = %v, want an error that names the site", err)
	}
}

func TestOneBadEventDoesNotFailTheOthersOfItsGroup(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	id := edge.ClipID(edge.NewID())
	clips := []edge.ClipRef{{ID: id, Camera: "door", From: b.clock.Now().Wall, To: b.clock.Now().Wall}}
	b.append(edge.Event{Kind: edge.KindIntruder, Clips: clips})
	const n = 40
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			ev := edge.Event{Kind: edge.KindUnknown, Text: fmt.Sprint(i)}
			switch i % 10 {
			case 3:
				ev.Text = strings.Repeat("x", edge.MaxEventBytes) // found out before anything is written
			case 7:
				ev.Clips = clips // the row is there already: SQLite refuses it in the middle of the transaction
			}
			_, errs[i] = b.Append(t.Context(), ev)
		})
	}
	wg.Wait()
	for i, err := range errs {
		switch i % 10 {
		case 3:
			if !errors.Is(err, ErrTooBig) {
				t.Errorf("event %d: %v, want ErrTooBig", i, err)
			}
		case 7:
			if err == nil {
				t.Errorf("event %d with another's clip was taken", i)
			}
		default:
			if err != nil {
				t.Errorf("event %d: %v", i, err)
			}
		}
	}
	if got := len(b.lane(edge.Routine, 0)); got != n-8 {
		t.Errorf("%d events, want %d", got, n-8)
	}
	b.verify()
}

func TestReadIsBounded(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	for range 10 {
		b.append(edge.Event{Kind: edge.KindUnknown, Text: strings.Repeat("x", 60<<10)})
	}
	recs, err := b.Read(t.Context(), edge.Routine, 0, 1000)
	if err != nil || len(recs) != 5 {
		t.Errorf("Read = %d records, %v; want 5, the first that pass 256 KiB", len(recs), err)
	}
	recs, err = b.Read(t.Context(), edge.Routine, 7, 2)
	if err != nil || len(recs) != 2 || recs[0].Seq != 8 {
		t.Errorf("Read after 7 = %d records, %v; want 8 and 9", len(recs), err)
	}
}

func TestCursorNeverGoesBackOrBeyond(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	ctx := t.Context()
	b.append(edge.Event{Kind: edge.KindSet}, edge.Event{Kind: edge.KindUnset}, edge.Event{Kind: edge.KindFire})
	must(t, b.Acked(ctx, edge.Routine, 2))
	must(t, b.Acked(ctx, edge.Routine, 1))
	if err := b.Acked(ctx, edge.Routine, 4); !errors.Is(err, ErrAckBeyond) {
		t.Errorf("ack beyond the end: %v, want ErrAckBeyond", err)
	}
	if w, _ := b.Watermark(ctx, edge.Routine); w != 2 {
		t.Errorf("watermark = %d, want 2", w)
	}
	if w, _ := b.Watermark(ctx, edge.Urgent); w != 0 {
		t.Errorf("urgent watermark = %d, want 0", w)
	}
	must(t, b.Rewind(ctx, edge.Routine, 1))
	if w, _ := b.Watermark(ctx, edge.Routine); w != 1 {
		t.Errorf("watermark after Rewind = %d, want 1", w)
	}
}

func TestChangedWakesForItsLaneOnly(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	urgent, routine := b.Changed(edge.Urgent), b.Changed(edge.Routine)
	b.append(edge.Event{Kind: edge.KindSet})
	select {
	case <-routine:
	default:
		t.Error("routine lane did not wake")
	}
	select {
	case <-urgent:
		t.Error("urgent lane woke for a routine event")
	default:
	}
	b.append(edge.Event{Kind: edge.KindFire})
	select {
	case <-urgent:
	default:
		t.Error("urgent lane did not wake")
	}
}

func TestAppendAfterTheEndSaysSo(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	b.stop()
	if _, err := b.Append(t.Context(), edge.Event{Kind: edge.KindSet}); !errors.Is(err, ErrClosed) {
		t.Errorf("Append = %v, want ErrClosed", err)
	}
}

func TestFileOfANewerProgramIsSetAsideAndItsEventsGoOn(t *testing.T) {
	dir := t.TempDir()
	b := open(t, testOptions(dir))
	b.append(edge.Event{Kind: edge.KindFire, Zone: "1011"})
	b.stop()
	db, err := openWriter(b.Path())
	must(t, err)
	_, err = db.Exec(`pragma user_version = 99`)
	must(t, err)
	must(t, db.Close())
	b = open(t, testOptions(dir))
	if evs := b.lane(edge.Urgent, 0); len(evs) != 1 || evs[0].Zone != "1011" {
		t.Errorf("urgent = %+v, want the fire", evs)
	}
	if evs := b.lane(edge.Routine, 0); len(evs) != 1 || !strings.Contains(evs[0].Why, "newer program") {
		t.Errorf("routine = %+v, want one event that says why", evs)
	}
}

func TestRollbackOfNothing(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	b.stop()
	db, err := openWriter(b.Path())
	must(t, err)
	defer db.Close()
	if _, err := db.Exec("rollback"); !isFinished(err) {
		t.Errorf("rollback without a transaction: %v, want the text that isFinished knows", err)
	}
}

// TestRollbackThatFailedHalfWay: the connection is left inside a transaction, whose changes nobody was promised.
func TestRollbackThatFailedHalfWay(t *testing.T) {
	ctx := t.Context()
	j, err := Open(ctx, testOptions(t.TempDir())) // without Run: the test is the writer
	must(t, err)
	defer j.Close()
	for _, query := range []string{"begin immediate", "delete from cursors"} {
		_, err := j.store.exec(ctx, query)
		must(t, err)
	}
	must(t, j.alone(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.emit(ctx, edge.Event{Kind: edge.KindFire})
		return err
	}))
	if _, err := j.Watermark(ctx, edge.Urgent); err != nil || j.Last() != 1 {
		t.Errorf("last event %d, cursor %v; want the fire, and nothing of what was left open", j.Last(), err)
	}
}

func TestJournalWorksInABubble(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := open(t, testOptions(dir))
		changed := b.Changed(edge.Urgent)
		go func() {
			time.Sleep(3 * time.Hour)
			b.append(edge.Event{Kind: edge.KindFire})
		}()
		<-changed
		if b.Last() != 1 {
			t.Errorf("last = %d, want 1", b.Last())
		}
		b.stop()
	})
}
