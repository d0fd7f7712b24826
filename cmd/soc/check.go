package main

import (
	"fmt"
	"os"
	"strings"

	"sitewatch/edge/config"
	"sitewatch/uplink/soc/api"
)

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
	_, err = fmt.Fprintf(o, "%s: no problems: boxes at %s, console at http://%s/\n", c.Config, s.Uplink, s.HTTP)
	return err
}

// configError is what a person has to put right before anything is started; the program's exit status is 2.
type configError struct{ text string }

// Error has each problem in a line of its own.
func (e configError) Error() string { return e.text }

// load reads the configuration and checks it with the machine. The error is a configError with all problems.
func (c configFlag) load() (*config.SOC, error) {
	s, problems := config.LoadSOC(c.Config)
	if s != nil {
		problems = append(problems, s.CheckFiles()...)
		if err := api.CheckListen(s.HTTP); err != nil {
			problems = append(problems, s.Problem("http", err.Error(), ""))
		}
		if err := os.MkdirAll(s.Data, 0o750); err != nil {
			problems = append(problems, s.Problem("data", err.Error(), "name a directory that the SOC may make and write to"))
		} else if f, err := os.CreateTemp(s.Data, ".check-"); err != nil {
			problems = append(problems, s.Problem("data", err.Error(), "make the directory writable for the SOC's user"))
		} else {
			f.Close()
			os.Remove(f.Name())
		}
	}
	if len(problems) == 0 {
		return s, nil
	}
	config.SortProblems(problems)
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintln(&b, p)
	}
	return nil, configError{b.String()}
}
