package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/cmd/cli"
	"sitewatch/drivers"
	"sitewatch/drivers/panel"
	"sitewatch/edge"
	"sitewatch/edge/alarm"
	"sitewatch/edge/config"
	"sitewatch/edge/journal"
)

type replayCmd struct {
	File   string `arg:"" help:"Transcript." type:"existingfile" placeholder:"FILE.wire"`
	Config string `help:"Configuration with the panel's zones; without it the driver's settings are those of the transcript." type:"path" placeholder:"FILE"`
	Panel  string `help:"The panel of the configuration; may be left out when there is one." placeholder:"ID"`
	Driver string `help:"Driver, without a configuration." default:"galaxy-sia"`
}

// Run plays the transcript to the driver, with a journal that is thrown away, and prints what goes over the line, what the panel
// said by it, and what that means. Long waits are not waited for: the clock is put on instead.
func (c *replayCmd) Run(ctx context.Context, o cli.Out) error {
	b, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	tr, err := panel.ParseTranscript(b)
	if err != nil {
		return cli.ArgumentError{Err: fmt.Errorf("%s: %w", c.File, err)}
	}
	g, p, d, err := c.site(tr)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sitewatch-replay")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	clock := &skipClock{Clock: systemClock()}
	log := slog.New(slog.DiscardHandler)
	j, err := journal.Open(ctx, journal.Options{Dir: dir, Site: g.Site.ID, Clock: clock, Log: log})
	if err != nil {
		return err
	}
	defer j.Close()
	desk, err := alarm.NewDesk(alarm.Options{Journal: j, Clock: clock, Log: log, Site: g.Site.ID, Panels: deskPanels(g), Before: g.Clips.Before, After: g.Clips.After, Rules: alarm.Rules(g.Alarms)})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r := &replay{out: o, clock: clock, journal: j, sink: desk.Panel(p.ID), polls: d.Polls}
	session := d.New(panel.NewSettings(p.Settings), panel.SessionOptions{Panel: p.ID, Clock: clock, Location: g.Site.Location, Log: log, Port: panel.Serial, Baud: d.Line.Baud})
	var run errgroup.Group
	run.Go(func() error { return j.Run(ctx) })
	run.Go(func() error {
		defer stop()
		return r.runOn(ctx, session, tr)
	})
	err = run.Wait()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// site is the configuration's, or one with the transcript's panel alone.
func (c *replayCmd) site(tr panel.Transcript) (*config.Gateway, config.Panel, panel.Driver, error) {
	if c.Config != "" {
		g, err := configFlag{c.Config}.load()
		if err != nil {
			return nil, config.Panel{}, panel.Driver{}, err
		}
		p, d, err := panelOf(g, c.Panel)
		return g, p, d, err
	}
	registry := drivers.All()
	d, ok := registry.Driver(c.Driver)
	if !ok {
		return nil, config.Panel{}, d, cli.ArgumentError{Err: fmt.Errorf("there is no driver %q: drivers are %s", c.Driver, strings.Join(registry.Names(), ", "))}
	}
	p := config.Panel{ID: "replay", Driver: d.Name, Settings: map[string]any{}}
	for _, s := range tr.Steps {
		if s.Op == panel.Setting {
			p.Settings[s.Facts[0].Key] = settingOf(s.Facts[0].Value)
		}
	}
	if ps := panel.Check(d, "/dev/replay", p.Settings); len(ps) > 0 {
		return nil, p, d, cli.ArgumentError{Err: fmt.Errorf("%s: %s: %s", ps[0].Path, ps[0].What, ps[0].Hint)}
	}
	g := &config.Gateway{Panels: []config.Panel{p}}
	g.Site.ID, g.Site.Location = "replay", time.UTC
	return g, p, d, nil
}

// settingOf is a setting of a transcript: JSON where it is a list or a map.
func settingOf(text string) any {
	var v any
	if strings.HasPrefix(text, "[") || strings.HasPrefix(text, "{") {
		if json.Unmarshal([]byte(text), &v) == nil {
			return v
		}
	}
	return text
}

// skipClock is a clock that is put on instead of waiting.
type skipClock struct {
	edge.Clock
	mu   sync.Mutex
	skip time.Duration
}

// Now is the present with what was skipped.
func (c *skipClock) Now() edge.Stamp {
	s := c.Clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Wall, s.Mono = s.Wall.Add(c.skip), s.Mono+c.skip
	return s
}

// wait lets d pass, at most a second of it for real.
func (c *skipClock) wait(ctx context.Context, d time.Duration) {
	real := min(d, time.Second)
	c.mu.Lock()
	c.skip += d - real
	c.mu.Unlock()
	t := time.NewTimer(real)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// replay is one play: it is the sink of the session as well, and prints what passes.
type replay struct {
	out     io.Writer
	clock   *skipClock
	journal *journal.Journal
	sink    panel.Sink
	polls   bool // of the driver

	mu    sync.Mutex // of what follows, and of out
	fails bool
	seq   edge.Seq
}

var errReplayFails = errors.New("the transcript says that the sink fails here")

// Signal prints the signals and the events that they became.
func (r *replay) Signal(ctx context.Context, sigs ...edge.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range sigs {
		fmt.Fprintln(r.out, "signal ", signalText(s))
	}
	if r.fails {
		fmt.Fprintln(r.out, "        not stored:", errReplayFails)
		return errReplayFails
	}
	if err := r.sink.Signal(ctx, sigs...); err != nil {
		return err
	}
	return r.printNew(ctx)
}

// Settle passes it on.
func (r *replay) Settle(ctx context.Context) error { return r.sink.Settle(ctx) }

func (r *replay) printNew(ctx context.Context) error {
	var evs []edge.Event
	for _, lane := range edge.EventLanes {
		recs, err := r.journal.Read(ctx, lane, r.seq, 1000)
		if err != nil {
			return err
		}
		for _, rec := range recs {
			ev, err := edge.DecodeEvent(rec.Body)
			if err != nil {
				return err
			}
			evs = append(evs, ev)
		}
	}
	slices.SortFunc(evs, func(a, b edge.Event) int { return int(a.Seq) - int(b.Seq) })
	for _, ev := range evs {
		r.seq = max(r.seq, ev.Seq)
		what := fmt.Sprintf("event %d %s, %s", ev.Seq, ev.Kind, ev.Lane)
		if ev.Amends > 0 {
			what = fmt.Sprintf("event %d amends %d: %q", ev.Seq, ev.Amends, ev.Text)
		}
		fmt.Fprintf(r.out, "        %s  %s\n", what, ev.Why)
	}
	return nil
}

// signalText is a signal's facts in the words of a transcript.
func signalText(s edge.Signal) string {
	var f []string
	for _, kv := range [][2]string{{"kind", string(s.Kind)}, {"code", s.Code}, {"partition", string(s.Partition)}, {"zone", string(s.Zone)}, {"user", s.User}, {"text", s.Text}, {"suspect", s.Suspect}} {
		if kv[1] != "" {
			f = append(f, panel.Fact{Key: kv[0], Value: kv[1]}.String())
		}
	}
	for word, is := range map[string]bool{"old": s.Old, "state": s.State, "active": s.Active} {
		if is {
			f = append(f, word)
		}
	}
	return strings.Join(f, " ")
}
