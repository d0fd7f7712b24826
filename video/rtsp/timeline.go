package rtsp

import (
	"time"

	"sitewatch/video"
)

// unwrapper makes 64 bits of RTP's 32, which wrap every 13 hours.
type unwrapper struct {
	begun bool
	prev  uint32
	total int64
}

func (u *unwrapper) unwrap(ts uint32) int64 {
	if !u.begun {
		u.begun, u.prev, u.total = true, ts, int64(ts)
	}
	u.total += int64(int32(ts - u.prev))
	u.prev = ts
	return u.total
}

const (
	// jump is how far a camera's clock may go back (B-pictures do), or ahead of the arrivals, before it is taken for another clock.
	jump = 2 * time.Second
	// standstill is how far it may fall behind the arrivals: a network that stalls and catches up is no jump.
	standstill = 30 * time.Second
)

// timeline makes one line of PTS per camera out of the clocks of its connections; edge/TIME.md has the rule.
type timeline struct {
	begun   bool
	offset  int64 // PTS = RTP time + offset
	prevRaw int64
	prevPTS video.Ticks90k
	prevAt  time.Duration
	lag     time.Duration // arrival minus PTS, smoothed
}

// connect says that the next unit is of another connection: its clock means nothing to the former one.
func (t *timeline) connect() { t.prevRaw = minRaw }

// minRaw marks that no unit of this connection came yet.
const minRaw = -1 << 63

// next returns the PTS of a unit with RTP time raw that arrived at mono.
func (t *timeline) next(raw int64, mono time.Duration) video.Ticks90k {
	elapsed := video.TicksOf(mono - t.prevAt)
	switch {
	case !t.begun:
		t.begun, t.offset, t.lag = true, -raw, mono
	case t.prevRaw == minRaw, t.jumped(raw, elapsed, mono):
		pts := t.prevPTS + max(elapsed, 1)
		t.offset = int64(pts) - raw
		t.lag = mono - pts.Duration()
	}
	pts := video.Ticks90k(raw + t.offset)
	t.lag += (mono - pts.Duration() - t.lag) / 1024
	t.prevRaw, t.prevAt = raw, mono
	t.prevPTS = max(t.prevPTS, pts)
	return pts
}

func (t *timeline) jumped(raw int64, elapsed video.Ticks90k, mono time.Duration) bool {
	step := video.Ticks90k(raw - t.prevRaw)
	lag := mono - video.Ticks90k(raw+t.offset).Duration()
	return step < -video.TicksOf(jump) || step > elapsed+video.TicksOf(jump) || lag-t.lag > standstill
}
