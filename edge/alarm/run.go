package alarm

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/journal"
)

// idleWait is how long Run waits when nothing is due.
const idleWait = time.Hour

// Run says what becomes true by time alone: that an alarm stayed unconfirmed, and that engineer mode or a walk test has timed
// out. It is about what the journal has, so a restart goes on with it. No signal waits for it. It returns nil when ctx ends.
func (d *Desk) Run(ctx context.Context) error {
	for {
		wait, err := d.tick(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-d.changed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// wake lets Run look again.
func (d *Desk) wake() {
	select {
	case d.changed <- struct{}{}:
	default: // it will
	}
}

// tick says what is due and returns when to look again.
func (d *Desk) tick(ctx context.Context) (wait time.Duration, err error) {
	wait = idleWait
	for _, id := range slices.Sorted(maps.Keys(d.panels)) {
		next, err := d.panels[id].tick(ctx)
		if err != nil {
			return 0, fmt.Errorf("alarms of panel %s: %w", id, err)
		}
		wait = min(wait, next)
	}
	next, err := d.modes(ctx)
	if err != nil {
		return 0, fmt.Errorf("engineer mode: %w", err)
	}
	return max(min(wait, next), time.Millisecond), nil
}

// modes ends what an engineer has forgotten to end.
func (d *Desk) modes(ctx context.Context) (wait time.Duration, err error) {
	wait = idleWait
	now := d.opt.Clock.Now()
	for _, m := range d.opt.Journal.Modes() {
		limit := d.opt.Rules.limit(m.Kind)
		if gone, ok := lapse(now, m.At); ok && gone >= 0 && gone < limit {
			wait = min(wait, limit-gone)
			continue
		}
		// When nobody can tell how long ago it began it is over: alarms are urgent again.
		m.Ended = true
		ev := edge.Event{Kind: m.Kind.Restored(), Panel: m.Panel, Occurred: now.Wall,
			Why: fmt.Sprintf("%s timed out after %s: nobody had ended it, and intruder alarms are urgent again", phrases[m.Kind], span(limit))}
		if _, err := d.opt.Journal.Commit(ctx, journal.Batch{Entries: []journal.Entry{{Event: ev, At: now}}, Meaning: journal.Meaning{Modes: []journal.Mode{m}}}); err != nil {
			return 0, err
		}
	}
	return wait, nil
}

// tick says what is due of one panel.
func (s *Sink) tick(ctx context.Context) (wait time.Duration, err error) {
	if err := s.take(ctx); err != nil {
		return 0, err
	}
	defer s.give()
	if err := s.load(ctx); err != nil {
		return 0, err
	}
	evs, wait := s.past.due(s.desk.opt.Clock.Now())
	b := journal.Batch{Meaning: s.past.take()}
	for _, ev := range evs {
		b.Entries = append(b.Entries, journal.Entry{Event: ev})
	}
	if _, err := s.desk.opt.Journal.Commit(ctx, b); err != nil {
		s.loaded = false
		return 0, err
	}
	return wait, nil
}

// due returns the events that time alone has made, and when the next will be; what nothing asks for any more is forgotten.
func (p *past) due(now edge.Stamp) (evs []edge.Event, wait time.Duration) {
	wait = idleWait
	for _, a := range p.sorted() {
		gone := p.gone(now, a)
		window := p.rules.ConfirmWindow
		if holdsUp(a.Kind) || a.Kind == edge.KindHoldUpConfirmed {
			window = p.rules.HoldUpWindow
		}
		switch {
		case a.Pending && gone >= window:
			a.Pending, a.Cause = false, false
			p.touch(a)
			p.release(a)
			evs = append(evs, p.unconfirmed(a, window))
		case a.Pending:
			wait = min(wait, window-gone)
		case a.Kind.Confirmed() && gone >= window, a.Over && gone >= forgetAfter && !a.Kind.Confirmed():
			p.drop(a)
		}
	}
	return evs, wait
}

// gone is how long ago an alarm came. When only a clock that was never set could tell, its time begins with this run.
func (p *past) gone(now edge.Stamp, a *journal.Alarm) time.Duration {
	gone, ok := lapse(now, a.At)
	if !ok || gone < 0 {
		gone, _ = now.Since(p.loaded)
	}
	return gone
}

func (p *past) unconfirmed(a *journal.Alarm, window time.Duration) edge.Event {
	ev := edge.Event{Kind: edge.KindUnconfirmed, Panel: p.panel, Partition: a.Partition,
		Why: fmt.Sprintf("%s in %s was not confirmed within %s", phrases[a.Kind], p.name(a.Source), span(window))}
	if z, ok := p.desk.panels[p.panel].Zones[edge.ZoneID(a.Source)]; ok {
		ev.Zone, ev.ZoneName = edge.ZoneID(a.Source), z.Name
	}
	return ev
}
