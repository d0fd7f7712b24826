package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/drivers/galaxy"
	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

// Habits of the real panel (SIA DC-03).
const (
	panelPatience = 2500 * time.Millisecond // for an acknowledgement
	panelTries    = 4
	panelRetry    = 3 * time.Second // between attempts when communication has failed
)

// panelOptions of a fake Galaxy.
type panelOptions struct {
	Link    string // where the path to the panel's pty appears, as a symlink
	Baud    int    // the bytes are paced as this speed would
	Level   int    // SIA level: from 3 on the panel sends text
	Account string
	State   string // file that keeps what is not acknowledged yet; "" keeps it in memory only
	Faults  panelFaults
	Clock   edge.Clock
	Where   *time.Location // of the panel's own clock
	Log     *slog.Logger
	// Acked is told of each event that the other side has acknowledged, after the state file knows it. It may be nil.
	Acked func(panelEvent)
}

// panelCounts is what a fake panel has done.
type panelCounts struct {
	Raised, Acked, Blocks, Rejected, Unanswered uint64
	Waiting                                     int  // events not acknowledged
	Failing                                     bool // nobody answers: it buffers
}

// galaxyPanel is a small working Galaxy on a pty of its own: it has a queue of events, sends each as an account block, an
// event block and a text block, waits for the acknowledgement of each, repeats what is not answered, and after four tries
// buffers and comes back every few seconds with O blocks. Unlike a real one it does not report its own failure (YC).
type galaxyPanel struct {
	o    panelOptions
	line *panelLine
	bad  *badLine

	mu     sync.Mutex
	queue  panelQueue
	counts panelCounts
	more   chan struct{} // capacity 1: something was raised
}

// newGalaxyPanel reads the state file. Run opens the pty.
func newGalaxyPanel(o panelOptions) (*galaxyPanel, error) {
	if o.Baud == 0 {
		o.Baud = 9600
	}
	if o.Account == "" {
		o.Account = "012345"
	}
	if o.Where == nil {
		o.Where = time.UTC
	}
	q, err := loadPanelQueue(o.State)
	if err != nil {
		return nil, fmt.Errorf("panel state: %w", err)
	}
	return &galaxyPanel{o: o, queue: q, bad: newBadLine(o.Faults), more: make(chan struct{}, 1)}, nil
}

// Raise makes the panel say something. It is on disk, when there is a state file, before Raise returns.
func (p *galaxyPanel) Raise(code, zone, partition, user, text string) error {
	now := p.o.Clock.Now().Wall.In(p.o.Where)
	ev := panelEvent{Code: code, Zone: zone, Partition: partition, User: user, Text: text, At: now}
	if _, err := ev.block(false, p.o.Level); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.queue.add(ev); err != nil {
		return fmt.Errorf("raise %s: %w", code, err)
	}
	p.counts.Raised++
	select {
	case p.more <- struct{}{}:
	default:
	}
	return nil
}

// Counts returns what the panel has done so far.
func (p *galaxyPanel) Counts() panelCounts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts
	c.Waiting = len(p.queue.Events)
	return c
}

// Run is the panel, until ctx ends.
func (p *galaxyPanel) Run(ctx context.Context) error {
	return p.runOn(ctx, func(ctx context.Context) error {
		for ctx.Err() == nil {
			p.mu.Lock()
			ev, ok := p.queue.first()
			failing := p.counts.Failing
			p.mu.Unlock()
			if !ok {
				select {
				case <-ctx.Done():
				case <-p.more:
				}
				continue
			}
			err := p.deliver(ctx, ev, failing)
			switch {
			case ctx.Err() != nil:
				return nil
			case errors.Is(err, errUnanswered):
				if !failing {
					p.o.Log.Warn("nobody answers the panel; it buffers", "code", ev.Code, "err", err)
				}
				p.mu.Lock()
				p.counts.Failing = true
				p.queue.age() // all that waits is sent as O from now on
				p.mu.Unlock()
				pause(ctx, panelRetry)
			case err != nil:
				return err
			}
		}
		return nil
	})
}

