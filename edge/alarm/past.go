package alarm

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/journal"
)

// Bounds of what is remembered of one panel, whatever numbers it makes up. What is in the configuration always has its place.
const (
	maxPoints = 2048
	maxAlarms = 1024
)

// forgetAfter is how long repeats of a zone count when nobody sets or unsets.
const forgetAfter = 24 * time.Hour

// past is what the desk remembers of one panel: as it is on disk, and what the running call has changed of it. It is pure:
// it reads no clock and writes nothing. Its sink's turn guards it.
type past struct {
	panel  edge.PanelID
	desk   *tracker
	rules  Rules
	points map[pointKey]bool
	alarms map[alarmKey]*journal.Alarm
	recent []edge.Stamp // last intruder and tamper alarms, at most Rules.Storm: a restart forgives a minute of them
	loaded edge.Stamp   // when: what came before a reboot is timed from here when the wall clock cannot tell

	changed journal.Meaning // points and modes of the running call
	touched map[alarmKey]bool
}

type pointKey struct {
	zone edge.ZoneID
	kind edge.Kind
}

type alarmKey struct {
	kind   edge.Kind
	source string
}

func newPast(panel edge.PanelID, t *tracker, rules Rules, points []journal.Point, alarms []journal.Alarm, now edge.Stamp) *past {
	p := &past{panel: panel, desk: t, rules: rules, points: map[pointKey]bool{}, alarms: map[alarmKey]*journal.Alarm{}, loaded: now,
		touched: map[alarmKey]bool{}}
	for _, pt := range points {
		p.points[pointKey{pt.Zone, pt.Kind}] = pt.Active
	}
	for i := range alarms {
		p.alarms[alarmKey{alarms[i].Kind, alarms[i].Source}] = &alarms[i]
	}
	return p
}

// take returns what has changed since the last take, for the journal.
func (p *past) take() journal.Meaning {
	m := p.changed
	for _, k := range p.keys(p.touched) {
		if a := p.alarms[k]; a != nil {
			m.Alarms = append(m.Alarms, *a)
		} else {
			m.Gone = append(m.Gone, journal.Alarm{Panel: p.panel, Kind: k.kind, Source: k.source})
		}
	}
	p.changed = journal.Meaning{}
	clear(p.touched)
	return m
}

// keys are in order, so that the same signals always lead to the same words.
func (p *past) keys(of map[alarmKey]bool) []alarmKey {
	return slices.SortedFunc(maps.Keys(of), compareKeys)
}

func compareKeys(a, b alarmKey) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.source, b.source))
}

// sorted returns the alarms in order.
func (p *past) sorted() []*journal.Alarm {
	return slices.SortedFunc(maps.Values(p.alarms), func(a, b *journal.Alarm) int {
		return compareKeys(alarmKey{a.Kind, a.Source}, alarmKey{b.Kind, b.Source})
	})
}

// committed gives the alarms of a commit their numbers.
func (p *past) committed(m journal.Meaning, seqs []edge.Seq) {
	for _, a := range m.Alarms {
		if mine := p.alarms[alarmKey{a.Kind, a.Source}]; mine != nil && a.Entry > 0 {
			mine.Seq, mine.Entry = seqs[a.Entry-1], 0
		}
	}
}

func (p *past) touch(a *journal.Alarm) { p.touched[alarmKey{a.Kind, a.Source}] = true }

func (p *past) drop(a *journal.Alarm) {
	delete(p.alarms, alarmKey{a.Kind, a.Source})
	p.touch(a)
}

// of returns the alarm of the kind and source, a new one when there is none. kept is false when there is no room for it: it is
// then not remembered.
func (p *past) of(kind edge.Kind, source string) (a *journal.Alarm, kept bool) {
	k := alarmKey{kind, source}
	if a = p.alarms[k]; a != nil {
		p.touched[k] = true
		return a, true
	}
	a = &journal.Alarm{Panel: p.panel, Kind: kind, Source: source, Over: true}
	_, known := p.desk.panels[p.panel].Zones[edge.ZoneID(source)]
	if len(p.alarms) >= maxAlarms && !known && source != "" {
		return a, false
	}
	p.alarms[k], p.touched[k] = a, true
	return a, true
}

// sourceOf is what tells one device from another.
func sourceOf(ev *edge.Event) string {
	switch {
	case ev.Zone != "":
		return string(ev.Zone)
	case ev.User != "":
		return "user " + ev.User
	}
	return ""
}

// name is what people call the device of an alarm.
func (p *past) name(source string) string {
	if z, ok := p.desk.panels[p.panel].Zones[edge.ZoneID(source)]; ok && z.Name != "" {
		return z.Name
	}
	if len(source) > 5 && source[:5] == "user " {
		return source
	}
	if source == "" {
		return "no zone"
	}
	return "zone " + source
}

// view is what the site is like at the moment of a signal.
type view struct {
	states []journal.Partition
	modes  []journal.Mode
	says   map[edge.Kind]bool // kinds that the panel says itself in the same call
	moved  func(cameras []edge.CameraID, at edge.Stamp) (seen sighting, ok bool)
}

// apply makes the states what the partitions say, and returns those that were otherwise before.
func (v *view) apply(ps []journal.Partition) (changed []journal.Partition) {
	for _, p := range ps {
		i := slices.IndexFunc(v.states, func(q journal.Partition) bool { return q.Panel == p.Panel && q.Partition == p.Partition })
		switch {
		case i < 0:
			v.states = append(v.states, p)
			changed = append(changed, p)
		case v.states[i].State != p.State:
			v.states[i] = p
			changed = append(changed, p)
		}
	}
	return changed
}

// set says whether the zone's partition is set, and since when. A zone of no known partition is set while any of its panel is, and
// that of a panel that sets nothing, such as a line of contacts, while anything of the site is.
func (v *view) set(panel edge.PanelID, partition edge.PartitionID) (set bool, since edge.Stamp) {
	sets := false // the panel
	for _, own := range []bool{true, false} {
		for _, p := range v.states {
			if own && p.Panel != panel {
				continue
			}
			sets = sets || p.Panel == panel
			if own && partition != "" && p.Partition == partition {
				return p.State != journal.Unset, p.Since
			}
			if p.State != journal.Unset {
				if d, ok := p.Since.Since(since); !set || ok && d > 0 {
					since = p.Since
				}
				set = true
			}
		}
		if set || sets {
			return set, since
		}
	}
	return set, since
}

// unsaid says that nobody at the site has ever said what is set. An intruder panel alarms when it is set: what it says then counts.
func (v *view) unsaid() bool { return len(v.states) == 0 }

// mode returns the mode of the site that holds intruder alarms at that moment.
func (v *view) mode(now edge.Stamp, rules Rules) (kind edge.Kind, ok bool) {
	for _, m := range v.modes {
		if d, known := lapse(now, m.At); known && d >= 0 && d < rules.limit(m.Kind) {
			return m.Kind, true
		}
	}
	return "", false
}

func (r Rules) limit(mode edge.Kind) time.Duration {
	if mode == edge.KindEngineer {
		return r.Engineer
	}
	return r.WalkTest
}
