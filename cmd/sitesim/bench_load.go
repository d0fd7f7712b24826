package main

import (
	"cmp"
	"context"
	"fmt"

	"sitewatch/cmd/sitesim/link"
)

// measureLoad takes the alarms on the idle link and then behind clips.
func measureLoad(ctx context.Context, b *benchRun) (err error) {
	if err := b.connected(ctx); err != nil {
		return err
	}
	rate := cmp.Or(b.Row.Rate, alarmRate)
	if b.Idle, err = b.alarms(ctx, b.n, rate); err != nil {
		return fmt.Errorf("idle: %w", err)
	}
	if err := b.load(ctx, float64(b.n)/rate); err != nil {
		return err
	}
	from, err := b.uploaded(ctx)
	if err != nil {
		return err
	}
	began := b.clock.Now().Mono
	if b.Loaded, err = b.alarms(ctx, b.n, rate); err != nil {
		return fmt.Errorf("loaded: %w", err)
	}
	to, err := b.uploaded(ctx)
	b.Bulk = (to - from) / (b.clock.Now().Mono - began).Seconds()
	return err
}

// set gives a line of the bench other traits in both directions.
func (b *benchRun) set(line int, f func(*link.Traits)) {
	b.pair.Change(line, link.A, f)
	b.pair.Change(line, link.B, f)
}
