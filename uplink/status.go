package uplink

import (
	"sync"
	"time"

	"sitewatch/edge"
)

// Status is what the client knows of itself, for the status page.
type Status struct {
	Connected   bool       // by any path
	Since       edge.Stamp // of the present state; zero before the first connection
	LastAck     edge.Stamp
	LastError   string // why the last session ended
	LastErrorAt edge.Stamp
	Events      uint64 // sent since the program started; a repeated one counts again
	EventBytes  uint64
	Twins       uint64 // of Events: urgent ones that went by another path because their ack was late
	UploadBytes uint64
	Files       uint64 // stored at the SOC since the program started
	Uploading   edge.ClipID
	Ignored     uint64 // messages of the SOC that made no sense: repeated acks, acks of what was not sent
	Paths       []PathStatus
}

// PathStatus is how one path does.
type PathStatus struct {
	Name        string
	Interface   string
	Connected   bool
	Best        bool       // events take it
	Bulk        bool       // stills and clips take it, when there are any
	Lost        bool       // path-lost has been reported and not its end
	Since       edge.Stamp // of the present state; zero before the first connection
	Address     string     // of the SOC, as configured: that of the present or the last session
	RTT         time.Duration
	LastError   string
	LastErrorAt edge.Stamp
}

// Status returns a snapshot.
func (c *Client) Status() Status {
	st := c.status.snapshot()
	c.lanes.describe(st.Paths)
	if p, _ := c.route(edge.PartStill); p != nil {
		st.Paths[p.index].Bulk = true
	}
	return st
}

func (s *lanes) describe(paths []PathStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, l := range s.links {
		if l != nil {
			paths[i].RTT, paths[i].Best = l.rtt, i == s.best
		}
	}
}

type board struct {
	mu sync.Mutex
	Status
}

func (b *board) begin(paths []Path) {
	for _, p := range paths {
		b.Paths = append(b.Paths, PathStatus{Name: p.Name, Interface: p.Interface})
	}
}

func (b *board) snapshot() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.Status
	s.Paths = append([]PathStatus(nil), s.Paths...)
	return s
}

func (b *board) change(f func(s *Status)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.Status)
}

func (b *board) connected(path int, addr string, at edge.Stamp) {
	b.change(func(s *Status) {
		p := &s.Paths[path]
		p.Connected, p.Since, p.Address = true, at, addr
		if !s.Connected {
			s.Connected, s.Since = true, at
		}
	})
}

func (b *board) disconnected(path int, at edge.Stamp) {
	b.change(func(s *Status) {
		s.Paths[path].Connected, s.Paths[path].Since = false, at
		for _, p := range s.Paths {
			if p.Connected {
				return
			}
		}
		s.Connected, s.Since = false, at
	})
}

func (b *board) lost(path int, is bool) { b.change(func(s *Status) { s.Paths[path].Lost = is }) }

// reason is why the path's last session ended, for a sentence; "" before there was one.
func (b *board) reason(path int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Paths[path].LastError
}

func (b *board) acked(at edge.Stamp) { b.change(func(s *Status) { s.LastAck = at }) }
func (b *board) ignored()            { b.change(func(s *Status) { s.Ignored++ }) }
func (b *board) stored()             { b.change(func(s *Status) { s.Files++ }) }
func (b *board) uploaded(n int)      { b.change(func(s *Status) { s.UploadBytes += uint64(n) }) }

func (b *board) sent(events, bytes int, twin bool) {
	b.change(func(s *Status) {
		s.Events, s.EventBytes = s.Events+uint64(events), s.EventBytes+uint64(bytes)
		if twin {
			s.Twins += uint64(events)
		}
	})
}

func (b *board) uploading(id edge.ClipID) { b.change(func(s *Status) { s.Uploading = id }) }

func (b *board) failed(what string, err error, at edge.Stamp) {
	b.change(func(s *Status) { s.LastError, s.LastErrorAt = what+": "+plain(err), at })
}

func (b *board) pathFailed(path int, err error, at edge.Stamp) {
	b.change(func(s *Status) { s.Paths[path].LastError, s.Paths[path].LastErrorAt = plain(err), at })
}
