package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/cmd/sitesim/link"
)

// One fall of the rate and the time before it that the box has to find the higher rate again.
const (
	fallTo     = 1 * mbit
	fallBefore = 8 * time.Second
	fallAfter  = 12 * time.Second
	fallCycle  = fallBefore + fallAfter
	fallGoal   = 2 * time.Second // until alarms are back under twice the idle link
)

// measureFall lets the rate of a loaded link fall again and again, and takes how long alarms suffer for it. What they are
// compared with is the idle link at the lower rate.
func measureFall(ctx context.Context, b *benchRun) (err error) {
	if err := b.connected(ctx); err != nil {
		return err
	}
	b.set(0, func(t *link.Traits) { t.Rate = fallTo })
	if b.Idle, err = b.alarms(ctx, b.n, oftenRate); err != nil {
		return fmt.Errorf("idle: %w", err)
	}
	b.set(0, func(t *link.Traits) { t.Rate = b.Row.Line.Rate })
	falls := max(1, int(float64(b.n)/(oftenRate*fallCycle.Seconds())+0.5))
	if err := b.load(ctx, float64(falls)*fallCycle.Seconds()); err != nil {
		return err
	}
	var at []time.Duration
	g, fallCtx := errgroup.WithContext(ctx)
	g.Go(func() error {
		for range falls {
			if wait(fallCtx, fallBefore) != nil {
				return nil
			}
			b.set(0, func(t *link.Traits) { t.Rate = fallTo })
			at = append(at, b.clock.Now().Mono)
			if wait(fallCtx, fallAfter) != nil {
				return nil
			}
			b.set(0, func(t *link.Traits) { t.Rate = b.Row.Line.Rate })
		}
		return nil
	})
	g.Go(func() (err error) {
		b.Loaded, err = b.alarms(fallCtx, int(float64(falls)*fallCycle.Seconds()*oftenRate), oftenRate)
		return err
	})
	if err := g.Wait(); err != nil {
		return fmt.Errorf("loaded: %w", err)
	}
	limit := 2 * quantile(b.Idle, 0.99)
	var back []time.Duration
	for _, t := range at {
		back = append(back, backUnder(b.Loaded, t, t+fallAfter, limit))
	}
	slices.Sort(back)
	worst := back[len(back)-1]
	b.Note = fmt.Sprintf("back under twice the idle link after %.1f s (worst of %d falls; median %.1f s)", worst.Seconds(), len(back), back[len(back)/2].Seconds())
	if worst > fallGoal {
		b.Missed = append(b.Missed, fmt.Sprintf("back under 2x idle after %.1f s, goal %v", worst.Seconds(), fallGoal))
	}
	return nil
}

// calm is for how long alarms must be under the limit to count as back under it.
const calm = 2 * time.Second

// backUnder is how long after from alarms began to be under the limit for good, that is for two seconds.
func backUnder(ss []sample, from, to, limit time.Duration) time.Duration {
	ss = slices.Clone(ss)
	slices.SortFunc(ss, func(a, b sample) int { return int(a.At - b.At) })
	since := from
	for _, s := range ss {
		switch {
		case s.At < from || s.At >= to:
		case s.At-since >= calm:
			return since - from
		case s.Took > limit:
			since = s.At
		}
	}
	if to-since < calm {
		return to - from
	}
	return since - from
}
