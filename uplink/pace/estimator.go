package pace

import (
	"slices"
	"time"
)

const (
	firstRate = 32 << 10 // bytes per second, before anything is known
	firstHold = 2        // messages that may be under way until the first word of the receiver
	maxFlying = 16 << 10 // messages: MaxCredit in small ones
	capSample = 9        // trains whose median is the line's capacity
	trust     = 3        // trains before it is believed
	noise     = 2 * time.Millisecond
)

// estimator measures a line from what was sent when and what the receiver says it has taken when.
//
// Two measures bound the rate. The spread of a train tells what the line can carry, without filling it. The second is
// for lines that are shared, or that send trains faster than a stream: while messages one after another have found a
// queue, the line was never idle, so what it delivered in that time is what it has for us, and the rate falls to that
// at once. It rises again by small steps while no message waits.
type estimator struct {
	rate    float64 // bytes of files per second that the line has for us
	startup bool    // the line has not been seen at its limit: the rate doubles
	starved bool    // this round the box sent less than the pace allowed

	flying []message // oldest first
	sent   int64     // bytes of this stream
	acked  int64

	rtt  recent        // from our hand-over to the receiver's word, on our clock
	owd  recent        // from our hand-over to the receiver's taking: its clock minus ours, which is good for differences
	path time.Duration // smoothed round trip without our queue: what the credit has to cover
	last time.Duration // queue that the newest message found
	lump float64       // bytes that one word of the receiver acks, smoothed
	mono time.Duration // the receiver's clock at its last word
	gap  time.Duration // between its words, smoothed, as far as they ack more than one message: how coarse its clock is for us

	caps  []float64 // newest trains
	train int       // number of the newest train
	first point     // where the present train began to arrive

	busy  point         // since when every message found a queue
	count int           // messages since then
	stuck time.Duration // when this began, on our clock

	round point // the present round began here; it ends when what is sent now has been taken
	until int64
	low   time.Duration // least queue of the round
}

type message struct {
	end   int64 // bytes of the stream up to and with it
	at    time.Duration
	train int
}

// point is a message that the receiver took at a time of its clock.
type point struct {
	message
	mono time.Duration
}

func (e *estimator) init() { e.rate, e.startup = firstRate, true }

func (e *estimator) begin() {
	e.forget()
	e.sent, e.acked, e.mono, e.gap, e.until = 0, 0, 0, 0, 0
	e.owd.reset()
}

func (e *estimator) forget() {
	e.flying, e.acked = e.flying[:0], e.sent
	e.busy, e.first, e.round, e.count = point{}, point{}, point{}, 0
	e.until, e.starved, e.last = e.sent, true, 0
}

func (e *estimator) flight() int64 { return e.sent - e.acked }

// time is how long n bytes of a file take on the line.
func (e *estimator) time(n int) time.Duration { return seconds(float64(n) / e.rate) }

// target is the queue that is taken for one: one message and a half, for less would be its own shadow, and what
// receivers and clocks are late by.
func (e *estimator) target() time.Duration { return e.time(sizeFor(e.rate))*3/2 + noise }

func (e *estimator) queued() bool { return e.last > e.target() }

func (e *estimator) gain() float64 {
	switch {
	case e.startup:
		return 1
	case e.queued():
		return drain
	case sizeFor(e.rate) == MinSize:
		return narrowShare
	}
	return share
}

// credit is how much may be under way: what the path holds, one message, and what the receiver lets gather before it
// says that it has taken it.
func (e *estimator) credit(size int) int64 {
	if _, ok := e.rtt.min(); !ok {
		return int64(firstHold * size)
	}
	hold := e.rate*e.path.Seconds() + float64(size) + max(e.lump, float64(size))
	return int64(min(max(hold, float64(2*size)), MaxCredit))
}

func (e *estimator) send(now time.Duration, n, train int) {
	e.sent += int64(n)
	if len(e.flying) >= maxFlying {
		e.flying[len(e.flying)-1].end = e.sent
		return
	}
	e.flying = append(e.flying, message{e.sent, now, train})
}

