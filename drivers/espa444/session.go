package espa444

import (
	"bytes"
	"context"
	"time"

	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

const (
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
	last   edge.Stamp // of the last bytes
	due    due
	before time.Duration // an answer, how long the line must be quiet

	firstKey []byte // of the first block since the port was opened
	first    bool   // nothing but that block has come
	acked    bool   // the last block was stored and acknowledged, at ackedAt, and nothing has come since
	ackedAt  edge.Stamp
	failing  bool // the sink refused the last signal
	warned   bool // that the panel speaks to another station
}

func newSession(s *panel.Settings, o panel.SessionOptions) panel.Session {
	own, r := readSettings(s)
	n := &session{o: o, rules: r, turn: newTurn(own), before: turnaround}
	if o.Baud > 0 {
		n.before += 22 * time.Second / time.Duration(o.Baud) // 11 bits each
	}
	return n
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
	answer := time.NewTimer(s.before)
	defer answer.Stop()
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
			if err := s.receive(ctx, &c); err != nil {
				return err
			}
			s.wait(quiet)
			answer.Reset(s.before)
		case <-quiet.C:
			if len(in) > 0 {
				continue // it was the commit that took so long, not the line that was quiet; the next chunk sets the timer
			}
			if err := s.quiet(ctx); err != nil {
				return err
			}
			s.wait(quiet)
			answer.Reset(s.before)
		case <-answer.C:
			if len(in) > 0 {
				continue // what has come since calls the answer off
			}
			if err := s.send(); err != nil {
				return err
			}
		case <-again.C:
			retrying = false
			if err := s.retry(ctx, in); err != nil {
				return err
			}
		}
	}
}

// wait sets the timer for what the silence of the line will end.
func (s *session) wait(quiet *time.Timer) {
	switch s.col.state {
	case failed, odd:
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
func (s *session) receive(ctx context.Context, c *panel.Chunk) error {
	b := c.Bytes()
	s.last = c.At
	for i, v := range b {
		noise := s.col.noise
		t := s.col.push(v, c.Bad && i == len(b)-1)
		if s.col.noise == noise {
			s.callOff() // a stray byte, as when the sender lets go of a pair of wires, does not
		}
		if err := s.handle(ctx, t, c.At); err != nil {
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
	ended, t, rest := s.col.quiet()
	rest = bytes.Clone(rest)
	if n := s.col.drained(); n > 0 {
		s.o.Meter.Noise(n)
	}
	if err := s.handle(ctx, t, s.last); err != nil {
		return err
	}
	now := s.o.Clock.Now()
	for _, v := range rest {
		s.callOff()
		if err := s.handle(ctx, s.col.push(v, false), now); err != nil {
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

// handle does what a token asks for.
func (s *session) handle(ctx context.Context, t token, at edge.Stamp) error {
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
		if a != nothing {
			s.due = due{b: []byte{byte(a)}, at: at, window: turnWindow}
		}
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
		return s.block(ctx, t, at)
	}
	return nil
}

// block stores what a block says; then it may be acknowledged.
func (s *session) block(ctx context.Context, t token, at edge.Stamp) error {
	sig, purpose := signalOf(s.rules, t.frame, t.raw, at)
	s.acked = false
	if purpose == asks {
		s.due = due{b: []byte{ACK}, at: at, window: ackWindow} // we never have a status to tell
		return nil
	}
	sig.First, sig.Opened = s.isFirst(sig.Key), s.opened
	if err := s.store(ctx, sig); err != nil {
		return err
	}
	switch {
	case s.failing:
		s.held.add(sig)
	case purpose == blank:
		s.due = due{b: []byte{useless, NAK}, at: at, window: ackWindow}
	default:
		s.due = due{b: []byte{ACK}, at: at, window: ackWindow, stored: true}
	}
	return nil
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
	}
	return nil
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
