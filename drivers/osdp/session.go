package osdp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

// quietAfter is how long a frame may stop in its middle: more than USB adapters and networks hold bytes back.
const quietAfter = 100 * time.Millisecond

// errClosed ends the conversation when the port has failed; the port's own error says why.
var errClosed = errors.New("osdp: the port is closed")

// session is the bus: one command at a time, to whichever device is due.
type session struct {
	o      panel.SessionOptions
	c      config
	random io.Reader

	port    panel.Port
	sink    panel.Sink
	in      <-chan panel.Chunk
	col     collector
	devices []*device
	opened  edge.Stamp
	char    time.Duration // one character on the line
	busy    time.Duration // when the line was last known to be in use
	probe   time.Duration // not before then is a lost device asked
	failing bool          // the sink refused the last signal
}

func newSession(c config, o panel.SessionOptions, random io.Reader) *session {
	s := &session{o: o, c: c, random: random}
	if s.o.Baud <= 0 {
		s.o.Baud = defaultBaud
	}
	s.char = 10 * time.Second / time.Duration(s.o.Baud)
	return s
}

func (s *session) now() time.Duration { return s.o.Clock.Now().Mono }

// Run polls until ctx ends or the port fails.
func (s *session) Run(ctx context.Context, port panel.Port, sink panel.Sink) error {
	s.port, s.sink, s.opened = port, sink, s.o.Clock.Now()
	now := s.opened.Mono
	s.devices = nil
	for _, c := range s.c.devices {
		s.devices = append(s.devices, &device{deviceConfig: c, good: now, due: now, wait: firstWait})
	}
	return panel.RunPump(ctx, port, s.o.Clock, func(ctx context.Context, in <-chan panel.Chunk) error {
		s.in = in
		if err := s.talk(ctx); !errors.Is(err, errClosed) {
			return err
		}
		return nil
	})
}

func (s *session) talk(ctx context.Context) error {
	for {
		if err := s.watch(ctx); err != nil {
			return err
		}
		d, until := s.pick()
		if d == nil || until > s.now() {
			if err := s.idle(ctx, until); err != nil {
				return err
			}
			continue
		}
		if err := s.step(ctx, d); err != nil {
			return err
		}
	}
}

// pick returns the device that is due first, and when; none when a loss is due before, or nothing for a second.
func (s *session) pick() (first *device, due time.Duration) {
	due = s.now() + time.Second
	for _, d := range s.devices {
		at := d.due
		if d.isLost() && d.stage == starting {
			at = max(at, s.probe)
		}
		if at < due {
			first, due = d, at
		}
		if loss := max(d.good+offline, d.again); !d.isLost() && loss < due {
			first, due = nil, loss
		}
	}
	return first, due
}

// idle waits until then. Nothing is asked, so what arrives is no answer: late, or not for us.
func (s *session) idle(ctx context.Context, until time.Duration) error {
	t := time.NewTimer(until - s.now())
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c, ok := <-s.in:
			if !ok {
				return errClosed
			}
			s.unasked(&c)
		case <-t.C:
			return nil
		}
	}
}

func (s *session) unasked(c *panel.Chunk) {
	s.busy = c.At.Mono
	s.noise(c.N)
}

func (s *session) noise(n int) {
	if n > 0 {
		s.o.Meter.Noise(n)
	}
}

// step sends the device's command, or sends it again, and handles the answer.
func (s *session) step(ctx context.Context, d *device) error {
	if d.isLost() && d.stage == starting {
		s.probe = s.now() + probeGap
	}
	if len(d.out) == 0 {
		if d.stage == challenge {
			if _, err := io.ReadFull(s.random, d.random[:]); err != nil {
				return fmt.Errorf("osdp: a random challenge: %w", err)
			}
		}
		if err := d.build(); err != nil {
			return err
		}
	}
	if err := s.clear(ctx); err != nil {
		return err
	}
	began := s.now()
	if _, err := s.port.Write(d.out); err != nil {
		return fmt.Errorf("ask device %d: %w", d.address, err)
	}
	sent := began + time.Duration(len(d.out))*s.char
	s.busy = sent
	r, at, err := s.await(ctx, d, sent)
	switch {
	case err != nil:
		return err
	case r.raw == nil:
		s.noise(s.col.reset())
		d.failed(s.now())
		return nil
	}
	return s.handle(ctx, d, r, at, began)
}

