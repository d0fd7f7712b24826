package journal

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"sitewatch/edge"
)

// verifying is a box with three pages of events, all acked, and a verifier that has proved the first page.
func verifying(t *testing.T) (*box, *sql.DB, *verifier) {
	t.Helper()
	b := open(t, testOptions(t.TempDir()))
	for range 3 {
		evs := make([]edge.Event, verifyPage)
		for i := range evs {
			evs[i].Kind = edge.KindSet
		}
		b.append(evs...)
	}
	db, err := sql.Open("sqlite3", fileURL(b.Path())+"?mode=ro&_query_only=on")
	must(t, err)
	t.Cleanup(func() { db.Close() })
	v := &verifier{}
	if done, err := v.page(t.Context(), db); done || err != nil || v.at.seq != verifyPage {
		t.Fatalf("first page: %v, %v, proved up to %d; want %d and more to come", done, err, v.at.seq, verifyPage)
	}
	return b, db, v
}

func (v *verifier) rest(t *testing.T, db *sql.DB) error {
	t.Helper()
	for {
		if done, err := v.page(t.Context(), db); done || err != nil {
			return err
		}
	}
}

// TestVerifyLetsTheLogGo: a verifier between two pages holds no snapshot, so that the write-ahead log can be emptied.
func TestVerifyLetsTheLogGo(t *testing.T) {
	b, db, v := verifying(t)
	b.append(edge.Event{Kind: edge.KindFire})
	var busy, inLog, moved int
	b.stop()
	w, err := openWriter(b.Path())
	must(t, err)
	defer w.Close()
	must(t, w.QueryRow(`pragma wal_checkpoint(truncate)`).Scan(&busy, &inLog, &moved))
	if busy != 0 {
		t.Error("the verifier holds the log although it reads nothing")
	}
	must(t, v.rest(t, db))
	if v.at.seq != 3*verifyPage+1 {
		t.Errorf("proved up to %d, want the fire too", v.at.seq)
	}
}

func TestVerifyWhileEventsArePruned(t *testing.T) {
	b, db, v := verifying(t)
	must(t, b.Acked(t.Context(), edge.Routine, b.Last()))
	for range 2 { // 1000 events each: beyond what is proved
		must(t, b.do(t.Context(), func(ctx context.Context, t *tx) error {
			_, err := t.pruneAcked(ctx)
			return err
		}))
	}
	must(t, v.rest(t, db))
	if v.at.seq != 3*verifyPage {
		t.Errorf("proved up to %d, want %d", v.at.seq, 3*verifyPage)
	}
}

func TestVerifyFindsADamageOnALaterPage(t *testing.T) {
	b, db, v := verifying(t)
	w, err := openWriter(b.Path())
	must(t, err)
	defer w.Close()
	_, err = w.Exec(`delete from events where seq = ?`, 2*verifyPage)
	must(t, err)
	var chain *ChainError
	if err := v.rest(t, db); !errors.As(err, &chain) || chain.Seq != 2*verifyPage {
		t.Errorf("Verify = %v, want event %d missing", err, 2*verifyPage)
	}
}

// lose gives up routine events that the SOC has not acked.
func (t *tx) lose(ctx context.Context) error {
	g, err := t.dropSpan(ctx, edge.Routine, true)
	if err != nil {
		return err
	}
	return t.recordGone(ctx, []span{g})
}

// TestVerifyWhileEventsGo: gaps that come while the walk is under way are no lie about what it has seen before.
func TestVerifyWhileEventsGo(t *testing.T) {
	b := open(t, small(t.TempDir()))
	b.acked(20)
	for i := range 200 {
		b.append(filler(edge.KindSet, i))
	}
	db, err := openReaders(b.Path())
	must(t, err)
	defer db.Close()
	v := verifier{}
	drop := func() {
		must(t, b.do(t.Context(), func(ctx context.Context, t *tx) error {
			t.headToo = true
			return t.lose(ctx)
		}))
	}
	for done, n := false, 0; !done; n++ {
		if done, err = v.page(t.Context(), db); err != nil {
			t.Fatalf("after %d losses: %v", n, err)
		}
		if n < 3 {
			drop()
			done = false
		}
	}
	b.verify()
}

func TestVerifyComparesAGapWithItsEvent(t *testing.T) {
	b := open(t, small(t.TempDir()))
	for i := range 200 {
		b.append(filler(edge.KindSet, i))
	}
	must(t, b.do(t.Context(), func(ctx context.Context, t *tx) error {
		t.headToo = true
		return t.lose(ctx)
	}))
	b.verify()
	must(t, b.do(t.Context(), func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `update gaps set event_seq = event_seq - 1`)
		return err
	}))
	if err := Verify(t.Context(), b.Path()); err == nil || !strings.Contains(err.Error(), "events-lost event that its gap names") {
		t.Errorf("Verify = %v, want that the gap names another event", err)
	}
}
