package journal

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sitewatch/edge"
)

// Meaning is what a batch's signals changed in what the desk remembers beside the events.
type Meaning struct {
	Points []Point
	Alarms []Alarm
	Gone   []Alarm    // need no memory any more; Panel, Kind and Source say which
	Seen   []edge.Seq // events that a camera has corroborated
	Modes  []Mode
}

func (m *Meaning) empty() bool {
	return len(m.Points) == 0 && len(m.Alarms) == 0 && len(m.Gone) == 0 && len(m.Seen) == 0 && len(m.Modes) == 0
}

// Point is whether a point of a panel is active, by the last word about it.
type Point struct {
	Panel  edge.PanelID
	Zone   edge.ZoneID
	Kind   edge.Kind // without "-restored"
	Active bool
}

// Alarm is an alarm that is not over, or that still counts. schema.sql explains each field.
type Alarm struct {
	Panel                                   edge.PanelID
	Kind                                    edge.Kind
	Source                                  string
	Partition                               edge.PartitionID
	Seq                                     edge.Seq
	Entry                                   int // 1 + index in the batch's Entries of the event that Seq is of; 0: Seq stands
	First, At                               edge.Stamp
	Said                                    time.Time
	Old                                     bool
	Times                                   uint64
	Held                                    string
	Restored, Cancelled, Reset, Over, Cause bool
	Pending, Seen                           bool
}

// Mode is that an engineer is at work, or that a walk test is on.
type Mode struct {
	Kind  edge.Kind // KindEngineer or KindWalkTest
	Panel edge.PanelID
	At    edge.Stamp
	Ended bool
}

const alarmColumns = `panel, kind, source, partition, seq, first_wall_ns, first_mono_ns, first_boot, at_wall_ns, at_mono_ns, at_boot,
	said_ns, old, times, held, restored, cancelled, reset, over, cause, pending, seen`

// stampColumns is a stamp as tables have it.
type stampColumns struct {
	wall, mono int64
	boot       edge.BootID
}

func (c stampColumns) stamp() edge.Stamp {
	if c == (stampColumns{}) {
		return edge.Stamp{}
	}
	return edge.Stamp{Wall: time.Unix(0, c.wall).UTC(), Mono: time.Duration(c.mono), Boot: c.boot}
}

func (t *tx) keepPeriod(ctx context.Context, p Partition) error {
	_, err := t.exec(ctx, `insert into periods (panel, partition, at_wall_ns, at_mono_ns, at_boot) values (?, ?, ?, ?, ?)
		on conflict do update set at_wall_ns = excluded.at_wall_ns, at_mono_ns = excluded.at_mono_ns, at_boot = excluded.at_boot`,
		string(p.Panel), string(p.Partition), nanos(p.Since.Wall), int64(p.Since.Mono), string(p.Since.Boot))
	return err
}

// keepMeaning writes what the batch changed of points, alarms and modes.
func (t *tx) keepMeaning(ctx context.Context, b *Batch, seqs []edge.Seq) error {
	m := &b.Meaning
	for _, p := range m.Points {
		if _, err := t.exec(ctx, `insert into points (panel, zone, kind, active) values (?, ?, ?, ?)
			on conflict do update set active = excluded.active`, string(p.Panel), string(p.Zone), string(p.Kind), p.Active); err != nil {
			return err
		}
	}
	for _, a := range m.Gone {
		if _, err := t.exec(ctx, `delete from alarms where panel = ? and kind = ? and source = ?`, string(a.Panel), string(a.Kind), a.Source); err != nil {
			return err
		}
	}
	for i := range m.Alarms {
		if err := t.keepAlarm(ctx, &m.Alarms[i], seqs); err != nil {
			return err
		}
	}
	for _, seq := range m.Seen {
		if _, err := t.exec(ctx, `update alarms set seen = 1 where seq = ?`, int64(seq)); err != nil {
			return err
		}
	}
	t.effects.bytes += int64(len(m.Points)*80 + len(m.Alarms)*250)
	for _, k := range m.Modes {
		if err := t.keepMode(ctx, k, seqs); err != nil {
			return err
		}
		t.effects.modes = append(t.effects.modes, k)
	}
	return nil
}

