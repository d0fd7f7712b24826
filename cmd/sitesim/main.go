// Command sitesim is a whole site on a desk, for demonstrations, tests and training: an intruder panel on a pseudo
// terminal and cameras that speak RTSP, with a scenario that plays on both.
//
// It is made of real bytes: the gateway under test is configured with the pty and the RTSP addresses as it would be with
// a real panel and real cameras, and cannot tell the difference. It never speaks to a gateway or a SOC in any other way.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // the panel tells the shop's local time, also on a machine without zoneinfo

	"github.com/alecthomas/kong"
)

// version is set by the linker.
var version = "unversioned"

// Exit statuses, the same for every program.
const (
	exitFailed    = 1
	exitArguments = 2
)

type cli struct {
	Site    siteCmd    `cmd:"" help:"Write gateway.yaml and soc.yaml for the simulated site and exit."`
	Run     runCmd     `cmd:"" help:"Play a scenario on a panel and three cameras."`
	Panel   panelCmd   `cmd:"" help:"A panel alone."`
	Camera  cameraCmd  `cmd:"" help:"A camera alone."`
	Demo    demoCmd    `cmd:"" help:"Everything on one desk: SOC, enrolment, panel, cameras, gateway."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// out is where commands print; tests replace it.
type out struct{ io.Writer }

type versionCmd struct{}

func (versionCmd) Run(o out) error {
	_, err := fmt.Fprintln(o, "sitesim", version)
	return err
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(runMain(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// runMain is the whole program; it returns the exit status.
func runMain(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c cli
	status := -1
	parser, err := kong.New(&c, kong.Name("sitesim"), kong.Description("A whole Sitewatch site on a desk."),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { status = code }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(out{stdout}))
	if err != nil {
		fmt.Fprintln(stderr, "sitesim:", err)
		return exitFailed
	}
	k, err := parser.Parse(args)
	if status >= 0 { // --help has printed itself
		return status
	}
	if err != nil {
		fmt.Fprintf(stderr, "sitesim: %v (sitesim --help lists the commands)\n", err)
		return exitArguments
	}
	if err := k.Run(); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(stderr, "sitesim:", err)
		return exitFailed
	}
	return 0
}
