package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sitewatch/edge"
)

// salvage carries what is whole in a quarantined journal over into this one. What the SOC had acked stays behind. Urgent
// events come over at Open, routine ones while nothing else waits; a kill in between only means to look through the old
// files again.
type salvage struct {
	name    string
	id      edge.JournalID // of the old journal; "" not known
	cause   string
	carver  *carver
	waiting [3][]place            // by lane, oldest first: what has not been carried over
	seqs    map[edge.Seq]edge.Seq // old to new, of what this run carried over
	tables  oldTables
	last    edge.Seq // last event that the old journal is known to have had
	missing uint64   // events above what was acked that are not whole; see reckon
}

// carryChunk is how many events one transaction carries over: bounds how long an append waits for it.
const carryChunk = 256

// resumeSalvage prepares what has still to be carried over. The first transaction about a journal says that it is lost, and
// takes over what its tables say.
func (j *Journal) resumeSalvage(ctx context.Context) error {
	for last := ""; ; { // one may bring others along, which it had not finished itself
		s, through := &salvage{seqs: map[edge.Seq]edge.Seq{}}, [3]edge.Seq{}
		var begun bool
		err := j.store.row(ctx, `select name, journal, cause, last_seq, urgent_seq, routine_seq, begun from salvages
			where done = 0 and (?1 = '' or name < ?1) order by name desc limit 1`, []any{last},
			&s.name, &s.id, &s.cause, &s.last, &through[edge.Urgent], &through[edge.Routine], &begun)
		if errors.Is(err, sql.ErrNoRows) {
			break
		}
		if err != nil {
			return err
		}
		edge.Beat(ctx)
		if err := s.look(filepath.Join(j.quarantineDir(), s.name), through); err != nil {
			return fmt.Errorf("look through %s: %w", s.name, err)
		}
		j.salvages = append(j.salvages, s)
		if !begun {
			if err := j.alone(ctx, s.begin); err != nil {
				return err
			}
			j.salvaging = s.name
		}
		last = s.name
	}
	for _, s := range j.salvages {
		for len(s.waiting[edge.Urgent]) > 0 {
			edge.Beat(ctx)
			if err := j.alone(ctx, s.carry); err != nil {
				return err
			}
		}
	}
	return j.finishSalvages(ctx)
}

// look finds the events that were not acked, above what an earlier run has carried over.
func (s *salvage) look(dir string, through [3]edge.Seq) (err error) {
	db := filepath.Join(dir, "journal.db")
	if s.carver, err = carve(db, db+"-wal"); err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(dir, "journal.mark"))
	m, marked := decodeMark(b)
	if err != nil || !marked || s.carver.id != "" && s.carver.id != m.id {
		m, marked = mark{}, false
	}
	s.tables = readOldTables(db)
	if s.id = s.carver.id; s.id == "" {
		s.id = m.id
	}
	s.last = max(s.last, m.head.seq)
	if n := len(s.carver.found); n > 0 {
		s.last = max(s.last, s.carver.found[n-1].seq)
	}
	acked := m.cursors
	for _, lane := range edge.EventLanes {
		if c := s.tables.cursors[lane]; !marked && c <= s.last {
			acked[lane] = c // else from the beginning: better twice than never
		}
	}
	for _, p := range s.carver.found {
		if p.seq > max(acked[p.lane], through[p.lane]) {
			s.waiting[p.lane] = append(s.waiting[p.lane], p)
		}
	}
	s.reckon(acked)
	return nil
}

// memory says that it is no damaged journal, but one that was kept in memory while the disk failed.
func (s *salvage) memory() bool { return strings.HasPrefix(s.cause, memoryCause) }

// reckon counts the events above what was acked in both lanes that were not found. Some of them may have been acked, or
// deleted with a gap of their own: it is an upper bound, and 0 means that nothing is lost.
func (s *salvage) reckon(acked [3]edge.Seq) {
	low := min(acked[edge.Urgent], acked[edge.Routine])
	here := uint64(0)
	for _, p := range s.carver.found {
		if p.seq > low {
			here++
		}
	}
	s.missing = uint64(s.last-min(low, s.last)) - here
	for _, g := range s.tables.gaps {
		if g.From > low {
			s.missing -= min(s.missing, g.Events)
		}
	}
}

// begin says what happened, and takes over what the old tables tell.
func (s *salvage) begin(ctx context.Context, t *tx) error {
	n := len(s.waiting[edge.Urgent]) + len(s.waiting[edge.Routine])
	old := "of which nothing tells the id"
	if s.id != "" {
		old = fmt.Sprintf("%s, last known event %d,", s.id, s.last)
	}
	why := fmt.Sprintf("The journal %s could not be trusted (%s). It is kept as quarantine/%s and a new one was begun. "+
		"Of what the SOC had not acked, %d events are whole and follow; ", old, s.cause, s.name, n)
	switch {
	case s.id == "" || s.last == 0:
		why += "how many are lost is not known."
	case s.missing == 0:
		why += "none is missing."
	default:
		why += fmt.Sprintf("up to %d are lost.", s.missing)
	}
	ev := edge.Event{Kind: edge.KindEventsLost, Why: why, Gap: &edge.Gap{Events: s.missing, Reason: "journal damaged"}}
	if s.memory() && s.missing == 0 {
		ev = edge.Event{Kind: edge.KindDiskFailing.Restored(), Why: fmt.Sprintf("The data disk can be written again. Meanwhile events were in memory only, as journal %s; "+
			"%d of them, which the SOC had not acked, follow.", s.id, n)}
	}
	if _, err := t.emit(ctx, ev); err != nil {
		return err
	}
	if err := s.tables.takeOver(ctx, t); err != nil {
		return err
	}
	_, err := t.exec(ctx, `update salvages set begun = 1, journal = ?, last_seq = ? where name = ?`, string(s.id), int64(s.last), s.name)
	return err
}

