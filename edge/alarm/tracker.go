package alarm

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/journal"
)

// Limits that keep every event far under edge.MaxEventBytes, whatever a panel sends.
const (
	maxText = 2048 // of one text field
	maxRaw  = 4096 // of the frame's bytes
	maxRefs = 64   // cameras of one event
)

// How far a panel's clock may be from the box's before it is not believed.
const (
	aheadLimit = 26 * time.Hour // a wrong zone and a wrong day
	lateLimit  = 26 * time.Hour
	oldLimit   = 400 * 24 * time.Hour // of an event that the panel had buffered
)

// tracker turns signals into events. It is pure: what it knows of the site comes from the configuration, what was
// before comes as an argument.
type tracker struct {
	panels        map[edge.PanelID]Panel
	before, after time.Duration
}

// outcome is what one signal leads to.
type outcome struct {
	event      edge.Event
	partitions []journal.Partition // states that changed, or were said again
}

// track makes the event of a signal that is no amendment. states are the partitions as they were before it.
func (t *tracker) track(s edge.Signal, states []journal.Partition) outcome {
	panel := t.panels[s.Panel]
	zone, known := panel.Zones[s.Zone]
	if s.Zone == "" {
		zone, known = Zone{}, false
	}
	ev := edge.Event{
		Kind: kindOf(s, panel, zone), Code: clean(s.Code, 32), Panel: s.Panel,
		Partition: edge.PartitionID(clean(string(s.Partition), 64)),
		Zone:      zoneOf(s), ZoneName: zone.Name,
		User: clean(s.User, 64), Text: clean(s.Text, maxText), Raw: s.Raw[:min(len(s.Raw), maxRaw)],
	}
	if ev.Partition == "" {
		ev.Partition = zone.Partition
	}
	urgent := ev.Kind.Lane() == edge.Urgent
	switch {
	case known && len(zone.Cameras) > 0:
		ev.Cameras = bounded(zone.Cameras)
	case urgent:
		ev.Cameras = bounded(panel.Cameras)
	}
	var doubt string
	ev.Occurred, doubt = occurred(s)
	ev.Why = why(ev, s, doubt)
	if ev.Kind.Alarm() {
		for _, cam := range ev.Cameras {
			ev.Clips = append(ev.Clips, edge.ClipRef{
				ID: edge.ClipID(edge.NewID()), Camera: cam, From: s.At.Wall.Add(-t.before), To: s.At.Wall.Add(t.after),
			})
		}
		if s.Old && len(ev.Clips) > 0 {
			ev.Why += "; the pictures are of its arrival, not of when it happened"
		}
	}
	return outcome{ev, t.partitions(ev, s.At, states)}
}

// zoneOf is the zone of the signal's event.
func zoneOf(s edge.Signal) edge.ZoneID { return edge.ZoneID(clean(string(s.Zone), 64)) }

// kindOf is what the site's configuration makes of the code, else what the driver says, else what the code means, else what the
// configuration calls the zone, else what such a point usually is. A code for fire or for a person in danger means that at every site (P4).
func kindOf(s edge.Signal, panel Panel, zone Zone) edge.Kind {
	kind, ok := panel.Kinds[s.Code]
	switch std := edge.KindOfSIA(s.Code, s.User != ""); {
	case ok && s.Code != "" && !Fixed(std) && !Fixed(s.Kind):
		return kind
	case s.Kind != "":
		return s.Kind
	case s.Code != "":
		return std
	case zone.Kind != "":
		return zone.Kind
	case s.Usual != "":
		return s.Usual
	}
	return edge.KindUnknown
}

// Fixed says whether no site may take a code of that kind for anything else: fire, hold-up, panic and the like, what is confirmed,
// and their restores.
func Fixed(k edge.Kind) bool { return k.Lane() == edge.Urgent && !k.MayBeHeld() }

// occurred is when it happened as far as anybody knows, and what is doubtful about that.
func occurred(s edge.Signal) (time.Time, string) {
	at := s.At.Wall
	if s.Said.IsZero() {
		return at, ""
	}
	if s.At.ClockState() == edge.ClockUnset && s.Said.Year() >= 2026 && s.Said.Year() < 2100 {
		return s.Said, "" // the panel's clock is the only one that was ever set
	}
	limit := lateLimit
	if s.Old {
		limit = oldLimit
	}
	// Two clocks are compared here, not a time measured: it is only asked whether the panel's is absurd.
	if s.Said.After(at.Add(aheadLimit)) || s.Said.Before(at.Add(-limit)) {
		return at, fmt.Sprintf("the panel's clock says %s, which is not believed", s.Said.UTC().Format("2006-01-02 15:04"))
	}
	return s.Said, ""
}

// partitions says which partitions the event sets or unsets. Without a partition the panel means all that it has.
func (t *tracker) partitions(ev edge.Event, at edge.Stamp, states []journal.Partition) []journal.Partition {
	state, ok := setState(ev.Kind)
	if !ok {
		return nil
	}
	names := map[edge.PartitionID]bool{}
	if ev.Partition != "" {
		names[ev.Partition] = true
	} else {
		for _, z := range t.panels[ev.Panel].Zones {
			if z.Partition != "" {
				names[z.Partition] = true
			}
		}
		for _, p := range states {
			if p.Panel == ev.Panel {
				names[p.Partition] = true
			}
		}
		if len(names) == 0 {
			names[""] = true
		}
	}
	var out []journal.Partition
	for _, name := range slices.Sorted(maps.Keys(names)) {
		now := journal.Partition{Panel: ev.Panel, Partition: name, State: state, Since: at}
		for _, p := range states {
			if p.Panel == now.Panel && p.Partition == name && p.State == state && p.Since != (edge.Stamp{}) {
				now.Since = p.Since // it was said again
			}
		}
		out = append(out, now)
	}
	return out
}

// setState is the state that an event of the kind leaves its partition in. The "late" and "failed" kinds speak of a
// time, not of a change; the set or unset that belongs to them comes by itself.
func setState(k edge.Kind) (journal.SetState, bool) {
	switch k {
	case edge.KindSet, edge.KindUnset.Restored():
		return journal.Set, true
	case edge.KindPartSet:
		return journal.PartSet, true
	case edge.KindUnset, edge.KindSet.Restored(), edge.KindPartSet.Restored():
		return journal.Unset, true
	}
	return "", false
}

// clean is s in valid UTF-8 of at most n bytes, whatever a driver let through.
func clean(s string, n int) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "")
	}
	return s
}

func bounded(cams []edge.CameraID) []edge.CameraID { return cams[:min(len(cams), maxRefs)] }
