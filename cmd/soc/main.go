// Command soc is the receiver at the security operations centre: it takes events, stills and clips from the boxes, keeps them
// and shows them.
package main

import (
	"context"
	"errors"
	"fmt"

	"sitewatch/cmd/cli"
	"sitewatch/edge"
	"sitewatch/edge/config"
	"sitewatch/uplink/soc"
)

type commands struct {
	Run     runCmd         `cmd:"" help:"Run the receiver until it is told to stop."`
	Check   checkCmd       `cmd:"" help:"Check the configuration; list every problem at once."`
	Claim   claimCmd       `cmd:"" help:"Print a one-time token with which a site's box enrols within 24 hours."`
	Revoke  revokeCmd      `cmd:"" help:"Refuse a site's box at once, such as a stolen one, until a new claim lets one in."`
	Export  exportCmd      `cmd:"" help:"Take a site's events, clips and stills of a span of time out, so that they can be proved anywhere."`
	Verify  verifyCmd      `cmd:"" help:"Prove a folder or zip of 'soc export', offline, and name the first broken link."`
	CA      caCmd          `cmd:"" name:"ca" help:"Show or replace the certificate authority; no box needs to be touched."`
	Version cli.VersionCmd `cmd:"" help:"Print the version."`
}

func main() {
	cli.Main(context.Background(), "soc", "Sitewatch receiver for a security operations centre.", &commands{})
}

// configFlag is on every subcommand.
type configFlag struct {
	Config string `help:"Configuration file." default:"/etc/sitewatch/soc.yaml" type:"path" placeholder:"FILE"`
}

func (c configFlag) load() (*config.SOC, error) {
	s, problems := config.LoadSOC(c.Config)
	if s != nil {
		problems = config.Join(problems, s.CheckFiles()...)
	}
	if len(problems) > 0 {
		return nil, cli.ConfigError{Problems: problems}
	}
	return s, nil
}

type checkCmd struct {
	configFlag
	Print bool `help:"Print the effective configuration, defaults filled in."`
}

// Run prints every problem, or that there is none.
func (c *checkCmd) Run(o cli.Out) error {
	s, err := c.load()
	if err != nil {
		return err
	}
	if c.Print {
		return s.Print(o)
	}
	problems, advice := soc.CheckTrust(s.Data, edge.NewSystemClock())
	for _, a := range advice {
		fmt.Fprintln(o, "advice:", a)
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	_, err = fmt.Fprintf(o, "%s: no problems\n", c.Config)
	return err
}
