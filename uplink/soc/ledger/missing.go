package ledger

import (
	"context"
	"database/sql"
	"encoding/json"

	"sitewatch/edge"
)

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
	if q.j.whole() {
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
		g := Gap{From: max(r.from, low+1), To: r.to, Reason: notYet, Pending: true}
		if !q.j.current { // the box that had it is gone, or its disk
			g.Reason, g.Pending = replacedText, false
		}
		q.out = append(q.out, g)
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
