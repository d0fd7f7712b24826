package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/evidence"
	"sitewatch/uplink/soc/ledger"
)

// Runs of events: what lies between two events of the span goes along, so that the chain holds, unless it is too much.
const (
	bridge  = 2000   // events between two that are asked for
	reach   = 20_000 // events after the last one, up to a checkpoint
	maxGone = 10_000 // spans of missing events that are named
	atOnce  = 1000
)

// seqs is a run of events of one journal.
type seqs struct{ from, to edge.Seq }

// extract is what goes out of one journal.
type extract struct {
	wanted []edge.Seq
	runs   []seqs
	gone   []ledger.Gap // what the SOC knows to be missing
}

// choose finds the events and clips of the span, and what else proves them.
func (x *export) choose(ctx context.Context) (err error) {
	if x.rows, err = x.led.InSpan(ctx, x.site, x.from, x.to); err != nil {
		return err
	}
	if x.films, err = x.led.ClipsInSpan(ctx, x.site, x.from, x.to); err != nil {
		return err
	}
	x.journals = map[edge.JournalID]*extract{}
	want := func(j edge.JournalID, seq edge.Seq) {
		if seq == 0 || j == "" {
			return
		}
		if x.journals[j] == nil {
			x.journals[j] = &extract{}
		}
		x.journals[j].wanted = append(x.journals[j].wanted, seq)
	}
	known := map[edge.ClipID]bool{}
	for i := range x.films {
		known[x.films[i].ID] = true
	}
	for i := range x.rows {
		e := &x.rows[i].Event
		want(e.Journal, e.Seq)
		for _, ref := range e.Clips {
			if known[ref.ID] {
				continue
			}
			known[ref.ID] = true
			c, err := x.led.Clip(ctx, ref.ID)
			if errors.Is(err, ledger.ErrNotFound) || err == nil && c.Site != x.site {
				continue
			}
			if err != nil {
				return err
			}
			x.films = append(x.films, c)
		}
	}
	if len(x.rows) == 0 && len(x.films) == 0 {
		return fmt.Errorf("nothing of site %s happened from %s to %s", x.site, x.from.Format(time.RFC3339), x.to.Format(time.RFC3339))
	}
	if len(x.films) > evidence.MaxClips {
		return fmt.Errorf("%w: %d clips of at most %d", evidence.ErrTooMuch, len(x.films), evidence.MaxClips)
	}
	for i := range x.films {
		c := &x.films[i]
		want(c.Journal, c.Seq)
		want(c.Journal, c.FactSeq)
	}
	all, _, err := x.led.Gaps(ctx, x.site, 0, maxGone)
	if err != nil {
		return err
	}
	for _, c := range all {
		if e := x.journals[c.Journal]; e != nil {
			e.gone = c.Missing
		}
	}
	return nil
}

// plan makes runs of what is wanted: each goes on to the next checkpoint, which covers it.
func (x *export) plan(ctx context.Context, id edge.JournalID) error {
	e := x.journals[id]
	slices.Sort(e.wanted)
	for _, seq := range e.wanted {
		if n := len(e.runs); n > 0 && seq <= e.runs[n-1].to+bridge {
			e.runs[n-1].to = max(e.runs[n-1].to, seq)
			continue
		}
		e.runs = append(e.runs, seqs{seq, seq})
	}
	if id == ledger.JournalSOC {
		return nil
	}
	var merged []seqs
	for _, r := range e.runs {
		p, ok, err := x.covers(ctx, id, r.to)
		if err != nil {
			return err
		}
		if ok && p <= r.to+reach {
			r.to = p
		}
		if n := len(merged); n > 0 && r.from <= merged[n-1].to+1 {
			merged[n-1].to = max(merged[n-1].to, r.to)
			continue
		}
		merged = append(merged, r)
	}
	e.runs = merged
	return nil
}

// putJournals adds the events with their checkpoints.
func (x *export) putJournals(ctx context.Context) error {
	for _, id := range slices.Sorted(maps.Keys(x.journals)) {
		if err := x.putJournal(ctx, id, x.journals[id]); err != nil {
			return fmt.Errorf("journal %s: %w", id, err)
		}
	}
	return nil
}

