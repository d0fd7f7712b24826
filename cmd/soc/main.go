// Command soc is the receiver at the security operations centre: it takes events, stills and clips from the boxes, keeps them
// and shows them.
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
	"sitewatch/edge/config"
	"sitewatch/uplink/soc"
)

// version is set by the linker.
var version = "unversioned"

// Exit statuses, the same for every program.
const (
	exitFailed = 1
	exitConfig = 2 // the configuration or the arguments are wrong
)

type cli struct {
	Run     runCmd     `cmd:"" help:"Run the receiver until it is told to stop."`
	Check   checkCmd   `cmd:"" help:"Check the configuration; list every problem at once."`
	Claim   claimCmd   `cmd:"" help:"Print a one-time token with which a site's box enrols within 24 hours."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// stdout and stderr are where commands print; tests replace them.
type (
	stdout struct{ io.Writer }
	stderr struct{ io.Writer }
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(runMain(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// runMain is the whole program; it returns the exit status.
func runMain(ctx context.Context, args []string, o, e io.Writer) int {
	var c cli
	status := -1
	parser, err := kong.New(&c, kong.Name("soc"), kong.Description("Sitewatch receiver for a security operations centre."),
		kong.Writers(o, e), kong.Exit(func(code int) { status = code }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(stdout{o}), kong.Bind(stderr{e}))
	if err != nil {
		fmt.Fprintln(e, "soc:", err)
		return exitFailed
	}
	k, err := parser.Parse(args)
	if status >= 0 { // --help has printed itself
		return status
	}
	if err != nil {
		fmt.Fprintf(e, "soc: %v (soc --help lists the commands)\n", err)
		return exitConfig
	}
	if err := k.Run(); err != nil && !errors.Is(err, context.Canceled) {
		var bad configError
		if errors.As(err, &bad) {
			fmt.Fprint(e, bad.Error())
			return exitConfig
		}
		fmt.Fprintln(e, "soc:", err)
		return exitFailed
	}
	return 0
}

// configFlag is on every subcommand.
type configFlag struct {
	Config string `help:"Configuration file." default:"/etc/sitewatch/soc.yaml" type:"path" placeholder:"FILE"`
}

// configError is what a person has to put right before anything is started; the program's exit status is 2.
type configError struct{ problems []config.Problem }

// Error lists each problem in a line of its own.
func (e configError) Error() string {
	var s string
	for _, p := range e.problems {
		s += p.String() + "\n"
	}
	return s
}

func (c configFlag) load() (*config.SOC, error) {
	s, problems := config.LoadSOC(c.Config)
	if s != nil {
		problems = append(problems, s.CheckFiles()...)
	}
	if len(problems) > 0 {
		config.SortProblems(problems)
		return nil, configError{problems}
	}
	return s, nil
}

type checkCmd struct {
	configFlag
	Print bool `help:"Print the effective configuration, defaults filled in."`
}

// Run prints every problem, or that there is none.
func (c *checkCmd) Run(o stdout) error {
	s, err := c.load()
	if err != nil {
		return err
	}
	if c.Print {
		return s.Print(o)
	}
	_, err = fmt.Fprintf(o, "%s: no problems\n", c.Config)
	return err
}

type claimCmd struct {
	configFlag
	Site string `required:"" help:"The site's id, as in its gateway.yaml."`
}

// Run prints the token alone. The receiver may be running, or never have run.
func (c *claimCmd) Run(o stdout) error {
	s, err := c.load()
	if err != nil {
		return err
	}
	if !edge.ValidID(c.Site) {
		return configError{[]config.Problem{{What: fmt.Sprintf("--site %q is no site id", c.Site), Hint: "use 1 to 32 letters, digits and hyphens"}}}
	}
	token, err := soc.Claim(s.Data, edge.SiteID(c.Site), edge.NewSystemClock())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(o, token)
	return err
}

type versionCmd struct{}

func (versionCmd) Run(o stdout) error {
	_, err := fmt.Fprintln(o, "soc", version)
	return err
}
