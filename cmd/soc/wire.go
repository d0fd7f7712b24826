package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"sitewatch/cmd/cli"
	"sitewatch/edge"
	"sitewatch/edge/supervise"
	"sitewatch/uplink/durable"
	"sitewatch/uplink/soc"
	"sitewatch/uplink/soc/api"
	"sitewatch/uplink/soc/console"
	"sitewatch/uplink/soc/ledger"
	"sitewatch/uplink/soc/preview"
)

type runCmd struct {
	configFlag
	cli.LogFlag
}

// Run wires ledger, receiver, API and console, and serves until ctx ends.
func (c *runCmd) Run(ctx context.Context, e cli.Err) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	log := c.Logger(e)
	clock := edge.NewSystemClock()
	for _, dir := range []string{cfg.Data, cfg.ClipsDir()} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return err
		}
	}
	unlock, err := durable.TryLock(filepath.Join(cfg.Data, "soc.lock"))
	if err != nil {
		return edge.WithHint(err, "another soc runs with this data; stop it first")
	}
	defer unlock()
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	led, err := ledger.Open(ctx, ledger.Options{Path: filepath.Join(cfg.Data, "ledger.db"), Log: log})
	if err != nil {
		return err
	}
	defer led.Close()
	receiver, err := soc.New(soc.Options{Data: cfg.Data, Clips: cfg.ClipsDir(), Ledger: led, Clock: clock, Log: log, Registry: metrics, Heartbeat: cfg.Heartbeat})
	if err != nil {
		return err
	}
	page, err := console.New(console.Options{Version: cli.Version})
	if err != nil {
		return err
	}
	previews, err := preview.New(preview.Options{Dir: filepath.Join(cfg.ClipsDir(), ".previews"), Room: receiver.Room, Clock: clock, Log: log})
	if err != nil {
		return err
	}
	web := api.New(api.Options{Ledger: led, Presence: receiver, Certificates: receiver, Clock: clock, Log: log, Gatherer: metrics, Console: page, Previews: previews,
		ClipPath: func(site edge.SiteID, id edge.ClipID, part edge.FilePart) string {
			return soc.ClipPath(cfg.ClipsDir(), site, id, part)
		},
		Arriving: func(site edge.SiteID, id edge.ClipID) string { return soc.Arriving(cfg.ClipsDir(), site, id) }})
	// Both ports are opened here, so that one that is taken ends the program with a sentence and not a supervisor's retries.
	boxes, err := listen(ctx, cfg.Uplink, "uplink")
	if err != nil {
		return err
	}
	people, err := listen(ctx, cfg.HTTP, "http")
	if err != nil {
		return errors.Join(err, boxes.Close())
	}
	socket, watchdog := supervise.NotifyEnv()
	tree := supervise.New(supervise.Options{Log: log, Clock: clock, Notify: socket, Watchdog: watchdog})
	tree.Go(supervise.Task{Name: "ledger", Run: led.Run, Vital: true, Beat: 15 * time.Second})
	tree.Go(supervise.Task{Name: "boxes", Vital: true, Restart: supervise.Never, Run: func(ctx context.Context) error { return receiver.Run(ctx, boxes) }})
	tree.Go(supervise.Task{Name: "presence", Run: receiver.RunPresence})
	tree.Go(supervise.Task{Name: "http", Vital: true, Restart: supervise.Never, Stop: 10 * time.Second, Run: func(ctx context.Context) error { return web.Run(ctx, people) }})
	log.Info("receiver starts", "version", cli.Version, "uplink", boxes.Addr().String(), "console", "http://"+people.Addr().String()+"/")
	err = tree.Run(ctx)
	log.Info("receiver has stopped")
	return err
}

func listen(ctx context.Context, addr, key string) (net.Listener, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, edge.WithHint(fmt.Errorf("listen: %w", err), "see what else listens there, or change "+key+" in soc.yaml")
	}
	return ln, nil
}
