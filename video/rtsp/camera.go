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
	opt    Options
	course course
	back   chan struct{} // a usable unit came while the camera was lost; one suffices
	turn   chan struct{} // whether it repeats has changed; one suffices

	mu      sync.Mutex
	last    edge.Stamp // arrival of the last usable unit, at first the start
	lost    bool
	trouble error // why the last connection ended
	source  *Source
	overTCP time.Duration // Mono until when UDP is not tried, with why
	noUDP   string
	mute    time.Duration // Mono until when sound is not asked for, because no pictures come beside it
	muted   int           // connections in a row with sound and without pictures
	repeats repeats
	still   string // why it is frozen, "" when it is not
	gop     gopLength
	params  video.Params // of the last usable unit
	stats   Status
}

// NewCamera checks the address and starts nothing.
func NewCamera(opt Options) (*Camera, error) {
	if _, err := parseAddress(opt.URL); err != nil {
		return nil, err
	}
	c := &Camera{opt: opt.withDefaults(), back: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
	c.course.line.still = -1
	if opt.Frozen {
		c.still = sameAgain
	}
	return c, nil
}

// Run keeps the stream coming until ctx ends.
func (c *Camera) Run(ctx context.Context) error {
	c.mu.Lock()
	c.last = c.opt.Clock.Now()
	c.course.picture.Store(int64(c.last.Mono))
	c.mu.Unlock()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(edge.Guard(func() error { return c.runConnections(ctx) }))
	g.Go(edge.Guard(func() error { return c.runHealth(ctx) }))
	g.Go(edge.Guard(func() error { return c.runFrozen(ctx) }))
	return g.Wait()
}

// muteFor is how long sound is left out after that.
const muteFor = 10 * time.Minute

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
		now := c.opt.Clock.Now().Mono
		c.mu.Lock()
		opt.Audio = opt.Audio && now >= c.mute
		c.mu.Unlock()
		src := newSource(opt, &c.course) // it locks the course, inside of which c.mu is taken
		c.mu.Lock()
		src.udp.Store(opt.UDP && now >= c.overTCP)
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
		if errors.Is(err, errNoTCP) {
			c.mu.Lock()
			c.overTCP = 0 // it was not for want of UDP
			c.mu.Unlock()
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
	if c.muted++; !src.hasSound.Load() || src.usable.Load() > 0 {
		c.muted = 0
	} else if c.muted == 2 {
		c.mute, c.muted = c.opt.Clock.Now().Mono+muteFor, 0
	}
	c.stats.Connections++
	c.stats.LostPackets += src.lost.Swap(0)
	c.stats.BadPackets += src.bad.Swap(0)
	c.mu.Unlock()
	if !same {
		c.opt.Log.Warn("camera connection ended", "camera", c.opt.ID, "err", err)
	}
}

// intake is the Camera as its sources see it.
type intake Camera

func (c *intake) OnUnit(u video.AccessUnit, p video.Params) {
	if u.Audio != nil {
		c.opt.Sink.OnUnit(u, p)
		return
	}
	c.mu.Lock()
	c.repeats.see(u, p.Codec)
	c.gop.see(u)
	changed := c.judge(u.Arrival.Mono)
	c.last, c.params, c.trouble = u.Arrival, p, nil
	c.stats.Units++
	c.stats.Bytes += uint64(len(u.Data))
	c.stats.LastUnit = u.Arrival
	lost := c.lost
	c.mu.Unlock()
	if changed {
		wake(c.turn)
	}
	if lost {
		wake(c.back)
	}
	c.opt.Sink.OnUnit(u, p)
}

func (c *intake) Lost(context.Context, string)   {}
func (c *intake) Restored(context.Context)       {}
func (c *intake) Frozen(context.Context, string) {}
func (c *intake) Thawed(context.Context)         {}

// wake says something to who waits on ch, once.
func wake(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
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
