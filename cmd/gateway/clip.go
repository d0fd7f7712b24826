package main

import (
	"fmt"
	"os"
	"path/filepath"

	"sitewatch/cmd/cli"
	"sitewatch/edge"
	"sitewatch/video/clip"
)

type clipCmd struct {
	configFlag
	ID     string `arg:"" help:"The clip's id, as the event names it."`
	Output string `arg:"" help:"MP4 file to write." type:"path"`
}

// Run exports without touching the kept clip, which stays the evidence.
func (c *clipCmd) Run(o cli.Out) error {
	g, err := c.parse()
	if err != nil {
		return err
	}
	if !edge.ValidID(c.ID) {
		return cli.ArgumentError{Err: fmt.Errorf("%q is no clip id: an event names its clips", c.ID)}
	}
	src := filepath.Join(g.Data, "clips", c.ID+".mp4")
	if _, err := os.Stat(src); err != nil {
		return edge.WithHint(fmt.Errorf("clip %s is not on this box: %w", c.ID, err), "the SOC has it if its state there is ready")
	}
	without, err := clip.Export(src, c.Output)
	if err != nil {
		return err
	}
	if without != "" {
		fmt.Fprintf(o, "without %s, which a progressive MP4 of this program cannot carry: the SOC's copy of the clip has it\n", without)
	}
	_, err = fmt.Fprintln(o, c.Output)
	return err
}
