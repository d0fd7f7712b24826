package galaxy

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
	// ackWindow is how old a block may be when it is acknowledged. The panel repeats after 2.5 s (DC-03); a later
	// acknowledgement could be taken for that of another block, which we may not have stored.
	ackWindow = 2 * time.Second
	// quietAfter is how long the line must be silent before a burst is judged as a whole: four characters at 300 baud, and
	// more than USB adapters and networks hold bytes back.
	quietAfter = 150 * time.Millisecond
	// flushAfter is how long a block may stop in its middle.
	flushAfter = 1500 * time.Millisecond
	// testMargin is what a panel's test may be late by beside a tenth of its period: retries, a clock that was put right.
	testMargin = 5 * time.Minute
)

// ErrEncrypted: the Ethernet module encrypts, so that nothing it says can be read.
var ErrEncrypted = edge.WithHint(
	fmt.Errorf("galaxy: the panel starts an encrypted session: %w", panel.ErrNotUnderstood),
	"switch encryption off in the panel's Ethernet module (menu 56, Ethernet, encryption)")

// session is one conversation: state of the section "state machine of the gateway receiver" of the protocol note.
type session struct {
	o           panel.SessionOptions
	ack, reject []byte

	port   panel.Port
	sink   panel.Sink
	col    collector
	opened edge.Stamp
	start  []byte // the first two bytes
	blocks bool   // a good block has come

	site     string // what the last account block said
	firstKey []byte // of the first event block since the port was opened
	first    bool   // nothing but that block has come
	settle   bool   // the last signal was acknowledged, and nothing has come since
	failing  bool   // the sink refused the last signal
	asker    *asker
	charset  charset
}

func newSession(s *panel.Settings, o panel.SessionOptions) panel.Session {
	form := AckForm(s.Choice("ack_form", string(Plain), string(AckReq), string(Alt)))
	ack, reject := form.frames()
	n := &session{o: o, asker: newAsker(readPolling(s)), charset: charset(s.Choice("charset", string(charsetNone), string(charsetSwedish)))}
	n.ack, _ = ack.AppendBinary(nil)       // without data it cannot be too long
	n.reject, _ = reject.AppendBinary(nil) // nor can this
	return n
}

// Run receives blocks until ctx ends or the port fails.
func (s *session) Run(ctx context.Context, port panel.Port, sink panel.Sink) error {
	s.port, s.sink, s.opened = port, sink, s.o.Clock.Now()
	return panel.RunPump(ctx, port, s.o.Clock, s.talk)
}

func (s *session) talk(ctx context.Context, in <-chan panel.Chunk) error {
	t := time.NewTimer(flushAfter)
	defer t.Stop()
	s.asker.start(s.o.Meter)
	defer s.asker.due.Stop()
	quiet := false // the timer is the second one: from quiet to flush
	for {
		if s.col.empty() {
			t.Stop()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c, ok := <-in:
			if !ok {
				return s.last(ctx)
			}
			if err := s.receive(ctx, &c); err != nil {
				return err
			}
			quiet = false
			t.Reset(quietAfter)
		case <-s.asker.due.C:
			if err := s.ask(ctx); err != nil {
				return err
			}
		case <-t.C:
			if len(in) > 0 {
				continue // it was the commit that took so long, not the line that was quiet; the next chunk sets the timer
			}
			if quiet {
				if err := s.flush(); err != nil {
					return err
				}
				continue
			}
			if err := s.judge(ctx); err != nil {
				return err
			}
			quiet = true
			t.Reset(flushAfter - quietAfter)
		}
	}
}

// receive takes in one chunk.
func (s *session) receive(ctx context.Context, c *panel.Chunk) error {
	b := c.Bytes()
	if n := 2 - len(s.start); n > 0 {
		s.start = append(s.start, b[:min(n, len(b))]...)
	}
	s.col.push(b, c.Bad)
	err := s.take(ctx, false, c.At)
	s.o.Meter.Noise(s.col.noise())
	return err
}

// take handles the blocks that are complete.
func (s *session) take(ctx context.Context, quiet bool, at edge.Stamp) error {
	for {
		f, ok := s.col.next(quiet, nil)
		if !ok {
			return nil
		}
		s.blocks = true
		if s.theirs(f.frame, f.raw) {
			s.o.Meter.Frame(at)
		}
		if f.noise > 0 {
			s.o.Meter.Noise(f.noise)
		}
		if f.reject {
			if err := s.refuse(); err != nil {
				return err
			}
		}
		if err := s.handle(ctx, f.frame, f.raw, at); err != nil {
			return err
		}
	}
}

// theirs says whether a block is the panel's, as far as that can be seen: our own answers and questions may come back to us.
func (s *session) theirs(f Frame, raw []byte) bool {
	if answers(f.FC) {
		return s.asker.phase != resting
	}
	return f.FC != FCLogin && !bytes.Equal(raw, s.asker.out)
}

// judge looks at a burst as a whole, now that the line is quiet.
func (s *session) judge(ctx context.Context) error {
	if err := s.take(ctx, true, s.o.Clock.Now()); err != nil {
		return err
	}
	if s.col.quiet() {
		return s.refuse()
	}
	return nil
}

