package ledger

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"sitewatch/edge"
)

// run is a run of seqs without a hole, both ends included.
type run struct{ from, to edge.Seq }

// runs makes runs of seqs, each of which is there once.
func runs(seqs []edge.Seq) []run {
	slices.Sort(seqs)
	var out []run
	for _, s := range seqs {
		if n := len(out); n > 0 && out[n-1].to+1 == s {
			out[n-1].to = s
		} else {
			out = append(out, run{s, s})
		}
	}
	return out
}

// cover adds what the batch has inserted to the journal's spans. A journal that has come in full is one row, so that
// what is missing is found without looking at a single event, however many there are.
func (a *appender) cover(ctx context.Context) error {
	for _, r := range runs(a.fresh) {
		if err := a.span(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// span adds a run of which nothing is in a span yet, and joins it with the spans that it touches.
func (a *appender) span(ctx context.Context, r run) error {
	site, journal := a.batch.Site, a.batch.Journal
	var left run
	err := a.tx.QueryRowContext(ctx, `SELECT from_seq, to_seq FROM spans WHERE site = ? AND journal = ? AND from_seq < ?
		ORDER BY from_seq DESC LIMIT 1`, site, journal, r.from).Scan(&left.from, &left.to)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	var right sql.Null[edge.Seq]
	err = a.tx.QueryRowContext(ctx, `DELETE FROM spans WHERE site = ? AND journal = ? AND from_seq = ? RETURNING to_seq`,
		site, journal, r.to+1).Scan(&right)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if left.from > 0 && left.to+1 == r.from {
		r.from = left.from
	}
	_, err = a.tx.ExecContext(ctx, `INSERT INTO spans (site, journal, from_seq, to_seq) VALUES (?1, ?2, ?3, ?4)
		ON CONFLICT DO UPDATE SET to_seq = ?4`, site, journal, r.from, max(r.to, right.V))
	return err
}

// maxReason bounds the reason of a gap: a list of them is read as a whole.
const maxReason = 500

// gap keeps what the event seq says to be gone. The newest word counts: a box that has to give up more begins where it had
// begun before. Gaps of a journal never overlap, so that a span of seqs has one reason, whatever a box says.
func (a *appender) gap(ctx context.Context, g *edge.Gap, seq edge.Seq) error {
	if g == nil || g.From == 0 || g.From > g.To || g.To >= seq {
		return nil
	}
	site, journal := a.batch.Site, a.batch.Journal
	const put = `INSERT INTO gaps (site, journal, from_seq, to_seq, reason) VALUES (?, ?, ?, ?, ?)`
	var left run
	var reason string
	err := a.tx.QueryRowContext(ctx, `SELECT from_seq, to_seq, reason FROM gaps WHERE site = ? AND journal = ? AND from_seq < ?
		ORDER BY from_seq DESC LIMIT 1`, site, journal, g.From).Scan(&left.from, &left.to, &reason)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return err
	case left.to >= g.From:
		if _, err := a.tx.ExecContext(ctx, `UPDATE gaps SET to_seq = ? WHERE site = ? AND journal = ? AND from_seq = ?`,
			g.From-1, site, journal, left.from); err != nil {
			return err
		}
		if left.to > g.To {
			if _, err := a.tx.ExecContext(ctx, put, site, journal, g.To+1, left.to, reason); err != nil {
				return err
			}
		}
	}
	if _, err := a.tx.ExecContext(ctx, `DELETE FROM gaps WHERE site = ?1 AND journal = ?2 AND from_seq BETWEEN ?3 AND ?4 AND to_seq <= ?4`,
		site, journal, g.From, g.To); err != nil {
		return err
	}
	if _, err := a.tx.ExecContext(ctx, `UPDATE gaps SET from_seq = ?4 + 1 WHERE site = ?1 AND journal = ?2 AND from_seq BETWEEN ?3 AND ?4`,
		site, journal, g.From, g.To); err != nil {
		return err
	}
	_, err = a.tx.ExecContext(ctx, put, site, journal, g.From, g.To, short(g.Reason))
	return err
}

func short(s string) string {
	if len(s) > maxReason {
		s = s[:maxReason]
	}
	return strings.ToValidUTF8(s, "?")
}
