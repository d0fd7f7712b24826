package motion

import (
	"time"

	"sitewatch/edge"
)

// report is what the Reporter is told, on its way to it.
type report struct {
	camera   edge.CameraID
	interval Interval
}

// moved books what the eye said of a camera and returns what is to be reported of it.
func (e *Eye) moved(m *Motion) []report {
	e.mu.Lock()
	defer e.mu.Unlock()
	anchor, known := e.anchors[m.Camera]
	if !known {
		return nil // a camera that the eye has made up
	}
	at := anchor.StampOf(m.PTS)
	i, open := e.open[m.Camera]
	switch {
	case m.State == Start && !open:
		i = Interval{From: at, To: at, Open: true, Why: m.Why}
		e.open[m.Camera] = i
		return []report{{m.Camera, i}}
	case m.State == Keep && open:
		i.To = at
		e.open[m.Camera] = i
	case m.State == End && open:
		i.To = at
		return []report{e.close(m.Camera, i)}
	}
	return nil
}

// close ends an interval; e.mu is held.
func (e *Eye) close(camera edge.CameraID, i Interval) report {
	delete(e.open, camera)
	i.Open = false
	return report{camera, i}
}

// stale ends the intervals that were last seen longer than age ago: with a negative age, all of them.
func (e *Eye) stale(now edge.Stamp, age time.Duration) (out []report) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for camera, i := range e.open {
		if d, ok := now.Since(i.To); age < 0 || !ok || d > age {
			out = append(out, e.close(camera, i))
		}
	}
	return out
}
