package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"sitewatch/cmd/cli"
	"sitewatch/edge"
	"sitewatch/edge/config"
	"sitewatch/uplink/soc"
)

// siteFlag is on commands about one site.
type siteFlag struct {
	Site string `required:"" help:"The site's id, as in its gateway.yaml."`
}

func (f siteFlag) id() (edge.SiteID, error) {
	if !edge.ValidID(f.Site) {
		return "", cli.ConfigError{Problems: []config.Problem{{What: fmt.Sprintf("--site %q is no site id", f.Site), Hint: "use 1 to 32 letters, digits and hyphens"}}}
	}
	return edge.SiteID(f.Site), nil
}

type claimCmd struct {
	configFlag
	siteFlag
}

// Run prints the token alone. The receiver may be running, or never have run.
func (c *claimCmd) Run(o cli.Out) error {
	s, err := c.load()
	if err != nil {
		return err
	}
	site, err := c.id()
	if err != nil {
		return err
	}
	token, err := soc.Claim(s.Data, site, edge.NewSystemClock())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(o, token)
	return err
}

type revokeCmd struct {
	configFlag
	siteFlag
	Why string `help:"For the record."`
}

// Run shuts a site's box out. The receiver may be running: it ends the box's connections within a second.
func (c *revokeCmd) Run(o cli.Out) error {
	s, err := c.load()
	if err != nil {
		return err
	}
	site, err := c.id()
	if err != nil {
		return err
	}
	if err := soc.Revoke(s.Data, site, c.Why, edge.NewSystemClock()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(o, "every certificate and token of site %s so far is refused from now on; 'soc claim --site %s' lets a box in again\n", site, site)
	return err
}

type caCmd struct {
	Show   caShowCmd   `cmd:"" help:"List the certificate authorities and whose certificates are by them."`
	New    caNewCmd    `cmd:"" help:"Step 1 of replacing the authority: make the next one. Boxes are told to trust it."`
	Switch caSwitchCmd `cmd:"" help:"Step 2: certificates are made by the next one from now on. Boxes renew by themselves."`
	Retire caRetireCmd `cmd:"" help:"Step 3: nothing by the old one is taken any more. Refuses while boxes have nothing newer."`
}

func (c configFlag) rollover() (*soc.Rollover, error) {
	s, err := c.load()
	if err != nil {
		return nil, err
	}
	return soc.OpenRollover(s.Data, edge.NewSystemClock())
}

type caShowCmd struct{ configFlag }

// Run prints a line for each authority.
func (c *caShowCmd) Run(o cli.Out) error {
	r, err := c.rollover()
	if err != nil {
		return err
	}
	all, err := r.Authorities()
	if err != nil {
		return err
	}
	for _, a := range all {
		if a.Ends.IsZero() {
			fmt.Fprintf(o, "%-6s %s\n", a.Name, a.State)
			continue
		}
		fmt.Fprintf(o, "%-6s %-8s ends %s, %x, %s\n", a.Name, a.State, a.Ends.Format(time.DateOnly), a.Fingerprint[:8], boxesOf(a.Boxes))
	}
	return nil
}

// boxesOf counts sites and names them while that can be read.
func boxesOf(sites []edge.SiteID) string {
	if len(sites) == 0 {
		return "no boxes"
	}
	names := make([]string, 0, 20)
	for _, s := range sites[:min(len(sites), cap(names))] {
		names = append(names, string(s))
	}
	more := ""
	if n := len(sites) - len(names); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("%d boxes: %s%s", len(sites), strings.Join(names, " "), more)
}

type caNewCmd struct{ configFlag }

// Run makes the next authority.
func (c *caNewCmd) Run(o cli.Out) error {
	r, err := c.rollover()
	if err != nil {
		return err
	}
	a, err := r.New()
	if err != nil {
		return err
	}
	fmt.Fprintf(o, "%s is made, ends %s; boxes that are connected learn of it within minutes, the others when they come\n", a.Name, a.Ends.Format(time.DateOnly))
	if !a.Vouched {
		fmt.Fprintln(o, "the present authority cannot vouch for it: a box that is off until after 'soc ca switch' has to be enrolled again")
	}
	_, err = fmt.Fprintln(o, "go on with 'soc ca switch'")
	return err
}

type caSwitchCmd struct {
	configFlag
	Force bool `help:"Also when that locks boxes out."`
}

// Run makes the next authority the issuing one.
func (c *caSwitchCmd) Run(o cli.Out) error {
	r, err := c.rollover()
	if err != nil {
		return err
	}
	if err := left(r.Switch(c.Force), "wait until they have come, or go on with --force and enrol them again"); err != nil {
		return err
	}
	_, err = fmt.Fprintln(o, "certificates are by the new authority from now on; 'soc ca show' tells which boxes have one, and when all have, 'soc ca retire' ends the old authority")
	return err
}

type caRetireCmd struct {
	configFlag
	Force bool `help:"Also when boxes are left; they have to be enrolled again."`
}

// Run ends the old authority.
func (c *caRetireCmd) Run(o cli.Out) error {
	r, err := c.rollover()
	if err != nil {
		return err
	}
	if err := left(r.Retire(c.Force), "wait until they have come; 'soc revoke --site ID' for those that never will; or go on with --force and enrol them again"); err != nil {
		return err
	}
	_, err = fmt.Fprintln(o, "the old authority is retired; its key may be destroyed")
	return err
}

// left says of an error that names boxes what can be done about them.
func left(err error, hint string) error {
	var behind *soc.BehindError
	if !errors.As(err, &behind) {
		return err
	}
	return edge.WithHint(fmt.Errorf("%s (%s)", behind.What, boxesOf(behind.Sites)), hint)
}
