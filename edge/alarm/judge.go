package alarm

import (
	"fmt"
	"slices"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/journal"
)

// judge adds to an event what the panel's past and the site's present make of it, and returns the events that follow from it. The
// event itself always is: nothing here keeps one back (P4). entry is 1 + its index in the batch.
func (p *past) judge(ev *edge.Event, s edge.Signal, v *view, changed []journal.Partition, entry int) (beside []edge.Event) {
	for _, part := range changed {
		p.turn(part, v)
	}
	if !s.State {
		p.note(ev)
	}
	p.mode(ev, s, v)
	switch {
	case ev.Kind.Alarm() && !ev.Kind.Confirmed():
		beside = p.alarm(ev, s, v, entry)
	case ev.Kind.Confirmed():
		p.told(ev, s.At, entry)
	case ev.Kind == edge.KindAlarmAfterSet:
		if a, kept := p.of(edge.KindAlarmAfterSet, string(ev.Partition)); kept {
			a.At, a.Partition, a.Entry = s.At, ev.Partition, entry
		}
	default:
		if a := p.alarms[alarmKey{ev.Kind.Base(), sourceOf(ev)}]; ev.Kind.IsRestored() && a != nil && a.Held != "" {
			ev.Held = a.Held
		}
		if over := p.follows(ev, ev.Text); over != "" {
			ev.Why += ". " + over
		}
	}
	if seen, ok := p.sighted(ev, s, v); ok {
		ev.Corroborated = corroborated
		ev.Why += "; " + seen.words()
	}
	return beside
}

// turn begins a new period of a partition that was set or unset: what came before confirms nothing more and is not counted.
func (p *past) turn(part journal.Partition, v *view) {
	set, _ := v.set(p.panel, "")
	for _, a := range p.alarms {
		if a.Partition != part.Partition && (a.Partition != "" || set) {
			continue
		}
		switch {
		case a.Kind == edge.KindAlarmAfterSet, a.Kind == edge.KindIntruderConfirmed:
			p.drop(a)
		case a.Kind.MayBeHeld():
			a.Times = 0
			if a.Kind == edge.KindIntruder {
				a.Cause = false
			}
			p.touch(a)
			if a.Over && !a.Pending {
				p.drop(a)
			}
		}
	}
}

// alarm takes an alarm: whether it is held, what it confirms, and whether it came soon after set.
func (p *past) alarm(ev *edge.Event, s edge.Signal, v *view, entry int) (beside []edge.Event) {
	set, since := v.set(p.panel, ev.Partition)
	mode, atWork := v.mode(s.At, p.rules)
	atWork = atWork && !s.Old // what comes from a buffer may have been before
	source := sourceOf(ev)
	a, kept := p.of(ev.Kind, source)
	was := *a
	p.count(a, s, ev)
	a.Partition, a.Seq, a.Entry, a.Seen = ev.Partition, 0, entry, false
	a.Over, a.Restored, a.Cancelled, a.Reset = false, false, false, false
	a.Held = p.hold(a, kept, s.At, !v.unsaid(), mode, atWork)
	if a.Held != "" { // it is in the journal, and changes nothing of what counts
		ev.Held, ev.Clips = a.Held, nil
		ev.Why += "; " + heldWords(a, p.rules)
		return nil
	}
	if holdsUp(a.Kind) && !was.Cause {
		a.First = s.At
	}
	a.At, a.Old, a.Said = s.At, s.Old, s.Said
	a.Cause = counts(ev.Kind, source, p.desk.panels[p.panel].Zones[ev.Zone].Route, set || v.unsaid(), atWork)
	a.Pending = a.Pending || a.Cause && a.Kind != edge.KindTamper
	if sure, ok := p.confirm(ev, *a, was, s.At, v); ok {
		beside = append(beside, sure)
	}
	if ev.Kind == edge.KindIntruder && set && !s.Old {
		if soon, ok := p.afterSet(ev, s.At, since, v); ok {
			beside = append(beside, soon)
		}
	}
	return beside
}

