package motion

import (
	"time"

	"sitewatch/edge"
)

// staleHint is how old a hint may become while the camera sends no picture: then nothing is left to be looked at.
const staleHint = 10 * time.Second

// Hint says that somebody else, the camera itself perhaps, believes that something moves. It never blocks and may be called from
// any goroutine. The eye is told with the camera's next picture; of several hints until then the last counts.
func (e *Eye) Hint(camera edge.CameraID, at edge.Stamp) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hints[camera] = at
}

// hinted takes the hint that waits for a camera.
func (e *Eye) hinted(camera edge.CameraID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	at, ok := e.hints[camera]
	if !ok {
		return false
	}
	delete(e.hints, camera)
	age, same := e.opt.Clock.Now().Since(at)
	return same && age < staleHint
}
