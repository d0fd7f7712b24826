package alarm

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/journal"
)

// MotionRule says what becomes of movement before a camera. The first rule that fits decides; where none does, movement is only
// counted.
type MotionRule struct {
	Name    string
	Cameras []edge.CameraID // none: every camera
	Roles   []string        // of cameras; none: every role
	Set     *bool           // whether the camera's partition must be set; nil: either
	// Hours says whether a time, in the site's time zone, is within; nil: always.
	Hours func(time.Time) bool
	Send  bool // an event
}

// Verdict is what was decided about a motion interval.
type Verdict struct {
	Rule string // "" when none fitted
	Sent bool
}

const (
	// motionMost is how many events of movement a camera may make in motionSpan: a tree, or a banner in the draught, moves
	// all night. What comes after them is counted and kept, and corroborates alarms all the same.
	motionMost = 30
	motionSpan = time.Hour
)

// busy is how many events of movement each camera has made lately.
type busy struct {
	mu   sync.Mutex
	sent map[edge.CameraID][]edge.Stamp // at most motionMost each
}

// take says whether camera may make one more event, and whether it is the last for now.
func (b *busy) take(camera edge.CameraID, at edge.Stamp) (ok, last bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sent == nil {
		b.sent = map[edge.CameraID][]edge.Stamp{}
	}
	kept := slices.DeleteFunc(b.sent[camera], func(s edge.Stamp) bool { d, same := at.Since(s); return !same || d >= motionSpan })
	if len(kept) < motionMost {
		kept, ok = append(kept, at), true
	}
	b.sent[camera] = kept
	return ok, ok && len(kept) == motionMost
}

// judgeMotion finds the rule for movement before camera at at.
func (d *Desk) judgeMotion(camera edge.CameraID, at edge.Stamp) Verdict {
	local := at.Wall
	if d.opt.Location != nil {
		local = local.In(d.opt.Location)
	}
	set := d.CameraSet(camera)
	for _, r := range d.opt.MotionRules {
		switch {
		case len(r.Cameras) > 0 && !slices.Contains(r.Cameras, camera):
		case len(r.Roles) > 0 && !slices.Contains(r.Roles, d.opt.Roles[camera]):
		case r.Set != nil && *r.Set != set:
		case r.Hours != nil && !r.Hours(local):
		default:
			return Verdict{Rule: r.Name, Sent: r.Send}
		}
	}
	return Verdict{}
}

// watches is why a camera's pictures matter: a zone that it looks at.
type watches struct {
	panel     edge.PanelID
	partition edge.PartitionID
	interior  bool
}

// camerasOf says for which zones each camera is there.
func camerasOf(panels map[edge.PanelID]Panel) map[edge.CameraID][]watches {
	out := map[edge.CameraID][]watches{}
	for id, p := range panels {
		for _, z := range p.Zones {
			cameras := z.Cameras
			if len(cameras) == 0 {
				cameras = p.Cameras
			}
			for _, c := range cameras {
				w := watches{id, z.Partition, z.Route == "interior"}
				if z.Partition != "" && !slices.Contains(out[c], w) {
					out[c] = append(out[c], w)
				}
			}
		}
	}
	return out
}

// CameraSet says whether a partition of the camera's zones is set, as the panels last said. While it is part set, zones of route interior
// are not: people are inside. A camera of no zone with a partition is set when anything at the site is.
func (d *Desk) CameraSet(camera edge.CameraID) bool {
	zones := d.zonesOf[camera]
	for _, p := range d.opt.Journal.Partitions() {
		if _, there := d.opt.Panels[p.Panel]; !there || p.State == journal.Unset {
			continue
		}
		if len(zones) == 0 {
			return true
		}
		for _, z := range zones {
			if z.panel == p.Panel && (p.Partition == "" || z.partition == p.Partition) && (p.State == journal.Set || !z.interior) {
				return true
			}
		}
	}
	return false
}

// Motion takes a motion interval of a camera: an event where a rule says so, else it is only counted. It also
// corroborates the alarms that the camera looks at, each once, by amending them; their events went long before.
func (d *Desk) Motion(ctx context.Context, camera edge.CameraID, from, to edge.Stamp, why string) (Verdict, error) {
	m := movement{from, to}
	met := d.video.met(camera, m)
	v := d.judgeMotion(camera, from)
	last := false
	if v.Sent {
		v.Sent, last = d.busy.take(camera, from)
	}
	var b journal.Batch
	if v.Sent {
		ev := motionEvent(camera, m, why)
		ev.Why += fmt.Sprintf(" (rule %s)", v.Rule)
		if last {
			ev.Why += fmt.Sprintf("; the %dth within %s: more of it is only counted for now", motionMost, span(motionSpan))
		}
		b.Entries = append(b.Entries, journal.Entry{Event: ev})
	}
	for _, w := range met {
		gap, _ := from.Since(w.at)
		b.Entries = append(b.Entries, journal.Entry{Event: edge.Event{Kind: edge.KindAmended, Amends: w.seq, Occurred: from.Wall, Corroborated: corroborated,
			Cameras: []edge.CameraID{camera}, Why: w.why + "; " + sighting{camera, from, gap}.words()}})
		b.Meaning.Seen = append(b.Meaning.Seen, w.seq)
	}
	if len(b.Entries) > 0 {
		if _, err := d.opt.Journal.Commit(ctx, b); err != nil {
			for _, w := range met {
				d.video.watch(w) // the next movement tells it
			}
			return v, fmt.Errorf("motion of camera %s: %w", camera, err)
		}
	}
	if v.Sent {
		d.motionsSent.Add(1)
	} else {
		d.motionsCounted.Add(1)
	}
	return v, nil
}

func motionEvent(camera edge.CameraID, m movement, why string) edge.Event {
	text := fmt.Sprintf("Movement on camera %s", camera)
	if long, ok := m.to.Since(m.from); ok && long > 0 {
		text += fmt.Sprintf(" for %s", long.Round(100*time.Millisecond))
	}
	if why != "" {
		text += ": " + clean(why, maxText)
	}
	return edge.Event{Kind: edge.KindMotion, Cameras: []edge.CameraID{camera}, Occurred: m.from.Wall, Why: text}
}
