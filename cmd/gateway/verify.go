package main

import (
	"context"
	"errors"
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
		g, err := c.parse()
		if err != nil {
			return err
		}
		path = filepath.Join(g.Data, "journal.db")
	}
	err := journal.Verify(ctx, path)
	if ctx.Err() != nil {
		return errors.New("stopped before the end: nothing is proved") // and not context.Canceled, which would count as done
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	_, err = fmt.Fprintf(o, "%s: every event follows from the one before\n", path)
	return err
}
