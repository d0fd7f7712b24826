package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/cmd/cli"
	"sitewatch/edge"
)

// partition is the only one of the simulated shop.
const partition = "1"

// runCmd plays the scenario. The first alarm comes about 13 s after a gateway has acked the panel's first words.
type runCmd struct {
	Dir    string        `help:"Folder for the panel's line and its memory; made if missing." default:"demo" type:"path"`
	Camera string        `help:"MP4 file (H.264) that the cameras show in a loop instead of a drawn scene." type:"existingfile"`
	RTSP   string        `help:"Where the cameras listen." default:"127.0.0.1:8554" placeholder:"HOST:PORT"`
	Once   bool          `help:"End when everything was acked."`
	Linger time.Duration `help:"With --once: how long the cameras go on after the last ack, so that a gateway can finish its clips." default:"30s"`
	Loop   bool          `help:"Play it again every few minutes, at other times."`
}

// errPlayed ends the panel and the cameras when the scenario is over.
var errPlayed = errors.New("the scenario is over")

// Run makes DIR/panel and the cameras, plays, and returns when ctx ends or, with --once, when all was acked.
func (c *runCmd) Run(ctx context.Context, o cli.Out) error {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return err
	}
	loc, err := time.LoadLocation(siteTimezone)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	panel, say, err := newScenarioPanel(panelOptions{
		Link: panelLink(c.Dir), Level: 3, State: filepath.Join(c.Dir, "panel.state"), Clock: edge.NewSystemClock(), Where: loc, Log: log,
	})
	if err != nil {
		return err
	}
	p := &player{say: say, out: o}
	cameras, err := newCameraServer(cameraOptions{Listen: c.RTSP, Cameras: siteCameras, File: c.Camera, Clock: edge.NewSystemClock(), Log: log})
	if err != nil {
		return err
	}
	p.enter = cameras.Walk
	fmt.Fprintf(o, "panel  %s\n", panelLink(c.Dir))
	for _, v := range siteCameras {
		fmt.Fprintf(o, "camera rtsp://%s/%s/main\n", cameras.Addr(), v.ID)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return panel.Run(ctx) })
	group.Go(func() error { return cameras.Run(ctx) })
	group.Go(func() error { return c.runScenario(ctx, p) })
	if err := group.Wait(); !errors.Is(err, errPlayed) {
		return err
	}
	return nil
}

// newScenarioPanel makes a panel and what a player says on it.
func newScenarioPanel(o panelOptions) (*galaxyPanel, func(context.Context, step) error, error) {
	acked := make(chan struct{}, 1) // one wake-up is enough: who is woken looks at what still waits
	o.Acked = func(panelEvent) {
		select {
		case acked <- struct{}{}:
		default:
		}
	}
	panel, err := newGalaxyPanel(o)
	if err != nil {
		return nil, nil, err
	}
	return panel, func(ctx context.Context, s step) error {
		if err := panel.Raise(s.code, s.zone, partition, s.user, s.text); err != nil {
			return err
		}
		for panel.Counts().Waiting > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-acked:
			}
		}
		return nil
	}, nil
}

// runScenario plays the scenario as often as asked; it returns errPlayed when nothing is left to do.
func (c *runCmd) runScenario(ctx context.Context, p *player) error {
	if err := p.play(ctx, opening); err != nil {
		return err
	}
	for steps := night; ; steps = vary(night) {
		if err := p.play(ctx, steps); err != nil {
			return err
		}
		if err := p.play(ctx, evening); err != nil {
			return err
		}
		fmt.Fprintln(p.out, "all of it was acked")
		switch {
		case c.Once:
			if err := wait(ctx, c.Linger); err != nil {
				return err
			}
			return errPlayed
		case !c.Loop:
			<-ctx.Done()
			return ctx.Err()
		}
		quiet := 2*time.Minute + rand.N(3*time.Minute)
		fmt.Fprintf(p.out, "quiet for %s\n", quiet.Round(time.Second))
		if err := wait(ctx, quiet); err != nil {
			return err
		}
	}
}
