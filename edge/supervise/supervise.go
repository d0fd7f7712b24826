// Package supervise runs the long-lived tasks of a program: it starts them in order, starts them again when they fail,
// tells systemd that all is well only while it is, and stops them in reverse order.
//
// It owns every goroutine that it starts and has waited for each, or named it, when Tree.Run returns. It knows nothing
// about what tasks do. All methods may be called from any goroutine.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"sitewatch/edge"
)

// Restart is what happens after a task's Run has returned.
type Restart uint8

const (
	Backoff Restart = iota // run it again after a pause that grows from 250 ms to 30 s; it must not return by itself
	Never                  // it has done its work; an error is reported, and fatal when the task is vital
)

// Task is one blocking thing to run.
type Task struct {
	Name    edge.TaskName
	Run     func(context.Context) error // returns soon after ctx has ended
	Restart Restart
	Vital   bool          // the program is of no use without it: see Tree.Run
	Beat    time.Duration // longest time between two edge.Beat calls while it runs; 0: it need not beat
	Stop    time.Duration // how long it may take to return; 0: 5 s
	Pause   time.Duration // the longest pause before it is run again; 0: 30 s
}

// Options of New. Log and Clock are needed.
type Options struct {
	Log    *slog.Logger
	Clock  edge.Clock                                               // its monotonic part is all that is used
	Failed func(ctx context.Context, name edge.TaskName, err error) // called one by one: for a failure at once, for repeats with their number
	Notify string                                                   // systemd's socket, $NOTIFY_SOCKET; "": none
	// Watchdog is how long systemd waits for a sign of life, from $WATCHDOG_USEC; 0: it does not.
	Watchdog time.Duration
}

// A vital task that fails this often in this time has given up, whatever the next try would bring.
const (
	vitalFailures = 5
	vitalWindow   = time.Minute
)

// Tree runs tasks.
type Tree struct {
	opt     Options
	end     chan error   // capacity 1: the first reason to end
	reports chan failure // to the Failed hook; when it is full the log has to do
	base    context.Context

	mu    sync.Mutex
	tasks []*runner // in order of start
	on    bool      // Run has begun and not yet begun to stop
	over  bool      // Run has begun to stop: nothing is started any more
}

// New makes an empty tree.
func New(opt Options) *Tree {
	return &Tree{opt: opt, end: make(chan error, 1), reports: make(chan failure, reportQueue)}
}

// mono is the monotonic clock: beats and failures are measured, never read off the wall.
func (t *Tree) mono() time.Duration { return t.opt.Clock.Now().Mono }

// ErrStopped is returned by Go when the tree stops or has stopped.
var ErrStopped = errors.New("supervise: the tree has stopped")

// Go adds a task: it starts with Run, or at once when that runs already.
func (t *Tree) Go(task Task) error {
	if task.Stop == 0 {
		task.Stop = 5 * time.Second
	}
	if task.Pause == 0 {
		task.Pause = longestPause
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return ErrStopped
	}
	r := &runner{task: task, tree: t, done: make(chan struct{})}
	t.tasks = append(t.tasks, r)
	if t.on {
		r.start(t.base)
	}
	return nil
}

// Run starts the tasks and blocks until ctx ends (nil) or the program is of no use any more (an error): a vital task
// failed 5 times within a minute, ended for good with an error, or did not beat in time. Then it stops all tasks, the
// last first, each within its Stop time; one that does not is logged with its stack and left behind.
func (t *Tree) Run(ctx context.Context) error {
	n := newNotifier(t.opt)
	hook, stopHook := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { t.runReports(hook) })
	t.mu.Lock()
	t.base, t.on = context.WithoutCancel(ctx), true // tasks end one by one, not all at once with ctx
	for _, r := range t.tasks {
		r.start(t.base)
	}
	t.mu.Unlock()
	err := t.watch(ctx, n)
	n.send("STOPPING=1")
	stopHook() // what fails while stopping is in the log only
	wg.Wait()
	t.stop()
	return err
}

// watch looks at the beats until there is a reason to stop.
func (t *Tree) watch(ctx context.Context, n *notifier) error {
	tick := time.NewTicker(n.every)
	defer tick.Stop()
	ready := false
	for {
		healthy, begun := true, true
		for _, r := range t.snapshot() {
			late, beaten := r.beatState()
			healthy = healthy && late == 0
			begun = begun && beaten
			if late > 0 {
				r.tree.opt.Log.Error("a vital task does not get on", "task", r.task.Name, "stack", stackOf(r.task.Name))
				return fmt.Errorf("task %s has given no sign of life for %v", r.task.Name, late.Round(time.Millisecond))
			}
		}
		if healthy && begun && !ready {
			ready = true
			n.send("READY=1")
		}
		if healthy {
			n.send("WATCHDOG=1")
		}
		select {
		case <-tick.C:
		case err := <-t.end:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

func (t *Tree) snapshot() []*runner {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]*runner(nil), t.tasks...)
}

// stop ends the tasks in reverse order of their start.
func (t *Tree) stop() {
	t.mu.Lock()
	t.on, t.over = false, true
	t.mu.Unlock()
	tasks := t.snapshot()
	for i := len(tasks) - 1; i >= 0; i-- {
		r := tasks[i]
		r.cancel()
		timer := time.NewTimer(r.task.Stop)
		select {
		case <-r.done:
		case <-timer.C:
			t.opt.Log.Error("task does not stop", "task", r.task.Name, "after", r.task.Stop, "stack", stackOf(r.task.Name))
		}
		timer.Stop()
	}
}

// giveUp ends the tree; the first reason counts.
func (t *Tree) giveUp(err error) {
	select {
	case t.end <- err:
	default:
	}
}

// guard runs f and makes an error of a panic.
func guard(ctx context.Context, f func(context.Context) error) error {
	return edge.Guard(func() error { return f(ctx) })()
}
