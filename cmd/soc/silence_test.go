package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/config"
	"sitewatch/edge/journal"
	"sitewatch/uplink"
)

// TestTheProgramTellsOfASilentSite has the program itself, with a short heartbeat, and kills it while the site is lost.
func TestTheProgramTellsOfASilentSite(t *testing.T) {
	path, addr := written(t)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, "heartbeat: 5s")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	cfg, problems := config.LoadSOC(path)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	receiver := start(t, path, addr)
	status, token, errs := program(t, "claim", "--config", path, "--site", "0417")
	if status != 0 {
		t.Fatal(errs)
	}
	clock, log := edge.NewSystemClock(), slog.New(slog.DiscardHandler)
	id, err := uplink.Enrol(t.Context(), uplink.EnrolOptions{Dir: t.TempDir(), SOC: cfg.Uplink, Token: strings.TrimSpace(token), Site: "0417", Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(t.Context(), journal.Options{Dir: t.TempDir(), Site: "0417", Clock: clock, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	box := func() (stop func()) {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() {
			done <- uplink.New(uplink.Options{Outbox: j, Files: j, Identity: id, Paths: []uplink.Path{{SOC: []string{cfg.Uplink}}}, Clock: clock, Log: log,
				Kind: "shop", MaxBackoff: 200 * time.Millisecond, PathLostAfter: time.Hour}).Run(ctx)
		}()
		return func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("client: %v", err)
			}
		}
	}
	said := func() (kinds []string) {
		t.Helper()
		r, err := http.Get("http://" + addr + "/api/v1/events?site=0417&limit=1000")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		var a struct {
			Items []struct{ Journal, Kind, Lane string }
		}
		if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
			t.Fatal(err)
		}
		for _, e := range a.Items {
			if e.Journal == "soc" {
				kinds = append(kinds, e.Kind+" "+e.Lane)
			}
		}
		return kinds
	}
	wants := func(want ...string) {
		t.Helper()
		const within = 3 * time.Minute
		deadline := time.After(within)
		for !slices.Equal(said(), want) {
			select {
			case <-deadline:
				t.Fatalf("within %v the SOC has said %v, want %v", within, said(), want)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	connected := func() bool {
		r, err := http.Get("http://" + addr + "/api/v1/sites")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		var a struct{ Items []struct{ Connected bool } }
		if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
			t.Fatal(err)
		}
		return len(a.Items) == 1 && a.Items[0].Connected
	}
	stop := box()
	eventually(t, "the box is connected", connected)
	stop()
	stop = box() // a clean restart
	eventually(t, "the box is connected again", connected)
	wants()
	stop()
	wants("site-lost urgent", "path-lost routine")
	if err := receiver.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	receiver.Wait()
	start(t, path, addr)
	wants("site-lost urgent", "path-lost routine")
	stop = box()
	defer stop()
	wants("site-lost urgent", "path-lost routine", "site-lost-restored urgent", "path-lost-restored routine")
}
