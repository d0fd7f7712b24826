package main

import (
	"context"
	"fmt"
	"path/filepath"

	"sitewatch/cmd/cli"
	"sitewatch/edge/journal"
)

type verifyCmd struct {
	configFlag
	Journal string `arg:"" optional:"" help:"Journal file; the configured one when left out." type:"path"`
}

// Run walks the hash chain of a journal, which a running gateway may have open.
func (c *verifyCmd) Run(ctx context.Context, o cli.Out) error {
	path := c.Journal
	if path == "" {
		g, err := c.load()
		if err != nil {
			return err
		}
		path = filepath.Join(g.Data, "journal.db")
	}
	if err := journal.Verify(ctx, path); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	_, err := fmt.Fprintf(o, "%s: every event follows from the one before\n", path)
	return err
}
