// Command gateway is the program of the box in each shop: it reads the panels, keeps the pre-alarm pictures of the
// cameras, journals what happened and brings it to the SOC.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"sitewatch/edge"
)

// version is set by the linker.
var version = "unversioned"

// Exit statuses, the same for every program.
const (
	exitFailed = 1
	exitConfig = 2 // the configuration or the arguments are wrong
)

type cli struct {
	Run     runCmd     `cmd:"" help:"Run the gateway until it is told to stop."`
	Check   checkCmd   `cmd:"" help:"Check configuration and environment; list every problem at once."`
	Enrol   enrolCmd   `cmd:"" help:"Make the box's key and get its certificate from the SOC, with a token of 'soc claim'."`
	Status  statusCmd  `cmd:"" help:"Print what the running gateway says of itself."`
	Clip    clipCmd    `cmd:"" help:"Write a kept clip as a progressive MP4 for players that know no fragments."`
	Verify  verifyCmd  `cmd:"" help:"Walk the journal's hash chain."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// out is where commands print; tests replace it.
type out struct{ io.Writer }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(runMain(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// runMain is the whole program; it returns the exit status.
func runMain(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c cli
	status := -1
	parser, err := kong.New(&c, kong.Name("gateway"), kong.Description("Sitewatch in-store security gateway."),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { status = code }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(out{stdout}), kong.Bind(errOut{stderr}))
	if err != nil {
		fmt.Fprintln(stderr, "gateway:", err)
		return exitFailed
	}
	k, err := parser.Parse(args)
	if status >= 0 { // --help has printed itself
		return status
	}
	if err != nil {
		fmt.Fprintf(stderr, "gateway: %v (gateway --help lists the commands)\n", err)
		return exitConfig
	}
	if err := k.Run(); err != nil && !errors.Is(err, context.Canceled) {
		var bad configError
		if errors.As(err, &bad) {
			fmt.Fprint(stderr, bad.Error())
			return exitConfig
		}
		fmt.Fprintln(stderr, "gateway:", err)
		return exitFailed
	}
	return 0
}

// errOut is where problems and log lines go.
type errOut struct{ io.Writer }

// configFlag is on every subcommand.
type configFlag struct {
	Config string `help:"Configuration file." default:"/etc/sitewatch/gateway.yaml" type:"path" placeholder:"FILE"`
}

type versionCmd struct{}

func (versionCmd) Run(o out) error {
	_, err := fmt.Fprintln(o, "gateway", version)
	return err
}

// systemClock is one clock for the whole program.
func systemClock() edge.Clock { return edge.NewSystemClock() }
