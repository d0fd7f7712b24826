package motion

import (
	"context"
	"time"

	"sitewatch/edge"
)

// report is what the Reporter is told, on its way to it.
type report struct {
	camera   edge.CameraID
	interval Interval
	scene    *SceneChange // instead of an interval
	usual    *Recall      // to be kept with it
}

func (r report) tell(ctx context.Context, to Reporter) {
	if r.scene != nil {
		to.Scene(ctx, r.camera, *r.scene)
	} else {
		to.Motion(ctx, r.camera, r.interval)
	}
}

// moved books what the eye said of a camera and returns what is to be reported of it.
func (e *Eye) moved(m *Motion) []report {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.cameras[m.Camera]
	if w == nil {
		return nil // a camera that the eye has made up
	}
	at := w.anchor.StampOf(m.PTS)
	switch {
	case m.State == Start && !w.open:
		w.open, w.since = true, Interval{From: at, To: at, Open: true, Cells: m.Where, Why: m.Why}
		return []report{{camera: m.Camera, interval: w.since}}
	case m.State == Keep && w.open:
		w.since.To, w.since.Cells = at, w.since.Cells|m.Where
	case m.State == End && w.open:
		w.since.To, w.since.Cells = at, w.since.Cells|m.Where
		return []report{w.close(m.Camera)}
	}
	return nil
}

// close ends the interval.
func (w *watched) close(camera edge.CameraID) report {
	w.open = false
	i := w.since
	i.Open = false
	return report{camera: camera, interval: i}
}

// stale ends the intervals that were last seen longer than age ago: with a negative age, all of them.
func (e *Eye) stale(now edge.Stamp, age time.Duration) (out []report) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, w := range e.cameras {
		if !w.open {
			continue
		}
		if d, ok := now.Since(w.since.To); age < 0 || !ok || d > age {
			out = append(out, w.close(id))
		}
	}
	return out
}

// changed books what the eye said of a scene. What an eye has said, the one after it need not say again: it goes on with that.
func (e *Eye) changed(m *Scene) []report {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.cameras[m.Camera]
	begins := m.State == Start
	if w == nil || w.sees[m.Trouble] == begins {
		return nil
	}
	if w.sees == nil {
		w.sees = map[Trouble]bool{}
	}
	w.sees[m.Trouble] = begins
	w.usual, w.anew = nil, false
	if begins && len(m.Usual) > 0 {
		w.usual = &Recall{m.Camera, m.Trouble, m.Usual}
	}
	return []report{{camera: m.Camera, scene: &SceneChange{Trouble: m.Trouble, Over: !begins, At: w.anchor.StampOf(m.PTS), Why: m.Why}, usual: w.usual}}
}

// unsee ends what the eye said of scenes, unless it has said what they usually are: without that the next one takes the present picture for
// the usual one, and would never end it.
func (e *Eye) unsee(now edge.Stamp) (out []report) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, w := range e.cameras {
		for t, sees := range w.sees {
			if sees && (w.usual == nil || w.usual.Trouble != t) {
				out = append(out, report{camera: id, scene: &SceneChange{Trouble: t, Over: true, At: now, Why: whyAnew}})
				delete(w.sees, t)
			}
		}
	}
	return out
}

// noted books what the decoder has, and what the eye has counted.
func (e *Eye) noted(m Message) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch m := m.(type) {
	case *Hand:
		e.holds, e.hand, e.handAt = aUnit, m.Number, e.opt.Clock.Now().Mono
		if w := e.cameras[e.owners[m.Number%owned]]; w != nil && w.raising && w.told && !w.hinted {
			w.raising, w.raise = false, e.handAt-w.raisedAt
		}
	case *HandStill:
		e.holds, e.hand, e.handAt = aStill, m.ID, e.opt.Clock.Now().Mono
	case *Done:
		e.holds, e.handAt = nothing, e.opt.Clock.Now().Mono
	case *Tally:
		if w := e.cameras[m.Camera]; w != nil {
			w.tally = *m
		}
	}
}
