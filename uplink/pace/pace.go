// Package pace decides how fast, in what pieces and with how much under way stills and clips are sent, so that an alarm
// finds at most about one of their messages before it on the line (P3).
//
// A Line measures one path: how fast the receiver takes what is sent, and how much longer than at best it takes to
// arrive. It keeps a little below that rate and never has more under way than the path holds. A Window does the same
// for events, which have no pace, by the delay of their acks alone. Both are pure: they read no clock, wait for
// nothing and own no goroutine; times are passed in, on any clock that runs evenly. Neither is safe for more than one
// goroutine at a time.
//
// Nothing that a receiver reports, however false, makes a rate or a credit leave its bounds.
package pace

import "time"

const (
	// MinSize and MaxSize bound a bulk message.
	MinSize = 1200
	MaxSize = 16 << 10
	// MinRate and MaxRate bound what a line is taken for, in bytes per second.
	MinRate = 2 << 10
	MaxRate = 1 << 30
	// MaxCredit bounds what may be under way, whatever the line.
	MaxCredit = 16 << 20

	segment = 1448 // payload of a full TCP segment with timestamps on Ethernet
	framing = 48   // of a message: TLS record, HTTP/2 frame, gRPC prefix, field tags
	headers = 52   // of a segment: IP and TCP
	share   = 0.94 // of the measured rate that is used: what is above it would stand in a queue
	// narrowShare is that of a line so narrow that the smallest message takes longer than 5 ms: there a queue of one is 10 ms,
	// and the few events that go beside it are a larger part of the line.
	narrowShare = 0.925
	spare       = 0.03 // of it that is free for events beside bulk at its pace
	spareMost   = 2 << 10
	drain       = 0.75 // of it while a queue stands
	perPiece    = 5 * time.Millisecond
	slack       = 2 * time.Millisecond // of lateness that is made up for: timers are late
)

// Line is one path for bulk: the estimate of it, and when the next message may go.
type Line struct {
	est   estimator
	limit float64       // bytes per second on the wire; 0: none
	next  time.Duration // when the next message is due
	tried time.Duration // when the last train began
	since int           // messages since then
	size  int           // messages of the present train, 0: none
	left  int           // of them, those still to go
	spare float64       // bytes that events may take before bulk gives way
	spent time.Duration // when spare was last looked at
}

// NewLine returns a line of which nothing is known.
func NewLine() *Line {
	l := &Line{}
	l.est.init()
	return l
}

// Limit sets the hard limit of bulk in bit/s, everything on the wire counted; 0: none.
func (l *Line) Limit(bits int64) { l.limit = float64(max(bits, 0)) / 8 }

// Begin starts a new stream: nothing of the old one is under way, and the receiver's clock may be another. What was
// measured of the line stays.
func (l *Line) Begin(now time.Duration) {
	l.est.begin()
	l.next, l.size, l.left = now, 0, 0
}

// Forget drops what is under way without measuring it, because the receiver will say no more of it.
func (l *Line) Forget() { l.est.forget() }

// Size is how many bytes the next message should carry: what the line sends in 5 ms, in whole segments, since a short
// last segment costs as many headers as a full one.
func (l *Line) Size() int { return sizeFor(l.pace()) }

func sizeFor(rate float64) int {
	b := rate * perPiece.Seconds()
	if b < 1000 { // 1.4 KB is for 2 Mbit/s, where 5 ms are 1.17 KB of payload
		return MinSize
	}
	n := min(max(1, int(b/segment)), MaxSize/segment)
	return n*segment - framing
}

// pace is how many bytes per second may go, by the estimate and by the hard limit.
func (l *Line) pace() float64 {
	r := l.est.rate * l.est.gain()
	if l.limit > 0 {
		n := sizeFor(min(r, l.limit))
		r = min(r, l.limit*float64(n)/float64(wire(n)))
	}
	return max(r, MinRate/2)
}

// wire is what n bytes of a file cost on the line.
func wire(n int) int { return n + framing + headers*(1+(n+framing-1)/segment) }

