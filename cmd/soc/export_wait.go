package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
)

const (
	maxWait = 10 * time.Minute
	askAt   = 500 * time.Millisecond // between two looks at the ledger
	odd     = 256                    // checkpoints at or after an event of which none needs to be good: the ledger keeps no more of these
)

// covers is the first good checkpoint at or after an event.
func (x *export) covers(ctx context.Context, id edge.JournalID, seq edge.Seq) (edge.Seq, bool, error) {
	points, err := x.led.Checkpoints(ctx, x.site, id, seq, math.MaxInt64, odd)
	if err != nil {
		return 0, false, err
	}
	i := slices.IndexFunc(points, func(p ledger.Checkpoint) bool { return p.State == ledger.CheckpointGood })
	if i < 0 {
		return 0, false, nil
	}
	return points[i].Seq, true, nil
}

// await gives the box time to sign the newest events. Of those that came longer than that ago no signature is awaited: the box is
// away, or is no more.
func (x *export) await(ctx context.Context) error {
	now := edge.NewSystemClock().Now().Wall
	fresh := map[edge.JournalID]edge.Seq{}
	var left time.Duration
	for i := range x.rows {
		e := &x.rows[i]
		rest := e.Received.Add(x.wait).Sub(now)
		if e.Event.Journal == ledger.JournalSOC || rest <= 0 || rest > x.wait { // a clock that was put back would wait for long
			continue
		}
		fresh[e.Event.Journal] = max(fresh[e.Event.Journal], e.Event.Seq)
		left = max(left, rest)
	}
	ctx2, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	tick := time.NewTicker(askAt)
	defer tick.Stop()
	for said := false; ; said = true {
		for _, id := range slices.Sorted(maps.Keys(fresh)) {
			_, ok, err := x.covers(ctx, id, fresh[id])
			if err != nil {
				return err
			}
			if ok {
				delete(fresh, id)
			}
		}
		if len(fresh) == 0 {
			return nil
		}
		if !said {
			fmt.Fprintf(x.say, "waiting at most %s for the box to sign what has just happened\n", left.Round(time.Second))
		}
		select {
		case <-tick.C:
		case <-ctx2.Done():
			return ctx.Err()
		}
	}
}