func (x *export) putJournal(ctx context.Context, id edge.JournalID, e *extract) error {
	var gaps []edge.Gap
	var last edge.Seq // that is written
	gap := func(from, to edge.Seq, outside bool) {
		if last == 0 || from > to {
			return
		}
		gaps = append(gaps, e.name(from, to, outside)...)
	}
	if err := x.w.Journal(id, func(line func(evidence.Line) error) error {
		for _, r := range e.runs {
			gap(last+1, r.from-1, true)
			if last > 0 {
				last = r.from - 1
			}
			for after := r.from - 1; after < r.to; {
				page, err := x.led.Stored(ctx, x.site, id, after, r.to, atOnce)
				if err != nil {
					return err
				}
				if len(page) == 0 {
					break
				}
				for _, s := range page {
					gap(last+1, s.Seq-1, false)
					if err := line(evidence.Line{N: uint64(s.Seq), Prev: s.Prev, Body: s.Body}); err != nil {
						return err
					}
					last, after = s.Seq, s.Seq
					if x.events++; x.events%10_000 == 0 {
						fmt.Fprintf(x.say, "%d events\n", x.events)
					}
				}
			}
		}
		return nil
	}); err != nil {
		return err
	}
	if err := x.w.Gaps(id, gaps); err != nil {
		return err
	}
	if id == ledger.JournalSOC {
		return nil
	}
	for _, r := range e.runs {
		if err := x.putCheckpoints(ctx, id, r); err != nil {
			return err
		}
	}
	return nil
}

func (x *export) putCheckpoints(ctx context.Context, id edge.JournalID, r seqs) error {
	through := r.from - 1
	for from := r.from; ; {
		page, err := x.led.Checkpoints(ctx, x.site, id, from, r.to, atOnce)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			if through < r.to {
				next, ok, err := x.covers(ctx, id, r.to)
				if err != nil {
					return err
				}
				if !ok || next <= r.to+reach { // it has come since: the same again has it
					next = 0
				}
				x.unsigned = append(x.unsigned, unproved(id, seqs{through + 1, r.to}, next))
			}
			return nil
		}
		for _, p := range page {
			switch p.State {
			case ledger.CheckpointGood:
				through = p.Seq
				if err := x.w.Checkpoint(id, p.Seq, p.Signed); err != nil {
					return err
				}
			case ledger.CheckpointConflict, ledger.CheckpointBad:
				x.note("a checkpoint of event %d of journal %s contradicts what the SOC has: %s", p.Seq, id, p.Problem)
			}
		}
		from = page[len(page)-1].Seq + 1
	}
}

// unproved says why nothing that goes out proves a run: next is the checkpoint that covers it, 0 when there is none.
func unproved(id edge.JournalID, r seqs, next edge.Seq) string {
	if next == 0 {
		return fmt.Sprintf("events %d to %d of journal %s, which the box has not signed", r.from, r.to, id)
	}
	return fmt.Sprintf("events %d to %d of journal %s, which the box has signed with event %d alone, more than %d later: ask for a span that goes up to that event", r.from, r.to, id, next, reach)
}

// name says why the events from..to are not in the folder: outside, they were not asked for unless they are missing at the SOC, too.
func (e *extract) name(from, to edge.Seq, outside bool) (out []edge.Gap) {
	rest := "outside of the span that was asked for"
	if !outside {
		rest = "the SOC does not have it"
	}
	for _, g := range e.gone { // in their order
		if g.To < from || g.From > to {
			continue
		}
		if g.From > from {
			out = append(out, edge.Gap{From: from, To: g.From - 1, Reason: rest})
		}
		end := min(g.To, to)
		out = append(out, edge.Gap{From: max(from, g.From), To: end, Reason: g.Reason})
		from = end + 1
	}
	if from <= to {
		out = append(out, edge.Gap{From: from, To: to, Reason: rest})
	}
	return out
}

// timeline is what people read: the events of the span as the SOC knows them, in the order in which they happened.
func (x *export) timeline() []evidence.Row {
	clips := map[edge.ClipID]evidence.ClipHeader{}
	for _, c := range x.head.Clips {
		clips[c.ID] = c
	}
	shown := map[edge.ClipID]bool{}
	var rows []evidence.Row
	for i := range x.rows {
		e := &x.rows[i].Event
		r := evidence.Row{Journal: e.Journal, Seq: e.Seq, Occurred: e.Occurred, Recorded: e.Recorded.Wall, Received: x.rows[i].Received, Late: x.rows[i].Late,
			Clock: e.Clock, Kind: e.Kind, Lane: e.Lane, Code: e.Code, Panel: e.Panel, Zone: e.Zone, ZoneName: e.ZoneName, Text: e.Text, Why: e.Why}
		for _, ref := range e.Clips {
			if c, ok := clips[ref.ID]; ok && e.Kind != edge.KindClipReady && e.Kind != edge.KindClipLost {
				r.Clips = append(r.Clips, c)
				shown[ref.ID] = true
			}
		}
		rows = append(rows, r)
	}
	for i := range x.films {
		if c := &x.films[i]; !shown[c.ID] {
			rows = append(rows, evidence.Row{Journal: c.Journal, Seq: c.Seq, Occurred: c.From, Recorded: c.From, Lane: edge.Bulk, Kind: "clip", Clock: edge.ClockSynced,
				Why: "Pictures of this time, asked for by an event outside of it.", Clips: []evidence.ClipHeader{clips[c.ID]}})
		}
	}
	slices.SortStableFunc(rows, func(a, b evidence.Row) int { return a.Occurred.Compare(b.Occurred) })
	return rows
}
