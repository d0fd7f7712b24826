package modbus

import (
	"time"

	"sitewatch/edge"
)

// point is one point of a slave, and what is known of it.
type point struct {
	zone   edge.ZoneID
	source source
	conds  []cond
}

// cond is one condition of a point: active, inactive, or not known yet.
type cond struct {
	kind, usual edge.Kind // usual where the site says what it is for
	on, off     string    // SIA codes
	text        string

	now   tri           // what counts
	next  tri           // what was read lately and does not count yet; unknown: the same as now
	since time.Duration // when next was first asked for, on the monotonic clock
	queue int           // signals that the sink has not taken
}

// tolerance is by how much less than the debounce time a change may have been seen: so much earlier it is looked at again, so
// that an answer or two in between do not make a pulse of the debounce time be missed.
func tolerance(debounce time.Duration) time.Duration { return debounce / 8 }

// see takes what was read, asked for at the given time. It returns what the sink should be told, in order, and when to look
// again at a change that does not count yet (0: no need).
func (c *cond) see(read tri, first bool, asked, debounce time.Duration) (say []tri, again time.Duration) {
	switch {
	case read == unknown:
		return nil, 0
	case first && c.now == unknown:
		c.now, c.next = read, unknown // a state, whatever it is
		return []tri{read}, 0
	case read == c.now:
		c.next = unknown
		return nil, 0
	}
	need := debounce - tolerance(debounce)
	if c.next != read {
		c.next, c.since = read, asked
	}
	if asked-c.since < need {
		return nil, c.since + need
	}
	was := c.now
	c.now, c.next = read, unknown
	if was == unknown && read == active {
		return []tri{inactive, active}, 0 // what is only stored as a state when it comes first would be no news
	}
	return []tri{read}, 0
}

// forget drops a change that did not count yet: nothing was heard for a while.
func (c *cond) forget() { c.next = unknown }

// signal is the condition as a state.
func (c *cond) signal(zone edge.ZoneID, is tri, text string) edge.Signal {
	sig := edge.Signal{Kind: c.kind, Zone: zone, State: true}
	if is == active {
		if sig.Text = text; text == "" {
			sig.Text = c.text
		}
	}
	if c.kind == "" {
		sig.Active, sig.Usual = is == active, c.usual
		return sig
	}
	sig.Code = c.on
	if is != active {
		sig.Kind, sig.Code = c.kind.Restored(), c.off
	}
	return sig
}
