package panel

import (
	"sync"

	"sitewatch/edge"
)

// Meter counts what the sessions of one line do. A nil Meter counts nothing. Safe for use by several goroutines.
type Meter struct {
	mu     sync.Mutex
	counts Counts
	heard  chan struct{} // capacity 1: "a good frame has come", for the line
}

// Counts is a reading of a Meter.
type Counts struct {
	Frames  uint64 // good frames
	Rejects uint64 // frames that we refused for their checksum
	Noise   uint64 // bytes that belonged to no frame
	Unacked uint64 // good frames left without acknowledgement: not on disk, or too late
	Last    edge.Stamp
}

func newMeter() *Meter { return &Meter{heard: make(chan struct{}, 1)} }

// Frame counts a good frame that arrived at the stamp.
func (m *Meter) Frame(at edge.Stamp) {
	if m == nil {
		return
	}
	m.mu.Lock()
	m.counts.Frames++
	m.counts.Last = at
	m.mu.Unlock()
	select {
	case m.heard <- struct{}{}:
	default:
	}
}

// Reject counts a frame that was refused.
func (m *Meter) Reject() { m.add(func(c *Counts) { c.Rejects++ }) }

// Noise counts n bytes that belonged to no frame.
func (m *Meter) Noise(n int) { m.add(func(c *Counts) { c.Noise += uint64(n) }) }

// Unacked counts a good frame that got no acknowledgement.
func (m *Meter) Unacked() { m.add(func(c *Counts) { c.Unacked++ }) }

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
