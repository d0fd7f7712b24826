package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"sitewatch/edge"
)

// Hello records what a box says of itself and returns how far the SOC has its journal.
func (l *SQLite) Hello(ctx context.Context, h Hello) (Welcome, error) {
	var out Welcome
	w := &write{}
	w.do = func(ctx context.Context, tx *sql.Tx) error {
		out = Welcome{}
		var old edge.JournalID
		err := tx.QueryRowContext(ctx, `SELECT journal FROM sites WHERE id = ?`, h.Site).Scan(&old)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO sites (id, kind, name, version, last_seen, journal) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET kind = excluded.kind, name = excluded.name, version = excluded.version, last_seen = excluded.last_seen,
				journal = excluded.journal`, h.Site, h.Kind, h.Name, h.Version, millis(h.At), h.Journal); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO journals (site, journal, last_seq, used)
			VALUES (?1, ?2, ?3, (SELECT coalesce(max(used), 0) + 1 FROM journals WHERE site = ?1))
			ON CONFLICT (site, journal) DO UPDATE SET last_seq = max(last_seq, ?3)`, h.Site, h.Journal, h.LastSeq); err != nil {
			return err
		}
		if old != h.Journal && old != "" {
			if w.changes, err = replaced(ctx, tx, h, old); err != nil {
				return fmt.Errorf("journal replaced: %w", err)
			}
		}
		return tx.QueryRowContext(ctx, `SELECT urgent, routine,
			coalesce((SELECT hash FROM events e WHERE e.site = j.site AND e.journal = j.journal AND e.seq = j.urgent), x''),
			coalesce((SELECT hash FROM events e WHERE e.site = j.site AND e.journal = j.journal AND e.seq = j.routine), x'')
			FROM journals j WHERE site = ? AND journal = ?`, h.Site, h.Journal).
			Scan(&out.Watermarks.Urgent, &out.Watermarks.Routine, &out.Urgent, &out.Routine)
	}
	if err := l.submit(ctx, w); err != nil {
		return Welcome{}, fmt.Errorf("hello of site %s: %w", h.Site, err)
	}
	return out, nil
}

const (
	// maxSwaps is how many changes of a site's journal are told in swapsIn. Two boxes with one certificate, each of which
	// takes the line from the other, would otherwise fill the ledger.
	maxSwaps = 10
	swapsIn  = time.Hour
	// maxEmpty is how many journals of a site may be remembered of which nothing has ever come.
	maxEmpty = 16
)

// replaced notes that the site's box has another journal than old, which it had at its last Hello, and raises
// journal-replaced: what the old one had beyond what came can only be in the box that was replaced.
func replaced(ctx context.Context, tx *sql.Tx, h Hello, old edge.JournalID) (raised bool, err error) {
	if _, err := tx.ExecContext(ctx, `UPDATE journals SET used = (SELECT max(used) + 1 FROM journals WHERE site = ?1) WHERE site = ?1 AND journal = ?2`,
		h.Site, h.Journal); err != nil {
		return false, err
	}
	// A box that makes a journal at every start, or a hostile one, must not fill the table with empty ones.
	if _, err := tx.ExecContext(ctx, `DELETE FROM journals WHERE site = ?1 AND journal <> ?2 AND present = 0 AND urgent = 0 AND routine = 0 AND used < coalesce(
		(SELECT used FROM journals WHERE site = ?1 AND present = 0 ORDER BY used DESC LIMIT 1 OFFSET ?3), 0)`, h.Site, h.Journal, maxEmpty); err != nil {
		return false, err
	}
	var swaps int
	var since int64
	if err := tx.QueryRowContext(ctx, `SELECT swaps, swapped FROM sites WHERE id = ?`, h.Site).Scan(&swaps, &since); err != nil {
		return false, err
	}
	now := millis(h.At)
	untold := ""
	if now < since || now-since >= swapsIn.Milliseconds() {
		if swaps > maxSwaps {
			untold = fmt.Sprintf(" It had changed %d times more since the last that was told.", swaps-maxSwaps)
		}
		swaps, since = 0, now
	}
	swaps++
	if _, err := tx.ExecContext(ctx, `UPDATE sites SET swaps = ?, swapped = ? WHERE id = ?`, swaps, since, h.Site); err != nil {
		return false, err
	}
	if swaps > maxSwaps {
		return false, nil
	}
	var urgent, routine, last edge.Seq
	err = tx.QueryRowContext(ctx, `SELECT urgent, routine, last_seq FROM journals WHERE site = ? AND journal = ?`, h.Site, old).Scan(&urgent, &routine, &last)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	e := Entry{Received: h.At, Event: edge.Event{Site: h.Site, Kind: edge.KindJournalReplaced, Occurred: h.At, Recorded: edge.Stamp{Wall: h.At, Synced: h.Synced},
		Why: fmt.Sprintf("The box has the journal %s instead of %s: it, or its disk, was replaced or set back. Of the old one the SOC has urgent events up to %d and routine ones up to %d; the last that the box has told of is %d.%s",
			h.Journal, old, urgent, routine, last, untold)}}
	a := &appender{tx: tx, out: &Outcome{}, batch: Batch{Site: h.Site}}
	return true, a.raise(ctx, &e)
}

// Told records that a box says that its journal has events up to last.
func (l *SQLite) Told(ctx context.Context, site edge.SiteID, journal edge.JournalID, last edge.Seq) error {
	return l.submit(ctx, &write{do: func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE journals SET last_seq = max(last_seq, ?) WHERE site = ? AND journal = ?`, last, site, journal)
		return err
	}})
}
