package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sitewatch/cmd/cli"
	"sitewatch/edge"
	"sitewatch/edge/config"
	"sitewatch/uplink/soc/ledger"
)

type verifyCmd struct {
	configFlag
	Path string `arg:"" help:"Folder or zip of 'soc export'." type:"path"`
	CA   string `name:"ca" required:"" help:"Certificate of the SOC's authority, or several in one file." type:"path" placeholder:"FILE"`
}

// Run proves a folder or zip. It needs no SOC; where there is one, its custody log says that somebody has looked.
func (c *verifyCmd) Run(ctx context.Context, o cli.Out, e cli.Err) error {
	r, err := cli.ProveEvidence(ctx, o, c.Path, c.CA)
	if r.Site == "" || errors.As(err, new(cli.ArgumentError)) {
		return err
	}
	verdict := "proved"
	if err != nil {
		verdict = err.Error()
	}
	if nerr := c.note(ctx, r.Site, filepath.Base(c.Path)+": "+verdict); nerr != nil {
		fmt.Fprintf(e, "the custody log of the SOC on this machine does not say so: %v\n", nerr)
	}
	return err
}

// note tells the custody log of the SOC whose configuration is here, if any.
func (c *verifyCmd) note(ctx context.Context, site edge.SiteID, what string) error {
	if _, err := os.Stat(c.Config); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	cfg, problems := config.LoadSOC(c.Config)
	if len(problems) > 0 {
		return cli.ConfigError{Problems: problems}
	}
	return withLedger(ctx, cfg, func(ctx context.Context, led ledger.Ledger) error {
		if _, err := siteOf(ctx, led, site); err != nil {
			return nil // another SOC's
		}
		return led.Note(ctx, custodyEntry(site, ledger.Verified, what))
	})
}