// count adds an alarm to those of its zone since the partition was set or unset.
func (p *past) count(a *journal.Alarm, s edge.Signal, ev *edge.Event) {
	if holdsUp(ev.Kind) {
		if d, ok := lapse(s.At, a.First); !ok || d < 0 || d > p.rules.HoldUpWindow {
			a.First, a.Cause = s.At, false
		}
		a.Times++
		return
	}
	if d, ok := lapse(s.At, a.First); a.Times == 0 || !ok || d < 0 || d > forgetAfter {
		a.First, a.Times = s.At, 0
	}
	a.Times++
}

// hold says why an alarm goes in the routine lane, "" when it does not. The first of a zone in a set period never does, unless an
// engineer is at work. Where nobody has ever said what is set there are no such periods (known is false), and nothing is held for its
// number.
func (p *past) hold(a *journal.Alarm, kept bool, now edge.Stamp, known bool, mode edge.Kind, atWork bool) string {
	if !a.Kind.MayBeHeld() {
		return ""
	}
	if a.Kind == edge.KindIntruder && atWork {
		return string(mode)
	}
	storm := p.storm(now)
	switch {
	case !known:
	case a.Times > uint64(p.rules.Swinger):
		return heldSwinger
	case storm && (a.Times > 1 || !kept):
		return heldStorm
	}
	return ""
}

// storm counts an alarm and says whether its panel has had too many of them in the last minute.
func (p *past) storm(now edge.Stamp) bool {
	p.recent = slices.DeleteFunc(p.recent, func(at edge.Stamp) bool {
		d, ok := now.Since(at)
		return !ok || d < 0 || d >= time.Minute
	})
	if len(p.recent) >= p.rules.Storm {
		p.recent = append(p.recent[1:], now)
		return true
	}
	p.recent = append(p.recent, now)
	return false
}

// What Event.Held may be beside the name of a mode.
const (
	heldSwinger = "swinger"
	heldStorm   = "storm"
)

func heldWords(a *journal.Alarm, r Rules) string {
	switch a.Held {
	case heldSwinger:
		return fmt.Sprintf("held, for it is alarm %d of this zone in one period", a.Times)
	case heldStorm:
		return fmt.Sprintf("held, for it is alarm %d of this zone and the panel has had over %d in a minute", a.Times, r.Storm)
	case string(edge.KindEngineer):
		return "held, for an engineer is at work"
	}
	return "held, for a walk test is on"
}

// confirm makes the event that says that an alarm is confirmed, once in an episode: the panel's own word counts, too.
func (p *past) confirm(ev *edge.Event, now, was journal.Alarm, at edge.Stamp, v *view) (edge.Event, bool) {
	if !now.Cause {
		return edge.Event{}, false
	}
	kind, window, words := edge.KindIntruderConfirmed, p.rules.ConfirmWindow, ""
	var before []journal.Alarm
	for _, a := range p.alarms {
		if a.Cause && (a.Source != now.Source || a.Kind != now.Kind) {
			before = append(before, *a)
		}
	}
	var first journal.Alarm
	if cause, gap, ok := sequential(now, before, window); ok {
		first, words = cause, fmt.Sprintf("second zone, %s, %s after %s: sequentially confirmed", p.name(now.Source), span(gap), p.name(cause.Source))
	} else {
		kind, window = edge.KindHoldUpConfirmed, p.rules.HoldUpWindow
		if cause, gap, ok := together(now, before, window); ok {
			what := "second device"
			if now.Kind == edge.KindTamper || cause.Kind == edge.KindTamper {
				what = "with tamper"
			}
			first, words = cause, fmt.Sprintf("%s, %s, %s after %s: hold-up confirmed", what, p.name(now.Source), span(gap), p.name(cause.Source))
		} else if gap, ok := twice(now, was, window); ok {
			first, words = was, fmt.Sprintf("%s again after %s: hold-up confirmed", p.name(now.Source), span(gap))
		}
	}
	if words == "" {
		return edge.Event{}, false
	}
	p.certain(kind, at, window)
	done := p.alarms[alarmKey{kind: kind}]
	if done != nil {
		if d, ok := lapse(at, done.At); ok && d >= 0 && d <= window {
			return edge.Event{}, false
		}
	}
	if v.says[kind] {
		return edge.Event{}, false
	}
	p.told(&edge.Event{Kind: kind, Partition: ev.Partition}, at, 0)
	sure := edge.Event{Kind: kind, Panel: ev.Panel, Partition: ev.Partition, Zone: ev.Zone, ZoneName: ev.ZoneName, User: ev.User,
		Cameras: slices.Clone(ev.Cameras), Occurred: ev.Occurred, Why: words}
	for _, c := range p.desk.panels[p.panel].Zones[edge.ZoneID(first.Source)].Cameras {
		if !slices.Contains(sure.Cameras, c) {
			sure.Cameras = append(sure.Cameras, c)
		}
	}
	sure.Cameras = bounded(sure.Cameras)
	return sure, true
}

