package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"sitewatch/edge"
)

// Append adds events that are not there yet and folds amendments and clip facts.
func (l *SQLite) Append(ctx context.Context, b Batch) (Outcome, error) {
	var out Outcome
	w := &write{}
	w.do = func(ctx context.Context, tx *sql.Tx) error {
		out = Outcome{}
		a := &appender{tx: tx, batch: b, out: &out}
		if err := a.run(ctx); err != nil {
			return err
		}
		w.changes = out.New > 0
		return nil
	}
	if err := l.submit(ctx, w); err != nil {
		return Outcome{}, fmt.Errorf("append %d events of site %s: %w", len(b.Entries), b.Site, err)
	}
	return out, nil
}

// appender is one batch inside the writer's transaction.
type appender struct {
	tx    *sql.Tx
	batch Batch
	out   *Outcome
	fresh []edge.Seq // inserted by this batch
}

func (a *appender) run(ctx context.Context) error {
	var top [4]edge.Seq
	for i := range a.batch.Entries {
		e := &a.batch.Entries[i]
		if err := a.entry(ctx, e); err != nil {
			return fmt.Errorf("seq %d: %w", e.Seq, err)
		}
		top[e.Lane] = max(top[e.Lane], e.Seq)
	}
	last := max(top[edge.Urgent], top[edge.Routine])
	_, err := a.tx.ExecContext(ctx, `INSERT INTO journals (site, journal, urgent, routine, last_seq, present, used)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, (SELECT coalesce(max(used), 0) + 1 FROM journals WHERE site = ?1))
		ON CONFLICT (site, journal) DO UPDATE SET urgent = max(urgent, ?3), routine = max(routine, ?4), last_seq = max(last_seq, ?5), present = present + ?6`,
		a.batch.Site, a.batch.Journal, top[edge.Urgent], top[edge.Routine], last, len(a.fresh))
	if err != nil {
		return err
	}
	if n := len(a.batch.Entries); n > 0 {
		if err := seen(ctx, a.tx, a.batch.Site, a.batch.Entries[n-1].Received); err != nil {
			return err
		}
	}
	return a.cover(ctx)
}

func (a *appender) entry(ctx context.Context, e *Entry) error {
	h := sha256.New()
	h.Write(e.Prev[:])
	h.Write(e.Body)
	hash := h.Sum(nil)

	var there []byte
	err := a.tx.QueryRowContext(ctx, `SELECT hash FROM events WHERE site = ? AND journal = ? AND seq = ?`,
		a.batch.Site, a.batch.Journal, e.Seq).Scan(&there)
	switch {
	case err == nil && bytes.Equal(there, hash):
		a.out.Duplicate++
		return nil
	case err == nil:
		return a.conflict(ctx, e, hash)
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	chained, err := a.chained(ctx, e, hash)
	if err != nil {
		return err
	}
	if !chained {
		a.out.Unchained = append(a.out.Unchained, e.Seq)
	}
	if err := a.insert(ctx, e, hash, chained); err != nil {
		return err
	}
	a.out.New++
	a.fresh = append(a.fresh, e.Seq)
	if err := a.fold(ctx, e); err != nil {
		return err
	}
	if err := a.gap(ctx, e.Event.Gap, e.Seq); err != nil {
		return fmt.Errorf("gap: %w", err)
	}
	return a.facts(ctx, e)
}

// conflict takes an event whose number is taken by another: a box whose disk lost the end of its journal, or that was
// cloned, goes on with numbers that it has used before. The first event stays, and the other is shown all the same, once,
// raised by the SOC in its own kind and lane: it may be a fire.
func (a *appender) conflict(ctx context.Context, e *Entry, hash []byte) error {
	a.out.Conflicts = append(a.out.Conflicts, e.Seq)
	r, err := a.tx.ExecContext(ctx, `INSERT OR IGNORE INTO conflicts (site, journal, seq, hash, body, received) VALUES (?, ?, ?, ?, ?, ?)`,
		a.batch.Site, a.batch.Journal, e.Seq, hash, blob(e.Body), millis(e.Received))
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		return err // it has been shown before
	}
	own := *e
	own.Event.Why = fmt.Sprintf("%s (the box gave number %d of journal %s a second time)", strings.TrimRight(e.Event.Why, "."), e.Seq, a.batch.Journal)
	own.Event.Amends, own.Event.Gap = 0, nil
	return a.raise(ctx, &own)
}

// chained compares the entry with its neighbours, as far as they are here: lanes arrive interleaved.
func (a *appender) chained(ctx context.Context, e *Entry, hash []byte) (bool, error) {
	rows, err := a.tx.QueryContext(ctx, `SELECT seq, prev, hash FROM events WHERE site = ? AND journal = ? AND seq IN (?, ?)`,
		a.batch.Site, a.batch.Journal, int64(e.Seq)-1, e.Seq+1)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	ok := true
	for rows.Next() {
		var seq edge.Seq
		var p, h []byte
		if err := rows.Scan(&seq, &p, &h); err != nil {
			return false, err
		}
		if seq < e.Seq {
			ok = ok && bytes.Equal(h, e.Prev[:])
		} else {
			ok = ok && bytes.Equal(p, hash)
		}
	}
	return ok, rows.Err()
}

func (a *appender) insert(ctx context.Context, e *Entry, hash []byte, chained bool) error {
	ev := &e.Event
	ids := make([]edge.ClipID, 0, len(ev.Clips)+1)
	for _, c := range ev.Clips {
		ids = append(ids, c.ID)
	}
	if len(ids) == 0 && ev.Clip != nil {
		ids = append(ids, ev.Clip.ID)
	}
	_, err := a.tx.ExecContext(ctx, `INSERT INTO events (idx, born, change, site, journal, seq, lane, kind, code, panel, partition,
		zone, zone_name, text, why, cameras, amends, occurred, clock, recorded, received, late, clips, raw, body, prev, hash, chained,
		held, corroborated)
		SELECT coalesce((SELECT max(idx) FROM events), 0) + 1, n, n, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
		FROM (SELECT coalesce((SELECT max(change) FROM events), 0) + 1 AS n)`,
		a.batch.Site, a.batch.Journal, e.Seq, e.Lane, ev.Kind, ev.Code, ev.Panel, ev.Partition,
		ev.Zone, ev.ZoneName, ev.Text, ev.Why, list(ev.Cameras), ev.Amends, millis(ev.Occurred), ev.Clock,
		millis(ev.Recorded.Wall), millis(e.Received), e.Late, list(ids), blob(ev.Raw), blob(e.Body), e.Prev[:], hash, chained,
		ev.Held, ev.Corroborated)
	return err
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// list is a JSON array, [] for none.
func list[T ~string](v []T) string {
	if len(v) == 0 {
		return "[]"
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic("ledger: strings do not marshal: " + err.Error())
	}
	return string(b)
}

func unlist[T ~string](s string) []T {
	var v []T
	if err := json.Unmarshal([]byte(s), &v); err != nil || len(v) == 0 {
		return nil // only list writes the column
	}
	return v
}

// blob is b, never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
