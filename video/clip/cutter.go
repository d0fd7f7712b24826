package clip

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"sync"

	"sitewatch/edge"
)

// Cutter works off wanted clips. One goroutine calls Run.
type Cutter struct {
	opt Options

	mu     sync.Mutex
	active map[edge.ClipID]bool
}

// New returns a Cutter that has started nothing.
func New(opt Options) *Cutter {
	if opt.AtOnce <= 0 {
		opt.AtOnce = 32
	}
	if opt.MinFreeBytes <= 0 {
		opt.MinFreeBytes = minFreeBytes
	}
	if opt.Free == nil {
		opt.Free = statfsFree
	}
	return &Cutter{opt: opt, active: map[edge.ClipID]bool{}}
}

// Active returns how many clips are being cut.
func (c *Cutter) Active() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.active)
}

// Run cuts until ctx ends or the journal fails. A clip that is being cut when Run ends stays wanted, and the next Run takes it up.
func (c *Cutter) Run(ctx context.Context) error {
	if err := c.sweep(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	done := make(chan struct{}, 1) // one clip ended; several may share a token
	for {
		edge.Beat(ctx)
		changed := c.opt.Jobs.ClipsChanged()
		jobs, err := c.opt.Jobs.WantedClips(ctx)
		if err != nil {
			return fmt.Errorf("wanted clips: %w", err)
		}
		for _, job := range jobs {
			if !c.begin(job.ID) {
				continue
			}
			wg.Go(func() {
				err := c.runJob(ctx, job)
				c.end(job.ID)
				if err != nil && ctx.Err() == nil {
					cancel(err)
				}
				select {
				case done <- struct{}{}:
				default:
				}
			})
		}
		select {
		case <-changed:
		case <-done:
		case <-ctx.Done():
			if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
				return err
			}
			return ctx.Err()
		}
	}
}

// begin takes a job on, unless it is being cut already or there are too many.
func (c *Cutter) begin(id edge.ClipID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active[id] || len(c.active) >= c.opt.AtOnce {
		return false
	}
	c.active[id] = true
	return true
}

func (c *Cutter) end(id edge.ClipID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.active, id)
}

var (
	validID  = regexp.MustCompile(`^[0-9a-f]{32}$`)
	tempFile = regexp.MustCompile(`^([0-9a-f]{32})\.(tmp|jtmp)$`)
)

// sweep removes temporary files that no wanted clip will take up.
func (c *Cutter) sweep(ctx context.Context) error {
	jobs, err := c.opt.Jobs.WantedClips(ctx)
	if err != nil {
		return fmt.Errorf("wanted clips: %w", err)
	}
	wanted := map[string]bool{}
	for _, j := range jobs {
		wanted[string(j.ID)] = true
	}
	entries, err := os.ReadDir(c.opt.Dir)
	if err != nil {
		return fmt.Errorf("clips: %w", err)
	}
	for _, e := range entries {
		if m := tempFile.FindStringSubmatch(e.Name()); m != nil && (!wanted[m[1]] || m[2] == "jtmp") {
			if err := os.Remove(filepath.Join(c.opt.Dir, e.Name())); err != nil {
				c.opt.Log.Warn("clip leftover not removed", "err", err)
			}
		}
	}
	return nil
}

// runJob brings one clip to its end. An error is the journal's or ctx's: the clip stays wanted. Whatever else goes wrong
// ends in a clip that is lost and says why, a panic included: a picture must not end the process.
func (c *Cutter) runJob(ctx context.Context, job edge.ClipJob) (err error) {
	j := &cutting{Cutter: c, job: job, log: c.opt.Log.With("camera", job.Camera, "clip", job.ID)}
	defer func() {
		if r := recover(); r != nil {
			j.log.Error("clip broke the cutter", "err", r, "stack", string(debug.Stack()))
			err = c.opt.Jobs.ClipLost(ctx, job.ID, "pictures that could not be written")
		}
	}()
	if !validID.MatchString(string(job.ID)) {
		return c.opt.Jobs.ClipLost(ctx, job.ID, "its id cannot be the name of a file")
	}
	var lost *lostError
	if err = j.run(ctx); errors.As(err, &lost) {
		j.log.Warn("clip lost", "err", lost)
		os.Remove(j.temp()) // best effort: sweep finds it otherwise
		return c.opt.Jobs.ClipLost(ctx, job.ID, lost.reason)
	}
	return err
}

// lostError ends a clip for good.
type lostError struct{ reason string }

func (e *lostError) Error() string { return e.reason }

func lostf(format string, args ...any) error { return &lostError{fmt.Sprintf(format, args...)} }
