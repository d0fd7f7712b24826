package espa444

import (
	"bytes"
	"context"
	"slices"
	"time"

	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

const (
	maxHeld    = 16
	retryEvery = 500 * time.Millisecond
	// busyAfter is how long we try before we say that we cannot: a panel gives up after three refusals, and these should not
	// all come within the blink of an eye.
	busyAfter = 800 * time.Millisecond
	// heldFor is how long a signal that is no alarm is tried: so long the panel's own tries go on.
	heldFor = 15 * time.Second
)

// held are signals that could not be stored. A panel gives up after three tries, and for an alarm that is not enough: it is
// tried until it can be stored.
type held struct {
	sigs []edge.Signal // oldest first
	owed bool          // the last one's block, which came at the stamp, has no answer yet, and the panel waits for it
	at   edge.Stamp
}

func (h *held) empty() bool { return len(h.sigs) == 0 }

// add keeps a signal; said again by the panel, it is the same. When there is no room the oldest that is no alarm goes, and
// among alarms alone the new one: the panel still has it.
func (h *held) add(sig edge.Signal) {
	h.owed, h.at = true, sig.At
	if i := h.find(sig.Key); i >= 0 {
		same := h.sigs[i] // with the stamp of the first time
		h.sigs = append(slices.Delete(h.sigs, i, i+1), same)
		return
	}
	if len(h.sigs) == maxHeld {
		i := slices.IndexFunc(h.sigs, func(s edge.Signal) bool { return s.Kind.Lane() != edge.Urgent })
		if i < 0 {
			h.owed = false
			return
		}
		h.sigs = slices.Delete(h.sigs, i, i+1)
	}
	h.sigs = append(h.sigs, sig)
}

// stored forgets what is on disk now.
func (h *held) stored(key []byte) {
	if i := h.find(key); i >= 0 {
		h.sigs = slices.Delete(h.sigs, i, i+1)
	}
}

// expire forgets what is no alarm and has waited too long.
func (h *held) expire(now edge.Stamp) {
	h.sigs = slices.DeleteFunc(h.sigs, func(s edge.Signal) bool { return s.Kind.Lane() != edge.Urgent && over(now, s.At, heldFor) })
}

func (h *held) find(key []byte) int {
	return slices.IndexFunc(h.sigs, func(s edge.Signal) bool { return bytes.Equal(s.Key, key) })
}

// retry tries what is held again, the one that the panel waits for first.
func (s *session) retry(ctx context.Context, in <-chan panel.Chunk) error {
	for !s.held.empty() {
		i := 0
		if s.held.owed {
			i = len(s.held.sigs) - 1
		}
		sig := s.held.sigs[i]
		if err := s.store(ctx, sig); err != nil {
			return err
		}
		now, owed, more := s.o.Clock.Now(), s.held.owed, len(in) > 0
		switch {
		case !s.failing:
			s.held.owed = false
			if owed && !more {
				s.due = due{b: []byte{ACK}, at: s.held.at, window: ackWindow, stored: true}
				if err := s.send(); err != nil {
					return err
				}
			}
			continue
		case owed && over(now, s.held.at, busyAfter):
			s.held.owed = false
			s.o.Meter.Unacked()
			if !more {
				return s.write(busy, NAK)
			}
		case !owed:
			s.held.expire(now)
		}
		return nil
	}
	return nil
}
