package rtsp

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/edge"
	"sitewatch/video"
)

// Camera keeps one stream of a camera coming: it connects, connects again, and says when the pictures stop and return.
type Camera struct {
	opt  Options
	line timeline
	back chan struct{} // a usable unit came while the camera was lost; one suffices

	mu      sync.Mutex
	last    edge.Stamp // arrival of the last usable unit, at first the start
	lost    bool
	trouble error // why the last connection ended
	source  *Source
	overTCP time.Duration // Mono until when UDP is not tried, with why
	noUDP   string
	params  video.Params // of the last usable unit
	stats   Status
}

// Status is a snapshot for a status page.
type Status struct {
	Lost        bool
	Trouble     string // why there are no pictures, "" while they come
	Hint        string
	Codec       video.Codec // 0: none yet
	Size        video.Size
	LastUnit    edge.Stamp // zero: none yet
	Transport   string     // tcp or udp, "" before the first connection
	Advice      []string   // what is not as it should be although pictures come
	Units       uint64
	Bytes       uint64
	Connections uint64
	LostPackets uint64
	BadPackets  uint64
}

// NewCamera checks the address and starts nothing.
func NewCamera(opt Options) (*Camera, error) {
	if _, err := parseAddress(opt.URL); err != nil {
		return nil, err
	}
	return &Camera{opt: opt.withDefaults(), back: make(chan struct{}, 1)}, nil
}

// Run keeps the stream coming until ctx ends.
func (c *Camera) Run(ctx context.Context) error {
	c.mu.Lock()
	c.last = c.opt.Clock.Now()
	c.mu.Unlock()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.runConnections(ctx) })
	g.Go(func() error { return c.runHealth(ctx) })
	return g.Wait()
}

// How many times the first pause the pause after a wrong password, and after a stream beyond the limits, may become.
const (
	refusedMost = 32
	limitMost   = 4
)

// runConnections connects again and again, quickly at first: a camera that was switched back on is there within seconds.
func (c *Camera) runConnections(ctx context.Context) error {
	const first = 200 * time.Millisecond
	wait, refused := first, c.opt.RefusedFor
	for {
		opt := c.opt
		opt.Sink = (*intake)(c)
		src := newSource(opt, &c.line)
		c.mu.Lock()
		src.tcp = c.opt.Clock.Now().Mono < c.overTCP
		c.source = src
		c.mu.Unlock()
		err := src.Run(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if src.usable.Load() > 0 {
			wait = first
		}
		if errors.Is(err, errNoUDP) {
			c.mu.Lock()
			c.overTCP, c.noUDP = c.opt.Clock.Now().Mono+overTCPFor, err.Error()
			c.mu.Unlock()
			c.opt.Log.Warn("pictures are taken over TCP", "camera", c.opt.ID, "err", err)
			continue
		}
		c.ended(src, err)
		pause := wait/2 + rand.N(wait/2+1)
		wait = min(wait*2, c.opt.RetryMax)
		switch {
		case errors.Is(err, ErrRefused), errors.Is(err, ErrBasic):
			pause, refused = refused, min(refused*2, refusedMost*c.opt.RefusedFor)
		case errors.Is(err, ErrLimit):
			pause, refused = refused, min(refused*2, limitMost*c.opt.RefusedFor)
		default:
			refused = c.opt.RefusedFor
		}
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}

// ended books how a connection ended. The same reason again is not logged again.
func (c *Camera) ended(src *Source, err error) {
	c.mu.Lock()
	same := c.trouble != nil && c.trouble.Error() == err.Error()
	c.trouble = err
	c.stats.Connections++
	c.stats.LostPackets += src.lost.Load()
	c.stats.BadPackets += src.bad.Load()
	c.mu.Unlock()
	if !same {
		c.opt.Log.Warn("camera connection ended", "camera", c.opt.ID, "err", err)
	}
}

// intake is the Camera as its sources see it.
type intake Camera

func (c *intake) OnUnit(u video.AccessUnit, p video.Params) {
	c.mu.Lock()
	c.last, c.params, c.trouble = u.Arrival, p, nil
	c.stats.Units++
	c.stats.Bytes += uint64(len(u.Data))
	c.stats.LastUnit = u.Arrival
	lost := c.lost
	c.mu.Unlock()
	if lost {
		select {
		case c.back <- struct{}{}:
		default:
		}
	}
	c.opt.Sink.OnUnit(u, p)
}

func (c *intake) Lost(context.Context, string) {}
func (c *intake) Restored(context.Context)     {}

// runHealth tells the sink. Every connection begins with a keyframe, and so does what follows a loss: the first usable
// unit after a silence of LostAfter is a keyframe or continues pictures that were only late.
func (c *Camera) runHealth(ctx context.Context) error {
	known := c.opt.Lost
	for {
		c.mu.Lock()
		wait := c.last.Mono + c.opt.LostAfter - c.opt.Clock.Now().Mono
		c.lost = wait <= 0 || known
		lost, reason := c.lost, c.reason()
		c.mu.Unlock()
		if !lost {
			if !sleep(ctx, wait) {
				return ctx.Err()
			}
			continue
		}
		if !known {
			c.opt.Sink.Lost(ctx, reason)
		}
		known = false
		select {
		case <-c.back:
		case <-ctx.Done():
			return ctx.Err()
		}
		c.mu.Lock()
		c.lost = false
		c.mu.Unlock()
		select { // a second unit may have signalled meanwhile
		case <-c.back:
		default:
		}
		c.opt.Sink.Restored(ctx)
	}
}

func (c *Camera) reason() string {
	if c.trouble != nil {
		return c.trouble.Error()
	}
	if c.source != nil {
		if why := c.source.why(); why != nil {
			return "no usable picture came: " + why.Error()
		}
	}
	return "no usable picture came"
}

// Trouble says why there are no pictures, "" while they come.
func (c *Camera) Trouble() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trouble == nil && !c.lost {
		return ""
	}
	return c.reason()
}

// Status returns how the camera is.
func (c *Camera) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Lost, s.Codec, s.Size = c.lost, c.params.Codec, c.params.Size
	if c.source != nil {
		s.Transport = "tcp"
		if c.opt.UDP && !c.source.tcp {
			s.Transport = "udp"
		}
		if c.source.tcp {
			s.Advice = append(s.Advice, c.noUDP+": it is taken over TCP")
		}
	}
	if c.trouble != nil || c.lost {
		s.Trouble, s.Hint = c.reason(), edge.HintOf(c.trouble)
	}
	return s
}

// sleep waits for d; false means that ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
