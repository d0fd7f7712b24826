package rtsp

import (
	"time"

	"sitewatch/edge"
	"sitewatch/video"
)

const (
	ntpEpoch   = 2208988800 // 1970 in seconds since 1900
	unsetAfter = 3 * 365 * 24 * time.Hour
	clockStep  = time.Second
	// A drift is told after driftFrom, and measured anew after driftOver: a clock that is warm runs otherwise than a cold one.
	driftFrom = time.Minute
	driftOver = 6 * time.Hour
)

// ntpTime reads an NTP timestamp (RFC 5905 §6) of the era that is nearest to near: the first one ends in 2036.
func ntpTime(ntp uint64, near time.Time) time.Time {
	frac := time.Duration((ntp & 0xFFFFFFFF) * uint64(time.Second) >> 32)
	t := time.Unix(int64(ntp>>32)-ntpEpoch, 0).Add(frac)
	if next := time.Unix(int64(ntp>>32)-ntpEpoch+1<<32, 0).Add(frac); next.Sub(near).Abs() < t.Sub(near).Abs() {
		return next
	}
	return t
}

// clock follows a camera's clock through its sender reports. The drift is the slope of the line through them: what the network delays
// single reports does not show in it.
type clock struct {
	now video.CameraClock

	wall0, mono0        time.Duration // of the first report of the line, the wall since 1970
	n, sx, sy, sxx, sxy float64       // seconds of Mono, and seconds that the camera's clock went more
	last                float64       // the newest of the latter
}

// report takes a sender report's time.
func (c *clock) report(ntp uint64, at edge.Stamp) {
	wall := ntpTime(ntp, at.Wall)
	offset := wall.Sub(at.Wall)
	c.now.Offset, c.now.At = offset, at
	c.now.Unset = offset.Abs() > unsetAfter
	c.now.Known = !c.now.Unset
	since := time.Duration(wall.UnixNano())
	x := (at.Mono - c.mono0).Seconds()
	y := (since - c.wall0).Seconds() - x
	if stepped := c.n > 0 && (y-c.last > clockStep.Seconds() || y-c.last < -clockStep.Seconds()); c.n == 0 || stepped || at.Mono-c.mono0 > driftOver {
		if stepped {
			c.now.Steps++
		}
		*c = clock{now: c.now, wall0: since, mono0: at.Mono}
		x, y = 0, 0
	}
	c.n, c.sx, c.sy, c.sxx, c.sxy, c.last = c.n+1, c.sx+x, c.sy+y, c.sxx+x*x, c.sxy+x*y, y
	if over := at.Mono - c.mono0; over >= driftFrom {
		c.now.Over = over
		c.now.DriftPPM = 1e6 * (c.n*c.sxy - c.sx*c.sy) / (c.n*c.sxx - c.sx*c.sx)
	}
}
