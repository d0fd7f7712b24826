package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"sitewatch/cmd/cli"
	"sitewatch/uplink"
)

type enrolCmd struct {
	configFlag
	Token string `required:"" help:"What 'soc claim --site ID' printed."`
	SOC   string `name:"soc" help:"The SOC's address, HOST:PORT; uplink.soc of the configuration when left out." placeholder:"HOST:PORT"`
}

// Run gets the box its certificate. It may be repeated with the same token after a lost reply.
func (c *enrolCmd) Run(ctx context.Context, o cli.Out) error {
	g, err := c.load()
	if err != nil {
		return err
	}
	soc := c.SOC
	if soc == "" {
		soc = g.Uplink.Paths[0].SOC[0]
	}
	if _, _, err := net.SplitHostPort(soc); err != nil {
		return cli.ArgumentError{Err: fmt.Errorf("%q is no address of a SOC, such as soc.example:7443: %w", soc, err)}
	}
	id, err := uplink.Enrol(ctx, uplink.EnrolOptions{Dir: identityDir(g), SOC: soc, Token: c.Token, Site: g.Site.ID, Clock: systemClock()})
	if errors.Is(err, uplink.ErrToken) {
		return cli.ArgumentError{Err: err}
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(o, "enrolled as site %s; the certificate is valid until %s\n", id.Site, id.Certificate().NotAfter.UTC().Format("2006-01-02"))
	return err
}