// clear drops what nobody asked for and waits until the line has been idle for two characters.
func (s *session) clear(ctx context.Context) error {
	for len(s.in) > 0 {
		c, ok := <-s.in
		if !ok {
			return errClosed
		}
		s.unasked(&c)
	}
	s.noise(s.col.reset())
	if free := s.busy + 2*s.char; free > s.now() {
		return s.idle(ctx, free)
	}
	return nil
}

// await waits for the answer to the device's command; r.raw is nil when none came.
func (s *session) await(ctx context.Context, d *device, sent time.Duration) (r found, at edge.Stamp, err error) {
	begin := sent + s.c.timeout
	end := begin + maxFrame*s.char // a babbling line does not hold us for ever
	t := time.NewTimer(begin - s.now())
	defer t.Stop()
	for quiet, spoilt := false, false; ; {
		for {
			r, ok := s.col.next(quiet)
			s.count(r)
			if !ok {
				break
			}
			if d.answers(r.frame) {
				return r, at, nil
			}
		}
		if quiet {
			return found{}, at, nil
		}
		if spoilt {
			s.noise(s.col.reset() + 1)
		}
		select {
		case <-ctx.Done():
			return found{}, at, ctx.Err()
		case c, ok := <-s.in:
			if !ok {
				return found{}, at, errClosed
			}
			at, s.busy = c.At, c.At.Mono
			b := c.Bytes()
			if spoilt = c.Bad; spoilt {
				b = b[:len(b)-1] // often a glitch behind the frame, when the device lets the line go
			}
			s.noise(s.col.push(b))
			now := s.now()
			t.Reset(min(max(begin, now+quietAfter), end) - now)
		case <-t.C:
			quiet = true
		}
	}
}

func (s *session) count(r found) {
	for range r.rejects {
		s.o.Meter.Reject()
	}
	s.noise(r.noise)
}

// watch tells of devices that have given no valid answer for too long.
func (s *session) watch(ctx context.Context) error {
	now := s.o.Clock.Now()
	for _, d := range s.devices {
		if d.isLost() || now.Mono-d.good < offline || now.Mono < d.again {
			continue
		}
		why := d.reason
		if why == "" {
			why = fmt.Sprintf("it has not answered for %v", offline)
		}
		ok, err := s.signal(ctx, edge.Signal{
			Kind: edge.KindDeviceLost, State: true, Zone: d.part("device"), Text: fmt.Sprintf("OSDP device %d: %s", d.address, why),
			At: now, Opened: s.opened, Raw: append([]byte{}, d.out...),
		})
		if err != nil {
			return err
		}
		if !ok {
			d.again = now.Mono + holdWait
			continue
		}
		s.o.Log.Warn("OSDP device lost", "address", d.address, "err", why)
		d.lost, d.points = active, points{}
		d.restart(now.Mono)
	}
	return nil
}

// signal stores sigs. Without the store nothing goes on: ok is false, and the signals come again.
func (s *session) signal(ctx context.Context, sigs ...edge.Signal) (ok bool, err error) {
	if err := s.sink.Signal(ctx, sigs...); err != nil {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if !s.failing {
			s.o.Log.Error("a signal could not be stored; the device keeps it and is asked again", "err", err)
		}
		s.failing = true
		s.o.Meter.Unacked()
		return false, nil
	}
	if s.failing {
		s.o.Log.Info("signals can be stored again")
	}
	s.failing = false
	return true, nil
}
