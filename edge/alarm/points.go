package alarm

import (
	"sitewatch/edge"
	"sitewatch/edge/journal"
)

// lasting are the routine kinds that say how a point is until the restore comes; all urgent kinds do.
var lasting = map[edge.Kind]bool{
	"fire-prealarm": true, "fire-fault": true, "zone-fault": true, "zone-masked": true, "mains-lost": true, "battery-low": true,
	"psu-fault": true, "device-lost": true, edge.KindPathLost: true, edge.KindLineFault: true, "omit": true,
}

// read takes how a driver has read a point. It returns the signal to journal when that is news. What is seen for the first time is
// no news, but when it says that the site is set: then only the partitions know.
func (p *past) read(s edge.Signal) (news edge.Signal, first, ok bool) {
	zone := p.desk.panels[p.panel].Zones[s.Zone]
	kind, active := kindOf(s, p.desk.panels[p.panel], zone), s.Active
	if s.Kind != "" {
		active = !kind.IsRestored()
	}
	kind = kind.Base()
	key := pointKey{zoneOf(s), kind}
	was, stored := p.points[key]
	if stored && was == active {
		return s, false, false
	}
	p.point(key, active)
	switch kind {
	case edge.KindSet, edge.KindPartSet, edge.KindUnset:
		s.Kind = p.setBy(kind, active, zone.Partition)
	default:
		if s.Kind = kind; !active {
			s.Kind = kind.Restored()
		}
	}
	return s, !stored, stored
}

// group says whether how a driver has read a whole partition (set, part set, unset; no zone) is news, or the first that is known. A
// panel tells of all groups that it could have: one that is unset, and that neither the configuration nor the panel has named, is none.
func group(s edge.Signal, states []journal.Partition, panel Panel) (first, news bool) {
	state, ok := setState(s.Kind)
	if !ok {
		return false, false
	}
	for _, p := range states {
		if p.Panel == s.Panel && p.Partition == s.Partition {
			return false, p.State != state
		}
	}
	for _, z := range panel.Zones {
		if z.Partition == s.Partition {
			return true, false
		}
	}
	return state != journal.Unset, false
}

// note keeps what an ordinary signal says of a point.
func (p *past) note(ev *edge.Event) {
	kind := ev.Kind.Base()
	if ev.Zone == "" || kind.Lane() != edge.Urgent && !lasting[kind] || kind.Confirmed() {
		return
	}
	key, active := pointKey{ev.Zone, kind}, !ev.Kind.IsRestored()
	was, stored := p.points[key]
	if stored && was == active {
		return
	}
	if _, known := p.desk.panels[p.panel].Zones[ev.Zone]; !stored && !known && len(p.points) >= maxPoints {
		return
	}
	p.point(key, active)
}

func (p *past) point(key pointKey, active bool) {
	p.points[key] = active
	p.changed.Points = append(p.changed.Points, journal.Point{Panel: p.panel, Zone: key.zone, Kind: key.kind, Active: active})
}

// setBy is what a contact that says set, part set or unset means. When one of two opens, the other still counts.
func (p *past) setBy(kind edge.Kind, active bool, partition edge.PartitionID) edge.Kind {
	if kind == edge.KindUnset {
		active, kind = !active, edge.KindSet
		if !active {
			return edge.KindUnset
		}
	}
	if active {
		return kind
	}
	for _, other := range []edge.Kind{edge.KindSet, edge.KindPartSet} {
		for key, on := range p.points {
			if on && key.kind == other && p.desk.panels[p.panel].Zones[key.zone].Partition == partition {
				return other
			}
		}
	}
	return edge.KindUnset
}
