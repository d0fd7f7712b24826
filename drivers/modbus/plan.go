package modbus

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"sitewatch/edge"
)

const (
	// retries is how often a request is sent again in a turn, and lostAfter how many turns must fail before the slave is lost.
	retries   = 2
	lostAfter = 3
	// lag is by how much what is due of a slave of normal priority stands back behind one of high priority.
	lag = time.Second
	// probe is how often a lost slave is asked, and what that grows to when many are lost: waiting for them must not keep the
	// others from being read.
	probe    = 5 * time.Second
	maxProbe = 20 * time.Second // under the silence after which the whole line counts as lost
	// grace is how long a slave that did not answer is left alone at most: its answer may come yet, and would be taken for
	// that of the next request.
	grace = time.Second
	// busyWait is how long a slave that is busy is left alone.
	busyWait = 100 * time.Millisecond
	// far is a wait when nothing is due.
	far = time.Minute
)

// next returns the block whose turn it is, or how long there is none. A change that is to be looked at again comes first, then
// what has been due the longest. As long as a change waits for its second look, a slave that may not answer waits too, for up to
// lag: its time-out would make a pulse be missed.
func (s *session) next(now time.Duration) (best *block, wait time.Duration) {
	wait = far
	var bestRank time.Duration
	var bestUrgent bool
	second := slices.ContainsFunc(s.blocks, func(b *block) bool { return b.again > 0 })
	for _, b := range s.blocks {
		due, urgent := b.due, false
		if second && b.doubtful() {
			due += lag
		}
		if b.again > 0 && b.again < due {
			due = b.again
		}
		due = max(due, b.slave.hold)
		if due > now {
			wait = min(wait, due-now)
			continue
		}
		rank := due
		if b.again > 0 && b.again <= now {
			urgent = true
		} else if b.lost || !b.slave.high {
			rank += lag
		}
		if best == nil || urgent && !bestUrgent || urgent == bestUrgent && rank < bestRank {
			best, bestRank, bestUrgent = b, rank, urgent
		}
	}
	return best, wait
}

// doubtful says that the block may not be answered at all; an answer that was damaged is no reason to think so.
func (b *block) doubtful() bool { return b.lost || b.owed || b.turns > 0 }

// missed notes that no answer has come.
func (s *session) missed(b *block, r reply) {
	now := s.wire.now()
	if r.late && !s.wire.col.tcp {
		b.slave.hold, b.owed = now+min(b.slave.timeout, grace), true
	}
	s.failed(b, r.fail, now, false)
}

// refused takes in an exception: the slave is there, but says nothing of its points.
func (s *session) refused(b *block, r reply) {
	now := s.wire.now()
	switch r.frame.Exception {
	case IllegalFunction, IllegalAddress, IllegalValue:
		s.failed(b, "it does not have what the profile asks for ("+r.frame.Exception.String()+"): is the profile that of another device?", now, true)
	default:
		if r.frame.Exception == Acknowledge || r.frame.Exception == Busy {
			b.slave.hold = now + busyWait
		}
		s.failed(b, r.frame.Exception.String(), now, false)
	}
}

// String says what the exception is, for people.
func (e Exception) String() string {
	switch e {
	case IllegalFunction:
		return "exception 1, no such function"
	case IllegalAddress:
		return "exception 2, no such address"
	case IllegalValue:
		return "exception 3, no such number of points"
	case DeviceFailure:
		return "exception 4, the device has failed"
	case Acknowledge:
		return "exception 5, it is still at work"
	case Busy:
		return "exception 6, it is busy"
	case NoPath, TargetSilent:
		return "the gateway gets no answer from it"
	}
	return "an exception that is not in the specification"
}

// failed counts a request without data, and plans the next one.
func (s *session) failed(b *block, why string, now time.Duration, misfit bool) {
	if b.lost {
		b.due = now + s.probe()
		return
	}
	if !misfit {
		if b.tries++; b.tries <= retries {
			b.due = now
			return
		}
		b.tries = 0
		if b.turns++; b.turns < lostAfter {
			b.due = max(b.due, now)
			return
		}
	}
	s.lose(b, why)
	b.due = now + s.probe()
}

// probe is how long a lost block is left alone.
func (s *session) probe() time.Duration {
	lost := 0
	for _, b := range s.blocks {
		if b.lost {
			lost++
		}
	}
	return min(probe*time.Duration(max(lost, 1)), maxProbe)
}

// lose gives a block up until it answers again. The first one of a slave makes that lost.
func (s *session) lose(b *block, why string) {
	b.lost, b.tries, b.turns = true, 0, 0
	for _, p := range b.points {
		for i := range p.conds {
			p.conds[i].forget()
		}
	}
	sl := b.slave
	if sl.why != "" {
		return
	}
	sl.why = why
	s.o.Log.Warn("slave lost", "address", sl.addr, "profile", sl.profile, "why", why)
	s.putSlave(sl, edge.Signal{Kind: edge.KindDeviceLost, Text: lostText(sl)}, s.wire.col.sent)
}

// answered takes in that a block was read: a slave of which all blocks can be read is back.
func (s *session) answered(b *block, r reply) {
	sl := b.slave
	if b.owed {
		sl.hold = s.wire.now() + min(sl.timeout, grace) // of two requests the other answer may come yet
	}
	b.tries, b.turns, b.owed = 0, 0, false
	if b.lost {
		b.lost, b.resay = false, !b.first
	}
	for _, o := range sl.blocks {
		if o.lost || o.first && o != b {
			return
		}
	}
	if sl.heard && sl.why == "" {
		return
	}
	if sl.why != "" {
		s.o.Log.Info("slave is back", "address", sl.addr, "profile", sl.profile)
	}
	s.putSlave(sl, edge.Signal{Kind: edge.KindDeviceLost.Restored()}, r.raw)
	sl.heard, sl.why = true, ""
}

// putSlave brings what is known of a slave as a whole: its zone is the slave.
func (s *session) putSlave(sl *slave, sig edge.Signal, raw []byte) {
	sig.Zone = edge.ZoneID(fmt.Sprintf("slave-%d", sl.addr))
	sig.State = true // a restart must not tell it again
	sig.At, sig.Opened, sig.Raw = s.o.Clock.Now(), s.opened, bytes.Clone(raw)
	s.put(&sl.state, sig)
}
