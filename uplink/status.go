package uplink

import (
	"sync"

	"sitewatch/edge"
)

// Status is what the client knows of itself, for the status page.
type Status struct {
	Connected   bool
	Since       edge.Stamp // of the present state; zero before the first connection
	LastAck     edge.Stamp
	LastError   string // why the last session ended
	LastErrorAt edge.Stamp
	Events      uint64 // sent since the program started; a repeated one counts again
	EventBytes  uint64
	UploadBytes uint64
	Files       uint64 // stored at the SOC since the program started
	Uploading   edge.ClipID
	Ignored     uint64 // messages of the SOC that made no sense: repeated acks, acks of what was not sent
}

// Status returns a snapshot.
func (c *Client) Status() Status {
	c.status.mu.Lock()
	defer c.status.mu.Unlock()
	return c.status.Status
}

type board struct {
	mu sync.Mutex
	Status
}

func (b *board) change(f func(s *Status)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.Status)
}

func (b *board) connected(up bool, at edge.Stamp) {
	b.change(func(s *Status) { s.Connected, s.Since = up, at })
}

func (b *board) acked(at edge.Stamp) { b.change(func(s *Status) { s.LastAck = at }) }
func (b *board) ignored()            { b.change(func(s *Status) { s.Ignored++ }) }
func (b *board) stored()             { b.change(func(s *Status) { s.Files++ }) }
func (b *board) uploaded(n int)      { b.change(func(s *Status) { s.UploadBytes += uint64(n) }) }

func (b *board) sent(events, bytes int) {
	b.change(func(s *Status) { s.Events, s.EventBytes = s.Events+uint64(events), s.EventBytes+uint64(bytes) })
}

func (b *board) uploading(id edge.ClipID) { b.change(func(s *Status) { s.Uploading = id }) }

func (b *board) failed(what string, err error, at edge.Stamp) {
	b.change(func(s *Status) { s.LastError, s.LastErrorAt = what+": "+plain(err), at })
}
