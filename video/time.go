package video

import (
	"time"

	"sitewatch/edge"
)

// Ticks90k counts 1/90000 s, the clock of RTP video (RFC 6184 §5.1) and of our MP4 files, in 64 bits.
type Ticks90k int64

// Second is one second in ticks.
const Second Ticks90k = 90000

// Duration converts without overflow over the whole range that a time.Duration has.
func (t Ticks90k) Duration() time.Duration {
	return time.Duration(t/Second)*time.Second + time.Duration(t%Second)*time.Second/time.Duration(Second)
}

// TicksOf converts d, rounded down.
func TicksOf(d time.Duration) Ticks90k {
	return Ticks90k(d/time.Second)*Second + Ticks90k(d%time.Second)*Second/Ticks90k(time.Second)
}

// Anchor ties a stream's ticks to the box's clocks: the picture with this PTS came in at At.
type Anchor struct {
	PTS Ticks90k
	At  edge.Stamp
}

// AnchorOf returns the anchor that u itself is.
func AnchorOf(u AccessUnit) Anchor { return Anchor{PTS: u.PTS, At: u.Arrival} }

// StampOf is the one place where a PTS becomes a time of day (edge/TIME.md).
func (a Anchor) StampOf(pts Ticks90k) edge.Stamp {
	d := (pts - a.PTS).Duration()
	s := a.At
	s.Wall, s.Mono = s.Wall.Add(d), s.Mono+d
	return s
}
