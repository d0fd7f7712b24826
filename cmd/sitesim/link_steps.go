package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"sitewatch/cmd/sitesim/link"
)

// linkStep is a change of a link at a time after its start.
type linkStep struct {
	at     time.Duration
	change string
}

// parseSteps reads "30s down", and so on, into their order.
func parseSteps(lines []string) (steps []linkStep, err error) {
	for _, l := range lines {
		when, change, ok := strings.Cut(strings.TrimSpace(l), " ")
		at, err := time.ParseDuration(when)
		if !ok || err != nil || at < 0 {
			return nil, fmt.Errorf("--at %q: write a time and a change, for example '30s down' or '1m30s rate 256kbit'", l)
		}
		if _, _, err := parseChange(change); err != nil {
			return nil, fmt.Errorf("--at %q: %w", l, err)
		}
		steps = append(steps, linkStep{at, change})
	}
	slices.SortStableFunc(steps, func(a, b linkStep) int { return cmp.Compare(a.at, b.at) })
	return steps, nil
}

// runSteps makes the changes when their time has come.
func runSteps(ctx context.Context, p *link.Pair, steps []linkStep, log io.Writer) error {
	var now time.Duration
	for _, s := range steps {
		if wait(ctx, s.at-now) != nil {
			return nil
		}
		now = s.at
		if err := changeLink(p, s.change, log); err != nil {
			return err
		}
	}
	return nil
}

// changeLink does what a line of input says.
func changeLink(p *link.Pair, line string, log io.Writer) error {
	if strings.TrimSpace(line) == "counts" {
		fmt.Fprint(log, linkCounts(p))
		return nil
	}
	sides, f, err := parseChange(line)
	if err != nil {
		return err
	}
	for _, s := range sides {
		p.Change(0, s, f)
	}
	fmt.Fprintln(log, "link:", line)
	return nil
}

// parseChange reads a change and in which directions it is meant.
func parseChange(line string) (sides []link.Side, change func(*link.Traits), err error) {
	w := strings.Fields(line)
	sides = []link.Side{link.A, link.B}
	if len(w) > 0 && (w[0] == "there" || w[0] == "back") {
		sides = sides[:1]
		if w[0] == "back" {
			sides[0] = link.B
		}
		w = w[1:]
	}
	switch {
	case len(w) == 1 && w[0] == "down":
		return sides, func(t *link.Traits) { t.Down = true }, nil
	case len(w) == 1 && w[0] == "up":
		return sides, func(t *link.Traits) { t.Down = false }, nil
	case len(w) != 2:
		return nil, nil, fmt.Errorf("%q is no change of a link; say 'rate 1mbit', 'delay 50ms', 'queue 64KiB', 'loss 1%%', 'down' or 'up'", line)
	}
	var t link.Traits
	var loss link.Share
	switch w[0] {
	case "rate":
		err = t.Rate.UnmarshalText([]byte(w[1]))
		change = func(l *link.Traits) { l.Rate = t.Rate }
	case "queue":
		err = t.Queue.UnmarshalText([]byte(w[1]))
		change = func(l *link.Traits) { l.Queue = t.Queue }
	case "loss":
		err = loss.UnmarshalText([]byte(w[1]))
		change = func(l *link.Traits) { l.Loss = float64(loss) }
	case "delay":
		t.Delay, err = time.ParseDuration(w[1])
		change = func(l *link.Traits) { l.Delay = t.Delay }
		if err == nil && t.Delay < 0 {
			err = fmt.Errorf("%q is before the packet was sent", w[1])
		}
	default:
		err = fmt.Errorf("%q is nothing that a link has; say rate, delay, queue or loss", w[0])
	}
	return sides, change, err
}
