package supervise

import (
	"context"
	"fmt"
	"time"

	"sitewatch/edge"
)

// reportEvery is how long repeats are only counted: each report without a healthy minute before it doubles the time.
const (
	reportEvery   = time.Minute
	reportAtMost  = time.Hour
	reportTimeout = 30 * time.Second
	reportQueue   = 32 // tasks that fail at one time
)

// reporter tells the log and the Failed hook about a task's failures: the first at once, repeats by their number.
// It is used by the task's own goroutine only.
type reporter struct {
	r     *runner
	every time.Duration
	from  time.Duration // of the last report, by the monotonic clock
	told  bool          // there was one since the task was healthy
	count int           // failures since then
	last  error
}

func newReporter(r *runner) *reporter { return &reporter{r: r, every: reportEvery} }

func (p *reporter) failure(now time.Duration, err error) {
	if !p.told {
		p.from, p.told = now, true
		p.tell(err)
		return
	}
	p.count, p.last = p.count+1, err
	if now-p.from >= p.every {
		p.more(now - p.from)
		p.from, p.every = now, min(2*p.every, reportAtMost)
	}
}

// healthy says that the task has run well for a while: its next failure is news.
func (p *reporter) healthy() {
	p.flush()
	p.told, p.every = false, reportEvery
}

// flush reports what was only counted so far.
func (p *reporter) flush() {
	if p.count > 0 {
		p.more(p.r.tree.mono() - p.from)
	}
}

func (p *reporter) more(d time.Duration) {
	p.tell(fmt.Errorf("%d more failures in %v, the last: %w", p.count, d.Round(time.Second), p.last))
	p.count = 0
}

func (p *reporter) tell(err error) {
	t := p.r.tree
	t.opt.Log.Error("task failed", "task", p.r.task.Name, "err", err)
	if t.opt.Failed == nil {
		return
	}
	select {
	case t.reports <- failure{p.r.task.Name, err}:
	default:
	}
}

// failure is what the Failed hook is told.
type failure struct {
	name edge.TaskName
	err  error
}

// runReports calls the Failed hook. It is not the failed task's own goroutine: the hook may wait for that very task,
// the journal for one, to be running again.
func (t *Tree) runReports(ctx context.Context) {
	for {
		select {
		case f := <-t.reports:
			t.report(ctx, f)
		case <-ctx.Done():
			return
		}
	}
}

func (t *Tree) report(ctx context.Context, f failure) {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	if err := guard(ctx, func(ctx context.Context) error { t.opt.Failed(ctx, f.name, f.err); return nil }); err != nil {
		t.opt.Log.Error("report of a failed task failed", "task", f.name, "err", err)
	}
}
