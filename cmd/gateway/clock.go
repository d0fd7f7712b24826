package main

import (
	"context"
	"fmt"
	"time"

	"sitewatch/cmd/cli"
	"sitewatch/edge"
	"sitewatch/edge/journal"
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

const (
	clockLook  = 10 * time.Second
	clockGrace = 2 * time.Minute // NTP and the SOC may need as long after a boot
)

// runClock makes a clock that nothing tells the time an event (P8), and its end.
func (b *box) runClock(ctx context.Context) error {
	w := clockWatch{bad: b.losses[journal.Loss{Kind: edge.KindClockBad}]}
	t := time.NewTicker(clockLook)
	defer t.Stop()
	for {
		if ev, due := w.look(b.clock.Now()); due {
			if err := b.desk.Report(ctx, ev); err == nil {
				w.bad = !w.bad
			} else if ctx.Err() == nil {
				b.log.Error("the state of the clock is not journalled", "err", err)
			}
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// clockWatch decides when the clock is worth an event.
type clockWatch struct {
	bad   bool // has been said
	good  edge.Stamp
	began bool // good is set
}

// look says what is to be reported; the caller turns bad over when it has been.
func (w *clockWatch) look(now edge.Stamp) (ev edge.Event, due bool) {
	unset := now.ClockState() == edge.ClockUnset
	if !unset || !w.began {
		w.good, w.began = now, true
	}
	switch gone, _ := now.Since(w.good); {
	case w.bad && !unset:
		return edge.Event{Kind: edge.KindClockBad.Restored(), Why: "The box's clock is told the time again."}, true
	case !w.bad && unset && gone >= clockGrace:
		return edge.Event{Kind: edge.KindClockBad, Why: "The box's clock is not set: NTP does not keep it, and the SOC has not told the time."}, true
	}
	return ev, false
}
