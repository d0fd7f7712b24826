package onvif

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"sitewatch/edge"
)

// Sink takes what cameras notice. It is called from the goroutine of Events.Run and may wait as long as ctx goes on; the camera
// keeps its messages meanwhile, or loses them.
type Sink interface {
	Hint(ctx context.Context, h Hint)
}

// EventsOptions describe the subscription to one camera.
type EventsOptions struct {
	Device Options
	Camera edge.CameraID
	Sink   Sink
	Log    *slog.Logger

	// Zero means the default; tests are faster.
	RetryMin   time.Duration // 1 s
	RetryMax   time.Duration // 1 min
	RefusedFor time.Duration // 30 s: first pause after a wrong password, which cameras answer with a lock-out; it doubles up to 16 min
}

// Events keeps a subscription to a camera's messages. Run runs it; Status may be called from any goroutine.
type Events struct {
	opt EventsOptions

	mu sync.Mutex
	st Status
}

// Status is a snapshot for a status page.
type Status struct {
	Connected bool          // a subscription is open and answers
	Trouble   string        // why it is not, "" before the first attempt
	Offset    time.Duration // how far the camera's clock is ahead of ours
	Hints     uint64
	Last      edge.Stamp // of the last hint
	LastKind  Kind
	Doubts    []string
}

// NewEvents checks the address and starts nothing.
func NewEvents(opt EventsOptions) (*Events, error) {
	if _, err := parseBase(opt.Device.Address); err != nil {
		return nil, err
	}
	for _, d := range []struct {
		p   *time.Duration
		def time.Duration
	}{{&opt.RetryMin, time.Second}, {&opt.RetryMax, time.Minute}, {&opt.RefusedFor, 30 * time.Second}} {
		if *d.p == 0 {
			*d.p = d.def
		}
	}
	return &Events{opt: opt}, nil
}

// Status returns how the subscription is.
func (e *Events) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.st
}

// refusedMost is how many times the first pause the pause after a wrong password may become.
const refusedMost = 32

// Run listens until ctx ends, and connects again whenever the camera is gone.
func (e *Events) Run(ctx context.Context) error {
	wait, refused := e.opt.RetryMin, e.opt.RefusedFor
	for {
		worked, err := e.session(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if worked {
			wait, refused = e.opt.RetryMin, e.opt.RefusedFor
		}
		pause := wait/2 + rand.N(wait/2+1)
		wait = min(wait*2, e.opt.RetryMax)
		switch {
		case worked: // also when it refuses us now: its clock was set, and our tokens are of the wrong time
		case errors.Is(err, ErrRefused), errors.Is(err, ErrBasic), errors.Is(err, ErrAsks), errors.Is(err, ErrMissing):
			pause, refused = refused, min(refused*2, refusedMost*e.opt.RefusedFor)
		}
		if !errors.Is(err, errOver) {
			e.ended(err)
		}
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}

// ended books how a session ended. The same reason again is not logged again.
func (e *Events) ended(err error) {
	text := err.Error()
	e.mu.Lock()
	same := !e.st.Connected && e.st.Trouble == text
	e.st.Connected, e.st.Trouble = false, text
	e.mu.Unlock()
	if !same {
		e.opt.Log.Warn("the camera's own events do not come", "camera", e.opt.Camera, "err", err)
	}
}

const (
	goodbye   = 2 * time.Second        // for the last message to a camera
	leastPull = 200 * time.Millisecond // between two pulls; a camera that answers at once with nothing is asked once a second
	idlePull  = time.Second
)

// session is one subscription, from its making until something fails. It always returns an error; worked says that the camera
// answered a pull.
func (e *Events) session(ctx context.Context) (worked bool, err error) {
	d, err := Open(e.opt.Device)
	if err != nil {
		return false, err
	}
	defer d.Close()
	offset, _, err := d.Sync(ctx)
	if err != nil {
		return false, err
	}
	s, err := d.subscribe(ctx)
	if err != nil {
		return false, err
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
		defer cancel()
		s.unsubscribe(last) // if it does not hear it, the lease ends
	}()
	wait := firstTimeout
	for {
		begun := d.c.clock.Now()
		hints, err := s.pull(ctx, wait)
		if err != nil {
			return worked, err
		}
		if !worked {
			worked, wait = true, pullTimeout
			e.connected(offset, d.Doubts())
		}
		for _, h := range hints {
			e.hint(ctx, h)
		}
		if err := s.renew(ctx); err != nil {
			return worked, err
		}
		least := leastPull
		if len(hints) == 0 {
			least = idlePull
		}
		if took, ok := d.c.clock.Now().Since(begun); ok && took < least && !sleep(ctx, least-took) {
			return worked, ctx.Err()
		}
	}
}

func (e *Events) connected(offset time.Duration, doubts []string) {
	e.mu.Lock()
	e.st.Connected, e.st.Trouble, e.st.Offset, e.st.Doubts = true, "", offset, doubts
	e.mu.Unlock()
	e.opt.Log.Info("the camera's own events come", "camera", e.opt.Camera, "clock_ahead", offset)
	for _, d := range doubts {
		e.opt.Log.Warn("an address of a camera was not believed", "camera", e.opt.Camera, "err", d)
	}
}

func (e *Events) hint(ctx context.Context, h Hint) {
	e.mu.Lock()
	e.st.Hints++
	e.st.Last, e.st.LastKind = h.At, h.Kind
	e.mu.Unlock()
	e.opt.Sink.Hint(ctx, h)
}
