package journal

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sitewatch/edge"
)

// note is what the journal has been told of a panel since the last group, in the order that Matched and Settle came in.
type note struct {
	matched []edge.Seq // bounded by the signals that are kept, each of which matches once
	event   edge.Seq   // newest of the last match
	at      edge.Stamp // of the last match
	settled bool       // after it
}

// then is what n and what came after it say together.
func (n note) then(next note) note {
	if len(next.matched) == 0 {
		n.settled = n.settled || next.settled
		return n
	}
	next.matched = append(n.matched, next.matched...)
	return next
}

func (m *memory) note(panel edge.PanelID, n note) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.notes == nil {
		m.notes = map[edge.PanelID]note{}
	}
	m.notes[panel] = m.notes[panel].then(n)
}

// Settle notes that the panel has gone on since its last signal. It is on disk with the next group, at most a second later.
func (j *Journal) Settle(panel edge.PanelID) { j.memory.note(panel, note{settled: true}) }

// Matched notes that the panel has re-sent from its buffer, arriving at at, the signals that became these events. They
// match no further one, from now on; on disk it is with the next group, at most a second later. They are the panel's last
// signals again: its retries are theirs, and a text amends the newest of them.
func (j *Journal) Matched(panel edge.PanelID, at edge.Stamp, seqs ...edge.Seq) {
	if len(seqs) > 0 {
		j.memory.note(panel, note{matched: seqs, event: slices.Max(seqs), at: at})
	}
}

// Resent returns the newest event that what the panel re-sends from its buffer can be: of the same key and zone, said as
// new, within the last day, not matched before and not among except. One after which the zone said something else does not
// count: the panel tells what it holds in order, so that what comes after the restore is another alarm. ok is false
// when there is none.
func (j *Journal) Resent(ctx context.Context, panel edge.PanelID, zone edge.ZoneID, key []byte, except []edge.Seq) (seq edge.Seq, at edge.Stamp, ok bool, err error) {
	except = append(j.memory.matching(panel), except...) // before the read: what is not in it any more is on disk
	fail := func(err error) (edge.Seq, edge.Stamp, bool, error) {
		return 0, edge.Stamp{}, false, fmt.Errorf("look for a signal of panel %s: %w", panel, err)
	}
	rows, err := j.read.QueryContext(ctx, `select seq, at_wall_ns, at_mono_ns, at_boot from signals s
		where panel = ? and key = ? and zone = ? and old = 0 and matched = 0 and not exists (
			select 1 from signals l where l.panel = s.panel and l.zone = s.zone and l.seq > s.seq and l.key <> s.key)
		order by seq desc`, string(panel), key, string(zone))
	if err != nil {
		return fail(err)
	}
	defer rows.Close()
	for rows.Next() {
		var wall, mono int64
		if err := rows.Scan(&seq, &wall, &mono, &at.Boot); err != nil {
			return fail(err)
		}
		if slices.Contains(except, seq) {
			continue
		}
		at.Wall, at.Mono = time.Unix(0, wall).UTC(), time.Duration(mono)
		return seq, at, true, nil
	}
	if err := rows.Err(); err != nil {
		return fail(err)
	}
	return 0, edge.Stamp{}, false, nil
}

// matching returns the matched events that are not surely on disk.
func (m *memory) matching(panel edge.PanelID) []edge.Seq {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Concat(m.writing[panel].matched, m.notes[panel].matched)
}

// writeNotes writes what Matched and Settle noted, before what came after it.
func (t *tx) writeNotes(ctx context.Context) error {
	m := &t.j.memory
	m.mu.Lock()
	m.writing, m.notes = m.notes, nil
	m.mu.Unlock()
	for panel, n := range m.writing {
		for _, seq := range n.matched {
			if err := t.match(ctx, seq); err != nil {
				return err
			}
		}
		if n.event > 0 {
			if _, err := t.exec(ctx, `update panels set call_seq = coalesce((select call_seq from signals where seq = ?1), call_seq),
				at_wall_ns = ?2, at_mono_ns = ?3, at_boot = ?4, settled = 0,
				event_seq = ?1, event_wall_ns = ?2, event_mono_ns = ?3, event_boot = ?4 where panel = ?5`,
				int64(n.event), n.at.Wall.UnixNano(), int64(n.at.Mono), string(n.at.Boot), string(panel)); err != nil {
				return err
			}
		}
		if !n.settled {
			continue
		}
		if _, err := t.exec(ctx, `update panels set settled = 1 where panel = ? and settled = 0`, string(panel)); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) match(ctx context.Context, seq edge.Seq) error {
	_, err := t.exec(ctx, `update signals set matched = 1 where seq = ?`, int64(seq))
	return err
}

// renote notes again what a failed transaction has not written.
func (m *memory) renote() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.notes == nil {
		m.notes = map[edge.PanelID]note{}
	}
	for panel, n := range m.writing {
		m.notes[panel] = n.then(m.notes[panel])
	}
	m.writing = nil
}

func (m *memory) noted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.notes) > 0
}
