package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"sitewatch/cmd/cli"
	"sitewatch/edge"
	"sitewatch/edge/config"
	"sitewatch/edge/supervise"
	"sitewatch/video/motion"
)

type runCmd struct {
	configFlag
	cli.LogFlag
}

// Run is the gateway's life: check everything, start nothing when something is wrong; then journal first, uplink last.
func (c *runCmd) Run(ctx context.Context, e cli.Err) error {
	g, err := c.load()
	if err != nil {
		return err
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(min(processors(len(g.Cameras)), runtime.NumCPU()))
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt(len(g.Cameras)))
	}
	unix.Umask(0o077) // what the box keeps is of people
	log := c.Logger(e).With("site", string(g.Site.ID))
	for _, c := range []string{crowded(g), scarce(g)} {
		if c != "" {
			log.Warn(c)
		}
	}
	for {
		err := runBox(ctx, g, log)
		if ctx.Err() != nil || !errors.As(err, new(beginAgain)) {
			return err
		}
		log.Warn("the gateway begins again", "err", err)
		if !pause(ctx, againPause) {
			return nil
		}
	}
}

// processors is how many run Go code. With few cameras it is one: what the gateway does is short, and a second one costs more in waking and
// looking for work than the work itself (0.9 instead of 0.4 CPU s per camera-minute). With many, their beat is work for milliseconds, behind which
// an alarm would wait at each of its steps: with 24 it came to its ack as fast as without cameras when there were two, and 1 to 2 ms later with one.
// SQLite and the eyes run outside of it.
func processors(cameras int) int {
	if cameras <= 8 {
		return 1
	}
	return 2
}

// collectAt is by how many percent the heap may grow before it is collected. Nearly all of it is pictures of the rings, which the collector need
// not look into: a cycle is cheap, and twice their size is not. With few cameras a fifth is little, and soon full of packets: one camera had a
// cycle every 4 s, which was a seventh of all that its recording cost.
func collectAt(cameras int) int {
	if cameras == 0 {
		return 20
	}
	return 20 + 40/cameras
}

// againPause keeps a disk that changes its mind from taking the whole processor.
const againPause = time.Second

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// beginAgain is an end after which everything is opened anew: the journal has met its end where it is (a disk that is full or
// fails, a damaged file), or the disk is back. The next one finds a place for it. An installer's mistake is none of these.
type beginAgain struct{ error }

func (e beginAgain) Unwrap() error { return e.error }

// runBox is one life of the box: from the opening of the journal to its close.
func runBox(ctx context.Context, g *config.Gateway, log *slog.Logger) error {
	b, err := newBox(ctx, g, systemClock(), log)
	if err != nil {
		return err
	}
	log.Info("gateway starts", "version", cli.Version, "journal", string(b.journal.ID()), "panels", len(b.lines), "cameras", len(b.cameras))
	err = b.run(ctx)
	if cerr := b.journal.Close(); err == nil {
		err = cerr
	}
	log.Info("gateway has stopped")
	return err
}

// run starts the tasks in the order in which they need each other; they stop in reverse.
func (b *box) run(ctx context.Context) error {
	socket, watchdog := supervise.NotifyEnv()
	tree := supervise.New(supervise.Options{Log: b.log, Clock: b.clock, Failed: b.taskFailed, Notify: socket, Watchdog: watchdog})
	b.tree.Store(tree)
	tree.Go(supervise.Task{Name: "journal", Run: b.runJournal, Vital: true, Restart: supervise.Never, Beat: 10 * time.Second})
	if b.disk != nil {
		tree.Go(supervise.Task{Name: "disk", Run: b.awaitDisk, Vital: true, Restart: supervise.Never})
	}
	tree.Go(supervise.Task{Name: "pages", Run: b.pages.Run})
	tree.Go(supervise.Task{Name: "events", Run: b.runStarted})
	tree.Go(supervise.Task{Name: "alarms", Run: b.desk.Run})
	if b.eye != nil {
		tree.Go(supervise.Task{Name: "motion", Run: b.motions.Run})
		for i, e := range b.eye.Eyes() {
			tree.Go(supervise.Task{Name: edge.TaskName(fmt.Sprintf("eye/%d", i)), Run: e.Run, Pause: motion.LongestPause})
		}
		tree.Go(supervise.Task{Name: "grades", Run: b.grades.Run})
		tree.Go(supervise.Task{Name: "clips", Run: b.cutter.Run})
	}
	if b.pulse != nil {
		tree.Go(supervise.Task{Name: "pulse", Run: b.pulse.Run})
	}
	if b.segments != nil {
		tree.Go(supervise.Task{Name: "segments", Run: b.segments.Run})
	}
	for _, c := range b.cameras {
		tree.Go(supervise.Task{Name: edge.TaskName("camera/" + c.ID), Run: c.source.Run})
		if c.sub != nil {
			tree.Go(supervise.Task{Name: edge.TaskName("camera/" + c.ID + "/sub"), Run: c.sub.Run})
		}
	}
	for _, c := range b.cameras {
		tree.Go(supervise.Task{Name: edge.TaskName("camera/" + c.ID + "/scene"), Run: c.scene.Run})
		if c.own != nil {
			tree.Go(supervise.Task{Name: edge.TaskName("camera/" + c.ID + "/onvif"), Run: c.own.events.Run})
		}
	}
	for _, l := range b.lines {
		tree.Go(supervise.Task{Name: edge.TaskName("panel/" + l.Stats().Panel), Run: l.Run})
	}
	tree.Go(supervise.Task{Name: "clock", Run: b.runClock})
	tree.Go(supervise.Task{Name: "uplink", Run: b.runUplink})
	return tree.Run(ctx)
}

// runJournal is the writer. What waits for it when it has failed is told so: nobody runs it again.
func (b *box) runJournal(ctx context.Context) error {
	err := b.journal.Run(ctx)
	if err == nil || ctx.Err() != nil {
		return err
	}
	b.journal.Stop()
	return beginAgain{err}
}

// awaitDisk ends when the journal can be on the disk again.
func (b *box) awaitDisk(ctx context.Context) error {
	if err := b.journal.AwaitDisk(ctx, b.cfg.Data); err != nil {
		return beginAgain{err}
	}
	return nil
}

// taskFailed journals that a task ended that should not have. It may be the journal itself that failed: then there is no
// place to say so but the log, where the supervisor has said it.
func (b *box) taskFailed(ctx context.Context, name edge.TaskName, err error) {
	if name == "journal" || name == "disk" || errors.Is(err, errNotEnrolled) {
		return
	}
	if rerr := b.desk.Report(ctx, edge.Event{Kind: edge.KindTaskFailed, Why: fmt.Sprintf("Task %s failed and is started again: %v", name, err)}); rerr != nil && ctx.Err() == nil {
		b.log.Error("a failed task could not be journalled", "task", name, "err", rerr)
	}
}

// runStarted journals the start, and the stop when it is an orderly one.
func (b *box) runStarted(ctx context.Context) error {
	if err := b.desk.Report(ctx, edge.Event{Kind: edge.KindStarted, Why: "The gateway has started, version " + cli.Version + "."}); err != nil {
		return err
	}
	<-ctx.Done()
	return b.desk.Report(context.WithoutCancel(ctx), edge.Event{Kind: edge.KindStopped, Why: "The gateway was told to stop."})
}
