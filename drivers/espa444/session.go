package espa444

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

const (
	// ackWindow is how old a block may be when it is acknowledged. The standard leaves the sender's patience to the sender;
	// panels wait 1 to 3 s. A later ACK could be taken for that of another block, which we may not have stored.
	ackWindow = 2 * time.Second
	// prompt is how old anything may be that is answered although more has come since, and a poll or a selection in any case:
	// so soon, the sender cannot have given up and said it again.
	prompt = 500 * time.Millisecond
	// proofWindow is how soon after our ACK an EOT proves that the panel has it. A panel that missed it would wait and send
	// the block again, and an EOT after the last of its tries proves nothing.
	proofWindow = 700 * time.Millisecond
	// refuseAfter is how long the line must be quiet before a block that failed is refused: four characters at 300 baud, and
	// more than USB adapters and networks hold bytes back.
	refuseAfter = 150 * time.Millisecond
	// tornAfter is how long a block may stop in its middle.
	tornAfter = 500 * time.Millisecond
)

// session is one conversation.
type session struct {
	o     panel.SessionOptions
	rules *rules

	port   panel.Port
	sink   panel.Sink
	col    collector
	turn   turn
	held   held
	opened edge.Stamp

	firstKey []byte // of the first block since the port was opened
	first    bool   // nothing but that block has come
	acked    bool   // the last block was stored and acknowledged, at ackedAt, and nothing has come since
	ackedAt  edge.Stamp
	failing  bool // the sink refused the last signal
	warned   bool // that the panel speaks to another station
}

func newSession(s *panel.Settings, o panel.SessionOptions) panel.Session {
	own, r := readSettings(s)
	return &session{o: o, rules: r, turn: newTurn(own)}
}

// Run answers polls and takes blocks until ctx ends or the port fails.
func (s *session) Run(ctx context.Context, port panel.Port, sink panel.Sink) error {
	s.port, s.sink, s.opened = port, sink, s.o.Clock.Now()
	return panel.RunPump(ctx, port, s.o.Clock, s.talk)
}

func (s *session) talk(ctx context.Context, in <-chan panel.Chunk) error {
	quiet := time.NewTimer(tornAfter)
	defer quiet.Stop()
	again := time.NewTimer(retryEvery)
	defer again.Stop()
	again.Stop()
	retrying := false // again is set: what arrives must not put it off
	for {
		if !retrying && !s.held.empty() {
			again.Reset(retryEvery)
			retrying = true
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c, ok := <-in:
			if !ok {
				return nil
			}
			if err := s.receive(ctx, in, &c); err != nil {
				return err
			}
			s.wait(quiet)
		case <-quiet.C:
			if len(in) > 0 {
				continue // it was the commit that took so long, not the line that was quiet; the next chunk sets the timer
			}
			if err := s.quiet(ctx); err != nil {
				return err
			}
			s.wait(quiet)
		case <-again.C:
			retrying = false
			if err := s.retry(ctx, len(in) > 0); err != nil {
				return err
			}
		}
	}
}

// wait sets the timer for what the silence of the line will end.
func (s *session) wait(quiet *time.Timer) {
	switch s.col.state {
	case failed:
		quiet.Reset(refuseAfter)
	case inside:
		quiet.Reset(tornAfter)
	default:
		if s.col.prev != 0 {
			quiet.Reset(tornAfter)
			return
		}
		quiet.Stop()
	}
}

// receive takes in one chunk.
func (s *session) receive(ctx context.Context, in <-chan panel.Chunk, c *panel.Chunk) error {
	b := c.Bytes()
	for i, v := range b {
		t := s.col.push(v, c.Bad && i == len(b)-1)
		if err := s.handle(ctx, t, c.At, func() bool { return i < len(b)-1 || len(in) > 0 }); err != nil {
			return err
		}
	}
	if n := s.col.drained(); n > 0 {
		s.o.Meter.Noise(n)
	}
	return nil
}

// quiet does what is due when the line has gone quiet.
func (s *session) quiet(ctx context.Context) error {
	ended, rest := s.col.quiet()
	rest = bytes.Clone(rest)
	if n := s.col.drained(); n > 0 {
		s.o.Meter.Noise(n)
	}
	now := s.o.Clock.Now()
	for _, v := range rest {
		if err := s.handle(ctx, s.col.push(v, false), now, func() bool { return false }); err != nil {
			return err
		}
	}
	if ended == none {
		return nil
	}
	s.o.Meter.Reject()
	if !s.turn.waits(ended) {
		return nil
	}
	return s.write(badBlock, NAK)
}

