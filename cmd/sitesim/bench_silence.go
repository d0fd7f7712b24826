package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sitewatch/cmd/sitesim/link"
)

const (
	silenceFor  = 40 * time.Second // longer than three heartbeats
	silenceGoal = 1500 * time.Millisecond
	heartbeat   = 10 * time.Second // as soc.yaml has it when it says nothing
)

// measureSilence cuts the preferred of two paths without a word, again and again, and takes the alarms of the time in which it
// is dead, and when the SOC is told.
func measureSilence(ctx context.Context, b *benchRun) (err error) {
	if err := b.connected(ctx); err != nil {
		return err
	}
	if b.Idle, err = b.alarms(ctx, max(1, b.n/5), oftenRate); err != nil {
		return fmt.Errorf("idle: %w", err)
	}
	each := int(silenceFor.Seconds() * oftenRate)
	var told []time.Duration
	for left := b.n; left > 0; left -= each {
		if err := wait(ctx, benchWarm); err != nil { // so that both paths are up
			return err
		}
		b.set(0, func(t *link.Traits) { t.Down = true })
		cut := b.clock.Now().Mono
		ss, err := b.alarms(ctx, min(left, each), oftenRate)
		if err != nil {
			return fmt.Errorf("while the path is dead: %w", err)
		}
		b.Loaded = append(b.Loaded, ss...)
		at, err := b.watch.since(ctx, "path-lost", cut, time.Minute)
		if err != nil {
			return err
		}
		told = append(told, at-cut)
		b.set(0, func(t *link.Traits) { t.Down = false })
		if _, err := b.watch.since(ctx, "path-lost-restored", at, 2*time.Minute); err != nil {
			return err
		}
	}
	worst := slices.Max(told)
	b.Note = fmt.Sprintf("path-lost at the SOC after %.1f s (worst of %d), heartbeats are %v", worst.Seconds(), len(told), heartbeat)
	if worst > 3*heartbeat {
		b.Missed = append(b.Missed, fmt.Sprintf("path-lost after %.1f s, goal %v", worst.Seconds(), 3*heartbeat))
	}
	if p99 := quantile(b.Loaded, 0.99); p99 > silenceGoal {
		b.Missed = append(b.Missed, fmt.Sprintf("p99 %s ms, goal %s ms", ms(p99), ms(silenceGoal)))
	}
	return nil
}
