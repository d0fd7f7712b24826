package motion

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"sitewatch/edge"
	"sitewatch/video"
)

// Options describe an Eye.
type Options struct {
	Command  string   // path of the eye
	Args     []string // none, but for tests
	Clock    edge.Clock
	Log      *slog.Logger
	Reporter Reporter // nil: nobody wants to know what moves
}

const (
	// queueBytes bounds what waits for the eye. It is the eye's misfortune when it is slower, never the camera's.
	queueBytes  = 8 << 20
	queueUnits  = 1024
	maxStills   = 16 // waiting
	maxReports  = 256
	writeLimit  = 5 * time.Second // for one message to a pipe that the eye does not empty
	readyLimit  = 10 * time.Second
	stillLimit  = 10 * time.Second
	staleAfter  = 30 * time.Second // an interval whose camera sends nothing any more
	staleCheck  = 5 * time.Second
	stderrBytes = 2048
)

// ErrNoEye says that no eye is up to make a still.
var ErrNoEye = errors.New("motion: no eye is up")

// Eye is the gateway's side of one eye process. Run runs it; Push and Still may be called from any goroutine at any time.
type Eye struct {
	opt Options

	mu      sync.Mutex
	queue   []queued
	bytes   int
	dropped uint64
	stills  map[uint32]chan StillReply
	asks    []*StillRequest
	lastID  uint32
	up      bool
	wake    chan struct{} // something is in queue or asks
	anchors map[edge.CameraID]video.Anchor
	open    map[edge.CameraID]Interval // intervals that have begun
	starts  uint64
	gaps    map[edge.CameraID]bool       // units were left out since the last that was queued
	hints   map[edge.CameraID]edge.Stamp // the last of each camera that the eye was not told of yet
}

type queued struct {
	camera edge.CameraID
	params video.Params
	unit   video.AccessUnit
}

// New returns an Eye that has started nothing.
func New(opt Options) *Eye {
	return &Eye{opt: opt, stills: map[uint32]chan StillReply{}, wake: make(chan struct{}, 1),
		anchors: map[edge.CameraID]video.Anchor{}, open: map[edge.CameraID]Interval{}, gaps: map[edge.CameraID]bool{}, hints: map[edge.CameraID]edge.Stamp{}}
}

// Push gives the eye a picture to look at. It never blocks: without an eye, or when it is behind, the picture is dropped.
func (e *Eye) Push(camera edge.CameraID, u video.AccessUnit, p video.Params) {
	if u.Audio != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.anchors[camera] = video.AnchorOf(u)
	if !e.up || len(e.queue) >= queueUnits || e.bytes+len(u.Data) > queueBytes {
		e.dropped++
		e.gaps[camera] = true
		return
	}
	if e.gaps[camera] {
		u.Lost++
		delete(e.gaps, camera)
	}
	e.queue = append(e.queue, queued{camera, p, u})
	e.bytes += len(u.Data)
	e.signal()
}

func (e *Eye) signal() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Still asks the eye for a JPEG of the keyframe u. ErrNoEye: try again later.
func (e *Eye) Still(ctx context.Context, p video.Params, u video.AccessUnit) ([]byte, error) {
	reply := make(chan StillReply, 1) // the reader of the pipe never waits for us
	e.mu.Lock()
	if !e.up || len(e.stills) >= maxStills {
		e.mu.Unlock()
		return nil, ErrNoEye
	}
	e.lastID++
	id := e.lastID
	e.stills[id] = reply
	e.asks = append(e.asks, &StillRequest{ID: id, Params: p, Data: u.Data})
	e.signal()
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(e.stills, id)
		e.mu.Unlock()
	}()
	t := time.NewTimer(stillLimit)
	defer t.Stop()
	select {
	case r, ok := <-reply:
		if !ok {
			return nil, ErrNoEye // it died
		}
		if !r.OK {
			return nil, fmt.Errorf("motion: still: %s", r.Data)
		}
		return r.Data, nil
	case <-t.C:
		return nil, fmt.Errorf("motion: still: no answer within %v", stillLimit)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Status is a snapshot for a status page.
type Status struct {
	Up      bool
	Starts  uint64
	Dropped uint64 // pictures that were not looked at
	Moving  int    // cameras with an open interval
}

// Status returns how the eye is.
func (e *Eye) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return Status{Up: e.up, Starts: e.starts, Dropped: e.dropped, Moving: len(e.open)}
}

// setUp begins or ends the time in which work is taken. Nothing of one eye's work is left for the next.
func (e *Eye) setUp(up bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.up = up
	if up {
		e.starts++
	}
	for _, q := range e.queue {
		e.gaps[q.camera] = true
	}
	e.queue, e.bytes, e.asks = nil, 0, nil
	for id, c := range e.stills {
		close(c)
		delete(e.stills, id)
	}
}

// take returns the next thing to write: stills first, they belong to an alarm.
func (e *Eye) take() (ask *StillRequest, q queued, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.asks) > 0 {
		ask, e.asks = e.asks[0], e.asks[1:]
		return ask, q, true
	}
	if len(e.queue) > 0 {
		q = e.queue[0]
		e.queue[0] = queued{}
		e.queue = e.queue[1:]
		e.bytes -= len(q.unit.Data)
		return nil, q, true
	}
	return nil, q, false
}

// answer gives a reply to whoever asked. Nobody may: the time was over.
func (e *Eye) answer(r *StillReply) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c, ok := e.stills[r.ID]; ok {
		c <- *r
		delete(e.stills, r.ID)
	}
}
