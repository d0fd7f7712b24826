package panel

import (
	"fmt"
	"sync"
	"time"

	"sitewatch/drivers/rs485"
	"sitewatch/edge"
)

// Meter counts what the sessions of one line do. A nil Meter counts nothing. Safe for use by several goroutines.
type Meter struct {
	mu     sync.Mutex
	counts Counts
	expect time.Duration // how long the panel may be silent, as its session has learnt; 0: not known
	since  uint64        // bytes since the last good frame
	active int64         // the second in which bytes came last, on the monotonic clock
	tail   [16]byte      // the last bytes that came
	tailed int
	heard  chan struct{} // capacity 1: "a good frame has come", for the line
	change chan struct{} // capacity 1: "another silence may be expected"
}

// Counts is a reading of a Meter.
type Counts struct {
	Bytes   uint64 // that came, whatever they are
	Damaged uint64 // of them: wrong parity or framing, breaks
	Seconds uint64 // in which bytes came
	Frames  uint64 // good frames
	Rejects uint64 // frames that we refused for their checksum
	Noise   uint64 // bytes that belonged to no frame
	Unacked uint64 // good frames left without acknowledgement: not on disk, or too late
	Last    edge.Stamp
}

func newMeter() *Meter {
	return &Meter{heard: make(chan struct{}, 1), change: make(chan struct{}, 1), active: -1}
}

// Frame counts a good frame that arrived at the stamp.
func (m *Meter) Frame(at edge.Stamp) {
	if m == nil {
		return
	}
	m.mu.Lock()
	m.counts.Frames++
	m.counts.Last = at
	m.since = 0
	m.mu.Unlock()
	kick(m.heard)
}

// Reject counts a frame that was refused.
func (m *Meter) Reject() { m.add(func(c *Counts) { c.Rejects++ }) }

// Noise counts n bytes that belonged to no frame.
func (m *Meter) Noise(n int) { m.add(func(c *Counts) { c.Noise += uint64(n) }) }

// Unacked counts a good frame that got no acknowledgement.
func (m *Meter) Unacked() { m.add(func(c *Counts) { c.Unacked++ }) }

// Expect says that the panel is lost when no good frame comes for d, where the settings say nothing else: a session knows
// it from what the panel says of its own tests, or from how often it asks. 0: it may be silent for ever.
func (m *Meter) Expect(d time.Duration) {
	if m == nil {
		return
	}
	m.mu.Lock()
	m.expect = d
	m.mu.Unlock()
	kick(m.change)
}

func (m *Meter) expected() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.expect
}

func (m *Meter) add(f func(*Counts)) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.counts)
}

// Counts returns what has been counted so far.
func (m *Meter) Counts() Counts {
	if m == nil {
		return Counts{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts
}

// arrived counts bytes as the port gives them.
func (m *Meter) arrived(b []byte, damaged bool, at edge.Stamp) {
	if len(b) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.Bytes += uint64(len(b))
	m.since += uint64(len(b))
	if damaged {
		m.counts.Damaged++
	}
	if second := int64(at.Mono / time.Second); second != m.active {
		m.active = second
		m.counts.Seconds++
	}
	for _, c := range b[max(0, len(b)-len(m.tail)):] {
		m.tail[m.tailed%len(m.tail)] = c
		m.tailed++
	}
}

// arrives says in words what has come since the last good frame.
func (m *Meter) arrives() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.since == 0 {
		return "no byte arrives"
	}
	n := min(m.tailed, len(m.tail), int(min(m.since, uint64(len(m.tail)))))
	last := make([]byte, n)
	for i := range last {
		last[i] = m.tail[(m.tailed-n+i)%len(m.tail)]
	}
	damaged := ""
	if m.counts.Damaged > 0 {
		damaged = fmt.Sprintf(", %d damaged since the start", m.counts.Damaged)
	}
	return fmt.Sprintf("bytes arrive but no frame checks: baud or A/B swapped? (%d bytes, the last are % X%s)", m.since, last, damaged)
}

// kick wakes whoever waits on a channel of capacity 1; one wake-up is enough.
func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// meteredPort counts what comes from a port, before any driver has judged it.
type meteredPort struct {
	Port
	meter *Meter
	clock edge.Clock
}

func (p meteredPort) Read(b []byte) (int, error) {
	n, err := p.Port.Read(b)
	p.meter.arrived(b[:max(0, n)], err == rs485.ErrBadByte, p.clock.Now())
	return n, err
}
