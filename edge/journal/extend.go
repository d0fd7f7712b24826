package journal

import (
	"context"
	"maps"
	"slices"
	"time"

	"sitewatch/edge"
)

// extendedMost is how long a clip may become while its alarm is repeated. A repeat that would need more has a clip of its own.
const extendedMost = 3 * time.Minute

// openClips are the clips whose end a repeat of their alarm moves on, by what repeats. They are known since this run of the program
// began: before it there is a clip that was cut short, and a repeat gets one of its own.
type openClips map[repeated]openClip

// repeated is what is the same of an alarm and its repeats.
type repeated struct {
	panel  edge.PanelID
	zone   edge.ZoneID
	kind   edge.Kind
	camera edge.CameraID
}

type openClip struct {
	id       edge.ClipID
	from, to time.Time
}

// extends says whether c asks for what follows on the clip, or is in it.
func (o openClip) extends(c edge.ClipRef) bool {
	return !c.From.Before(o.from) && !c.From.After(o.to) && c.To.Sub(o.from) <= extendedMost
}

// repeats gives the clips that extend another's span the id of that one. The events are changed in a copy: the caller may try again.
func (t *tx) repeats(entries []Entry) []Entry {
	copied := false
	for i := range entries {
		if entries[i].kept || !entries[i].Event.Kind.Alarm() || entries[i].Event.Panel == "" || len(entries[i].Event.Clips) == 0 {
			continue
		}
		if !copied {
			entries, copied = slices.Clone(entries), true
		}
		ev := &entries[i].Event
		ev.Clips = slices.Clone(ev.Clips)
		for k := range ev.Clips {
			t.repeat(ev, &ev.Clips[k])
		}
	}
	return entries
}

func (t *tx) repeat(ev *edge.Event, c *edge.ClipRef) {
	key := repeated{ev.Panel, ev.Zone, ev.Kind, c.Camera}
	o, ok := t.open[key]
	if !ok {
		o, ok = t.j.open[key]
	}
	if ok = ok && !t.j.ends[o.id] && o.extends(*c); ok {
		c.ID = o.id
		if c.To.After(o.to) {
			o.to = c.To
		}
		t.extended[o.id] = o.to
	} else {
		o = openClip{c.ID, c.From, c.To}
	}
	t.open[key] = o
}

// extend moves the end of a clip that an alarm and its repeat share; ok is false when there is no such clip.
func (t *tx) extend(ctx context.Context, id edge.ClipID) (ok bool, err error) {
	to, ok := t.extended[id]
	if !ok {
		return false, nil
	}
	n, err := t.exec(ctx, `update clips set asked_to_ns = max(asked_to_ns, ?) where id = ?`, to.UnixNano(), string(id))
	return n > 0, err
}

// opened keeps what the transaction knows of open clips.
func (j *Journal) opened(open openClips) { maps.Copy(j.open, open) }

// clipEnds forgets a clip that is finished.
func (t *tx) clipEnds(id edge.ClipID) {
	t.effects.done = append(t.effects.done, func() {
		delete(t.j.ends, id)
		maps.DeleteFunc(t.j.open, func(_ repeated, o openClip) bool { return o.id == id })
	})
}