// progress takes one word of the receiver.
func (e *estimator) progress(now time.Duration, taken int64, mono time.Duration) bool {
	if taken <= 0 || taken > e.flight() {
		return false
	}
	if mono <= 0 || mono >= 1<<62 {
		mono = now // an older receiver: the ack's way is part of the measure
	}
	backwards, gap := mono < e.mono, min(mono-e.mono, time.Second)
	e.mono = mono
	e.acked += taken
	e.lump += (min(float64(taken), 4*MaxSize) - e.lump) / 8
	i := 0
	for i < len(e.flying) && e.flying[i].end <= e.acked {
		i++
	}
	if i == 0 {
		return true // a part of a message: it counts when it is whole
	}
	if i == 1 || backwards {
		gap = 0
	}
	e.gap += (gap - e.gap) / 8
	p := point{e.flying[i-1], mono}
	whole := p.end == e.acked
	e.flying = slices.Delete(e.flying, 0, i)
	if backwards {
		e.owd.reset() // another clock, or a false one: begin again
		e.busy, e.first, e.count = point{}, point{}, 0
	}
	if whole {
		e.measure(now, p)
	}
	return true
}

// measure takes one message of which it is known when it was taken.
func (e *estimator) measure(now time.Duration, p point) {
	e.rtt.add(now, max(now-p.at, time.Microsecond))
	e.owd.add(now, p.mono-p.at)
	base, _ := e.owd.min()
	e.last = p.mono - p.at - base
	least, _ := e.rtt.min()
	way := min(max(now-p.at-e.last, least), 2*least+50*time.Millisecond)
	if e.path == 0 {
		e.path = way
	}
	e.path += (way - e.path) / 8
	e.low = min(e.low, e.last)
	e.spread(p)
	e.span(now, p)
	if p.end >= e.until {
		e.turn(now, p)
	}
}

// spread measures a train: the receiver's clock between its first and its last message.
func (e *estimator) spread(p point) {
	if p.train == 0 || p.train != e.first.train {
		e.first = p
		return
	}
	took, gave := p.mono-e.first.mono, p.at-e.first.at
	if n := len(e.flying); n > 0 && e.flying[0].train == p.train || took <= 3*e.gap || gave <= 0 {
		return // more of it is to come, or the receiver looks too seldom to tell
	}
	bytes := float64(p.end - e.first.end)
	rate := bytes / max(took, gave).Seconds()
	if took < gave*11/10 { // not spread: the line is at least as fast as the train was
		if c, ok := e.capacity(); ok && rate <= c {
			return
		}
		if e.startup {
			return // the rate doubles anyway
		}
	}
	e.sample(rate)
}

func (e *estimator) sample(rate float64) {
	if len(e.caps) == capSample {
		e.caps = slices.Delete(e.caps, 0, 1)
	}
	e.caps = append(e.caps, clamp(rate))
}

// capacity is what the line can carry when nobody else uses it.
func (e *estimator) capacity() (float64, bool) {
	if len(e.caps) < trust {
		return 0, false
	}
	s := slices.Sorted(slices.Values(e.caps))
	return s[len(s)/2], true
}

// span watches messages that find a queue one after another.
func (e *estimator) span(now time.Duration, p point) {
	if e.last <= e.target() {
		e.busy, e.count, e.stuck = point{}, 0, 0
		return
	}
	if e.count == 0 {
		e.busy, e.count, e.stuck = p, 1, now
		return
	}
	e.count++
	took := p.mono - e.busy.mono
	if took <= 0 || e.count < 4 || took < e.path {
		return
	}
	rate := float64(p.end-e.busy.end) / took.Seconds()
	e.startup = false
	if rate < e.rate {
		e.rate = clamp(rate)
	}
	e.sample(rate)
	e.busy, e.count = p, 1
	if now-e.stuck > max(8*e.path, 2*time.Second) {
		// We have sent less all this time, and the queue stays: the path is longer now, or others fill it.
		e.owd.reset()
		e.rtt.reset()
		e.stuck = now
	}
}

// turn ends a round trip: the rate rises when the line was used at its pace and no message had to wait.
func (e *estimator) turn(now time.Duration, p point) {
	free, began := !e.starved && e.low <= e.target() && !e.queued(), e.round
	e.round, e.until, e.low, e.starved = p, e.sent, time.Hour, false
	c, known := e.capacity()
	if known && e.rate > c {
		e.rate = c
	}
	if began.mono == 0 || !free {
		return
	}
	step := 1.03
	switch {
	case e.startup:
		step = 2
	case known && e.rate < c*0.8:
		step = 1.12
	}
	r := e.rate * step
	if known && r >= c {
		r, e.startup = c, false
	}
	e.rate = clamp(r)
}

func clamp(rate float64) float64 {
	if !(rate > MinRate) { // NaN, too
		return MinRate
	}
	return min(rate, MaxRate)
}