// handle does what a token asks for. more says whether anything has come since.
func (s *session) handle(ctx context.Context, t token, at edge.Stamp, more func() bool) error {
	switch t.kind {
	case tokenNone:
		return nil
	case tokenACK:
		s.turn.ack()
		return nil
	}
	s.held.owed = false // the panel waits no longer
	switch t.kind {
	case tokenEOT:
		if s.turn.end(at) {
			s.settled(ctx, at)
		}
	case tokenENQ:
		s.o.Meter.Frame(at)
		a := s.turn.enq(t.addr, at)
		if a == giveBack {
			s.settled(ctx, at)
		}
		if a == nothing || over(s.o.Clock.Now(), at, prompt) {
			return nil // a late answer could be taken for that to a block
		}
		return s.write(byte(a))
	case tokenBlock:
		s.o.Meter.Frame(at)
		if !s.turn.block(at) {
			if !s.warned {
				s.o.Log.Warn("the panel sends its messages to another station; give it our address if it shall reach the box",
					"station", string(rune(s.turn.with)), "ours", string(rune(s.turn.own)))
			}
			s.warned = true
			return nil
		}
		return s.block(ctx, t, at, more)
	}
	return nil
}

// block stores what a block says, and then acknowledges it.
func (s *session) block(ctx context.Context, t token, at edge.Stamp, more func() bool) error {
	sig, purpose := signalOf(s.rules, t.frame, t.raw, at)
	s.acked = false
	if purpose == asks {
		return s.answer(at, more(), ACK) // we never have a status to tell
	}
	sig.First, sig.Opened = s.isFirst(sig.Key), s.opened
	if err := s.store(ctx, sig); err != nil {
		return err
	}
	switch {
	case s.failing:
		s.held.add(sig)
		return nil
	case purpose == blank:
		return s.answer(at, more(), useless, NAK)
	}
	s.acked = true
	return s.answer(at, more(), ACK)
}

// store hands a signal to the sink; failing is then whether that went wrong. The error is that of ctx.
func (s *session) store(ctx context.Context, sig edge.Signal) error {
	err := s.sink.Signal(ctx, sig)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && !s.failing:
		s.o.Log.Error("a signal could not be stored and is not acknowledged; it is tried again", "err", err)
	case err == nil && s.failing:
		s.o.Log.Info("signals can be stored again")
	}
	s.failing = err != nil
	if err == nil {
		s.held.stored(sig.Key)
		edge.Crash("stored before panel ack")
	}
	return nil
}

// answer answers the block that came at the stamp, unless it is too late for that: the panel then sends it again.
func (s *session) answer(at edge.Stamp, more bool, b ...byte) error {
	now := s.o.Clock.Now()
	if over(now, at, ackWindow) || more && over(now, at, prompt) {
		s.acked = false
		s.o.Meter.Unacked()
		return nil
	}
	s.ackedAt = now
	return s.write(b...)
}

// isFirst says whether no block but this very one has come since the port was opened.
func (s *session) isFirst(key []byte) bool {
	if s.firstKey == nil {
		s.firstKey, s.first = key, true
	} else if !bytes.Equal(s.firstKey, key) {
		s.first = false
	}
	return s.first
}

// settled tells the sink that the panel has our acknowledgement: the same block again is news.
func (s *session) settled(ctx context.Context, at edge.Stamp) {
	if !s.acked {
		return
	}
	s.acked = false
	if d, ok := at.Since(s.ackedAt); !ok || d < 0 || d > proofWindow {
		return
	}
	s.first = false
	if err := s.sink.Settle(ctx); err != nil && !errors.Is(err, context.Canceled) {
		s.o.Log.Warn("cannot note that the panel has our acknowledgement", "err", err)
	}
}

// Why a block is refused.
const (
	badBlock = '1' // transmission error
	busy     = '2' // it cannot be stored now
	useless  = '3' // nothing can be read in it
)

// write sends with the sender's kind of eighth bit.
func (s *session) write(b ...byte) error {
	if s.col.parity {
		for i := range b {
			b[i] = evenParity(b[i])
		}
	}
	if _, err := s.port.Write(b); err != nil {
		return fmt.Errorf("answer the panel: %w", err)
	}
	return nil
}
