package ledger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"sitewatch/edge"
)

// JournalSOC is the journal of what the SOC itself raises. Each site has one, and the site "" has one for what concerns
// many; their seqs count from 1 without holes, and each event carries the hash of the one before.
const JournalSOC edge.JournalID = "soc"

// Raising is what the SOC has found out by itself, with what it then knows of sites and paths.
type Raising struct {
	At     time.Time    // when the events are received
	Events []edge.Event // Journal, Seq, Lane, V and Clock are filled in
	Sites  []SiteLoss
	Paths  []Path
	Forget []Path // paths that are no longer
}

// Raise adds events of the SOC's own, with what they say of sites and paths, all or nothing.
func (l *SQLite) Raise(ctx context.Context, r Raising) ([]edge.Seq, error) {
	var seqs []edge.Seq
	w := &write{changes: len(r.Events) > 0}
	w.do = func(ctx context.Context, tx *sql.Tx) error {
		seqs = seqs[:0]
		for i := range r.Events {
			e := Entry{Received: r.At, Event: r.Events[i]}
			a := &appender{tx: tx, out: &Outcome{}, batch: Batch{Site: e.Event.Site}}
			if err := a.raise(ctx, &e); err != nil {
				return fmt.Errorf("%s of site %s: %w", e.Event.Kind, e.Event.Site, err)
			}
			seqs = append(seqs, e.Seq)
		}
		return keepPresence(ctx, tx, &r)
	}
	if err := l.submit(ctx, w); err != nil {
		return nil, fmt.Errorf("raise %d events: %w", len(r.Events), err)
	}
	return seqs, nil
}

// raise gives e the next number of the SOC's journal of its site and adds it. A body that is there stays: it is what a box
// has sent.
func (a *appender) raise(ctx context.Context, e *Entry) error {
	ev := &e.Event
	var last edge.Seq
	var prev []byte
	err := a.tx.QueryRowContext(ctx, `SELECT seq, hash FROM events WHERE site = ? AND journal = ? ORDER BY seq DESC LIMIT 1`, ev.Site, JournalSOC).
		Scan(&last, &prev)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	e.Seq = last + 1
	e.Prev = [32]byte{}
	copy(e.Prev[:], prev)
	ev.V, ev.Journal, ev.Seq = 1, JournalSOC, e.Seq
	if e.Body == nil {
		ev.Lane, ev.Clock = ev.Kind.Lane(), ev.Recorded.ClockState()
		if e.Body, err = ev.Encode(); err != nil {
			return err
		}
	}
	e.Lane = ev.Lane
	hash := sha256.Sum256(append(e.Prev[:], e.Body...))
	own := &appender{tx: a.tx, out: a.out, batch: Batch{Site: ev.Site, Journal: JournalSOC}}
	if err := own.insert(ctx, e, hash[:], true); err != nil {
		return err
	}
	a.out.New++
	if ev.Kind == edge.KindAmended && ev.Amends > 0 {
		if err := own.amend(ctx, ev.Amends, ev); err != nil {
			return err
		}
	}
	return own.facts(ctx, e)
}
