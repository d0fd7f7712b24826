package soc

import (
	"context"
	"fmt"
	"time"

	"sitewatch/edge"
)

// lookEvery is how often the lines are looked at, at most.
const lookEvery = 500 * time.Millisecond

// RunPresence tells of paths and sites that fall silent and of their return, until ctx ends. It is a task of its own beside
// Run. What it has told survives a restart.
func (s *Server) RunPresence(ctx context.Context) error {
	known, err := s.o.Ledger.Presence(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("presence: %w", err)
	}
	p := newPresence(s.o.Heartbeat)
	p.load(known, s.o.Clock.Now())
	for _, x := range p.sites {
		for name := range x.paths {
			s.hub.remember(x.id, x.name, name)
		}
	}
	look := time.NewTicker(min(lookEvery, s.o.Heartbeat/16))
	defer look.Stop()
	for {
		edge.Beat(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
		s.hub.heard(p.observe)
		now := s.o.Clock.Now()
		if away := now.Mono - p.last; p.last > 0 && away > p.beat {
			s.o.Log.Warn("the lines to the sites have not been looked at for a while; the sites get time to be heard again", "took", away)
		}
		if err := s.raise(ctx, p, p.step(now)); err != nil {
			return nil // ctx has ended: what is not told will be by the next run
		}
	}
}

// raise makes durable what the step has found out, and tries until the ledger takes it: a lost site must not be forgotten
// because the disk was full at that moment.
func (s *Server) raise(ctx context.Context, p *presence, x *plan) error {
	if len(x.Events)+len(x.Sites)+len(x.Paths)+len(x.Forget) == 0 {
		return nil
	}
	for tries := 0; ; tries++ {
		seqs, err := s.o.Ledger.Raise(ctx, x.Raising)
		if err == nil {
			if x.opens {
				p.opened(seqs[len(seqs)-1])
			}
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if tries%60 == 0 {
			s.o.Log.Error("the ledger does not take what the SOC has to say of its sites", "events", len(x.Events), "err", err)
		}
		edge.Beat(ctx)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, e := range x.Events {
		s.metrics.raised.WithLabelValues(string(e.Kind)).Inc()
		s.o.Log.Info("the SOC says", "site", e.Site, "kind", string(e.Kind), "why", e.Why)
	}
	for _, k := range x.Forget {
		s.hub.forget(k.Site, k.Name)
	}
	return nil
}