func (t *tx) keepAlarm(ctx context.Context, a *Alarm, seqs []edge.Seq) error {
	if a.Entry > 0 {
		a.Seq = seqs[a.Entry-1]
	}
	// What a camera has seen is noted by itself, and it stays for as long as it is about the same event.
	_, err := t.exec(ctx, `insert into alarms (`+alarmColumns+`) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		on conflict do update set partition = excluded.partition, first_wall_ns = excluded.first_wall_ns, first_mono_ns = excluded.first_mono_ns,
		first_boot = excluded.first_boot, at_wall_ns = excluded.at_wall_ns, at_mono_ns = excluded.at_mono_ns, at_boot = excluded.at_boot,
		said_ns = excluded.said_ns, old = excluded.old, times = excluded.times, held = excluded.held, restored = excluded.restored,
		cancelled = excluded.cancelled, reset = excluded.reset, over = excluded.over, cause = excluded.cause, pending = excluded.pending,
		seen = iif(alarms.seq = excluded.seq, max(alarms.seen, excluded.seen), excluded.seen), seq = excluded.seq`,
		string(a.Panel), string(a.Kind), a.Source, string(a.Partition), int64(a.Seq), nanos(a.First.Wall), int64(a.First.Mono), string(a.First.Boot),
		nanos(a.At.Wall), int64(a.At.Mono), string(a.At.Boot), nanos(a.Said), a.Old, int64(a.Times), a.Held, a.Restored, a.Cancelled, a.Reset,
		a.Over, a.Cause, a.Pending, a.Seen)
	return err
}

func (t *tx) keepMode(ctx context.Context, k Mode, seqs []edge.Seq) error {
	if k.Ended {
		_, err := t.exec(ctx, `delete from modes where kind = ?`, string(k.Kind))
		return err
	}
	var last edge.Seq
	if len(seqs) > 0 {
		last = seqs[len(seqs)-1]
	}
	_, err := t.exec(ctx, `insert into modes (kind, panel, seq, at_wall_ns, at_mono_ns, at_boot) values (?, ?, ?, ?, ?, ?)
		on conflict do update set panel = excluded.panel, seq = excluded.seq, at_wall_ns = excluded.at_wall_ns,
		at_mono_ns = excluded.at_mono_ns, at_boot = excluded.at_boot`,
		string(k.Kind), string(k.Panel), int64(last), nanos(k.At.Wall), int64(k.At.Mono), string(k.At.Boot))
	return err
}

// PanelMeaning returns what is on disk of the panel's points and alarms, after everything that was handed to the writer before.
func (j *Journal) PanelMeaning(ctx context.Context, panel edge.PanelID) (points []Point, alarms []Alarm, err error) {
	err = j.do(ctx, func(ctx context.Context, t *tx) error {
		var err error
		if points, err = t.panelPoints(ctx, panel); err != nil {
			return err
		}
		alarms, err = t.panelAlarms(ctx, panel)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("alarms of panel %s: %w", panel, err)
	}
	return points, alarms, nil
}

func (t *tx) panelPoints(ctx context.Context, panel edge.PanelID) (out []Point, err error) {
	rows, err := t.query(ctx, `select zone, kind, active from points where panel = ?`, string(panel))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		p := Point{Panel: panel}
		if err := rows.Scan(&p.Zone, &p.Kind, &p.Active); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, rows.Err()
}

func (t *tx) panelAlarms(ctx context.Context, panel edge.PanelID) (out []Alarm, err error) {
	rows, err := t.query(ctx, `select `+alarmColumns+` from alarms where panel = ?`, string(panel))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var a Alarm
		var first, at stampColumns
		var said int64
		if err := rows.Scan(&a.Panel, &a.Kind, &a.Source, &a.Partition, &a.Seq, &first.wall, &first.mono, &first.boot, &at.wall, &at.mono, &at.boot,
			&said, &a.Old, &a.Times, &a.Held, &a.Restored, &a.Cancelled, &a.Reset, &a.Over, &a.Cause, &a.Pending, &a.Seen); err != nil {
			return nil, err
		}
		a.First, a.At = first.stamp(), at.stamp()
		if said != 0 {
			a.Said = time.Unix(0, said).UTC()
		}
		out = append(out, a)
	}
	return out, rows.Err()
}

// Modes returns what an engineer is doing by the panels' last word, in order.
func (j *Journal) Modes() []Mode {
	j.memory.mu.Lock()
	defer j.memory.mu.Unlock()
	out := make([]Mode, 0, len(j.memory.modes))
	for _, k := range j.memory.modes {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b Mode) int { return compare(a.Kind, b.Kind) })
	return out
}

func (j *Journal) loadModes(ctx context.Context) error {
	rows, err := j.store.query(ctx, `select kind, panel, at_wall_ns, at_mono_ns, at_boot from modes`)
	if err != nil {
		return err
	}
	defer rows.Close()
	j.memory.modes = map[edge.Kind]Mode{}
	for rows.Next() {
		var k Mode
		var at stampColumns
		if err := rows.Scan(&k.Kind, &k.Panel, &at.wall, &at.mono, &at.boot); err != nil {
			return err
		}
		k.At = at.stamp()
		j.memory.modes[k.Kind] = k
	}
	return rows.Err()
}
