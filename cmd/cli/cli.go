// Package cli is what the command lines of gateway, soc and sitesim share: parsing, where output goes, exit statuses.
//
// Only programs import it. It starts nothing and keeps nothing; Run may be called from any goroutine, once per set of commands.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"sitewatch/edge"
	"sitewatch/edge/config"
)

// Version is set by the linker: -X sitewatch/cmd/cli.Version=...
var Version = "unversioned"

// Exit statuses, the same for every program.
const (
	ExitFailed = 1
	ExitConfig = 2 // the configuration or the arguments are wrong
	// ExitIncomplete is of evidence alone: nothing of it is broken, and clips in it are not complete.
	ExitIncomplete = 3
)

// Out and Err are where commands print; a command's Run takes what it needs.
type (
	Out struct{ io.Writer }
	Err struct{ io.Writer }
)

// Main is the whole of a program's main: it runs the command that os.Args names until it ends or SIGINT or SIGTERM comes,
// and exits. commands is a pointer to a struct as kong takes it.
func Main(ctx context.Context, name, description string, commands any) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(Run(ctx, name, description, commands, os.Args[1:], os.Stdout, os.Stderr))
}

// Run runs one command line and returns the exit status.
func Run(ctx context.Context, name, description string, commands any, args []string, stdout, stderr io.Writer) int {
	status := -1
	parser, err := kong.New(commands, kong.Name(name), kong.Description(description),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { status = code }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(Out{stdout}), kong.Bind(Err{stderr}))
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return ExitFailed
	}
	k, err := parser.Parse(args)
	if status >= 0 { // --help has printed itself
		return status
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %s (%s --help lists the commands)\n", name, clean(err), name)
		return ExitConfig
	}
	if err := k.Run(); err != nil && !errors.Is(err, context.Canceled) {
		var bad ConfigError
		if errors.As(err, &bad) {
			fmt.Fprintln(stderr, strings.TrimSuffix(clean(bad), "\n"))
			return ExitConfig
		}
		fmt.Fprintf(stderr, "%s: %s\n", name, clean(err))
		switch {
		case errors.As(err, new(ArgumentError)):
			return ExitConfig
		case errors.As(err, new(IncompleteError)):
			return ExitIncomplete
		}
		return ExitFailed
	}
	return 0
}

// clean is what err says, in lines that are safe to print: it may quote a file from anybody.
func clean(err error) string {
	lines := strings.Split(err.Error(), "\n")
	for i, l := range lines {
		lines[i] = edge.Printable(l)
	}
	return strings.Join(lines, "\n")
}

// ConfigError is what a person has to put right before anything is started; the exit status is ExitConfig.
type ConfigError struct{ Problems []config.Problem }

// Error lists each problem in a line of its own.
func (e ConfigError) Error() string {
	var b strings.Builder
	for _, p := range e.Problems {
		fmt.Fprintln(&b, p)
	}
	return b.String()
}

// ArgumentError is an argument that can never be right; the exit status is ExitConfig.
type ArgumentError struct{ Err error }

func (e ArgumentError) Error() string { return e.Err.Error() }
func (e ArgumentError) Unwrap() error { return e.Err }

// IncompleteError is what is missing of something that holds; the exit status is ExitIncomplete.
type IncompleteError struct{ Err error }

func (e IncompleteError) Error() string { return e.Err.Error() }
func (e IncompleteError) Unwrap() error { return e.Err }

// VersionCmd prints the program's name and version.
type VersionCmd struct{}

// Run prints one line.
func (VersionCmd) Run(k *kong.Context, o Out) error {
	_, err := fmt.Fprintln(o, k.Model.Name, Version)
	return err
}

// LogFlag is on every subcommand that runs for long.
type LogFlag struct {
	LogLevel slog.Level `help:"Least level that is logged: debug, info, warn or error." default:"info"`
}

// Logger writes text lines to e.
func (f LogFlag) Logger(e Err) *slog.Logger {
	return slog.New(slog.NewTextHandler(e, &slog.HandlerOptions{Level: f.LogLevel}))
}
