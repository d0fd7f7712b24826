package clip

import (
	"fmt"
	"time"

	"sitewatch/edge"
)

// holeFrom is how long a camera may pause: the slowest in use send a picture a second.
const holeFrom = 2 * time.Second

// holes are the pauses of a camera within a clip, where a player shows a picture that stands still.
type holes struct {
	last    edge.Stamp // arrival of the newest picture
	begun   bool
	n       int
	at      edge.Stamp // where the longest one begins
	longest time.Duration
	spans   []edge.Span // a clip has minutes, and a hole seconds: a few hundred
}

// see takes the arrival of the next picture.
func (h *holes) see(at edge.Stamp) {
	if quiet := since(at, h.last); h.begun && quiet > holeFrom {
		h.n++
		if quiet > h.longest {
			h.at, h.longest = h.last, quiet
		}
		h.spans = append(h.spans, edge.Span{From: h.last.Wall.UTC(), To: at.Wall.UTC()})
	}
	h.last, h.begun = at, true
}

// String is the holes in words; "" when there are none.
func (h *holes) String() string {
	if h.n == 0 {
		return ""
	}
	s := fmt.Sprintf("the camera gave no pictures for %.1f s from %s", h.longest.Seconds(), h.at.Wall.UTC().Format(time.TimeOnly+" UTC"))
	if h.n > 1 {
		s += fmt.Sprintf(", and %d times for less", h.n-1)
	}
	return s
}
