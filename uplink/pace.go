package uplink

import (
	"context"
	"sync"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/pace"
)

// line is what the box knows of one path to the SOC: the events' session and the upload session of that path share it
// and it outlives both, so that a new session begins with what the last one has measured. Any goroutine may use it.
type line struct {
	clock edge.Clock
	limit func() int64 // of bulk, in bit/s, asked again and again; 0: none
	busy  gate         // events wait on this path

	mu      sync.Mutex
	bulk    *pace.Line
	routine pace.Window
}

// newLine makes a line of which nothing is known yet.
func newLine(clock edge.Clock, limit func() int64) *line {
	return &line{clock: clock, limit: limit, bulk: pace.NewLine()}
}

// begin starts a new stream of files.
func (l *line) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bulk.Begin(l.clock.Now().Mono)
}

// next says how large the next piece of a file may be and how long it has to wait; ok is false while only the SOC's word
// that it has taken some helps.
func (l *line) next() (n int, wait time.Duration, ok bool) {
	limit := l.limit()
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now().Mono
	l.bulk.Limit(limit)
	at, ok := l.bulk.Next(now)
	return l.bulk.Size(), max(0, at-now), ok
}

// sent says that a piece of n bytes has been handed over.
func (l *line) sent(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bulk.Sent(l.clock.Now().Mono, n)
}

// taken says that the SOC has taken n bytes more, by its own clock at mono.
func (l *line) taken(n int64, mono time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bulk.Progress(l.clock.Now().Mono, n, mono)
}

// forget drops what is under way: the SOC will say no more of it.
func (l *line) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bulk.Forget()
}

// event says that a message of n bytes goes on the events' connection. It never waits; bulk makes room for it.
func (l *line) event(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bulk.Event(l.clock.Now().Mono, n)
}

// routineCredit is how many bytes of routine events may be under way; full says that there are more.
func (l *line) routineCredit() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.routine.Credit()
}

func (l *line) full() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.routine.Full()
}

// routineAcked says that routine events which were handed over at that Mono are acked.
func (l *line) routineAcked(sent time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.routine.Acked(l.clock.Now().Mono, sent)
}

// yieldFor is how long a piece of a file waits for events: a stream of them that never ends must not stop bulk for ever.
const yieldFor = 2 * time.Second

// yield waits while events do.
func (l *line) yield(ctx context.Context) error {
	idle := l.busy.idle()
	if idle == nil {
		return ctx.Err()
	}
	t := time.NewTimer(yieldFor)
	defer t.Stop()
	select {
	case <-idle:
	case <-t.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}
