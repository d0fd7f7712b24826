package supervise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/pprof"
	"strings"
	"sync"
	"time"

	"sitewatch/edge"
)

const (
	firstPause   = 250 * time.Millisecond
	longestPause = 30 * time.Second
	healthyAfter = time.Minute // a run this long ends the memory of earlier failures
)

// errEnded is the failure of a task that must not return and did.
var errEnded = errors.New("ended without being told to")

// runner is one task and how it is doing.
type runner struct {
	task   Task
	tree   *Tree
	cancel context.CancelFunc
	done   chan struct{} // closed when the task will not run again

	mu       sync.Mutex
	running  bool
	finished bool          // it will not run again
	beaten   bool          // at least once in this run
	last     time.Duration // start of this run or last beat, by the monotonic clock
	failures uint64
	err      error
}

// start begins to run the task; the tree's lock is held.
func (r *runner) start(base context.Context) {
	ctx, cancel := context.WithCancel(base)
	r.cancel = cancel
	go r.run(edge.WithBeat(ctx, r.beat))
}

func (r *runner) run(ctx context.Context) {
	defer close(r.done)
	defer r.finish()
	// The task's goroutines inherit the label: that is how stackOf finds them.
	pprof.Do(ctx, pprof.Labels("task", string(r.task.Name)), r.loop)
}

// loop runs the task until it is done with, pausing between failures.
func (r *runner) loop(ctx context.Context) {
	pause := firstPause
	var recent []time.Duration // failures of a vital task within vitalWindow
	rep := newReporter(r)
	defer rep.flush()
	for {
		from := r.begin()
		err := guard(ctx, r.task.Run)
		r.ended()
		if ctx.Err() != nil {
			if err != nil && !errors.Is(err, context.Canceled) {
				r.tree.opt.Log.Warn("task stopped with an error", "task", r.task.Name, "err", err)
			}
			return
		}
		if r.task.Restart == Never && err == nil {
			return
		}
		if err == nil {
			err = errEnded
		}
		now := r.tree.mono()
		if now-from >= healthyAfter {
			pause, recent = firstPause, nil
			rep.healthy()
		}
		r.failed(err)
		rep.failure(now, err)
		if r.task.Vital {
			if recent = within(append(recent, now), now); len(recent) >= vitalFailures || r.task.Restart == Never {
				r.tree.giveUp(fmt.Errorf("task %s has given up: %w", r.task.Name, err))
			}
		}
		if r.task.Restart == Never || !wait(ctx, jitter(pause)) {
			return
		}
		pause = min(2*pause, r.task.Pause)
	}
}

// within drops the failures that are too long ago to count.
func within(times []time.Duration, now time.Duration) []time.Duration {
	for len(times) > 0 && now-times[0] > vitalWindow {
		times = times[1:]
	}
	return times
}

// jitter is d less up to a quarter, so that tasks that fell together do not get up together.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/4) }

func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *runner) begin() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running, r.beaten, r.last = true, false, r.tree.mono()
	return r.last
}

func (r *runner) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finished = true
}

func (r *runner) ended() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = false
}

func (r *runner) failed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures++
	r.err = err
}

func (r *runner) beat() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.beaten, r.last = true, r.tree.mono()
}

// beatState says by how much the task's beat is late, 0 when it is not or need not beat, and whether it has begun to.
func (r *runner) beatState() (late time.Duration, begun bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.task.Vital || r.task.Beat == 0 {
		return 0, true
	}
	if r.finished {
		return 0, true
	}
	if !r.running {
		return 0, false // between two tries: failing too often has its own rule
	}
	if d := r.tree.mono() - r.last; d > r.task.Beat {
		return d, r.beaten
	}
	return 0, r.beaten
}

// stackOf returns the stacks of the goroutines that the task has started, and its own.
func stackOf(name edge.TaskName) string {
	var all bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&all, 1); err != nil {
		return err.Error()
	}
	label := fmt.Sprintf("%q:%q", "task", string(name))
	var out []string
	for block := range strings.SplitSeq(all.String(), "\n\n") {
		if strings.Contains(block, label) {
			out = append(out, block)
		}
	}
	return strings.Join(out, "\n\n")
}

// State is how a task is doing, for the status page.
type State struct {
	Name     edge.TaskName `json:"name"`
	Vital    bool          `json:"vital"`
	Running  bool          `json:"running"`
	Failures uint64        `json:"failures"`
	LastErr  string        `json:"last_error,omitempty"` // its first line
}

// State returns how the tasks are doing, in order of start.
func (t *Tree) State() []State {
	var out []State
	for _, r := range t.snapshot() {
		r.mu.Lock()
		s := State{Name: r.task.Name, Vital: r.task.Vital, Running: r.running, Failures: r.failures}
		if r.err != nil {
			s.LastErr, _, _ = strings.Cut(r.err.Error(), "\n")
		}
		r.mu.Unlock()
		out = append(out, s)
	}
	return out
}
