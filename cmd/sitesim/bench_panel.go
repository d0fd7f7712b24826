package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"sitewatch/drivers/galaxy"
	"sitewatch/edge"
)

// benchPanel is a panel that says one alarm after another and knows when each left it.
type benchPanel struct {
	line    *panelLine
	clock   edge.Clock
	said    int   // alarms so far; each is by another user, so that none is taken for a repeat of one in the same minute
	repeats int64 // blocks said again

	mu   sync.Mutex
	sent map[string]*sample // by the block in hex
}

func newBenchPanel(link string, clock edge.Clock) (*benchPanel, error) {
	l, err := openPanelLine(link)
	if err != nil {
		return nil, fmt.Errorf("panel's pty: %w", err)
	}
	return &benchPanel{line: l, clock: clock, sent: map[string]*sample{}}, nil
}

// account begins a conversation; the gateway may take a moment to open the line.
func (p *benchPanel) account(ctx context.Context) error {
	b, err := galaxy.Frame{Header: 0x40, FC: galaxy.FCAccount, Data: []byte("012345")}.AppendBinary(nil)
	if err != nil {
		return err
	}
	before := p.repeats
	err = p.say(ctx, b, "")
	p.repeats = before // that it had to wait for the gateway says nothing
	return err
}

// alarm says the next alarm and returns when the box has acked it.
func (p *benchPanel) alarm(ctx context.Context) error {
	p.said++
	// A fire, for the fourth intruder alarm of one zone would be held in the routine lane.
	f, err := panelEvent{Code: "FA", Zone: "1011", User: fmt.Sprintf("%03d", p.said%1000), At: p.clock.Now().Wall}.block(false, 1)
	if err != nil {
		return err
	}
	b, err := f.AppendBinary(nil)
	if err != nil {
		return err
	}
	return p.say(ctx, b, hex.EncodeToString(b))
}

// say writes a block at once, as nothing of a serial line's own time is measured here, and waits for its ack. Like
// any panel it says a block again that is not answered, as when the box's disk takes seconds; its time counts from the first.
func (p *benchPanel) say(ctx context.Context, b []byte, key string) error {
	said := &sample{At: p.clock.Now().Mono}
	p.mu.Lock()
	p.sent[key] = said
	p.mu.Unlock()
	var fc galaxy.FC
	for try := range panelTries {
		if try > 0 {
			p.repeats++
		}
		p.line.discard(try > 0) // also a late ack of a block said twice
		if _, err := p.line.master.Write(b); err != nil {
			return err
		}
		var err error
		if fc, err = p.line.answer(ctx, panelPatience); err != nil {
			return err
		}
		if fc == galaxy.FCAck {
			break
		}
	}
	if fc != galaxy.FCAck {
		return fmt.Errorf("the box does not ack a block, said %d times", panelTries)
	}
	p.mu.Lock()
	said.Acked = p.clock.Now().Mono - said.At
	p.mu.Unlock()
	return nil
}

// arrived is the alarm with these raw bytes, which the SOC has told of now.
func (p *benchPanel) arrived(raw string, now time.Duration) (s sample, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	said, ok := p.sent[raw]
	if !ok || raw == "" {
		return s, false
	}
	s = *said
	s.Took = now - s.At
	return s, true
}

// randomly calls f n times at random, on average so often a second.
func randomly(ctx context.Context, n int, perSecond float64, seed uint64, f func(context.Context) error) error {
	rnd := rand.New(rand.NewPCG(seed, 2))
	t := time.NewTimer(0)
	defer t.Stop()
	for range n {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		}
		if err := f(ctx); err != nil {
			return err
		}
		t.Reset(time.Duration(rnd.ExpFloat64() / perSecond * float64(time.Second)))
	}
	return nil
}
