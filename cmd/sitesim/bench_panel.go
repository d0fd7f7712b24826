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
	line  *panelLine
	clock edge.Clock
	said  int // alarms so far; each is by another user, so that none is taken for a repeat of one in the same minute

	mu   sync.Mutex
	sent map[string]time.Duration // by the block in hex: when its last byte was written
}

func newBenchPanel(link string, clock edge.Clock) (*benchPanel, error) {
	l, err := openPanelLine(link)
	if err != nil {
		return nil, fmt.Errorf("panel's pty: %w", err)
	}
	return &benchPanel{line: l, clock: clock, sent: map[string]time.Duration{}}, nil
}

// account begins a conversation; the gateway may take a moment to open the line.
func (p *benchPanel) account(ctx context.Context) error {
	b, err := galaxy.Frame{Header: 0x40, FC: galaxy.FCAccount, Data: []byte("012345")}.AppendBinary(nil)
	if err != nil {
		return err
	}
	for range 20 {
		if err = p.say(ctx, b, ""); err == nil || ctx.Err() != nil {
			return err
		}
		p.line.discard(true)
	}
	return fmt.Errorf("the gateway does not answer the panel: %w", err)
}

// alarm says the next alarm and returns when the box has acked it.
func (p *benchPanel) alarm(ctx context.Context) error {
	p.said++
	f, err := panelEvent{Code: "BA", Zone: "1011", User: fmt.Sprintf("%03d", p.said%1000), At: p.clock.Now().Wall}.block(false, 1)
	if err != nil {
		return err
	}
	b, err := f.AppendBinary(nil)
	if err != nil {
		return err
	}
	return p.say(ctx, b, hex.EncodeToString(b))
}

// say writes a block at once, as nothing of a serial line's own time is measured here, and waits for its ack.
func (p *benchPanel) say(ctx context.Context, b []byte, key string) error {
	p.mu.Lock()
	if key != "" {
		p.sent[key] = p.clock.Now().Mono
	}
	p.mu.Unlock()
	if _, err := p.line.master.Write(b); err != nil {
		return err
	}
	fc, err := p.line.answer(ctx, panelPatience)
	if err == nil && fc != galaxy.FCAck {
		err = fmt.Errorf("the answer to a block is %q, not an ack", fc)
	}
	return err
}

// when is when the alarm with these raw bytes was said.
func (p *benchPanel) when(raw string) (at time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok = p.sent[raw]
	return at, ok
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
