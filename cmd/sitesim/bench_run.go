package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/cmd/sitesim/link"
	"sitewatch/edge"
)

// benchRun is one row while it is measured.
type benchRun struct {
	*benchSite
	n     int
	seed  uint64
	watch *benchWatch
	*benchResult
}

// runRow makes the row's link, measures on it, and takes all of it down again.
func (c *linkBenchCmd) runRow(ctx context.Context, r *benchResult) (err error) {
	lines := []link.Line{{There: r.Row.Line, Back: r.Row.Line}}
	if r.Row.Second.Rate > 0 {
		lines = append(lines, link.Line{There: r.Row.Second, Back: r.Row.Second})
	}
	pair, err := link.New(link.Options{Lines: lines, Seed: c.Seed})
	if err != nil {
		return err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	linkCtx, stopLink := context.WithCancel(context.WithoutCancel(ctx)) // the programs say goodbye over it
	var g errgroup.Group
	g.Go(func() error {
		err := pair.Run(linkCtx)
		if err != nil {
			fail(err)
		}
		return err
	})
	defer func() {
		stopLink()
		err = errors.Join(err, g.Wait(), pair.Close())
	}()
	dir := filepath.Join(c.Dir, r.Row.Key)
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there from another run; name an empty folder with --dir", dir)
	} else if err != nil {
		return err
	}
	clock := edge.NewSystemClock()
	if err := c.runSite(ctx, r, dir, pair, clock, fail); err != nil {
		return err
	}
	if !c.keep { // clips that came fill the disk with time
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	r.Late = pair.Late(0, link.A, 0.99)
	defer func() {
		if c.keep {
			err = errors.Join(err, r.writeCSV(filepath.Join(dir, "alarms.csv")))
		}
	}()
	if c.Plain && r.Row.Plain {
		p := &plainGRPC{pair: pair, clock: clock}
		r.Plain, r.PBulk, err = p.run(ctx, c.N, plainRate, c.Seed)
		if err != nil {
			return fmt.Errorf("plain gRPC: %w", err)
		}
	}
	return nil
}

// runSite has a box and a SOC at the ends of the link while the row measures.
func (c *linkBenchCmd) runSite(ctx context.Context, r *benchResult, dir string, pair *link.Pair, clock edge.Clock, fail context.CancelCauseFunc) (err error) {
	s, err := newBenchSite(ctx, dir, c.Bin, pair, r.Row, clock, fail)
	if s != nil {
		defer func() { err = errors.Join(err, s.stop()) }()
	}
	if err != nil {
		return err
	}
	w := &benchWatch{site: s, kinds: map[string][]time.Duration{}, changed: make(chan struct{})}
	ctx, stop := context.WithCancel(ctx)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.panel.line.runReader(ctx) })
	g.Go(func() error { return w.run(ctx) })
	g.Go(func() error {
		defer stop()
		defer s.panel.line.close()
		err := r.Row.measure(ctx, &benchRun{benchSite: s, n: c.N, seed: c.Seed, watch: w, benchResult: r})
		r.Repeats = s.panel.repeats
		return errors.Join(err, s.stopGateway()) // before its panel is unplugged
	})
	return g.Wait()
}

// connected starts the gateway and returns when the SOC has heard of it.
func (b *benchRun) connected(ctx context.Context) error {
	now := b.clock.Now().Mono
	if err := b.startGateway(); err != nil {
		return err
	}
	if _, err := b.watch.since(ctx, "started", now, 30*time.Second); err != nil {
		return err
	}
	return b.panel.account(ctx)
}

// alarms raises n alarms at random moments and waits until the SOC has all of them.
func (b *benchRun) alarms(ctx context.Context, n int, perSecond float64) ([]sample, error) {
	if err := randomly(ctx, n, perSecond, b.seed, b.panel.alarm); err != nil {
		return nil, err
	}
	if err := b.watch.wait(ctx, 2*time.Minute, "the last alarm is at the SOC", func() bool { return len(b.watch.samples) >= n }); err != nil {
		return nil, err
	}
	return b.watch.take(), nil
}

// load starts the gateway again with clips that it will not have sent within so many seconds, and lets them flow.
func (b *benchRun) load(ctx context.Context, seconds float64) error {
	if err := b.stopGateway(); err != nil {
		return err
	}
	seconds += benchWarm.Seconds() + 60 // with time to spare
	if err := b.addClips(ctx, 2+int(1.2*seconds*float64(b.Row.Line.Rate)/8/benchClip)); err != nil {
		return fmt.Errorf("add clips: %w", err)
	}
	if err := b.connected(ctx); err != nil {
		return err
	}
	if err := waitFor(ctx, "the first bytes of a clip", func() bool { n, err := b.uploaded(ctx); return err == nil && n > 0 }); err != nil {
		return err
	}
	return wait(ctx, benchWarm)
}
