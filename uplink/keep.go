package uplink

import (
	"context"
	"errors"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

// errRewound ends the sessions that began before the lanes went back: what was acked to them may be gone.
var errRewound = errors.New("the lanes went back; asking the SOC again how far it is")

// rewind brings lanes back to what the SOC has.
type rewind struct {
	epoch uint64 // of the session that asks: of two that ask for the same reason, the second asks the SOC again
	to    map[edge.Lane]edge.Seq
	done  chan error // capacity 1
}

// keepAgain is the pause before an ack that could not be kept is kept again: nothing else would move the cursor when the SOC
// has all that there is.
const keepAgain = 5 * time.Second

// runKeep is the one task that moves the journal's cursors, so that an ack can never undo a rewind. Acks that come while
// the journal writes are kept together.
func (c *Client) runKeep(ctx context.Context) error {
	s := c.lanes
	var kept [edge.Routine + 1]edge.Seq
	for _, lane := range edge.EventLanes {
		var err error
		if kept[lane], err = c.o.Outbox.Watermark(ctx, lane); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return local("read the watermark", err)
		}
	}
	again := time.NewTimer(forever)
	defer again.Stop()
	failing := false
	for {
		select {
		case <-s.dirty:
		case <-again.C:
		case r := <-s.rewinds:
			if !s.goBack(r) {
				r.done <- errRewound
				continue
			}
			for lane, to := range r.to {
				if to >= kept[lane] {
					continue
				}
				if err := c.o.Outbox.Rewind(ctx, lane, to); err != nil {
					if ctx.Err() != nil {
						return nil
					}
					return local("rewind", err)
				}
				kept[lane] = to
			}
			r.done <- nil
			continue
		case <-ctx.Done():
			return nil
		}
		_, acked := s.mark()
		err := c.keep(ctx, acked, &kept)
		switch {
		case ctx.Err() != nil:
			return nil // the SOC says it again
		case err != nil:
			if !failing {
				c.o.Log.Error("what the SOC has acked cannot be kept; tried again", "err", err)
			}
			again.Reset(keepAgain)
		}
		failing = err != nil
	}
}

// keep moves the journal's cursors to acked, and notes in kept how far it came.
func (c *Client) keep(ctx context.Context, acked [edge.Routine + 1]edge.Seq, kept *[edge.Routine + 1]edge.Seq) error {
	for _, lane := range edge.EventLanes {
		if acked[lane] <= kept[lane] {
			continue
		}
		edge.Crash("uplink acked before cursor")
		if err := c.o.Outbox.Acked(ctx, lane, acked[lane]); err != nil {
			return err
		}
		kept[lane] = acked[lane]
	}
	return nil
}

// goBack moves the lanes in memory and ends all present sessions.
func (s *lanes) goBack(r rewind) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.epoch != s.epoch {
		return false
	}
	s.epoch++
	for lane, to := range r.to {
		s.acked[lane] = min(s.acked[lane], to)
	}
	for _, l := range s.links {
		if l != nil {
			l.cancel(errRewound)
		}
	}
	return true
}

// forward takes from a Welcome what the SOC has got although its ack was lost.
func (s *lanes) forward(epoch uint64, lane edge.Lane, to edge.Seq) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if epoch != s.epoch || to <= s.acked[lane] {
		return
	}
	s.acked[lane] = to
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// claim is what a SOC says that it has of a lane.
type claim struct {
	through edge.Seq
	hash    [32]byte
	hashed  bool // it says the hash, too
}

// verdict is what follows from a claim.
type verdict int

const (
	stay   verdict = iota // it has what it acked
	ahead                 // it has more: an ack was lost
	behind                // it has less: it was restored from a backup
	other                 // it speaks of another event under that number: the journal here was rolled back
)

// judge compares a claim with the journal, whose newest event is last and whose event of that number has the hash own,
// if it is known. before is what was acked before the SOC was asked, now what is acked by now.
func judge(c claim, before, now, last edge.Seq, own [32]byte, known bool) verdict {
	switch {
	case c.through > last, c.hashed && known && c.hash != own:
		return other
	case c.through < before:
		return behind
	case c.through > now:
		return ahead
	}
	return stay
}

// settle brings the lanes to what the SOC says that it has; before is what was acked before the session's Hello.
func (l *link) settle(ctx context.Context, before [edge.Routine + 1]edge.Seq, marks []*wire.Watermark) error {
	back, replays := map[edge.Lane]edge.Seq{}, map[edge.Lane]claim{}
	claims := map[edge.Lane]claim{} // the last word about a lane counts
	for _, m := range marks {
		lane, ok := wire.LaneOf(m.GetLane())
		if !ok {
			continue
		}
		c := claim{through: edge.Seq(m.GetThrough())}
		c.hashed = len(m.GetHash()) == copy(c.hash[:], m.GetHash()) && len(m.GetHash()) == len(c.hash)
		claims[lane] = c
	}
	for lane, c := range claims {
		last := l.o.Outbox.Last()
		var own [32]byte
		known := false
		if c.hashed && c.through <= last {
			var err error
			if own, known, err = l.o.Outbox.Hash(ctx, c.through); err != nil {
				return local("read the hash of an event", err)
			}
		}
		_, now := l.lanes.mark()
		switch judge(c, before[lane], now[lane], last, own, known) {
		case ahead:
			l.lanes.forward(l.epoch, lane, c.through)
		case behind:
			l.o.Log.Warn("the SOC has less than it acked; sending again what is still here", "lane", lane.String(), "seq", c.through)
			back[lane] = c.through
		case other:
			if l.lanes.replayedFor(lane) == c {
				continue // since then the acks of this run say how far the lane is
			}
			replays[lane] = c
			l.o.Log.Error("the SOC has other events of this journal than the box: the disk was restored or has lost its end; sending again all that is here",
				"lane", lane.String(), "seq", c.through, "last", last)
			first, err := l.o.Outbox.Read(ctx, lane, 0, 1)
			if err != nil {
				return local("read the journal", err)
			}
			if len(first) > 0 && first[0].Seq <= now[lane] {
				back[lane] = first[0].Seq - 1
			}
		}
	}
	if len(back) > 0 {
		if err := l.rewind(ctx, back); err != nil {
			return err
		}
	}
	l.lanes.remember(replays)
	return nil
}

// replayedFor and remember keep the claims of another history of the journal: everything is sent again once for each, not
// with every connection, since the SOC goes on claiming it until it has newer events.
func (s *lanes) replayedFor(lane edge.Lane) claim {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replayed[lane]
}

func (s *lanes) remember(replays map[edge.Lane]claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for lane, c := range replays {
		s.replayed[lane] = c
	}
}

// rewind asks runKeep and goes on in the new epoch.
func (l *link) rewind(ctx context.Context, to map[edge.Lane]edge.Seq) error {
	r := rewind{epoch: l.epoch, to: to, done: make(chan error, 1)}
	select {
	case l.lanes.rewinds <- r:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-r.done:
		if err == nil {
			l.epoch++
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
