package uplink

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sitewatch/edge"
)

// pathState is what a session says of its path.
type pathState struct {
	up        bool
	lostAfter time.Duration // from now on, if it does not come back
}

// signal leaves the newest state of the path for runPath.
func (p *path) signal(s pathState) {
	select {
	case <-p.states: // an older state that nobody has looked at
	default:
	}
	p.states <- s // never blocks: only the path's session sends, and the place is free now
}

// usualBeat is how often the SOC is heard before it has said how often it will be.
const usualBeat = 10 * time.Second

// runPath makes silence an event (P8): path-lost when the SOC is out of reach by the path, and its end. A box with one path
// waits for PathLostAfter; of several each is lost after three silent heartbeats, and the others carry the event.
func (c *Client) runPath(ctx context.Context, p *path) error {
	after, silent := c.o.PathLostAfter, c.o.PathLostAfter
	if len(c.paths) > 1 {
		after, silent = missed*usualBeat, missed*usualBeat
	}
	down := time.NewTimer(after) // a box that starts without a SOC has lost its path, too
	defer down.Stop()
	lost, up := c.o.LostPaths[p.Name], false
	c.status.lost(p.index, lost)
	for {
		due := false
		select {
		case now := <-p.states:
			up, due = now.up, now.up
			if len(c.paths) > 1 {
				after = now.lostAfter
				if up {
					silent = now.lostAfter
				}
			}
			if !up && !lost {
				down.Reset(after)
			}
		case <-down.C:
			due = true
		case <-ctx.Done():
			return nil
		}
		if !due || lost != up { // nothing to say, or it has been said
			continue
		}
		if c.report(ctx, c.pathEvent(p, up, silent)) {
			lost = !up
			c.status.lost(p.index, lost)
		} else {
			down.Reset(pathAgain)
		}
	}
}

// pathEvent is the sentence for the operator.
func (c *Client) pathEvent(p *path, up bool, silent time.Duration) edge.Event {
	ev := edge.Event{Kind: edge.KindPathLost, Path: p.Name}
	if up {
		ev.Kind = ev.Kind.Restored()
	}
	switch {
	case p.Name == "" && up:
		ev.Why = "The line to the SOC is back."
	case p.Name == "":
		ev.Why = fmt.Sprintf("The SOC at %s has been out of reach for %s.", p.SOC[0], silent)
	case up:
		ev.Why = fmt.Sprintf("The path %s to the SOC is back.", p.title())
	default:
		ev.Why = fmt.Sprintf("The SOC has not been heard by the path %s for %s.", p.title(), silent)
		if why := c.status.reason(p.index); why != "" {
			ev.Why = fmt.Sprintf("The SOC has not been heard by the path %s for %s: %s.", p.title(), silent, why)
		}
	}
	return ev
}

// runForgotten ends the loss of paths that the box no longer has: nobody else would.
func (c *Client) runForgotten(ctx context.Context) error {
	for name, lost := range c.o.LostPaths {
		if !lost || slices.ContainsFunc(c.paths, func(p *path) bool { return p.Name == name }) {
			continue
		}
		ev := edge.Event{Kind: edge.KindPathLost.Restored(), Path: name, Why: fmt.Sprintf("The box no longer uses the path %s.", name)}
		if name == "" {
			ev.Why = "The box now has other paths to the SOC than the one that was lost."
		}
		for !c.report(ctx, ev) {
			t := time.NewTimer(pathAgain)
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
				return nil
			}
		}
	}
	return nil
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
