package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"sitewatch/edge"
)

// SetState is whether a partition is set.
type SetState string

// The states of a partition.
const (
	Set     SetState = "set"
	PartSet SetState = "part-set"
	Unset   SetState = "unset"
)

// Partition is the state of one partition of a panel.
type Partition struct {
	Panel     edge.PanelID
	Partition edge.PartitionID
	State     SetState
	Since     edge.Stamp // arrival of the signal that made it so; zero: not known
}

// PanelMemory is what the journal knows of a panel's last signals.
type PanelMemory struct {
	Keys    [][]byte   // of the signals of the last call that journalled any
	At      edge.Stamp // their arrival
	Settled bool       // the panel has gone on since: it knows that we have them
	Event   edge.Seq   // last event that is no amendment; 0 none
	EventAt edge.Stamp // arrival of its signal
}

const (
	signalsKeptFor = 24 * time.Hour // the duplicate rule looks back 23 h at most
	maxPartitions  = 256            // of one panel; the largest Galaxy has 32
	signalsKept    = 20_000         // bounds the table in a storm: about 4 MB
)

// memory is what the journal keeps in memory of the panels.
type memory struct {
	mu         sync.Mutex
	partitions map[partitionKey]setSince // at most maxPartitions of a panel
	modes      map[edge.Kind]Mode
	notes      map[edge.PanelID]note // to be written with the next group
	writing    map[edge.PanelID]note // being written now
	prunedAt   edge.Stamp            // the writer's alone
}

type partitionKey struct {
	panel     edge.PanelID
	partition edge.PartitionID
}

type setSince struct {
	state SetState
	since edge.Stamp
}

// Partitions returns the state of every partition that any panel has spoken of, in order.
func (j *Journal) Partitions() []Partition {
	j.memory.mu.Lock()
	defer j.memory.mu.Unlock()
	out := make([]Partition, 0, len(j.memory.partitions))
	for k, s := range j.memory.partitions {
		out = append(out, Partition{k.panel, k.partition, s.state, s.since})
	}
	slices.SortFunc(out, func(a, b Partition) int {
		if a.Panel != b.Panel {
			return compare(a.Panel, b.Panel)
		}
		return compare(a.Partition, b.Partition)
	})
	return out
}