// flush gives up what stopped in the middle of a block.
func (s *session) flush() error {
	s.o.Meter.Noise(len(s.col.buf))
	s.col.reset()
	return s.encrypted()
}

// last handles what is left when the port has failed.
func (s *session) last(ctx context.Context) error {
	if err := s.take(ctx, true, s.o.Clock.Now()); err != nil {
		return err
	}
	return s.encrypted()
}

// encrypted tells an encrypted session (it starts with 05 01) from noise: no block has come in it.
func (s *session) encrypted() error {
	if !s.blocks && bytes.Equal(s.start, []byte{0x05, 0x01}) {
		return ErrEncrypted
	}
	return nil
}

func (s *session) refuse() error {
	s.o.Meter.Reject()
	if s.asker.phase != resting {
		s.asker.later() // our question and the panel's block may have met on the line
	}
	return s.write(s.reject)
}

func (s *session) write(b []byte) error {
	if _, err := s.port.Write(b); err != nil {
		return fmt.Errorf("answer the panel: %w", err)
	}
	return nil
}

// handle does what a block asks for and acknowledges it.
func (s *session) handle(ctx context.Context, f Frame, raw []byte, at edge.Stamp) error {
	if bytes.Equal(raw, s.asker.out) {
		return nil // our own question, from an adapter that echoes
	}
	if mine, err := s.answered(ctx, f, raw, at); mine || err != nil {
		return err
	}
	switch f.FC {
	case FCAccount, FCEvent, FCOldEvent, FCText, FCEnd:
		s.asker.group(f.FC, at)
	}
	switch f.FC {
	case FCEvent, FCOldEvent:
		s.expectTest(f)
		sigs := eventSignals(f, raw, at, s.o.Location)
		return s.signal(ctx, f, at, sigs...)
	case FCText:
		return s.signal(ctx, f, at, textSignal(f, raw, at, s.charset))
	case FCAck, FCReject, FCAltAck, FCAltReject, FCStandby, FCHangUp, FCLogin:
		return nil // our own echo, or talk between others: an answer to an answer would never end
	case FCAccount:
		s.accountIs(f)
	default:
		s.o.Log.Debug("block without an event", "fc", string(rune(f.FC)), "data", clean(f.Data))
	}
	s.settled(ctx)
	return s.answer(f, at)
}

// signal stores and then acknowledges. Without the store there is no acknowledgement: the panel keeps the event and says
// it again.
func (s *session) signal(ctx context.Context, f Frame, at edge.Stamp, sigs ...edge.Signal) error {
	s.settle = false
	first := s.isFirst(sigs[0].Key)
	for i := range sigs {
		sigs[i].First, sigs[i].Opened = first, s.opened
		if !f.WantsAck() {
			sigs[i].Key = nil // a panel that waits for no answer never says the same fact twice
		}
	}
	if err := s.sink.Signal(ctx, sigs...); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !s.failing {
			s.o.Log.Error("a signal could not be stored and is not acknowledged; the panel will repeat it", "err", err)
		}
		s.failing = true
		s.o.Meter.Unacked()
		return nil
	}
	if s.failing {
		s.o.Log.Info("signals can be stored again")
	}
	s.failing, s.settle = false, true
	edge.Crash("stored before panel ack")
	return s.answer(f, at)
}

// isFirst says whether no event block but this very one has come since the port was opened.
func (s *session) isFirst(key []byte) bool {
	if s.firstKey == nil {
		s.firstKey, s.first = append([]byte{}, key...), true
	} else if !bytes.Equal(s.firstKey, key) {
		s.first = false
	}
	return s.first
}

// settled tells the sink that the acknowledgement of the last signal has arrived: the panel has gone on to something else.
func (s *session) settled(ctx context.Context) {
	if !s.settle {
		return
	}
	s.settle, s.first = false, false
	if err := s.sink.Settle(ctx); err != nil && !errors.Is(err, context.Canceled) {
		s.o.Log.Warn("cannot note that the panel has our acknowledgement", "err", err)
	}
}

// expectTest takes from the panel when its next test is due: a line that is silent for longer is cut.
func (s *session) expectTest(f Frame) {
	if s.asker.set.every > 0 {
		return // the questions tell it sooner
	}
	if period, ok := testPeriod(f.Data); ok {
		s.o.Meter.Expect(period + period/10 + testMargin)
	}
}

func (s *session) accountIs(f Frame) {
	if a := clean(f.Data); a != s.site {
		s.site = a
		s.o.Log.Info("panel says its account", "account", a, "sound", accountOK(f.Data))
	}
}

// answer acknowledges a block that asks for it, unless it is too late for that.
func (s *session) answer(f Frame, at edge.Stamp) error {
	if !f.WantsAck() {
		s.settle = false // the panel hears nothing from us, so what follows proves nothing
		return nil
	}
	if age, ok := s.o.Clock.Now().Since(at); !ok || age > ackWindow {
		s.settle = false
		s.o.Meter.Unacked()
		return nil
	}
	return s.write(s.ack)
}
