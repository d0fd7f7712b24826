package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"sitewatch/cmd/cli"
	"sitewatch/cmd/sitesim/link"
)

// linkBenchCmd measures how late alarms are behind clips on slow lines, with the real programs.
type linkBenchCmd struct {
	Bin   string   `help:"Folder with the programs." default:"bin" type:"path"`
	Dir   string   `help:"Folder for the bench's files, which are kept: the programs' logs and data, each alarm's time as CSV. A temporary one when left out." type:"path" placeholder:"DIR"`
	N     int      `name:"n" help:"Alarms per figure. 1000 are needed for a p99 that means something; fewer are quick." default:"1000"`
	Rows  []string `help:"Rows to measure, by name, for example 2mbit,loss. All that the table of the README has when left out." sep:"," placeholder:"ROW"`
	Plain bool     `help:"Measure plain gRPC beside it (one connection, two streams, defaults)." default:"true" negatable:""`
	SVG   string   `name:"svg" help:"Draw the latencies into this file." type:"path" placeholder:"FILE"`
	Seed  uint64   `help:"Of random loss and of the moments of the alarms." default:"1"`

	keep bool
}

// How often alarms come, in alarms a second on average. They may not be so many that they are the load; idle and under load
// they come at the same moments.
const (
	alarmRate = 7
	oftenRate = 10              // where the moment of a change is looked for
	plainRate = 15              // seconds late as it is, their number changes nothing
	benchWarm = 8 * time.Second // clips flow for so long before the first alarm counts
)

// Help is printed by --help.
func (linkBenchCmd) Help() string {
	var keys strings.Builder
	for _, r := range benchRows() {
		fmt.Fprintf(&keys, "\n  %-8s %s", r.Key, r.Title)
		if r.Extra {
			keys.WriteString(" (only when named)")
		}
	}
	return `Each row has a link of its own (see 'sitesim link --help'), with a real gateway on one side and a real SOC on the other.
An alarm is measured from the last byte of the panel's block on the gateway's pty to the SOC's commit, on one clock: first with the
link idle, then while the box uploads clips without end, then over plain gRPC with the same load. The rows:
` + keys.String()
}

// Run measures the rows one after the other and prints the table.
func (c *linkBenchCmd) Run(ctx context.Context, o cli.Out, e cli.Err) error {
	rows := benchRows()
	for _, k := range c.Rows {
		if !slices.ContainsFunc(rows, func(r benchRow) bool { return r.Key == k }) {
			return cli.ArgumentError{Err: fmt.Errorf("there is no row %q; there are %s", k, strings.Join(rowKeys(rows), ", "))}
		}
	}
	if c.N < 2 {
		return cli.ArgumentError{Err: errors.New("--n: at least 2 alarms")}
	}
	if c.Dir != "" {
		c.keep = true
	} else {
		dir, err := os.MkdirTemp("", "sitewatch-bench-")
		if err != nil {
			return err
		}
		c.Dir = dir
		defer os.RemoveAll(dir)
	}
	var results []benchResult
	for _, row := range rows {
		if len(c.Rows) == 0 && row.Extra || len(c.Rows) > 0 && !slices.Contains(c.Rows, row.Key) {
			continue
		}
		fmt.Fprintf(e, "%s ...\n", row.Title)
		r := benchResult{Row: row}
		r.Err = c.runRow(ctx, &r)
		if errors.Is(r.Err, link.ErrNotRoot) {
			return r.Err
		}
		if ctx.Err() != nil {
			break // what has been measured is worth its lines
		}
		results = append(results, r)
		fmt.Fprintln(e, " ", r.line())
	}
	printResults(o, results)
	if c.SVG != "" && ctx.Err() == nil {
		return drawResults(c.SVG, results)
	}
	return nil
}

func rowKeys(rows []benchRow) (keys []string) {
	for _, r := range rows {
		keys = append(keys, r.Key)
	}
	return keys
}