// told notes that a confirmed alarm has been said.
func (p *past) told(ev *edge.Event, at edge.Stamp, entry int) {
	a, _ := p.of(ev.Kind, "")
	a.First, a.At, a.Partition, a.Entry = at, at, ev.Partition, entry
	window := p.rules.ConfirmWindow
	if ev.Kind == edge.KindHoldUpConfirmed {
		window = p.rules.HoldUpWindow
	}
	p.certain(ev.Kind, at, window)
}

// certain notes that nothing of what belongs to a confirmed alarm is unconfirmed any more.
func (p *past) certain(confirmed edge.Kind, at edge.Stamp, window time.Duration) {
	for _, a := range p.alarms {
		ours := confirmed == edge.KindIntruderConfirmed && a.Kind == edge.KindIntruder || confirmed == edge.KindHoldUpConfirmed && holdsUp(a.Kind)
		if d, ok := lapse(at, a.At); ours && a.Pending && ok && d <= window {
			a.Pending = false
			p.touch(a)
			p.release(a)
		}
	}
}

// afterSet makes the event that says that an alarm came soon after set, once in a set period.
func (p *past) afterSet(ev *edge.Event, at, since edge.Stamp, v *view) (edge.Event, bool) {
	gap, ok := lapse(at, since)
	if !ok || gap < 0 || gap > p.rules.AfterSet || v.says[edge.KindAlarmAfterSet] {
		return edge.Event{}, false
	}
	key := alarmKey{edge.KindAlarmAfterSet, string(ev.Partition)}
	if p.alarms[key] != nil || p.alarms[alarmKey{kind: edge.KindAlarmAfterSet}] != nil {
		return edge.Event{}, false
	}
	if a, kept := p.of(key.kind, key.source); kept {
		a.First, a.At, a.Partition = at, at, ev.Partition
	}
	return edge.Event{Kind: edge.KindAlarmAfterSet, Panel: ev.Panel, Partition: ev.Partition, Zone: ev.Zone, ZoneName: ev.ZoneName,
		Occurred: ev.Occurred, Why: fmt.Sprintf("Intruder alarm in %s %s after set: alarm soon after set", p.name(string(ev.Zone)), span(gap))}, true
}

// mode takes the begin and the end of what an engineer does. A fire panel's walk test (FI, FK) is no reason to hold intruders.
func (p *past) mode(ev *edge.Event, s edge.Signal, v *view) {
	kind := ev.Kind.Base()
	if kind != edge.KindEngineer && kind != edge.KindWalkTest || ev.Code == "FI" || ev.Code == "FK" {
		return
	}
	m := journal.Mode{Kind: kind, Panel: p.panel, At: s.At, Ended: ev.Kind.IsRestored()}
	limit := p.rules.limit(kind)
	if !m.Ended && s.Old {
		ev.Why += "; nobody knows when that was, so it holds nothing"
		return
	}
	if !m.Ended {
		ev.Why += fmt.Sprintf("; intruder alarms go in the routine lane until it ends, at most %s", span(limit))
	}
	p.changed.Modes = append(p.changed.Modes, m)
	v.modes = slices.DeleteFunc(v.modes, func(o journal.Mode) bool { return o.Kind == kind })
	if !m.Ended {
		v.modes = append(v.modes, m)
	}
}
