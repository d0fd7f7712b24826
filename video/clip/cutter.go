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
	"time"

	"sitewatch/edge"
)

// Cutter works off wanted clips. One goroutine calls Run.
type Cutter struct {
	opt Options

	mu     sync.Mutex
	active map[edge.ClipID]bool // begun, true when somebody asked for it; those in ended still among them
	ended  []edge.ClipID        // since the list was last asked for
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
	return len(c.active) - len(c.ended)
}

// listRetry is the pause when the list cannot be read while clips are being cut.
const listRetry = time.Second

// Run cuts until ctx ends. A clip that is being cut when Run ends stays wanted, and the next Run takes it up. So Run goes on
// while any is being cut, whatever the journal says; when none is, a list that cannot be read ends it.
func (c *Cutter) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer c.reap() // for the next Run
	defer wg.Wait()
	defer cancel()
	done := make(chan struct{}, 1) // one clip ended; several may share a token
	swept := false
	for {
		edge.Beat(ctx)
		changed := c.opt.Jobs.ClipsChanged()
		active := c.reap()
		jobs, err := c.opt.Jobs.WantedClips(ctx)
		var again <-chan time.Time
		if err != nil && ctx.Err() == nil {
			if active == 0 {
				return fmt.Errorf("wanted clips: %w", err)
			}
			c.opt.Log.Warn("the wanted clips cannot be read", "err", err)
			again = time.After(listRetry)
		}
		if err == nil && len(jobs) == 0 && active == 0 && !swept {
			c.sweep()
			swept = true
		}
		for _, job := range jobs {
			if !c.begin(job) {
				continue
			}
			wg.Go(func() {
				c.runJob(ctx, job)
				c.end(job.ID)
				select {
				case done <- struct{}{}:
				default:
				}
			})
		}
		select {
		case <-changed:
		case <-done:
		case <-again:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// begin takes a job on, unless it is being cut already or there are too many. What somebody asks for may have a quarter of
// the places: an alarm's clip must not wait until the minutes are over that the SOC wants to see.
func (c *Cutter) begin(job edge.ClipJob) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked, all := job.Kind == edge.KindCommandDone, 0
	for _, a := range c.active {
		if a {
			all++
		}
	}
	if _, twice := c.active[job.ID]; twice || len(c.active) >= c.opt.AtOnce || asked && all >= max(1, c.opt.AtOnce/4) {
		return false
	}
	c.active[job.ID] = asked
	return true
}

func (c *Cutter) end(id edge.ClipID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = append(c.ended, id)
}

// reap forgets the clips that have ended and returns how many are being cut. It is called before the list is asked for: the
// list may still have a clip that ends while it is read, and that one is not to be begun a second time.
func (c *Cutter) reap() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range c.ended {
		delete(c.active, id)
	}
	c.ended = nil
	return len(c.active)
}

var (
	validID  = regexp.MustCompile(`^[0-9a-f]{32}$`)
	tempFile = regexp.MustCompile(`^[0-9a-f]{32}\.[jk]?tmp$`)
)

// sweep removes temporary files. It is called while no clip is wanted and none is being cut, so that none will take them up;
// the list shows some of the wanted clips only, and which they are not cannot be learnt from it at another time.
func (c *Cutter) sweep() {
	entries, err := os.ReadDir(c.opt.Dir)
	if err != nil {
		c.opt.Log.Warn("clip leftovers not found", "err", err)
	}
	for _, e := range entries {
		if tempFile.MatchString(e.Name()) {
			if err := os.Remove(filepath.Join(c.opt.Dir, e.Name())); err != nil {
				c.opt.Log.Warn("clip leftover not removed", "err", err)
			}
		}
	}
}

// runJob brings one clip to its end, or as far as it is when ctx ends: then it stays wanted. Whatever else goes wrong ends
// in a clip that is lost and says why, a panic included: a picture must not end the process.
func (c *Cutter) runJob(ctx context.Context, job edge.ClipJob) {
	j := &cutting{Cutter: c, job: job, log: c.opt.Log.With("camera", job.Camera, "clip", job.ID)}
	defer func() {
		if r := recover(); r != nil {
			j.log.Error("clip broke the cutter", "err", r, "stack", string(debug.Stack()))
			j.giveUp(ctx, "pictures that could not be written")
		}
	}()
	if !validID.MatchString(string(job.ID)) {
		j.lose(ctx, "its id cannot be the name of a file")
		return
	}
	var lost *lostError
	if err := j.run(ctx); errors.As(err, &lost) {
		j.log.Warn("clip lost", "err", lost)
		j.giveUp(ctx, lost.reason)
	}
}

// lose tells the journal that there will be no clip. When ctx ends before that, the next Run finds out again.
func (j *cutting) lose(ctx context.Context, reason string) {
	_ = j.tell(ctx, "clip lost", func(ctx context.Context) error { return j.opt.Jobs.ClipLost(ctx, j.job.ID, reason) })
}

// lostError ends a clip for good.
type lostError struct{ reason string }

func (e *lostError) Error() string { return e.reason }

func lostf(format string, args ...any) error { return &lostError{fmt.Sprintf(format, args...)} }