func compare[T ~string](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// PanelMemory returns what is on disk of the panel's last signals, after everything that was handed to the writer before.
func (j *Journal) PanelMemory(ctx context.Context, panel edge.PanelID) (PanelMemory, error) {
	var m PanelMemory
	err := j.do(ctx, func(ctx context.Context, t *tx) error {
		got, err := t.panelMemory(ctx, panel)
		m = got
		return err
	})
	if err != nil {
		return PanelMemory{}, fmt.Errorf("memory of panel %s: %w", panel, err)
	}
	return m, nil
}

func (t *tx) panelMemory(ctx context.Context, panel edge.PanelID) (PanelMemory, error) {
	var m PanelMemory
	var call, wall, mono, eventWall, eventMono int64
	err := t.row(ctx, `select call_seq, at_wall_ns, at_mono_ns, at_boot, settled, event_seq, event_wall_ns, event_mono_ns, event_boot
		from panels where panel = ?`, []any{string(panel)},
		&call, &wall, &mono, &m.At.Boot, &m.Settled, &m.Event, &eventWall, &eventMono, &m.EventAt.Boot)
	if errors.Is(err, sql.ErrNoRows) {
		return PanelMemory{}, nil
	}
	if err != nil {
		return PanelMemory{}, err
	}
	m.At.Wall, m.At.Mono = time.Unix(0, wall).UTC(), time.Duration(mono)
	m.EventAt.Wall, m.EventAt.Mono = time.Unix(0, eventWall).UTC(), time.Duration(eventMono)
	rows, err := t.query(ctx, `select key from signals where call_seq = ? and length(key) > 0 order by seq`, call)
	if err != nil {
		return PanelMemory{}, err
	}
	defer rows.Close()
	for rows.Next() {
		var key []byte
		if err := rows.Scan(&key); err != nil {
			return PanelMemory{}, err
		}
		m.Keys = append(m.Keys, key)
	}
	return m, rows.Err()
}

// remember writes what the batch says of panels and partitions.
func (t *tx) remember(ctx context.Context, b Batch, seqs []edge.Seq) error {
	var last edge.Seq
	if len(seqs) > 0 {
		last = seqs[len(seqs)-1]
	}
	for _, p := range b.Partitions {
		n, err := t.exec(ctx, `insert into partitions (panel, partition, state, seq) select ?1, ?2, ?3, ?4
			where exists (select 1 from partitions where panel = ?1 and partition = ?2) or (select count(*) from partitions where panel = ?1) < ?5
			on conflict do update set state = excluded.state, seq = excluded.seq`,
			string(p.Panel), string(p.Partition), string(p.State), int64(last), maxPartitions)
		if err != nil {
			return err
		}
		if n > 0 { // else the event is journalled and no state kept of what no panel has so many of
			t.effects.partitions = append(t.effects.partitions, p)
			if err := t.keepPeriod(ctx, p); err != nil {
				return err
			}
		}
	}
	if err := t.keepMeaning(ctx, &b, seqs); err != nil {
		return err
	}
	if b.Panel == "" || len(seqs) == 0 {
		return nil
	}
	for _, seq := range b.Matched {
		if err := t.match(ctx, seq); err != nil {
			return err
		}
	}
	for i, en := range b.Entries {
		if en.Beside {
			continue
		}
		zone := sql.NullString{String: string(en.Event.Zone), Valid: en.Event.Kind != edge.KindAmended}
		if _, err := t.exec(ctx, `insert into signals (seq, panel, zone, key, old, matched, call_seq, at_wall_ns, at_mono_ns, at_boot)
			values (?, ?, ?, ?, ?, 0, ?, ?, ?, ?)`, int64(seqs[i]), string(b.Panel), zone, append([]byte{}, en.Key...), en.Old,
			int64(seqs[0]), en.At.Wall.UnixNano(), int64(en.At.Mono), string(en.At.Boot)); err != nil {
			return err
		}
		t.effects.bytes += int64(len(en.Key)) + 250
	}
	return t.rememberPanel(ctx, b, seqs)
}

func (t *tx) rememberPanel(ctx context.Context, b Batch, seqs []edge.Seq) error {
	end := b.Entries[len(b.Entries)-1]
	if _, err := t.exec(ctx, `insert into panels (panel, call_seq, at_wall_ns, at_mono_ns, at_boot, settled,
		event_seq, event_wall_ns, event_mono_ns, event_boot) values (?, ?, ?, ?, ?, 0, 0, 0, 0, '')
		on conflict do update set call_seq = excluded.call_seq, at_wall_ns = excluded.at_wall_ns,
		at_mono_ns = excluded.at_mono_ns, at_boot = excluded.at_boot, settled = 0`,
		string(b.Panel), int64(seqs[0]), end.At.Wall.UnixNano(), int64(end.At.Mono), string(end.At.Boot)); err != nil {
		return err
	}
	for i := len(b.Entries) - 1; i >= 0; i-- {
		en := b.Entries[i]
		if en.Event.Kind == edge.KindAmended || en.Beside {
			continue
		}
		_, err := t.exec(ctx, `update panels set event_seq = ?, event_wall_ns = ?, event_mono_ns = ?, event_boot = ? where panel = ?`,
			int64(seqs[i]), en.At.Wall.UnixNano(), int64(en.At.Mono), string(en.At.Boot), string(b.Panel))
		return err
	}
	return nil
}

func (m *memory) committed(ps []Partition, modes []Mode) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writing = nil
	for _, p := range ps {
		m.partitions[partitionKey{p.Panel, p.Partition}] = setSince{p.State, p.Since}
	}
	for _, k := range modes {
		if k.Ended {
			delete(m.modes, k.Kind)
		} else {
			m.modes[k.Kind] = k
		}
	}
}

func (j *Journal) loadPartitions(ctx context.Context) error {
	rows, err := j.store.query(ctx, `select p.panel, p.partition, p.state, coalesce(s.at_wall_ns, 0), coalesce(s.at_mono_ns, 0), coalesce(s.at_boot, '')
		from partitions p left join periods s on s.panel = p.panel and s.partition = p.partition`)
	if err != nil {
		return err
	}
	defer rows.Close()
	j.memory.partitions = map[partitionKey]setSince{}
	for rows.Next() {
		var k partitionKey
		var s setSince
		var at stampColumns
		if err := rows.Scan(&k.panel, &k.partition, &s.state, &at.wall, &at.mono, &at.boot); err != nil {
			return err
		}
		s.since = at.stamp()
		j.memory.partitions[k] = s
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return j.loadModes(ctx)
}

// forgetSignals deletes keys and commands that are too old to matter, about once an hour.
func (j *Journal) forgetSignals(ctx context.Context) error {
	now := j.opt.Clock.Now()
	if d, ok := now.Since(j.memory.prunedAt); ok && d < time.Hour {
		return nil
	}
	j.memory.prunedAt = now
	return j.alone(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `delete from signals where at_wall_ns < ?
			or seq <= (select seq from signals order by seq desc limit 1 offset ?)`,
			now.Wall.Add(-signalsKeptFor).UnixNano(), signalsKept)
		if err != nil {
			return err
		}
		return t.forgetCommands(ctx)
	})
}
