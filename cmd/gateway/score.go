package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"sitewatch/cmd/cli"
	"sitewatch/edge"
	"sitewatch/video"
	"sitewatch/video/film"
	"sitewatch/video/motion"
)

type eyeCmd struct {
	Score scoreCmd `cmd:"" help:"Run the eye's own code over MP4 files and say what it finds; with ground truth, how well."`
}

type scoreCmd struct {
	configFlag
	Grade       string   `help:"alert (every picture) or watching (keyframes, and what they wake)." enum:"alert,watching" default:"alert"`
	JSON        bool     `name:"json" help:"Print {file: [[start_s, end_s, reported_s], ...]} and nothing else."`
	Truth       string   `help:"Ground truth: CSV with clip, start_s, end_s, label, target, or the same in JSON." type:"path" placeholder:"FILE"`
	Out         string   `help:"Draw a timeline and a heat map of each file (PNG) into this folder." type:"path" placeholder:"DIR"`
	Sensitivity float64  `help:"1 is usual; 2 asks for half the contrast and half the size." default:"1"`
	Markdown    bool     `help:"With ground truth: print the total as one row of a markdown table."`
	Files       []string `arg:"" help:"MP4 files with H.264 or H.265." type:"path"`
}

// scored is one file.
type scored struct {
	name    string
	start   float64 // of its first picture, in the film's own time
	seconds float64
	unread  int // pictures
	trial   motion.Trial
	truth   []motion.Truth
	known   bool // there is truth for it
	score   motion.Score
}

// Run needs no configuration: what an eye does with pictures depends on the camera's own settings alone.
func (c *scoreCmd) Run(ctx context.Context, o cli.Out, e cli.Err) error {
	if c.Sensitivity < 0.1 || c.Sensitivity > 10 {
		return cli.ArgumentError{Err: fmt.Errorf("sensitivity %v: 0.1 to 10 is possible", c.Sensitivity)}
	}
	var truth map[string][]motion.Truth
	if c.Truth != "" {
		f, err := os.Open(c.Truth)
		if err != nil {
			return cli.ArgumentError{Err: err}
		}
		defer f.Close()
		if truth, err = motion.ReadTruth(f); err != nil {
			return cli.ArgumentError{Err: fmt.Errorf("%s: %w", c.Truth, err)}
		}
	}
	if c.Out != "" {
		if err := os.MkdirAll(c.Out, 0o755); err != nil {
			return edge.WithHint(err, "name a folder that can be written to")
		}
	}
	names := map[string]bool{}
	for _, path := range c.Files {
		name := filepath.Base(path)
		if names[name] {
			return cli.ArgumentError{Err: fmt.Errorf("two files are named %s: score them apart", name)}
		}
		names[name] = true
	}
	var all []*scored
	var bad []error
	for _, path := range c.Files {
		s, err := c.file(ctx, path, truth)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil: // the others have taken minutes, and have their results all the same
			bad = append(bad, err)
			continue
		case s.unread > 0:
			fmt.Fprintf(e, "%s: %d of %d pictures cannot be read: the file is cut short or broken\n", edge.Printable(path), s.unread, s.unread+s.trial.Pictures)
		}
		if truth != nil && !s.known {
			fmt.Fprintf(e, "%s: %s says nothing of a clip %s\n", edge.Printable(path), edge.Printable(c.Truth), edge.Printable(s.name))
		}
		all = append(all, s)
		if c.Out != "" {
			if err := s.draw(c.Out); err != nil {
				return err
			}
		}
		if !c.JSON && !c.Markdown {
			s.print(o)
		}
	}
	return errors.Join(append(bad, c.report(o, all, truth != nil))...)
}

// report prints what there is of all files together.
func (c *scoreCmd) report(o io.Writer, all []*scored, table bool) error {
	switch {
	case len(all) == 0:
		return nil
	case c.JSON:
		out := map[string][][3]float64{}
		for _, s := range all {
			out[s.name] = s.spans()
		}
		return json.NewEncoder(o).Encode(out)
	case table:
		return c.table(o, all)
	}
	return nil
}

