package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"sync"

	"sitewatch/cmd/cli"
	"sitewatch/edge"
	"sitewatch/edge/config"
	"sitewatch/uplink/soc/ledger"
)

// withLedger runs f with the ledger that is there, beside a receiver that may be running.
func withLedger(ctx context.Context, cfg *config.SOC, f func(ctx context.Context, led ledger.Ledger) error) error {
	path := filepath.Join(cfg.Data, "ledger.db")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return edge.WithHint(fmt.Errorf("there is no ledger in %s", cfg.Data), "name the SOC's configuration with --config, or run 'soc run' first")
	} else if err != nil {
		return err
	}
	led, err := ledger.Open(ctx, ledger.Options{Path: path, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	return errors.Join(runLedger(ctx, led, f), led.Close())
}

// runLedger runs the ledger's writer while f does.
func runLedger(ctx context.Context, led *ledger.SQLite, f func(ctx context.Context, led ledger.Ledger) error) error {
	rctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	var werr error
	wg.Go(func() { werr = led.Run(rctx) })
	err := f(ctx, led)
	stop()
	wg.Wait()
	return errors.Join(err, werr)
}

// siteOf finds a site in the ledger.
func siteOf(ctx context.Context, led ledger.Ledger, id edge.SiteID) (ledger.Site, error) {
	sites, err := led.Sites(ctx)
	if err != nil {
		return ledger.Site{}, err
	}
	for _, s := range sites {
		if s.ID == id {
			return s, nil
		}
	}
	return ledger.Site{}, cli.ArgumentError{Err: edge.WithHint(fmt.Errorf("there is no site %s", id), "look at the console for the sites whose boxes have come")}
}

// operator is who runs this program, and where.
func operator() (who, host string) {
	who = fmt.Sprintf("uid %d", os.Getuid())
	if u, err := user.Current(); err == nil && u.Username != "" {
		who = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return who, host
}

func custodyEntry(site edge.SiteID, action, note string) ledger.CustodyEntry {
	who, host := operator()
	return ledger.CustodyEntry{Site: site, At: edge.NewSystemClock().Now().Wall, Who: who, Address: host, Action: action, Note: note}
}
