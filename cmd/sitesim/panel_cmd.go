package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/sync/errgroup"

	"sitewatch/cmd/cli"
	"sitewatch/drivers/espa444"
	"sitewatch/drivers/galaxy"
	"sitewatch/drivers/modbus"
	"sitewatch/drivers/osdp"
	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

// panelCmd is a fake panel for a desk: it says what is typed, or plays a script.
type panelCmd struct {
	Driver  string      `help:"Which panel: the name of the gateway's driver for it." default:"galaxy-sia"`
	Link    string      `help:"Where the path to the panel's serial line appears, as a symlink; the gateway's port." default:"demo/panel" type:"path"`
	Script  string      `help:"Play this .wire file once, check the answers, and exit." type:"existingfile"`
	Baud    int         `help:"Speed that the bytes are paced at." default:"9600"`
	Level   int         `help:"Galaxy: SIA level, 0 to 4; from 3 on with text." default:"3"`
	Account string      `help:"Galaxy: account number." default:"012345"`
	State   string      `help:"Galaxy: file that keeps what is not acknowledged yet." type:"path"`
	Address []byte      `help:"Modbus, OSDP: addresses on the line." default:"1" placeholder:"N,..."`
	Inputs  int         `help:"OSDP: inputs of each device." default:"8"`
	Key     string      `help:"OSDP: file with the devices' key, 32 hex digits; without one they have the factory's and take a key." type:"existingfile" placeholder:"FILE"`
	Faults  panelFaults `embed:"" prefix:"fault-"`
}

// Run is the panel until ctx ends, the script is over, or standard input has a line that it cannot read.
func (c *panelCmd) Run(ctx context.Context) error {
	if c.Driver != galaxy.Driver.Name && c.Script == "" {
		return c.runPeer(ctx)
	}
	p, err := newGalaxyPanel(panelOptions{
		Link: c.Link, Baud: c.Baud, Level: c.Level, Account: c.Account, State: c.State, Faults: c.Faults,
		Clock: edge.NewSystemClock(), Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Acked: func(e panelEvent) { fmt.Printf("acknowledged: %s %s %s\n", e.Code, e.Zone, e.Text) },
	})
	if err != nil {
		return err
	}
	if c.Script != "" {
		b, err := os.ReadFile(c.Script)
		if err != nil {
			return err
		}
		tr, err := panel.ParseTranscript(b)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Script, err)
		}
		return p.Play(ctx, tr)
	}
	fmt.Println("Say: CODE [ZONE [PARTITION [USER [TEXT...]]]], with - for none. For example: BA 1011 1 - STOCK ROOM")
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.Run(ctx) })
	g.Go(func() error {
		return runTyped(ctx, os.Stdin, func(line string) error { return raiseTyped(p, line) })
	})
	return g.Wait()
}

// runPeer is one of the other panels.
func (c *panelCmd) runPeer(ctx context.Context) error {
	p, err := c.peer()
	if err != nil {
		return err
	}
	if err := p.Do([]string{"help"}); err != nil {
		fmt.Println(err) // what may be typed
	}
	bad := newBadLine(c.Faults)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return runPeer(ctx, p, c.Link, c.Baud, bad, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	})
	g.Go(func() error { return runTypedPeer(ctx, os.Stdin, p, bad) })
	return g.Wait()
}

// peer makes the panel of the driver.
func (c *panelCmd) peer() (peer, error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	switch c.Driver {
	case modbus.Driver.Name:
		return newModbusPeer(false, c.Address...), nil
	case espa444.Driver.Name:
		return newEspaPeer(espaOptions{Log: log, Acked: func(a espaCall) { fmt.Printf("acknowledged: %s\n", a.Text) }}), nil
	case osdp.Driver.Name:
		o := osdpOptions{Clock: edge.NewSystemClock(), Log: log}
		key, err := c.key()
		if err != nil {
			return nil, err
		}
		for _, a := range c.Address {
			o.Devices = append(o.Devices, osdpDevice{Address: a, Key: key, Inputs: c.Inputs})
		}
		return newOsdpPeer(o)
	}
	return nil, cli.ArgumentError{Err: fmt.Errorf("there is no fake panel for driver %q", c.Driver)}
}

// key reads the devices' key; nil without one.
func (c *panelCmd) key() ([]byte, error) {
	if c.Key == "" {
		return nil, nil
	}
	b, err := os.ReadFile(c.Key)
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(b)))
	if err != nil || len(key) != 16 {
		return nil, cli.ArgumentError{Err: fmt.Errorf("%s does not hold 32 hex digits", c.Key)}
	}
	return key, nil
}

// runTyped does what is typed, and says what is wrong with a line that cannot be done. The end of the input ends nothing.
func runTyped(ctx context.Context, in io.Reader, do func(line string) error) error {
	lines := make(chan string)
	var g errgroup.Group
	g.Go(func() error {
		// A read of a terminal cannot be called off: this one may outlive Run until the process ends.
		defer close(lines)
		s := bufio.NewScanner(in)
		for s.Scan() {
			select {
			case lines <- s.Text():
			case <-ctx.Done():
				return nil
			}
		}
		return s.Err()
	})
	for {
		select {
		case <-ctx.Done():
			return nil
		case line, ok := <-lines:
			if !ok {
				return g.Wait()
			}
			if err := do(line); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}
}

// raiseTyped reads one line: CODE ZONE PARTITION USER TEXT.
func raiseTyped(p *galaxyPanel, line string) error {
	w := strings.Fields(line)
	if len(w) == 0 {
		return nil
	}
	if w[0] == "fault" {
		return p.bad.set(w[1:])
	}
	if len(w[0]) != 2 {
		return errors.New("an event code has two letters, for example BA")
	}
	var f [4]string
	for i := range f {
		if i < len(w) && w[i] != "-" {
			f[i] = w[i]
		}
	}
	code := strings.ToUpper(f[0])
	if err := p.Raise(code, f[1], f[2], f[3], strings.Join(w[min(4, len(w)):], " ")); err != nil {
		return err
	}
	fmt.Printf("queued: %s %s\n", code, f[1]) // on disk, if there is a state file
	return nil
}
