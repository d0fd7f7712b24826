package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"sitewatch/edge"
)

// Why a seq is not here when its box has not told that it is gone.
const (
	// order holds inside a lane, so what is below both lanes' watermarks will not come by itself
	unexplained  = "not received, and the box did not say why"
	beforeFirst  = "from before the first event that the SOC has of this journal, and the box did not say why"
	notYet       = "not yet received"
	conflictText = "the box gave this number to two events; the SOC keeps both and shows the second under its own journal"
)

const (
	maxGaps     = 100  // listed per journal with its site
	maxJournals = 16   // listed with their site, the newest
	maxLooked   = 1000 // journals of a site that Gaps looks at, the newest
	minSpans    = 10   // that Gaps lists of each journal in one answer, however many journals there are
)

// Gaps says of each journal of a site what is missing of it: of the seqs after `after`, about limit spans in all. next goes
// on where it ended, 0 when nothing is left: everything up to and with next has been said of every journal.
func (l *SQLite) Gaps(ctx context.Context, site edge.SiteID, after edge.Seq, limit int) (list []Completeness, next edge.Seq, err error) {
	tx, err := l.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}) // one moment for all tables
	if err != nil {
		return nil, 0, fmt.Errorf("gaps of site %s: %w", site, err)
	}
	defer tx.Rollback()
	var known bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sites WHERE id = ?)`, site).Scan(&known); err != nil {
		return nil, 0, fmt.Errorf("gaps of site %s: %w", site, err)
	}
	if !known {
		return nil, 0, ErrNotFound
	}
	js, err := journalRows(ctx, tx, site, maxLooked)
	if err != nil {
		return nil, 0, fmt.Errorf("gaps of site %s: %w", site, err)
	}
	each := minSpans
	if n := len(js); n > 0 {
		each = max(each, limit/n)
	}
	for _, j := range js {
		c := Completeness{Journal: j.ID, Last: j.LastSeq, Present: j.present}
		if c.Last > 0 {
			c.First = 1
		}
		q := &looker{tx: tx, site: site, j: j}
		var more bool
		if c.Missing, more, err = q.missing(ctx, after, each); err != nil {
			return nil, 0, fmt.Errorf("gaps of journal %s: %w", j.ID, err)
		}
		if more {
			next = earlier(next, c.Missing[len(c.Missing)-1].To)
		}
		if c.Conflicts, more, err = q.conflicts(ctx, after, each); err != nil {
			return nil, 0, fmt.Errorf("conflicts of journal %s: %w", j.ID, err)
		}
		if more {
			next = earlier(next, c.Conflicts[len(c.Conflicts)-1].From)
		}
		list = append(list, c)
	}
	if next > 0 {
		for i := range list {
			list[i].Missing, list[i].Conflicts = upTo(list[i].Missing, next), upTo(list[i].Conflicts, next)
		}
	}
	return list, next, nil
}

func earlier(a, b edge.Seq) edge.Seq {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// upTo cuts gaps, which are in order, at seq.
func upTo(gaps []Gap, seq edge.Seq) []Gap {
	for i := range gaps {
		if gaps[i].From > seq {
			return gaps[:i]
		}
		gaps[i].To = min(gaps[i].To, seq)
	}
	return gaps
}

// journalRow is a journal with what finding its gaps needs.
type journalRow struct {
	Journal
	present uint64
}

// journalRows are the newest journals of a site, the newest first.
func journalRows(ctx context.Context, q queryer, site edge.SiteID, limit int) ([]journalRow, error) {
	// bulk: below the oldest clip that is neither ready nor lost, else the newest that was asked for.
	rows, err := q.QueryContext(ctx, `SELECT journal, urgent, routine, last_seq, present,
		coalesce((SELECT min(seq) - 1 FROM clips c WHERE c.site = j.site AND c.journal = j.journal AND state NOT IN ('ready', 'lost')),
		         max(urgent, routine))
		FROM journals j WHERE site = ? ORDER BY used DESC LIMIT ?`, site, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []journalRow
	for rows.Next() {
		var j journalRow
		if err := rows.Scan(&j.ID, &j.Watermarks.Urgent, &j.Watermarks.Routine, &j.LastSeq, &j.present, &j.Watermarks.Bulk); err != nil {
			return nil, err
		}
		out = append(out, j)
	}
	return out, rows.Err()
}

type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// looker finds what is missing of one journal.
type looker struct {
	tx   queryer
	site edge.SiteID
	j    journalRow
	out  []Gap
}

// missing lists the spans of seqs after `after` that are not here, each with one reason; more when there are over limit.
// It reads spans and gaps, never events.
func (q *looker) missing(ctx context.Context, after edge.Seq, limit int) (list []Gap, more bool, err error) {
	if q.j.present == uint64(q.j.LastSeq) { // every seq is there once and none is over the last
		return nil, false, nil
	}
	q.out = nil
	holes, err := q.holes(ctx, after, limit)
	if err != nil {
		return nil, false, err
	}
	gaps, err := q.told(ctx, holes, limit)
	if err != nil {
		return nil, false, err
	}
	for _, h := range holes {
		for len(gaps) > 0 && gaps[0].To < h.from {
			gaps = gaps[1:]
		}
		gaps = q.explain(h, gaps)
		if len(q.out) > limit {
			return q.out[:limit], true, nil
		}
	}
	return q.out, false, nil
}

// holes are the runs of seqs after `after` that are not here, at most limit and one.
func (q *looker) holes(ctx context.Context, after edge.Seq, limit int) ([]run, error) {
	most := limit + 3 // the first span may end before after, and the second begin right behind it
	rows, err := q.tx.QueryContext(ctx, `SELECT from_seq, to_seq FROM spans WHERE site = ?1 AND journal = ?2 AND from_seq >=
		coalesce((SELECT max(from_seq) FROM spans WHERE site = ?1 AND journal = ?2 AND from_seq <= ?3), 0)
		ORDER BY from_seq LIMIT ?4`, q.site, q.j.ID, after, most)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []run
	at, n := after+1, 0 // the next seq to find
	for rows.Next() {
		var r run
		if err := rows.Scan(&r.from, &r.to); err != nil {
			return nil, err
		}
		if r.from > at {
			out = append(out, run{at, r.from - 1})
		}
		if r.to >= at {
			at = r.to + 1
		}
		n++
	}
	if n < most && at <= q.j.LastSeq {
		out = append(out, run{at, q.j.LastSeq})
	}
	return out, rows.Err()
}

// told are the gaps that the box has told of and that touch a hole, in order; of as many holes as it takes to list limit
// spans and one.
func (q *looker) told(ctx context.Context, holes []run, limit int) ([]Gap, error) {
	spans := make([][2]edge.Seq, len(holes))
	for i, h := range holes {
		spans[i] = [2]edge.Seq{h.from, h.to}
	}
	list, err := json.Marshal(spans)
	if err != nil {
		return nil, err
	}
	// Gaps do not overlap: of those that begin before a hole only the last can reach into it.
	rows, err := q.tx.QueryContext(ctx, `SELECT g.from_seq, g.to_seq, g.reason FROM json_each(?3) h CROSS JOIN gaps g
		WHERE g.site = ?1 AND g.journal = ?2 AND g.from_seq <= h.value ->> 1 AND g.from_seq >= coalesce(
			(SELECT max(from_seq) FROM gaps WHERE site = ?1 AND journal = ?2 AND from_seq <= h.value ->> 0), 0)
		ORDER BY h.key, g.from_seq LIMIT ?4`, q.site, q.j.ID, string(list), 2*limit+8)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Gap
	for rows.Next() {
		var g Gap
		if err := rows.Scan(&g.From, &g.To, &g.Reason); err != nil {
			return nil, err
		}
		if n := len(out); n == 0 || out[n-1].From < g.From { // one gap may reach over several holes
			out = append(out, g)
		}
	}
	return out, rows.Err()
}

// explain gives every seq of a hole its reason: what the box has told, else what can be said without it. It returns the gaps
// that may reach beyond the hole.
func (q *looker) explain(h run, gaps []Gap) []Gap {
	at := h.from
	for len(gaps) > 0 && gaps[0].From <= h.to {
		g := gaps[0]
		if g.From > at {
			q.untold(run{at, g.From - 1})
		}
		q.out = append(q.out, Gap{From: max(g.From, at), To: min(g.To, h.to), Reason: g.Reason})
		if g.To >= h.to {
			return gaps
		}
		at = g.To + 1
		gaps = gaps[1:]
	}
	q.untold(run{at, h.to})
	return gaps
}

// untold gives its reasons to a run of which the box has told nothing.
func (q *looker) untold(r run) {
	low := min(q.j.Watermarks.Urgent, q.j.Watermarks.Routine)
	if r.from <= low {
		reason := unexplained
		if r.from == 1 {
			reason = beforeFirst
		}
		q.out = append(q.out, Gap{From: r.from, To: min(r.to, low), Reason: reason})
	}
	if r.to > low {
		q.out = append(q.out, Gap{From: max(r.from, low+1), To: r.to, Reason: notYet, Pending: true})
	}
}

// conflicts are the seqs after `after` that the box has given to two events.
func (q *looker) conflicts(ctx context.Context, after edge.Seq, limit int) (list []Gap, more bool, err error) {
	rows, err := q.tx.QueryContext(ctx, `SELECT DISTINCT seq FROM conflicts WHERE site = ? AND journal = ? AND seq > ? ORDER BY seq LIMIT ?`,
		q.site, q.j.ID, after, limit+1)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	for rows.Next() {
		var s edge.Seq
		if err := rows.Scan(&s); err != nil {
			return nil, false, err
		}
		list = append(list, Gap{From: s, To: s, Reason: conflictText})
	}
	if err := rows.Err(); err != nil {
		return nil, false, err
	}
	if len(list) > limit {
		return list[:limit], true, nil
	}
	return list, false, nil
}
