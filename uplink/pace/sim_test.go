package pace_test

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"time"

	"sitewatch/uplink/pace"
)

// sim is a line in simulated time: one queue that drops what does not fit, a rate, a delay each way, loss that the
// transport mends one round trip later (what came meanwhile waits for it), a receiver that may ack in bursts, a sender
// of bulk that follows a pace.Line, and alarms of 600 bytes.
type sim struct {
	rate   func(at time.Duration) float64 // bit/s
	rtt    func(at time.Duration) time.Duration
	queue  int // bytes
	loss   float64
	lump   time.Duration                         // the receiver looks at what came this often; 0: at once
	jitter time.Duration                         // of the receiver and of the way back
	others func(at time.Duration) (bits float64) // somebody else's traffic
	limit  int64
	length time.Duration
	warm   time.Duration // what happens before is not counted
	every  time.Duration // between alarms; 0: 200 ms

	now     time.Duration
	todo    agenda
	order   int
	free    time.Duration // when the line has sent what is in its queue
	line    *pace.Line
	rnd     *rand.Rand
	took    map[int64]int // messages by offset that came out of turn
	got     int64         // in order
	acked   int64
	sentTo  int64
	armed   bool
	waiting bool
	last    time.Duration

	bulk  int64           // wire bytes of bulk that were taken after warm
	could float64         // bytes that the line could have sent after warm
	waits []time.Duration // of alarms after warm
	when  []time.Duration
}

type job struct {
	at    time.Duration
	order int
	do    func()
}
type agenda []job

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].order < a[j].order
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(job)) }
func (a *agenda) Pop() any {
	x := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return x
}

func (s *sim) at(t time.Duration, do func()) {
	s.order++
	heap.Push(&s.todo, job{max(t, s.now), s.order, do})
}

func always[T any](v T) func(time.Duration) T { return func(time.Duration) T { return v } }

func (s *sim) run() *sim {
	if s.every == 0 {
		s.every = 200 * time.Millisecond
	}
	s.line, s.rnd, s.took = pace.NewLine(), rand.New(rand.NewPCG(1, 2)), map[int64]int{}
	s.line.Limit(s.limit)
	s.line.Begin(0)
	s.at(0, s.pump)
	s.at(s.every, s.alarm)
	if s.others != nil {
		s.at(0, s.other)
	}
	for len(s.todo) > 0 && s.now < s.length {
		j := heap.Pop(&s.todo).(job)
		s.now = j.at
		j.do()
	}
	for t := s.warm; t < s.length; t += time.Millisecond {
		s.could += s.rate(t) / 8 / 1000
	}
	return s
}

// enter puts bytes into the queue and returns when their last has been sent; false when they do not fit.
func (s *sim) enter(bytes int) (time.Duration, bool) {
	rate := s.rate(s.now) / 8
	if (s.free-s.now).Seconds()*rate+float64(bytes) > float64(s.queue) {
		return 0, false
	}
	s.free = max(s.free, s.now) + time.Duration(float64(bytes)/rate*1e9)
	return s.free, true
}

func (s *sim) alarm() {
	wait := max(0, s.free-s.now)
	if s.now >= s.warm {
		s.waits = append(s.waits, wait)
		s.when = append(s.when, s.now)
	}
	s.enter(600)
	s.line.Event(s.now, 500)
	s.at(s.now+s.every*3/4+time.Duration(s.rnd.Int64N(int64(s.every/2))), s.alarm)
}

func (s *sim) other() {
	if bits := s.others(s.now); bits > 0 {
		s.enter(1500)
		s.at(s.now+time.Duration(s.rnd.ExpFloat64()*1500*8/bits*1e9), s.other)
		return
	}
	s.at(s.now+10*time.Millisecond, s.other)
}

func (s *sim) pump() {
	s.armed = false
	for {
		at, ok := s.line.Next(s.now)
		if !ok {
			return // the next progress goes on
		}
		if at > s.now {
			if !s.armed {
				s.armed = true
				s.at(at, s.pump)
			}
			return
		}
		n := s.line.Size()
		s.line.Sent(s.now, n)
		s.carry(s.sentTo, n)
		s.sentTo += int64(n)
	}
}

// carry is the transport: what is lost goes again when the sender must have noticed.
func (s *sim) carry(offset int64, n int) {
	again := func() {
		s.at(s.now+s.rtt(s.now)+max(0, s.free-s.now)+5*time.Millisecond, func() { s.carry(offset, n) })
	}
	wire := pace.Wire(n)
	sent, ok := s.enter(wire)
	if !ok {
		again()
		return
	}
	for range (wire + 1499) / 1500 {
		if s.rnd.Float64() < s.loss {
			again()
			return
		}
	}
	at := sent + s.rtt(s.now)/2
	s.at(at, func() { s.arrive(offset, n) })
}

func (s *sim) arrive(offset int64, n int) {
	s.took[offset] = n
	for {
		n, ok := s.took[s.got]
		if !ok {
			return
		}
		delete(s.took, s.got)
		s.got += int64(n)
		if s.now >= s.warm {
			s.bulk += int64(pace.Wire(n))
		}
		if s.lump > 0 {
			if !s.waiting {
				s.waiting = true
				s.at(s.now.Truncate(s.lump)+s.lump, func() { s.waiting = false; s.say() })
			}
			continue
		}
		s.say()
	}
}

// say sends a Progress.
func (s *sim) say() {
	mono, got := s.now+12345*time.Second, s.got
	late := time.Duration(0)
	if s.jitter > 0 {
		mono += time.Duration(s.rnd.Int64N(int64(s.jitter) / 4))
		late = time.Duration(s.rnd.Int64N(int64(s.jitter)))
	}
	at := max(s.now+s.rtt(s.now)/2+late, s.last)
	s.last = at
	s.at(at, func() {
		if n := got - s.acked; n > 0 {
			s.acked = got
			s.line.Progress(s.now, n, mono)
		}
		if !s.armed {
			s.pump()
		}
	})
}

func (s *sim) used() float64 { return float64(s.bulk) / s.could }

func (s *sim) wait(p float64) time.Duration {
	w := slices.Sorted(slices.Values(s.waits))
	return w[min(len(w)-1, int(float64(len(w))*p))]
}
