package espa444

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sitewatch/edge"
)

const (
	// ackWindow is how old a block may be when it is acknowledged. The standard leaves the sender's patience to the sender;
	// panels wait 1 to 3 s. A later ACK could be taken for that of another block, which we may not have stored.
	ackWindow = 2 * time.Second
	// turnWindow is the same for a poll and a selection, which need no store.
	turnWindow = 500 * time.Millisecond
	// turnaround, and the time of two characters, is how long the line must be quiet before we answer: whoever says more does
	// not wait for us, and one answer too many would be taken for that to the next block. On a pair of wires the sender also
	// needs a moment to let go of the line.
	turnaround = 5 * time.Millisecond
	// proofWindow is how soon after our ACK an EOT proves that the panel has it. A panel that missed it would wait and send
	// the block again, and an EOT after the last of its tries proves nothing.
	proofWindow = 700 * time.Millisecond
)

// due is an answer that waits for the line to be quiet.
type due struct {
	b      []byte        // nil: none
	at     edge.Stamp    // of what it answers
	window time.Duration // for how long it is no lie
	stored bool          // it acknowledges a block
}

// callOff drops the answer that is due: the panel has said more, so that it does not wait for it. It will say it again.
func (s *session) callOff() {
	if s.due.stored {
		s.o.Meter.Unacked()
	}
	s.due = due{}
}

// send sends the answer that is due, unless it is too late for that.
func (s *session) send() error {
	d, now := s.due, s.o.Clock.Now()
	if d.b == nil {
		return nil
	}
	if over(now, d.at, d.window) {
		s.callOff()
		return nil
	}
	s.due = due{}
	s.acked, s.ackedAt = d.stored, now
	return s.write(d.b...)
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
