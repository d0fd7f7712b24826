package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/drivers"
	"sitewatch/drivers/panel"
	"sitewatch/edge/config"
)

// errNotHeard: at least one panel is not as it should be.
var errNotHeard = errors.New("not every panel is heard")

// listen tries the lines of all panels at the same time and says what arrives and what was expected. A panel that speaks by
// itself may be silent for so long; one that is asked may not.
func listen(ctx context.Context, o io.Writer, g *config.Gateway, long time.Duration) error {
	words, bad := make([]string, len(g.Panels)), make([]bool, len(g.Panels))
	var tries errgroup.Group
	for i, p := range g.Panels {
		tries.Go(func() error {
			words[i], bad[i] = hear(ctx, g, p, long)
			return nil
		})
	}
	fmt.Fprintf(o, "listening for %v\n", long)
	tries.Wait()
	var err error
	for i, p := range g.Panels {
		fmt.Fprintf(o, "panel %s, %s: %s\n", p.ID, p.Port, words[i])
		if bad[i] {
			err = errNotHeard
		}
	}
	return err
}

func hear(ctx context.Context, g *config.Gateway, p config.Panel, long time.Duration) (words string, bad bool) {
	registry := drivers.All()
	d, ok := registry.Driver(p.Driver)
	if !ok {
		return fmt.Sprintf("no driver %q", p.Driver), true // load has refused it
	}
	if spec, err := panel.ParsePort(p.Port); err == nil && spec.Kind == panel.TCPListen {
		return "the panel dials the box: start the gateway and see 'gateway status'", false
	}
	h, err := panel.Trial{For: long, LineOptions: panel.LineOptions{Panel: p.ID, Driver: d, Port: p.Port, Settings: p.Settings,
		Clock: systemClock(), Log: slog.New(slog.DiscardHandler), Location: g.Site.Location}}.Try(ctx)
	heard := fmt.Sprintf("%d bytes, %d good frames, %d refused, %d bytes of noise", h.Bytes, h.Frames, h.Rejects, h.Noise)
	switch {
	case err != nil && h.Bytes == 0:
		return err.Error(), true
	case err != nil:
		return heard + ": " + err.Error(), true
	case h.Frames > 0:
		return heard, h.Rejects > h.Frames
	case h.Bytes == 0 && !d.Polls:
		return "no byte has come, which may be well: it speaks when it has something to say. Try a panel test. Expected: " + h.Expected, false
	}
	return heard + ": " + h.Arrives + ". Expected: " + h.Expected, true
}
