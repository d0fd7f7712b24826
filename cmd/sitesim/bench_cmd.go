package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/cmd/cli"
	"sitewatch/cmd/sitesim/link"
	"sitewatch/edge"
)

// linkBenchCmd measures how late alarms are behind clips on slow lines, with the real programs.
type linkBenchCmd struct {
	Bin   string   `help:"Folder with the programs." default:"bin" type:"path"`
	Dir   string   `help:"Folder for the bench's files; a temporary one when left out." type:"path" placeholder:"DIR"`
	N     int      `name:"n" help:"Alarms per figure. 1000 are needed for a p99 that means something; fewer are quick." default:"1000"`
	Rows  []string `help:"Rows to measure, by name, for example 2mbit,loss. All when left out." sep:"," placeholder:"ROW,..."`
	Plain bool     `help:"Measure plain gRPC beside it (one connection, two streams, defaults)." default:"true" negatable:""`
	Seed  uint64   `help:"Of random loss and of the moments of the alarms." default:"1"`
	Keep  bool     `help:"Keep the files (logs of the programs) of the bench."`
}

// How often alarms come, in alarms a second. Under load they may not be so many that they are the load.
const (
	idleRate   = 10
	loadedRate = 5
	benchWarm  = 8 * time.Second // clips flow for so long before the first alarm counts
)

// Help is printed by --help.
func (linkBenchCmd) Help() string {
	return `Each row has a link of its own (see 'sitesim link --help'), with a real gateway on one side and a real SOC on the other.
An alarm is measured from the last byte of the panel's block on the gateway's pty to the SOC's commit, on one clock: first with the
link idle, then while the box uploads clips without end, then over plain gRPC with the same load.`
}

// Run measures the rows one after the other and prints the table.
func (c *linkBenchCmd) Run(ctx context.Context, o cli.Out, e cli.Err) error {
	rows := benchRows()
	for _, k := range c.Rows {
		if !slices.ContainsFunc(rows, func(r benchRow) bool { return r.Key == k }) {
			return cli.ArgumentError{Err: fmt.Errorf("there is no row %q; there are %s", k, strings.Join(rowKeys(rows), ", "))}
		}
	}
	if c.N < 2 {
		return cli.ArgumentError{Err: errors.New("--n: at least 2 alarms")}
	}
	if c.Dir == "" {
		dir, err := os.MkdirTemp("", "sitewatch-bench-")
		if err != nil {
			return err
		}
		c.Dir = dir
		if !c.Keep {
			defer os.RemoveAll(dir)
		}
	}
	var results []benchResult
	for _, row := range rows {
		if len(c.Rows) > 0 && !slices.Contains(c.Rows, row.Key) {
			continue
		}
		fmt.Fprintf(e, "%s ...\n", row.Title)
		r := benchResult{Row: row}
		r.Err = c.measure(ctx, &r)
		if errors.Is(r.Err, link.ErrNotRoot) || ctx.Err() != nil {
			return r.Err
		}
		results = append(results, r)
		fmt.Fprintln(e, " ", r.line())
	}
	printResults(o, results)
	return nil
}

func rowKeys(rows []benchRow) (keys []string) {
	for _, r := range rows {
		keys = append(keys, r.Key)
	}
	return keys
}

// measure fills in one row.
func (c *linkBenchCmd) measure(ctx context.Context, r *benchResult) (err error) {
	pair, err := link.New(link.Options{Lines: []link.Line{{There: r.Row.Line, Back: r.Row.Line}}, Seed: c.Seed})
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
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	clock := edge.NewSystemClock()
	if err := c.runSite(ctx, r, dir, pair, clock, fail); err != nil {
		return err
	}
	if !c.Keep { // clips that came fill the disk with time
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	r.Late = pair.Late(0, link.A, 0.99)
	if c.Plain {
		p := &plainGRPC{pair: pair, clock: clock}
		r.Plain, r.PBulk, err = p.run(ctx, c.N, idleRate, c.Seed)
		if err != nil {
			return fmt.Errorf("plain gRPC: %w", err)
		}
	}
	return nil
}

// runSite measures the box, idle and loaded.
func (c *linkBenchCmd) runSite(ctx context.Context, r *benchResult, dir string, pair *link.Pair, clock edge.Clock, fail context.CancelCauseFunc) (err error) {
	s, err := newBenchSite(ctx, dir, c.Bin, pair, clock, fail)
	if s != nil {
		defer func() { err = errors.Join(err, s.stop()) }()
	}
	if err != nil {
		return err
	}
	w := &benchWatch{site: s, kinds: map[string]int{}, changed: make(chan struct{})}
	ctx, stop := context.WithCancel(ctx)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.panel.line.runReader(ctx) })
	g.Go(func() error { return w.run(ctx) })
	g.Go(func() error {
		defer stop()
		defer s.panel.line.close()
		if err := s.startGateway(); err != nil {
			return err
		}
		if err := w.wait(ctx, 30*time.Second, "the box is connected", func() bool { return w.kinds["started"] == 1 }); err != nil {
			return err
		}
		if r.Idle, err = c.alarms(ctx, s, w, idleRate); err != nil {
			return fmt.Errorf("idle: %w", err)
		}
		if err := s.stopGateway(); err != nil {
			return err
		}
		// Enough for the whole of the loaded part, at the full rate and with time to spare.
		loaded := benchWarm.Seconds() + float64(c.N)/loadedRate + 60
		if err := s.addClips(ctx, 2+int(1.5*loaded*float64(r.Row.Line.Rate)/8/benchClip)); err != nil {
			return fmt.Errorf("add clips: %w", err)
		}
		if err := s.startGateway(); err != nil {
			return err
		}
		if err := waitFor(ctx, "the first bytes of a clip", func() bool { n, err := s.uploaded(ctx); return err == nil && n > 0 }); err != nil {
			return err
		}
		if err := wait(ctx, benchWarm); err != nil {
			return err
		}
		from, err := s.uploaded(ctx)
		if err != nil {
			return err
		}
		began := clock.Now().Mono
		if r.Loaded, err = c.alarms(ctx, s, w, loadedRate); err != nil {
			return fmt.Errorf("loaded: %w", err)
		}
		to, err := s.uploaded(ctx)
		r.Bulk = (to - from) / (clock.Now().Mono - began).Seconds()
		return err
	})
	return g.Wait()
}

// alarms raises N alarms at random moments and waits until the SOC has all of them.
func (c *linkBenchCmd) alarms(ctx context.Context, s *benchSite, w *benchWatch, perSecond float64) ([]sample, error) {
	if err := s.panel.account(ctx); err != nil {
		return nil, err
	}
	if err := randomly(ctx, c.N, perSecond, c.Seed, s.panel.alarm); err != nil {
		return nil, err
	}
	if err := w.wait(ctx, time.Minute, "the last alarm is at the SOC", func() bool { return len(w.samples) >= c.N }); err != nil {
		return nil, err
	}
	return w.take(), nil
}
