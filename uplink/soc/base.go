package soc

import "time"

// baseWindow is half of how long a message tells where the box's monotonic clock stands: nothing keeps that clock, and a bad one
// is 50 ppm off, which is half a minute in a week.
const baseWindow = 30 * time.Minute

// base is the SOC's Mono at the box's Mono 0, by the fastest of the messages of the last half to whole hour: the least of two
// buckets, of which the older is dropped every half hour.
type base struct {
	newest, older time.Duration
	since         time.Duration // Mono at which newest began
	set           bool
}

// take notes a message that left the box at its Mono box and arrived at now.
func (b *base) take(box, now time.Duration) {
	at := now - box
	switch {
	case !b.set:
		*b = base{newest: at, older: at, since: now, set: true}
	case now-b.since >= 2*baseWindow: // nothing has come for so long that both are too old
		b.newest, b.older, b.since = at, at, now
	case now-b.since >= baseWindow:
		b.newest, b.older, b.since = at, b.newest, now
	default:
		b.newest = min(b.newest, at)
	}
}

// at is the SOC's Mono at the box's Mono 0.
func (b *base) at() time.Duration { return min(b.newest, b.older) }