// carry carries over the next events, urgent ones first.
func (s *salvage) carry(ctx context.Context, t *tx) error {
	lane := edge.Urgent
	if len(s.waiting[lane]) == 0 {
		lane = edge.Routine
	}
	some := s.waiting[lane][:min(len(s.waiting[lane]), carryChunk)]
	n, size := 0, 0
	carried := make(map[edge.Seq]edge.Seq, len(some))
	var through edge.Seq
	for len(some) > 0 && size < readBytes {
		r, err := s.carver.read(some[0])
		if err != nil {
			t.j.opt.Log.Error("journal: an event that was whole cannot be read any more", "seq", some[0].seq, "err", err)
		} else if seq, err := s.carryEvent(ctx, t, r, carried); err != nil {
			return err
		} else {
			carried[r.Seq] = seq
			n++
		}
		through, size, some = some[0].seq, size+len(r.Body), some[1:]
	}
	query := `update salvages set events = events + ?, urgent_seq = max(urgent_seq, ?) where name = ?`
	if lane == edge.Routine {
		query = `update salvages set events = events + ?, routine_seq = max(routine_seq, ?) where name = ?`
	}
	if _, err := t.exec(ctx, query, n, int64(through), s.name); err != nil {
		return err
	}
	t.effects.done = append(t.effects.done, func() {
		s.waiting[lane] = s.waiting[lane][slices.IndexFunc(s.waiting[lane], func(p place) bool { return p.seq == through })+1:]
		for from, to := range carried {
			s.seqs[from] = to
		}
	})
	return nil
}

// carryEvent journals an old event as what it is: with its own times, under its new number, and saying where it comes from.
func (s *salvage) carryEvent(ctx context.Context, t *tx, r edge.Record, carried map[edge.Seq]edge.Seq) (edge.Seq, error) {
	ev, err := edge.DecodeEvent(r.Body)
	if err != nil {
		return 0, err
	}
	if seq, ok := carried[ev.Amends]; ok {
		ev.Amends = seq
	} else {
		ev.Amends = s.seqs[ev.Amends] // 0: the SOC has what it amends under its old number, or it is lost
	}
	what := "damaged journal"
	if s.memory() {
		what = "the journal in memory"
	}
	from := fmt.Sprintf("(From %s %.8s, event %d.)", what, ev.Journal, r.Seq)
	why := ev.Why
	if ev.Why = from; why != "" {
		ev.Why = why + " " + from
	}
	evs, err := t.seal([]Entry{{Event: ev, kept: true}})
	if errors.Is(err, ErrTooBig) {
		ev.Why = why
		evs, err = t.seal([]Entry{{Event: ev, kept: true}})
	}
	if err != nil {
		return 0, err
	}
	return evs[0].event.Seq, t.insert(ctx, evs)
}

// carrying says whether there are events of an old journal to carry over now.
func (j *Journal) carrying() bool { return len(j.salvages) > 0 && !j.carryWait }

// carryOn carries over the next routine events.
func (j *Journal) carryOn(ctx context.Context) error {
	err := j.alone(ctx, j.salvages[0].carry)
	if err == nil {
		err = j.finishSalvages(ctx)
	}
	if err != nil {
		if fatal := j.fatal(err); fatal != nil {
			return fatal
		}
		j.opt.Log.Warn("journal: events of a damaged journal wait", "err", err)
		j.carryWait = true
	}
	return j.keepSpace(ctx)
}

// finishSalvages lets go of the old journals of which nothing is left to carry over.
func (j *Journal) finishSalvages(ctx context.Context) error {
	for len(j.salvages) > 0 {
		s := j.salvages[0]
		if len(s.waiting[edge.Urgent])+len(s.waiting[edge.Routine]) > 0 {
			return nil
		}
		if err := j.alone(ctx, func(ctx context.Context, t *tx) error {
			_, err := t.exec(ctx, `update salvages set done = 1 where name = ?`, s.name)
			return err
		}); err != nil {
			return err
		}
		s.carver.close()
		j.salvages = j.salvages[1:]
	}
	return nil
}

// anyRow is a row as it is: what makes no sense in it is left out by the checks of the new table.
type anyRow []any

// scanRow reads a row of n columns of any type.
func scanRow(rows *sql.Rows, n int) (anyRow, error) {
	out, to := make(anyRow, n), make([]any, n)
	for i := range out {
		to[i] = &out[i]
	}
	return out, rows.Scan(to...)
}