// Next says when the next message may go, which is in the past when it is now; ok is false while as much is under way
// as the path holds, until the receiver has taken some of it.
func (l *Line) Next(now time.Duration) (at time.Duration, ok bool) {
	if l.est.flight() > 0 && l.est.flight()+int64(l.Size()) > l.Credit() {
		l.est.starved = true
		return 0, false
	}
	return max(l.next, now-slack), true
}

// Sent says that a message of n bytes has been handed to the transport.
func (l *Line) Sent(now time.Duration, n int) {
	step := seconds(float64(n) / l.pace())
	if l.est.flight() == 0 && now-l.next > slack+step || l.limit > 0 && l.limit < l.est.rate {
		l.est.starved = true // less than the pace was asked of the line: what comes of this round does not measure it
	}
	l.next = max(l.next, now-slack)
	l.since++
	if l.left == 0 {
		l.size = 0
		if l.due(now) {
			l.size = l.trainOf(n)
			l.left, l.tried, l.since = l.size, now, 0
			l.est.train++
		}
	}
	train := 0
	switch {
	case l.left > 1:
		l.next += step / 2 // twice as fast as the line is thought to be used
		train = l.est.train
	case l.left == 1:
		l.next += step + time.Duration(l.size-1)*(step-step/2) // pays back what the train was early
		train = l.est.train
	default:
		l.next += step
	}
	l.left = max(0, l.left-1)
	l.est.send(now, n, train)
}

// A train is a few messages closer together than the pace. The line spreads them to its own rate, which so becomes known
// without filling it: the last one waits for half a message of two, or a few milliseconds on a fast line.
const (
	trainEvery = 250 * time.Millisecond
	trainApart = 8 // messages between two trains
	trainMost  = 64
)

func (l *Line) due(now time.Duration) bool {
	if l.est.queued() {
		return false
	}
	if l.est.startup {
		return l.since >= 2
	}
	return l.since >= trainApart && now-l.tried >= trainEvery
}

// trainOf is how many messages of n bytes make a train long enough to be measured.
func (l *Line) trainOf(n int) int {
	one := l.est.time(n)
	return min(max(2, 1+int((perPiece+one-1)/max(one, 1))), trainMost)
}

// Progress says that at now the receiver was heard to have taken n bytes more of this stream, by its own clock at
// taken; taken is 0 when it did not say. It reports false, and measures nothing, when that cannot be.
func (l *Line) Progress(now time.Duration, n int64, taken time.Duration) bool {
	return l.est.progress(now, n, taken)
}

// Estimate is what is known of a line.
type Estimate struct {
	Rate  int64         // bit/s on the wire that the line is taken to carry for us
	RTT   time.Duration // at best, from the hand-over of a message to the receiver's word; 0: not known yet
	Queue time.Duration // that the newest message found before it
	Sure  bool          // the line has been measured at its limit
}

// Estimate returns what is known now.
func (l *Line) Estimate() Estimate {
	n := l.Size()
	e := Estimate{Rate: int64(l.est.rate * 8 * float64(wire(n)) / float64(n)), Queue: max(0, l.est.last), Sure: !l.est.startup}
	if rtt, ok := l.est.rtt.min(); ok {
		e.RTT = rtt
	}
	return e
}

// Flight is how many bytes are under way.
func (l *Line) Flight() int64 { return l.est.flight() }

// Credit is how many bytes may be under way: a bandwidth-delay product and one message, and what a train is early by.
func (l *Line) Credit() int64 {
	n := l.Size()
	return l.est.credit(n) + int64(n*(l.trainOf(n)-1)/2)
}

// Event says that n bytes of events go on the same line now. What they take of it beyond the little that is left free
// for them, bulk gives back.
func (l *Line) Event(now time.Duration, n int) {
	l.spare = min(l.spare+max(0, now-l.spent).Seconds()*l.est.rate*spare, spareMost)
	l.spent = now
	l.spare -= float64(n + framing + headers)
	if l.spare < 0 {
		l.next = max(l.next, now) + seconds(-l.spare/l.pace())
		l.spare = 0
	}
}

func seconds(s float64) time.Duration {
	return time.Duration(min(max(s, 0), 3600) * float64(time.Second))
}
