package rtsp

import (
	"fmt"
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
	u.total = u.near(ts)
	u.prev = ts
	return u.total
}

// near is what ts means, seen from the newest.
func (u *unwrapper) near(ts uint32) int64 { return u.total + int64(int32(ts-u.prev)) }

const (
	// jump is how far a camera's clock may go back (B-pictures do), or ahead of the arrivals, before it is taken for another clock.
	jump = 2 * time.Second
	// standstill is how far it may fall behind the arrivals: a network that stalls and catches up is no jump.
	standstill = 30 * time.Second
)

// timeline makes one line of PTS per camera out of the clocks of its connections; edge/TIME.md has the rule.
type timeline struct {
	begun   bool
	base    video.Ticks90k // PTS at RTP time baseRaw; later by what RTP counts, times scale when that is not 0
	baseRaw int64
	scale   float64
	turn    uint64 // how often base was set: what is tied to another one means nothing
	prevRaw int64
	prevPTS video.Ticks90k
	prevAt  time.Duration
	lag     time.Duration // arrival minus PTS, smoothed
	pace    pace
	still   time.Duration // Mono since when RTP time stands still, or -1
}

// connect says that the next unit is of another connection: its clock means nothing to the former one.
func (t *timeline) connect() { t.prevRaw = minRaw }

// minRaw marks that no unit of this connection came yet.
const minRaw = -1 << 63

// at is the PTS of RTP time raw.
func (t *timeline) at(raw int64) video.Ticks90k {
	d := raw - t.baseRaw
	if t.scale != 0 {
		d = int64(float64(d) * t.scale)
	}
	return t.base + video.Ticks90k(d)
}

// rebase continues the line at pts with RTP time raw.
func (t *timeline) rebase(pts video.Ticks90k, raw int64) {
	t.base, t.baseRaw = pts, raw
	t.turn++
}

// now is the PTS of what happens at mono, as far as arrivals tell.
func (t *timeline) now(mono time.Duration) video.Ticks90k { return video.TicksOf(mono - t.lag) }

// next returns the PTS of a unit with RTP time raw that arrived at mono.
func (t *timeline) next(raw int64, mono time.Duration) video.Ticks90k {
	elapsed := video.TicksOf(mono - t.prevAt)
	first := t.prevRaw == minRaw
	if !t.begun {
		t.rebase(0, raw)
		t.begun, t.lag, t.still = true, mono, -1
	} else if first || t.jumped(raw, elapsed, mono) {
		pts := t.prevPTS + max(elapsed, 1)
		t.rebase(pts, raw)
		t.lag = mono - pts.Duration()
	}
	switch {
	case first || raw != t.prevRaw:
		t.still = -1
	case t.still < 0:
		t.still = t.prevAt
	}
	if first || t.broke(raw, elapsed) {
		t.pace.reset(raw, mono)
	} else if t.pace.add(raw, mono) {
		t.rebase(t.at(raw), raw)
		t.scale = t.pace.correction()
	}
	pts := t.at(raw)
	t.lag += (mono - pts.Duration() - t.lag) / 1024
	t.prevRaw, t.prevAt = raw, mono
	t.prevPTS = max(t.prevPTS, pts)
	return pts
}

// broke says whether the camera's clock itself has made a jump.
func (t *timeline) broke(raw int64, elapsed video.Ticks90k) bool {
	step := video.Ticks90k(raw - t.prevRaw)
	if t.scale != 0 {
		step = video.Ticks90k(float64(step) * t.scale)
	}
	return step < -video.TicksOf(jump) || step > elapsed+video.TicksOf(jump)
}

// jumped says whether the line has to be continued elsewhere. A time that is told twice is none: then arrivals are.
func (t *timeline) jumped(raw int64, elapsed video.Ticks90k, mono time.Duration) bool {
	return raw == t.prevRaw || t.broke(raw, elapsed) || mono-t.at(raw).Duration()-t.lag > standstill
}

const (
	paceWindow = 20 * time.Second
	paceOff    = 0.03 // below it is jitter, and what clocks may do
)

// pace measures how fast RTP time runs by the arrivals. One window may be wrong by a network that stalls or catches up; three that
// agree are not.
type pace struct {
	raw0    int64
	mono0   time.Duration
	last    [3]float64 // of the last windows, 0: not measured
	running float64    // how many times too fast RTP time runs; 0 as it should
}

func (p *pace) reset(raw int64, mono time.Duration) {
	p.raw0, p.mono0, p.last = raw, mono, [3]float64{}
}

// add says whether what is known of the pace has changed.
func (p *pace) add(raw int64, mono time.Duration) bool {
	d := mono - p.mono0
	if d < paceWindow {
		return false
	}
	r := float64(raw-p.raw0) / float64(video.TicksOf(d))
	p.last = [3]float64{p.last[1], p.last[2], r}
	p.raw0, p.mono0 = raw, mono
	lo, hi := min(p.last[0], p.last[1], p.last[2]), max(p.last[0], p.last[1], p.last[2])
	if lo <= 0 || hi > lo*(1+paceOff) {
		return false
	}
	mean, was := (lo+hi)/2, p.running
	switch {
	case mean > 1-paceOff && mean < 1+paceOff:
		p.running = 0
	case was == 0 || mean > was*(1+paceOff) || mean < was*(1-paceOff):
		p.running = mean
	}
	return p.running != was
}

// correction is what RTP time is to be multiplied with, 0 when it is right.
func (p *pace) correction() float64 {
	if p.running == 0 {
		return 0
	}
	return 1 / p.running
}

// String says what is wrong with it, "" when nothing is.
func (p *pace) String() string {
	switch {
	case p.running == 0:
		return ""
	case p.running > 1:
		return fmt.Sprintf("its RTP clock runs %.2f times too fast, which is put right", p.running)
	}
	return fmt.Sprintf("its RTP clock runs %.2f times too slowly, which is put right", 1/p.running)
}
