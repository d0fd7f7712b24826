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

// Movement that a camera of the zone saw this long before an alarm, or after it, corroborates it.
const (
	seenBefore = 2 * time.Minute
	seenAfter  = 5 * time.Minute
)

// corroborated is what Event.Corroborated says.
const corroborated = "video"

// maxWatched bounds the alarms that wait for a camera; the oldest goes first.
const maxWatched = 256

// video is what the cameras have seen, and the alarms that wait for them. It never makes an alarm wait (P5).
type video struct {
	mu      sync.Mutex
	last    map[edge.CameraID]movement // of each camera; memory only
	watched []watched
}

type movement struct{ from, to edge.Stamp }

// watched is an alarm that no camera has corroborated yet.
type watched struct {
	seq     edge.Seq
	at      edge.Stamp
	why     string
	cameras []edge.CameraID
}

// sighting is movement beside an alarm.
type sighting struct {
	camera edge.CameraID
	from   edge.Stamp
	gap    time.Duration // from the alarm to the movement; negative: it was before
}

func (s sighting) words() string {
	when := "at the same time"
	switch {
	case s.gap <= -time.Second:
		when = span(-s.gap) + " before the alarm"
	case s.gap >= time.Second:
		when = span(s.gap) + " after the alarm"
	}
	return fmt.Sprintf("corroborated by video: movement on camera %s at %s UTC, %s", s.camera, s.from.Wall.UTC().Format(time.TimeOnly), when)
}

// near says whether movement lies beside an alarm.
func (m movement) near(at edge.Stamp) (gap time.Duration, ok bool) {
	after, ok1 := m.from.Since(at)
	before, ok2 := at.Since(m.to)
	return after, ok1 && ok2 && after <= seenAfter && before <= seenBefore
}

// corroborates says whether cameras are asked about alarms of the kind.
func corroborates(k edge.Kind) bool {
	return k == edge.KindIntruder || k == edge.KindTamper || holdsUp(k) || k.Confirmed()
}

// sighted says whether a camera of the event's zone has seen movement shortly before it.
func (p *past) sighted(ev *edge.Event, s edge.Signal, v *view) (sighting, bool) {
	if !corroborates(ev.Kind) || s.Old || v.moved == nil {
		return sighting{}, false
	}
	return v.moved(ev.Cameras, s.At)
}

func (v *video) moved(cameras []edge.CameraID, at edge.Stamp) (seen sighting, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, c := range cameras {
		m, known := v.last[c]
		if !known {
			continue
		}
		if gap, near := m.near(at); near && (!ok || gap > seen.gap) {
			seen, ok = sighting{c, m.from, gap}, true
		}
	}
	return seen, ok
}

// watch lets an alarm wait for a camera.
func (v *video) watch(w watched) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if slices.ContainsFunc(v.watched, func(o watched) bool { return o.seq == w.seq }) {
		return
	}
	v.watched = append(v.watched, w)
	if len(v.watched) > maxWatched {
		v.watched = slices.Delete(v.watched, 0, 1)
	}
}

// met notes movement and takes out the alarms that it corroborates.
func (v *video) met(camera edge.CameraID, m movement) (met []watched) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.last == nil {
		v.last = map[edge.CameraID]movement{}
	}
	v.last[camera] = m
	v.watched = slices.DeleteFunc(v.watched, func(w watched) bool {
		if d, ok := m.from.Since(w.at); !ok || d > seenAfter {
			return true // too late for it
		}
		if _, near := m.near(w.at); !near || !slices.Contains(w.cameras, camera) {
			return false
		}
		met = append(met, w)
		return true
	})
	return met
}

// recall lets the alarms of the last minutes wait for a camera again, after a restart.
func (s *Sink) recall(ctx context.Context, alarms []journal.Alarm, now edge.Stamp) error {
	for _, a := range alarms {
		if d, ok := now.Since(a.At); a.Seen || a.Old || a.Seq == 0 || !corroborates(a.Kind) || !ok || d > seenAfter {
			continue
		}
		ev, ok, err := s.event(ctx, a.Seq)
		if err != nil {
			return err
		}
		if ok && ev.Corroborated == "" && len(ev.Cameras) > 0 {
			s.desk.video.watch(watched{a.Seq, a.At, ev.Why, ev.Cameras})
		}
	}
	return nil
}

// event reads an event of any lane again; ok is false when it is not there any more.
func (s *Sink) event(ctx context.Context, seq edge.Seq) (ev edge.Event, ok bool, err error) {
	for _, lane := range edge.EventLanes {
		recs, err := s.desk.opt.Journal.Read(ctx, lane, seq-1, 1)
		if err != nil {
			return ev, false, err
		}
		if len(recs) == 1 && recs[0].Seq == seq {
			ev, err = edge.DecodeEvent(recs[0].Body)
			return ev, err == nil, err
		}
	}
	return ev, false, nil
}
