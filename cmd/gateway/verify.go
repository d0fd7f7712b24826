package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"sitewatch/cmd/cli"
	"sitewatch/edge"
	"sitewatch/edge/journal"
)

type verifyCmd struct {
	configFlag
	Path string `arg:"" optional:"" help:"Journal file, or a folder or zip of 'soc export'; the configured journal when left out." type:"path"`
	CA   string `name:"ca" help:"Certificate of the SOC's authority: whose the signatures are is checked, too. A folder or zip needs it." type:"path" placeholder:"FILE"`
}

// Run walks the hash chain of a journal, which a running gateway may have open, or proves what a SOC has exported.
func (c *verifyCmd) Run(ctx context.Context, o cli.Out) error {
	path := c.Path
	if path == "" {
		g, err := c.parse()
		if err != nil {
			return err
		}
		path = filepath.Join(g.Data, "journal.db")
	} else if exported(path) {
		_, err := cli.ProveEvidence(ctx, o, path, c.CA)
		return err
	}
	var trust *edge.Trust
	if c.CA != "" {
		cas, err := cli.LoadCAs(c.CA)
		if err != nil {
			return err
		}
		trust = &edge.Trust{Roots: cas}
	}
	p, err := journal.Prove(ctx, path, trust)
	if ctx.Err() != nil {
		return errors.New("stopped before the end: nothing is proved") // and not context.Canceled, which would count as done
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if _, err = fmt.Fprintf(o, "%s: every event follows from the one before\n", path); err != nil {
		return err
	}
	whose := "by a certificate of the box that nobody was asked about (--ca FILE)"
	if trust != nil {
		whose = fmt.Sprintf("by the box of site %s", p.Site)
	}
	switch {
	case p.Last == 0:
		_, err = fmt.Fprintln(o, "there are none")
	case p.Signed == 0:
		_, err = fmt.Fprintf(o, "not proved: all events up to %d, no checkpoint signs any of them\n", p.Last)
	case p.Signed == p.Last:
		_, err = fmt.Fprintf(o, "signed up to event %d, the last one, %s\n", p.Signed, whose)
	default:
		_, err = fmt.Fprintf(o, "signed up to event %d of %d, %s\nnot proved: events %d to %d, no checkpoint covers them\n", p.Signed, p.Last, whose, p.Signed+1, p.Last)
	}
	if err == nil && trust != nil && p.Signed == 0 && p.Last > 0 {
		err = edge.WithHint(fmt.Errorf("%s: the box has signed none of it", path), "a box signs within seconds of an alarm, once it is enrolled; without --ca the chain alone is checked")
	}
	return err
}

// exported says whether path is a folder or zip of evidence rather than a journal.
func exported(path string) bool {
	st, err := os.Stat(path)
	if err != nil || st.IsDir() || strings.EqualFold(filepath.Ext(path), ".zip") { // which may be cut off
		return err == nil
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 4)
	_, err = io.ReadFull(f, head)
	return err == nil && (string(head) == "PK\x03\x04" || string(head) == "PK\x05\x06")
}
