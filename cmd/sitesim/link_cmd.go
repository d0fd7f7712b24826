package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/cmd/cli"
	"sitewatch/cmd/sitesim/link"
)

// linkCmd is a slow line between two networks on this machine.
type linkCmd struct {
	Rate     link.Rate     `help:"Bits a second from A to B, headers of IP counted; 0 is no limit." default:"2mbit"`
	RateBack *link.Rate    `help:"The same from B to A; as --rate when left out." placeholder:"RATE"`
	Delay    time.Duration `help:"One way; the round trip is twice that." default:"25ms"`
	Queue    link.Size     `help:"Bytes that wait before the line, each way; what does not fit is dropped. 0 is no limit." default:"256KiB"`
	Loss     link.Share    `help:"Share of packets that the line loses, each way." default:"0"`
	Priority bool          `help:"Serve packets marked EF (DSCP 40 and up) before all others, as a good router does."`
	TCP      string        `name:"tcp" help:"Congestion control of both sides." default:"cubic"`
	Seed     uint64        `help:"Of the random loss: the same seed loses the same packets." default:"1"`
	At       []string      `help:"Change the link then, for example --at '30s down' --at '40s up' --at '1m rate 256kbit'." sep:"none" placeholder:"'TIME CHANGE'"`
	ExecA    string        `help:"Shell command to run on side A. When it ends, everything ends." placeholder:"CMD"`
	ExecB    string        `help:"Shell command to run on side B. It is ended with A's." placeholder:"CMD"`
}

// Help is printed by --help.
func (linkCmd) Help() string {
	return `Makes two networks, A (10.77.0.1, say the box) and B (10.77.0.2, say the SOC), joined by this line and by nothing else. It needs
root. Nothing of it has a name on the machine, so nothing is left when it ends, however it ends.

  sitesim link --rate 256kbit --delay 60ms --exec-b 'soc run --config soc.yaml' --exec-a 'gateway run --config gateway.yaml'

Without --exec-a and --exec-b it prints how to enter either side and runs until Ctrl-C. While it runs, it takes changes on its
standard input, one a line, and --at takes the same: 'rate 1mbit', 'delay 50ms', 'queue 64KiB', 'loss 1%', 'down', 'up'; with
'there' or 'back' before it for one direction, as in 'back rate 128kbit'. 'counts' prints what has happened so far.`
}

// Run is the link until ctx ends or the command of side A has ended.
func (c *linkCmd) Run(ctx context.Context, o cli.Out, e cli.Err) error {
	steps, err := parseSteps(c.At)
	if err != nil {
		return cli.ArgumentError{Err: err}
	}
	there := link.Traits{Rate: c.Rate, Delay: c.Delay, Queue: c.Queue, Loss: float64(c.Loss), Priority: c.Priority}
	back := there
	if c.RateBack != nil {
		back.Rate = *c.RateBack
	}
	p, err := link.New(link.Options{Lines: []link.Line{{There: there, Back: back}}, TCP: c.TCP, Seed: c.Seed})
	if err != nil {
		return err
	}
	err = c.runPair(ctx, p, steps, o, e)
	fmt.Fprint(e, linkCounts(p))
	return errors.Join(err, p.Close())
}

// errEnded: the command of side A has ended, in order.
var errEnded = errors.New("ended")

func (c *linkCmd) runPair(ctx context.Context, p *link.Pair, steps []linkStep, o cli.Out, e cli.Err) error {
	for _, s := range []struct{ name, cmd string }{{"A", c.ExecA}, {"B", c.ExecB}} {
		side := link.A
		if s.name == "B" {
			side = link.B
		}
		if s.cmd == "" {
			fmt.Fprintf(e, "side %s is %s; enter it with: nsenter --net=%s bash\n", s.name, link.Addr(0, side), p.Path(side))
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	lineCtx, stop := context.WithCancel(context.WithoutCancel(ctx)) // the commands say goodbye over it
	g.Go(func() error { return p.Run(lineCtx) })
	g.Go(func() error {
		defer stop()
		return c.runCommands(ctx, p, o, e)
	})
	g.Go(func() error { return runSteps(ctx, p, steps, e) })
	g.Go(func() error {
		return runTyped(ctx, os.Stdin, func(l string) error { return changeLink(p, l, e) })
	})
	if err := g.Wait(); !errors.Is(err, errEnded) {
		return err
	}
	return nil
}

// runCommands runs what was given for both sides, B first: it is usually who listens.
func (c *linkCmd) runCommands(ctx context.Context, p *link.Pair, o cli.Out, e cli.Err) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range []struct {
		side link.Side
		text string
	}{{link.B, c.ExecB}, {link.A, c.ExecA}} {
		if s.text == "" {
			continue
		}
		cmd := exec.CommandContext(ctx, "/bin/sh", "-c", s.text)
		cmd.Stdout, cmd.Stderr = o, e
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
		cmd.WaitDelay = stopWithin
		if err := p.In(s.side, cmd.Start); err != nil {
			return fmt.Errorf("start %q: %w", s.text, err)
		}
		g.Go(func() error {
			err := cmd.Wait()
			switch {
			case ctx.Err() != nil:
				return nil // it was told to end
			case err != nil:
				return fmt.Errorf("%q: %w", s.text, err)
			case s.side == link.A || c.ExecA == "":
				return errEnded
			}
			return nil
		})
	}
	g.Go(func() error {
		<-ctx.Done()
		return nil
	})
	return g.Wait()
}

// linkCounts says what the link has done, a line for each direction.
func linkCounts(p *link.Pair) string {
	var b strings.Builder
	for side, name := range []string{"A to B", "B to A"} {
		c := p.Counts(0, link.Side(side))
		fmt.Fprintf(&b, "%s: %d packets with %d bytes; dropped %d by the full queue, %d by loss, %d while down; at most %v waited; own lateness p99 %v\n",
			name, c.Packets, c.Bytes, c.Full, c.Lost, c.WhenDown, c.QueueMost, p.Late(0, link.Side(side), 0.99))
	}
	return b.String()
}
