package main

import (
	"fmt"
	"os"
	"path/filepath"

	"sitewatch/cmd/cli"
	"sitewatch/drivers"
	"sitewatch/drivers/panel"
	"sitewatch/edge/config"
)

type checkCmd struct {
	configFlag
	Print bool `help:"Print the effective configuration, defaults filled in."`
}

// Run prints every problem, or that there is none.
func (c *checkCmd) Run(o cli.Out) error {
	g, err := c.load()
	if err != nil {
		return err
	}
	if c.Print {
		return g.Print(o)
	}
	_, err = fmt.Fprintf(o, "%s: no problems: site %s, %d panels, %d cameras\n", c.Config, g.Site.ID, len(g.Panels), len(g.Cameras))
	return err
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
		problems = config.Join(problems, checkBox(g)...)
	}
	if len(problems) > 0 {
		return nil, cli.ConfigError{Problems: problems}
	}
	return g, nil
}

// checkBox says what is wrong with the machine for this configuration.
func checkBox(g *config.Gateway) (ps []config.Problem) {
	if err := os.MkdirAll(g.Data, 0o750); err != nil {
		ps = append(ps, g.Problem("data", err.Error(), "name a directory that the gateway may make and write to"))
	} else if f, err := os.CreateTemp(g.Data, ".check-"); err != nil {
		ps = append(ps, g.Problem("data", err.Error(), "make the directory writable for the gateway's user"))
	} else {
		f.Close()
		os.Remove(f.Name())
	}
	if len(g.Cameras) > 0 {
		if eye, err := eyePath(); err != nil {
			ps = append(ps, g.Problem("cameras", err.Error(), "install the program eye beside gateway: "+eye))
		}
	}
	return ps
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
