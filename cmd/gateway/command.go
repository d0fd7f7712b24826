package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/local"
)

// Bounds of a clip that the SOC asks for. One that ends later would take a cutter's place from an alarm's clip for too long.
const (
	askedSpan  = 10 * time.Minute
	askedAhead = 5 * time.Minute
)

// command does what the SOC asks for. It is on disk before it is done and again with its outcome: a repeated id gets the
// first outcome, and what a crash cut short is unknown and not tried again.
func (b *box) command(ctx context.Context, c edge.Command) (edge.CommandState, string) {
	fresh, prior, err := b.journal.CommandBegin(ctx, c)
	if err != nil {
		b.log.Error("a command of the SOC is not journalled and not done", "command", c.ID, "err", err)
		return edge.CommandFailed, "the box cannot journal it: " + err.Error()
	}
	if !fresh {
		if prior.State == edge.CommandSent { // begun by this run and never ended: its end could not be journalled
			return edge.CommandUnknown, "the box could not journal how it ended"
		}
		return prior.State, prior.Outcome
	}
	fact, clips := b.do(ctx, c)
	if err := b.journal.CommandEndClips(ctx, fact, clips); err != nil {
		b.log.Error("the outcome of a command is not journalled", "command", c.ID, "err", err)
		return edge.CommandUnknown, "the box could not journal how it ended"
	}
	b.log.Info("did a command of the SOC", "command", c.ID, "kind", c.Kind, "state", fact.State)
	return fact.State, fact.Outcome
}

// do returns the outcome, and the clips to be cut: asking for them is part of journalling the end.
func (b *box) do(ctx context.Context, c edge.Command) (edge.CommandFact, []edge.ClipRef) {
	now := b.clock.Now()
	fact := func(s edge.CommandState, outcome string) edge.CommandFact {
		return edge.CommandFact{ID: c.ID, State: s, Outcome: outcome}
	}
	// A box that does not know the time cannot tell: the SOC sends nothing that has expired by its own clock.
	if now.ClockState() != edge.ClockUnset && now.Wall.After(c.Expires) {
		return fact(edge.CommandExpired, "it reached the box after it had expired"), nil
	}
	switch c.Kind {
	case "status":
		st, err := b.status(ctx)
		if err != nil {
			return fact(edge.CommandFailed, err.Error()), nil
		}
		return fact(edge.CommandDone, summary(st)), nil
	case "clip":
		if problem := b.askedWrong(c, now.Wall); problem != "" {
			return fact(edge.CommandFailed, problem), nil
		}
		if now.Wall.Sub(c.To) < askedTime {
			b.grades.Ask(c.Camera)
		}
		ref := edge.ClipRef{ID: edge.ClipID(edge.NewID()), Camera: c.Camera, From: c.From.UTC(), To: c.To.UTC()}
		return fact(edge.CommandDone, "clip "+string(ref.ID)), []edge.ClipRef{ref}
	}
	return fact(edge.CommandFailed, fmt.Sprintf("this box knows no command %q", c.Kind)), nil
}

// askedWrong says why a clip cannot be cut, "" when it can.
func (b *box) askedWrong(c edge.Command, now time.Time) string {
	known := false
	for _, cam := range b.cfg.Cameras {
		known = known || cam.ID == c.Camera
	}
	if !known && b.cutter != nil { // of one that had another id, or is there no more, the disk may have pictures yet
		_, known = b.cutter.Oldest(c.Camera)
	}
	switch {
	case !known:
		return fmt.Sprintf("the site has no camera %q", c.Camera)
	case !c.From.Before(c.To) || c.To.Sub(c.From) > askedSpan:
		return fmt.Sprintf("the span is empty or longer than %s", askedSpan)
	case c.To.Sub(now) > askedAhead:
		return fmt.Sprintf("the span ends %s from now, more than %s", c.To.Sub(now).Round(time.Second), askedAhead)
	}
	return ""
}

// summary is a status in a few sentences: what is well is counted, what is not is named.
func summary(st local.Status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "version %s; clock %s; journal at %d, %d urgent and %d routine waiting; %d MB of disk free",
		st.Version, st.Clock.State, st.Journal.LastSeq, st.Journal.Waiting["urgent"], st.Journal.Waiting["routine"], st.Disk.FreeBytes>>20)
	count := func(what string, n int, bad []string) {
		fmt.Fprintf(&b, "; %s: %d of %d connected", what, n-len(bad), n)
		if len(bad) > 0 {
			b.WriteString(", not " + strings.Join(bad, ", "))
		}
	}
	var bad []string
	for _, p := range st.Panels {
		if p.State != local.StateConnected {
			bad = append(bad, string(p.ID)+": "+p.Reason)
		}
	}
	count("panels", len(st.Panels), bad)
	bad = nil
	for _, c := range st.Cameras {
		if c.State != local.StateConnected {
			bad = append(bad, string(c.ID)+": "+c.Reason)
		}
	}
	count("cameras", len(st.Cameras), bad)
	return b.String()
}
