package link

import (
	"math/rand/v2"
	"time"
)

// Traits are what one direction of a link is like. They may change while packets are under way.
type Traits struct {
	Rate     Rate          // 0: nothing is slowed down
	Delay    time.Duration // from the last bit sent to its arrival
	Queue    Size          // bytes that may wait before the line; what does not fit is dropped. 0: as much as comes
	Loss     float64       // share of packets that are sent and never arrive, 0 to 1
	Priority bool          // packets marked EF are served before all others
	Down     bool          // an outage: nothing that is offered is carried
}

// Counts are what one direction has done.
type Counts struct {
	Packets, Bytes       uint64 // that arrived
	Full, Lost, WhenDown uint64 // packets dropped: queue full, random loss, outage
	QueueMost            Size   // most bytes that ever waited
}

// shaper is one direction of a link without its clock and its devices: packets go in with the time at which they came,
// and come out with the time at which they are due. All times are of the same monotonic clock. It is not safe for
// concurrent use.
type shaper struct {
	t       Traits
	rnd     *rand.Rand
	counts  Counts
	first   fifo          // EF, when priority is on
	rest    fifo          // all others
	waiting Size          // bytes in both
	free    time.Duration // when the line has sent what it is sending
	sending []byte        // nil: nothing
	air     fifo          // sent, on their way; at is when they are due, in order
}

func newShaper(t Traits, seed uint64) *shaper {
	return &shaper{t: t, rnd: rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15))}
}

// offer takes a packet that came at this time; the shaper owns it from now on.
func (s *shaper) offer(packet []byte, at time.Duration) {
	s.advance(at)
	switch {
	case s.t.Down:
		s.counts.WhenDown++
		return
	case s.t.Queue > 0 && s.waiting+Size(len(packet)) > s.t.Queue:
		s.counts.Full++
		return
	}
	q := &s.rest
	if s.t.Priority && expedited(packet) {
		q = &s.first
	}
	q.push(packet, at)
	s.waiting += Size(len(packet))
	s.counts.QueueMost = max(s.counts.QueueMost, s.waiting)
	s.advance(at)
}

// advance sends what the line has had time for until now.
func (s *shaper) advance(now time.Duration) {
	for {
		if s.sending != nil {
			if s.free > now {
				return
			}
			s.sent()
		}
		at, ok := s.pick()
		if !ok || at > now {
			return
		}
		s.free = at + s.t.Rate.takes(len(s.sending))
	}
}

// pick takes the next packet off the queues: who waits when the line becomes free, EF before the rest, else who comes first.
func (s *shaper) pick() (start time.Duration, ok bool) {
	q := &s.rest
	switch {
	case s.first.len() == 0 && s.rest.len() == 0:
		return 0, false
	case s.rest.len() == 0 || s.first.len() > 0 && s.first.head().at <= max(s.free, s.rest.head().at):
		q = &s.first
	}
	p := q.pop()
	s.waiting -= Size(len(p.data))
	s.sending = p.data
	return max(s.free, p.at), true
}

// sent puts what the line has sent on its way, unless the line loses it.
func (s *shaper) sent() {
	p := s.sending
	s.sending = nil
	if s.t.Loss > 0 && s.rnd.Float64() < s.t.Loss {
		s.counts.Lost++
		return
	}
	due := s.free + s.t.Delay
	if n := s.air.len(); n > 0 {
		due = max(due, s.air.last().at) // a line whose delay shrinks does not reorder
	}
	s.air.push(p, due)
}

// arrived returns the next packet that is due by now and when it was due.
func (s *shaper) arrived(now time.Duration) (packet []byte, due time.Duration, ok bool) {
	s.advance(now)
	if s.air.len() == 0 || s.air.head().at > now {
		return nil, 0, false
	}
	p := s.air.pop()
	s.counts.Packets++
	s.counts.Bytes += uint64(len(p.data))
	return p.data, p.at, true
}

// next is when there is something to do again without a new packet; false: nothing is under way.
func (s *shaper) next() (at time.Duration, ok bool) {
	if s.sending != nil {
		at, ok = s.free, true
	}
	if s.air.len() > 0 && (!ok || s.air.head().at < at) {
		at, ok = s.air.head().at, true
	}
	return at, ok
}

// change gives the direction other traits from now on. What is being sent is sent at the old rate; an outage loses all
// that waits or is on its way, as a cut cable does.
func (s *shaper) change(now time.Duration, f func(*Traits)) {
	s.advance(now)
	f(&s.t)
	if !s.t.Down {
		return
	}
	for _, q := range []*fifo{&s.first, &s.rest, &s.air} {
		s.counts.WhenDown += uint64(q.len())
		*q = fifo{}
	}
	s.waiting = 0
	if s.sending != nil {
		s.counts.WhenDown++
		s.sending = nil
		s.free = now
	}
}

// expedited says whether an IPv4 packet carries DSCP 40 (CS5) or higher: EF is 46.
func expedited(packet []byte) bool { return len(packet) > 1 && packet[1]>>2 >= 40 }

// timed is a packet and a time of it.
type timed struct {
	data []byte
	at   time.Duration
}

// fifo is a queue that reuses its memory.
type fifo struct {
	items []timed
	from  int
}

func (q *fifo) len() int     { return len(q.items) - q.from }
func (q *fifo) head() *timed { return &q.items[q.from] }
func (q *fifo) last() *timed { return &q.items[len(q.items)-1] }

func (q *fifo) push(data []byte, at time.Duration) {
	if q.from > 64 && q.from > len(q.items)/2 {
		q.items = append(q.items[:0], q.items[q.from:]...)
		q.from = 0
	}
	q.items = append(q.items, timed{data, at})
}

func (q *fifo) pop() timed {
	t := q.items[q.from]
	q.items[q.from] = timed{}
	q.from++
	return t
}
