package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"sitewatch/cmd/cli"
	"sitewatch/drivers"
	"sitewatch/drivers/panel"
	"sitewatch/edge/config"
	"sitewatch/uplink"
)

type checkCmd struct {
	configFlag
	Print  bool          `help:"Print the effective configuration, defaults filled in."`
	Listen time.Duration `help:"Open the port of each panel for so long and say what arrives. A port that the gateway has open is left alone." placeholder:"10s"`
}

// Run prints every problem, or that there is none.
func (c *checkCmd) Run(ctx context.Context, o cli.Out) error {
	g, err := c.load()
	if err != nil {
		return err
	}
	if c.Print {
		return g.Print(o)
	}
	for _, c := range []string{crowded(g), scarce(g)} {
		if c != "" {
			fmt.Fprintln(o, "advice:", c)
		}
	}
	if _, err := uplink.LoadIdentity(identityDir(g)); err != nil && !errors.Is(err, uplink.ErrNotEnrolled) {
		fmt.Fprintf(o, "advice: nothing goes to the SOC: %v: let the gateway's own user read it, or enrol the box again\n", err)
	}
	if _, err = fmt.Fprintf(o, "%s: no problems: site %s, %d panels, %d cameras\n", c.Config, g.Site.ID, len(g.Panels), len(g.Cameras)); err != nil || c.Listen <= 0 {
		return err
	}
	return listen(ctx, o, g, c.Listen)
}

// load reads the configuration and checks it with everything that it names: files, drivers' settings, the eye, the data
// directory. The error is a cli.ConfigError with all problems.
func (c configFlag) load() (*config.Gateway, error) {
	registry := drivers.All()
	g, problems := config.LoadGateway(c.Config, registry.Names()...)
	if g != nil {
		problems = config.Join(problems, g.CheckFiles()...)
		for i, p := range g.Panels {
			d, ok := registry.Driver(p.Driver)
			if !ok {
				continue // LoadGateway has said so
			}
			for _, pr := range panel.Check(d, p.Port, p.Settings) {
				problems = config.Join(problems, g.Problem(fmt.Sprintf("panels[%d].%s", i, pr.Path), pr.What, pr.Hint))
			}
		}
		problems = config.Join(problems, shared(g)...)
		problems = config.Join(problems, checkBox(g)...)
	}
	if len(problems) > 0 {
		return nil, cli.ConfigError{Problems: problems}
	}
	return g, nil
}

// parse reads the configuration alone, for what only asks a gateway that runs or looks at files that are there.
func (c configFlag) parse() (*config.Gateway, error) {
	registry := drivers.All()
	g, problems := config.LoadGateway(c.Config, registry.Names()...)
	if len(problems) > 0 {
		return nil, cli.ConfigError{Problems: problems}
	}
	return g, nil
}

// shared says which panels have one port, under whatever names.
func shared(g *config.Gateway) (ps []config.Problem) {
	for i, p := range g.Panels {
		for j, q := range g.Panels[:i] {
			if p.Port != "" && q.Port != "" && panel.SamePort(p.Port, q.Port) {
				first := g.Problem(fmt.Sprintf("panels[%d].port", j), "", "").Line
				ps = append(ps, g.Problem(fmt.Sprintf("panels[%d].port", i), fmt.Sprintf("%s is the port of panel %s too (%s, line %d)", p.Port, q.ID, q.Port, first),
					"give each panel its own port"))
				break
			}
		}
	}
	return ps
}

// checkBox says what is wrong with the machine for this configuration.
func checkBox(g *config.Gateway) (ps []config.Problem) {
	// A disk that fails or is read-only is no reason to start nothing: run keeps the alarms in memory then, and says so.
	if dir, err := existing(g.Data); errors.Is(err, unix.EIO) {
		return nil
	} else if err != nil {
		ps = append(ps, g.Problem("data", err.Error(), "name a directory that the gateway may make and write to"))
	} else if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil && !errors.Is(err, unix.EROFS) {
		ps = append(ps, g.Problem("data", fmt.Sprintf("%s: %v", dir, err), "make the directory writable for the gateway's user"))
	}
	// An identity that cannot be read is no reason to keep no journal; one of another site is an installer's mistake.
	if id, err := uplink.LoadIdentity(identityDir(g)); err == nil && id.Site != g.Site.ID {
		ps = append(ps, g.Problem("site.id", fmt.Sprintf("the box is enrolled as site %s", id.Site),
			"correct the id, or enrol this box for its own site: 'gateway enrol' after moving "+identityDir(g)+" away"))
	}
	if len(g.Cameras) > 0 {
		if eye, err := eyePath(); err != nil {
			ps = append(ps, g.Problem("cameras", err.Error(), "install the program eye beside gateway: "+eye))
		}
	}
	return ps
}

// existing returns dir, or the nearest directory above it that is there: a check makes nothing.
func existing(dir string) (string, error) {
	for {
		fi, err := os.Stat(dir)
		switch {
		case err == nil && fi.IsDir():
			return dir, nil
		case err == nil:
			return "", fmt.Errorf("%s is no directory", dir)
		case !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir):
			return "", err
		}
		dir = filepath.Dir(dir)
	}
}

// room is what the limits must leave on the disk: the journal's write-ahead log, its reserve, logs of the system.
const room = 256 << 20

// crowded says that the limits do not fit the disk, "" when they do. It is advice and no problem: a full disk costs clips and
// never an alarm, and a gateway that does not start costs both.
func crowded(g *config.Gateway) string {
	dir, err := existing(g.Data)
	if err != nil {
		return ""
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return ""
	}
	size, asked := st.Blocks*uint64(st.Bsize), uint64(g.Limits.Journal)+uint64(g.Limits.Clips)+uint64(g.Limits.Segments)
	if asked+room <= size {
		return ""
	}
	return fmt.Sprintf("the limits add up to %d MiB and the disk of %s has %d MiB: lower limits.clips, so that %d MiB remain", asked>>20, g.Data, size>>20, room>>20)
}

// eyePath returns the program that decodes pictures; it lies beside this one.
func eyePath() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "eye", err
	}
	path := filepath.Join(filepath.Dir(self), "eye")
	_, err = os.Stat(path)
	return path, err
}
