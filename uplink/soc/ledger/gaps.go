package ledger

import (
	"context"
	"database/sql"
	"fmt"

	"sitewatch/edge"
)

// Why a seq is not here when its box has not told that it is gone.
const (
	// order holds inside a lane, so what is below both lanes' watermarks will not come by itself
	unexplained  = "not received, and the box did not say why"
	beforeFirst  = "from before the first event that the SOC has of this journal, and the box did not say why"
	notYet       = "not yet received"
	replacedText = "not received before the box had another journal"
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
	current bool // the one that the box has now
}

// whole says that nothing is missing: every seq is there at most once, and none is over the last.
func (j *journalRow) whole() bool { return j.present == uint64(j.LastSeq) }

// bulk: below the oldest clip that is neither ready nor lost, else the newest that was asked for.
const journalColumns = `j.journal, urgent, routine, last_seq, present,
	coalesce((SELECT min(seq) - 1 FROM clips c WHERE c.site = j.site AND c.journal = j.journal AND state NOT IN ('ready', 'lost')),
	         max(urgent, routine)),
	EXISTS (SELECT 1 FROM sites c WHERE c.id = j.site AND c.journal = j.journal)`

func scanJournal(scan func(...any) error) (j journalRow, err error) {
	err = scan(&j.ID, &j.Watermarks.Urgent, &j.Watermarks.Routine, &j.LastSeq, &j.present, &j.Watermarks.Bulk, &j.current)
	return j, err
}

// journalRows are the newest journals of a site, the newest first.
func journalRows(ctx context.Context, q queryer, site edge.SiteID, limit int) ([]journalRow, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+journalColumns+` FROM journals j WHERE site = ? ORDER BY used DESC LIMIT ?`, site, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []journalRow
	for rows.Next() {
		j, err := scanJournal(rows.Scan)
		if err != nil {
			return nil, err
		}
		out = append(out, j)
	}
	return out, rows.Err()
}
