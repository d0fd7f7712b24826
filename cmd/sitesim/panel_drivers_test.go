package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/drivers"
	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

// TestEveryDriverHasAPanel: each driver of the gateway hears its fake panel on a pty, also through an adapter that echoes what is
// sent and over a line with noise.
func TestEveryDriverHasAPanel(t *testing.T) {
	if _, err := (&panelCmd{Driver: "acme"}).peer(); err == nil {
		t.Error("there is a panel for a driver that does not exist")
	}
	key := filepath.Join(t.TempDir(), "osdp.key")
	if err := os.WriteFile(key, []byte("00112233445566778899aabbccddeeff\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := map[string]map[string]any{
		"modbus":  {"slaves": []any{map[string]any{"address": 1, "profile": "waveshare-8di", "points": map[string]any{"1": "201"}}}},
		"espa444": {"rules": []any{map[string]any{"match": "FIRE ZONE (?P<zone>[0-9]+)", "kind": "fire"}}},
		"osdp":    {"devices": []any{map[string]any{"address": 1, "scbk_file": key, "inputs": map[string]any{"1": "201"}}}},
	}
	typed := map[string][]string{"modbus": {"input", "1", "1", "on"}, "espa444": {"call", "3", "1", "FIRE", "ZONE", "7"}, "osdp": {"input", "1", "1", "on"}}
	registry := drivers.All()
	for _, name := range registry.Names() {
		if settings[name] == nil {
			continue // galaxy-sia has tests of its own
		}
		for line, faults := range map[string]panelFaults{"good line": {}, "echo": {Echo: true}, "noise": {Noise: 20, Seed: 3}} {
			t.Run(name+"/"+line, func(t *testing.T) {
				d, _ := registry.Driver(name)
				p, err := (&panelCmd{Driver: name, Address: []byte{1}, Inputs: 8, Key: key}).peer()
				if err != nil {
					t.Fatal(err)
				}
				hears(t, d, settings[name], p, faults, typed[name])
			})
		}
	}
}

// heard keeps the kinds and zones that came.
type heard struct {
	mu   sync.Mutex
	sigs []edge.Signal
}

func (h *heard) Signal(_ context.Context, sigs ...edge.Signal) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sigs = append(h.sigs, sigs...)
	return nil
}

func (h *heard) Settle(context.Context) error { return nil }

// active says whether a zone was said to be active.
func (h *heard) active(zone edge.ZoneID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.sigs {
		if s.Zone == zone && (s.Active || (s.Kind != "" && !s.Kind.IsRestored())) {
			return true
		}
	}
	return false
}

func hears(t *testing.T, d panel.Driver, set map[string]any, p peer, faults panelFaults, say []string) {
	link := filepath.Join(t.TempDir(), "panel")
	h := &heard{}
	l, err := panel.NewLine(panel.LineOptions{Panel: "p", Driver: d, Port: link, Settings: set, Sink: h, Clock: edge.NewSystemClock(),
		Location: time.UTC, Log: slog.New(slog.DiscardHandler), Report: func(context.Context, edge.Event) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error { return runPeer(ctx, p, link, 9600, newBadLine(faults), slog.New(slog.DiscardHandler)) })
	g.Go(func() error { return l.Run(ctx) })
	defer func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	}()
	until(t, "good frames", func() bool { return l.Stats().Frames > 5 })
	if err := p.Do(say); err != nil {
		t.Fatal(err)
	}
	zone := edge.ZoneID("201")
	if d.Name == "espa444" {
		zone = "7"
	}
	until(t, "the alarm", func() bool { return h.active(zone) })
}
