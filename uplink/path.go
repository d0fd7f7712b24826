package uplink

import (
	"context"
	"fmt"
	"time"

	"sitewatch/edge"
)

// Path is one way to the SOC, such as the broadband line or a mobile modem.
type Path struct {
	Name      string     // "" when it is the only one and has no name
	Interface string     // network interface that its connections must take; "" leaves that to the routes
	SOC       []string   // host:port, tried in turn, the last good one first
	Bulk      BulkPolicy // "" is BulkAll
	Limit     int64      // bytes a second for stills and clips; 0: none
}

// BulkPolicy says what of the stills and clips a path may carry. Every path carries events.
type BulkPolicy string

const (
	BulkNone   BulkPolicy = "none"
	BulkStills BulkPolicy = "stills"
	BulkAll    BulkPolicy = "all"
)

// carries says whether the policy lets a file of this part go.
func (b BulkPolicy) carries(part edge.FilePart) bool {
	return b == BulkAll || b == "" || b == BulkStills && part == edge.PartStill
}

// path is a Path while the client runs.
type path struct {
	Path
	line *line
}

func newPath(p Path, o Options) *path {
	limit := func() int64 {
		own := p.Limit
		if o.Limit != nil {
			if l := o.Limit(o.Clock.Now()); l > 0 && (own == 0 || l < own) {
				own = l
			}
		}
		return own * 8
	}
	return &path{Path: p, line: newLine(o.Clock, limit)}
}

// signalPath leaves the newest state of the link for runPath.
func (c *Client) signalPath(up bool) {
	select {
	case <-c.links: // an older state that nobody has looked at
	default:
	}
	c.links <- up // never blocks: only runLink sends, and the place is free now
}

// runPath makes silence an event (P8): path-lost when the SOC has been out of reach for PathLostAfter, and its end.
func (c *Client) runPath(ctx context.Context) error {
	down := time.NewTimer(c.o.PathLostAfter) // a box that starts without a SOC has lost its path, too
	defer down.Stop()
	lost, up := c.o.LostPaths[c.o.Paths[0].Name], false
	for {
		due := false
		select {
		case now := <-c.links:
			up, due = now, now
			if !up && !lost {
				down.Reset(c.o.PathLostAfter)
			}
		case <-down.C:
			due = true
		case <-ctx.Done():
			return nil
		}
		if !due || lost != up { // nothing to say, or it has been said
			continue
		}
		ev := edge.Event{Kind: edge.KindPathLost.Restored(), Why: "The line to the SOC is back."}
		if !up {
			ev = edge.Event{Kind: edge.KindPathLost, Why: fmt.Sprintf("The SOC at %s has been out of reach for %s.", c.o.Paths[0].SOC[0], c.o.PathLostAfter)}
		}
		if c.report(ctx, ev) {
			lost = !up
		} else {
			down.Reset(pathAgain)
		}
	}
}

// pathAgain is the pause before a report that could not be journalled is tried again.
const pathAgain = time.Second

func (c *Client) report(ctx context.Context, e edge.Event) bool {
	if c.o.Report == nil {
		return true
	}
	if err := c.o.Report(ctx, e); err != nil {
		if ctx.Err() == nil {
			c.o.Log.Error("the state of the line to the SOC is not journalled", "err", err)
		}
		return false
	}
	return true
}