// Play plays a .wire script once: what it says is received from the panel is sent, and the answers must be those of the
// script.
func (p *galaxyPanel) Play(ctx context.Context, tr panel.Transcript) error {
	return p.runOn(ctx, func(ctx context.Context) error {
		for _, s := range tr.Steps {
			switch s.Op {
			case panel.Receive:
				pause(ctx, s.Wait)
				if err := p.line.send(ctx, s.Bytes, p.o.Baud); err != nil {
					return err
				}
			case panel.Send:
				if err := p.line.expect(ctx, s.Bytes, panelPatience); err != nil {
					return fmt.Errorf("line %d: %w", s.Line, err)
				}
			}
		}
		return nil
	})
}

// runOn opens the pty for talk and closes it behind it.
func (p *galaxyPanel) runOn(ctx context.Context, talk func(context.Context) error) error {
	line, err := openPanelLine(p.o.Link)
	if err != nil {
		return fmt.Errorf("panel's pty: %w", err)
	}
	line.bad = p.bad
	p.line = line
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return line.runReader(ctx) })
	g.Go(func() error {
		<-ctx.Done() // a write to a line that nobody reads must end too
		line.close()
		return nil
	})
	g.Go(func() error {
		if err := talk(ctx); err != nil {
			return err
		}
		return errTalked // ends the others
	})
	if err := g.Wait(); err != nil && !errors.Is(err, errTalked) && !errors.Is(err, context.Canceled) && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("panel: %w", err)
	}
	return nil
}

// errTalked: the conversation is over, in order.
var errTalked = errors.New("talked")

// errUnanswered: four tries and no acknowledgement.
var errUnanswered = errors.New("no acknowledgement")

// deliver sends one event's group.
func (p *galaxyPanel) deliver(ctx context.Context, ev panelEvent, failing bool) error {
	tries := panelTries
	if failing {
		tries = 1 // it only looks whether somebody is there again
	}
	if err := p.block(ctx, galaxy.Frame{Header: 0x40, FC: galaxy.FCAccount, Data: []byte(p.o.Account)}, tries); err != nil {
		return fmt.Errorf("account: %w", err)
	}
	f, err := ev.block(ev.Old, p.o.Level)
	if err != nil {
		return err
	}
	if err := p.block(ctx, f, panelTries); err != nil {
		return fmt.Errorf("event: %w", err)
	}
	p.mu.Lock()
	err = p.queue.drop(ev.ID) // on disk before the next block: what was acknowledged is never sent again
	p.counts.Acked++
	p.counts.Failing = false
	p.mu.Unlock()
	if err != nil {
		return err
	}
	if p.o.Acked != nil {
		p.o.Acked(ev)
	}
	if p.o.Level >= 3 {
		if err := p.block(ctx, ev.text(), panelTries); err != nil && !errors.Is(err, errUnanswered) {
			return fmt.Errorf("text: %w", err)
		}
	}
	return nil
}

// block sends one block until it is acknowledged.
func (p *galaxyPanel) block(ctx context.Context, f galaxy.Frame, tries int) error {
	b, err := f.AppendBinary(nil)
	if err != nil {
		return err
	}
	for try := range tries {
		p.count(func(c *panelCounts) { c.Blocks++ })
		p.line.discard(try > 0)
		if err := p.bad.send(ctx, p.line, b, p.o.Baud); err != nil {
			return err
		}
		fc, err := p.line.answer(ctx, panelPatience)
		switch {
		case err != nil:
			return err
		case fc == galaxy.FCAck || fc == galaxy.FCAltAck:
			if try+1 < tries && p.bad.hit(p.bad.now().Dup) {
				pause(ctx, panelPatience) // as if the acknowledgement had been lost on the way
				continue
			}
			return nil
		case fc == 0:
			p.count(func(c *panelCounts) { c.Unanswered++ })
		default:
			p.count(func(c *panelCounts) { c.Rejected++ })
		}
	}
	return errUnanswered
}

func (p *galaxyPanel) count(f func(*panelCounts)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.counts)
}

// pause waits, or ends with ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
