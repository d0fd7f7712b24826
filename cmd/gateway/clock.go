package main

import (
	"context"
	"fmt"

	"sitewatch/cmd/cli"
	"sitewatch/edge"
)

// systemClock is one clock for the whole program.
func systemClock() edge.Clock { return edge.NewBoxClock(edge.NewSystemClock(), cli.Built()) }

// recalled is how many of the last records of a lane tell the clock the time: the journal may have written some at its
// opening, when the clock knew less.
const recalled = 64

// recall tells the clock the times that the journal has: none before them is believed.
func (b *box) recall(ctx context.Context) error {
	clock, ok := b.clock.(*edge.BoxClock)
	if !ok {
		return nil
	}
	after := edge.Seq(0)
	if last := b.journal.Last(); last > recalled {
		after = last - recalled
	}
	for _, lane := range edge.EventLanes {
		recs, err := b.journal.Read(ctx, lane, after, recalled)
		if err != nil {
			return fmt.Errorf("read the journal's last times: %w", err)
		}
		for _, r := range recs {
			if ev, err := edge.DecodeEvent(r.Body); err == nil { // a record that cannot be read tells no time
				clock.Known(ev.Recorded)
			}
		}
	}
	return nil
}
