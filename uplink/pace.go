package uplink

import (
	"context"
	"time"

	"sitewatch/edge"
)

// line is what the box knows of one path to the SOC: the events' session and the upload session of that path share it
// and it outlives both, so that a new session begins with what the last one has measured. Any goroutine may use it.
type line struct {
	clock edge.Clock
	limit func() int64 // of bulk, in bit/s, asked again and again; 0: none
	busy  gate         // events wait or are under way on this path
}

// newLine makes a line of which nothing is known yet.
func newLine(clock edge.Clock, limit func() int64) *line {
	return &line{clock: clock, limit: limit}
}

// pace decides, before every piece of a file, how large it may be and whether it may go now. What is sent stands in
// buffers and on the line before the next alarm, so this is where P3 is kept for bulk.
type pace struct {
	gate  *gate
	sent  int64 // offset of the offered file up to which it is sent
	taken int64 // up to which the SOC has taken it
}

const (
	chunkBytes  = 16 << 10
	creditBytes = 2 * chunkBytes  // under way at most: one chunk on the line and one being taken
	yieldFor    = 2 * time.Second // a stream of events that never ends must not stop bulk for ever
)

func (p *pace) begin(offset int64) { p.sent, p.taken = offset, offset }

// chunk is how much may be sent now; 0: wait for the SOC to take what is under way.
func (p *pace) chunk() int { return int(min(chunkBytes, max(0, p.taken+creditBytes-p.sent))) }

// yield waits while events do.
func (p *pace) yield(ctx context.Context) error {
	idle := p.gate.idle()
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
