package modbus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

// session asks the slaves of one line in turn.
type session struct {
	o      panel.SessionOptions
	set    setting
	wire   *wire
	sink   panel.Sink
	blocks []*block
	opened edge.Stamp

	out     []said        // what the sink has not taken
	retry   time.Duration // not to be tried before, on the monotonic clock
	failing bool
	scratch []tri
}

// usualBaud is the speed of nearly all contact modules as they come.
const usualBaud = 9600

func newSession(s *panel.Settings, o panel.SessionOptions) *session {
	n := &session{o: o, set: readSettings(s)}
	if n.o.Baud == 0 {
		n.o.Baud = s.Int("baud", usualBaud)
	}
	for _, sl := range n.set.slaves {
		n.blocks = append(n.blocks, sl.blocks...)
	}
	return n
}

// Run asks until ctx ends or the port fails.
func (s *session) Run(ctx context.Context, port panel.Port, sink panel.Sink) error {
	s.sink, s.opened = sink, s.o.Clock.Now()
	s.wire = newWire(s.o, s.set.echo, s.o.Baud)
	s.wire.port = port
	return panel.RunPump(ctx, port, s.o.Clock, s.talk)
}

func (s *session) talk(ctx context.Context, in <-chan panel.Chunk) error {
	s.wire.in = in
	for {
		b, wait := s.next(s.wire.now())
		if b == nil {
			if _, err := s.wire.idle(ctx, s.shorter(wait)); err != nil {
				return ended(err)
			}
		} else if err := s.turn(ctx, b); err != nil {
			return ended(err)
		}
		if err := s.deliver(ctx); err != nil {
			return err
		}
	}
}

// ended leaves it to the pump to say why the line was closed.
func ended(err error) error {
	if errors.Is(err, errClosed) {
		return nil
	}
	return err
}

// shorter is wait, or less when something waits for the sink.
func (s *session) shorter(wait time.Duration) time.Duration {
	if len(s.out) > 0 {
		wait = min(wait, max(s.retry-s.wire.now(), time.Millisecond))
	}
	return wait
}

// turn asks for one block and takes in the answer.
func (s *session) turn(ctx context.Context, b *block) error {
	due := s.wire.now() + b.poll
	r, err := s.wire.ask(ctx, b.req, b.slave.timeout)
	if err != nil {
		return err
	}
	b.again = 0
	b.due = due
	switch {
	case r.fail != "":
		s.missed(b, r)
	case r.frame.Exception != 0:
		s.refused(b, r)
	default:
		s.read(b, r)
	}
	return nil
}

// read takes in an answer with data.
func (s *session) read(b *block, r reply) {
	s.answered(b, r)
	raw := []byte(nil)
	say := func(p *point, c *cond, is tri, text string) {
		if raw == nil {
			raw = bytes.Clone(r.raw)
		}
		sig := c.signal(p.zone, is, text)
		sig.At, sig.Raw, sig.Opened = r.at, raw, s.opened
		s.put(c, sig)
	}
	for _, p := range b.points {
		if cap(s.scratch) < len(p.conds) {
			s.scratch = make([]tri, len(p.conds))
		}
		now := s.scratch[:len(p.conds)]
		text := p.source.read(r.frame.Data, now)
		for i := range p.conds {
			c := &p.conds[i]
			if b.resay && c.now != unknown {
				say(p, c, c.now, "")
			}
			is, again := c.see(now[i], b.first, r.asked, b.debounce)
			for _, t := range is {
				say(p, c, t, text)
			}
			if again > 0 && (b.again == 0 || again < b.again) {
				b.again = again
			}
		}
	}
	b.first, b.resay = false, false
}

// said is a signal that the sink has not taken.
type said struct {
	of  *cond
	sig edge.Signal
}

// maxQueue is how many signals of one condition may wait for the sink. Above it one change and its return are dropped between
// the first and the last.
const maxQueue = 4

func (s *session) put(c *cond, sig edge.Signal) {
	if c.queue == maxQueue {
		dropped, skipped := 0, false
		keep := s.out[:0]
		for _, o := range s.out {
			if o.of == c && !skipped {
				skipped = true // the first one stays
			} else if o.of == c && dropped < 2 {
				dropped++
				continue
			}
			keep = append(keep, o)
		}
		clear(s.out[len(keep):])
		s.out = keep
		c.queue -= dropped
	}
	c.queue++
	s.out = append(s.out, said{c, sig})
}

const (
	maxBatch   = 64
	retryAfter = 500 * time.Millisecond
)

// deliver brings what waits to the sink. What the sink does not take waits on: a slave says a change only as long as it lasts.
func (s *session) deliver(ctx context.Context) error {
	for len(s.out) > 0 && s.wire.now() >= s.retry {
		n := s.batch()
		sigs := make([]edge.Signal, n)
		for i, o := range s.out[:n] {
			sigs[i] = o.sig
		}
		if err := s.sink.Signal(ctx, sigs...); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if !s.failing {
				s.o.Log.Error("signals could not be stored; they are kept and tried again", "err", err)
			}
			s.failing, s.retry = true, s.wire.now()+retryAfter
			return nil
		}
		if s.failing {
			s.o.Log.Info("signals can be stored again")
		}
		s.failing = false
		for _, o := range s.out[:n] {
			o.of.queue--
		}
		rest := copy(s.out, s.out[n:])
		clear(s.out[rest:])
		s.out = s.out[:rest]
	}
	return nil
}

// batch is how many of what waits go in one transaction: a condition is in it once only, so that each of its changes is
// compared with what is stored before it.
func (s *session) batch() int {
	for n, o := range s.out {
		if n == maxBatch {
			return n
		}
		for _, before := range s.out[:n] {
			if before.of == o.of {
				return n
			}
		}
	}
	return len(s.out)
}

func lostText(sl *slave) string {
	return fmt.Sprintf("Modbus slave %d (%s): %s", sl.addr, sl.profile, sl.why)
}