func (c *scoreCmd) file(ctx context.Context, path string, truth map[string][]motion.Truth) (*scored, error) {
	f, err := film.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	eye, err := eyePath()
	if err != nil {
		return nil, edge.WithHint(err, "the program eye belongs beside the gateway: make build")
	}
	opt := motion.TrialOptions{Command: eye, Grade: motion.Alert, Model: motion.ModelOptions{Sensitivity: c.Sensitivity}, Still: c.Out != ""}
	if c.Grade == "watching" {
		opt.Grade = motion.Watching
	}
	s := &scored{name: filepath.Base(path), start: f.Start().Seconds(), seconds: (f.Start() + f.Duration()).Seconds()}
	if s.trial, err = motion.RunTrial(ctx, opt, f.Each); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s.unread = f.Pictures() - s.trial.Pictures
	s.trial.Intervals = slices.DeleteFunc(s.trial.Intervals, func(i motion.TrialInterval) bool { return s.at(i.To) < 0 })
	if s.truth, s.known = truth[s.name]; s.known {
		s.score = motion.ScoreOf(s.truth, s.spans(), s.seconds)
	}
	return s, nil
}

// at is a time of the pictures in the film's own, in seconds, to the millisecond.
func (s *scored) at(t video.Ticks90k) float64 {
	return math.Round(1000*s.start+float64(t.Duration().Milliseconds())) / 1000
}

// spans are what was found. Something may have moved before the film's time begins, in pictures that a player does not show.
func (s *scored) spans() [][3]float64 {
	out := [][3]float64{}
	for _, i := range s.trial.Intervals {
		out = append(out, [3]float64{max(0, s.at(i.From)), s.at(i.To), max(0, s.at(i.Reported))})
	}
	return out
}

func (s *scored) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %.1f s, %d pictures, %d decoded, %s\n", s.name, s.seconds, s.trial.Pictures, s.trial.Decoded, s.cost())
	for i, v := range s.spans() {
		fmt.Fprintf(w, "  %8.2f to %8.2f, told at %8.2f: %s\n", v[0], v[1], v[2], s.trial.Intervals[i].Why)
	}
	for _, c := range s.trial.Scenes {
		state := "begins"
		if c.State == motion.End {
			state = "is over"
		}
		fmt.Fprintf(w, "  %8.2f camera-%v %s: %s\n", s.at(c.PTS), c.Trouble, state, c.Why)
	}
}

func (s *scored) cost() string {
	return fmt.Sprintf("%.2f CPU s a minute", s.trial.CPU.Seconds()*60/max(s.seconds, 1))
}

// table prints a line for each file with truth, and the total.
func (c *scoreCmd) table(o io.Writer, all []*scored) error {
	var total motion.Score
	var cpu, length float64
	w := tabwriter.NewWriter(o, 0, 4, 2, ' ', 0)
	line := func(name string, s motion.Score, cost float64) string {
		median, worst, delay, per := "-", "-", "-", "-"
		if m, v, ok := s.Delay(); ok {
			median, worst = fmt.Sprintf("%.2f", m), fmt.Sprintf("%.2f", v)
		}
		if s.QuietSeconds > 1 {
			per, delay = fmt.Sprintf("%.0f", float64(s.False)*3600/s.QuietSeconds), fmt.Sprintf("%.1f", 100*s.OnSeconds/s.QuietSeconds)
		}
		return strings.Join([]string{name, fmt.Sprintf("%d/%d", s.Found, s.Targets), median, worst, fmt.Sprint(s.Carried), fmt.Sprint(s.False), per, delay, fmt.Sprintf("%.2f", cost)}, "\t")
	}
	if !c.Markdown {
		fmt.Fprintln(w, "clip\tfound\tdelay median s\tworst s\tcarried\tfalse\tfalse/h\ton %\tCPU s/min")
	}
	for _, s := range all {
		cpu, length = cpu+s.trial.CPU.Seconds(), length+s.seconds
		if s.known {
			total.Add(s.score)
			if !c.Markdown {
				fmt.Fprintln(w, line(strings.TrimSuffix(s.name, ".mp4"), s.score, s.trial.CPU.Seconds()*60/max(s.seconds, 1)))
			}
		}
	}
	last := line("all, "+c.Grade, total, cpu*60/max(length, 1))
	if c.Markdown {
		_, err := fmt.Fprintf(o, "| %s |\n", strings.ReplaceAll(last, "\t", " | "))
		return err
	}
	fmt.Fprintln(w, last)
	return w.Flush()
}
