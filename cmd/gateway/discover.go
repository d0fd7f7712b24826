package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/cmd/cli"
	"sitewatch/drivers"
	"sitewatch/edge"
	"sitewatch/edge/config"
	"sitewatch/video/motion"
	"sitewatch/video/onvif"
)

type discoverCmd struct {
	Config       string        `help:"Configuration file, to know which cameras are in it already; works without. Default: /etc/sitewatch/gateway.yaml where there is one." type:"path" placeholder:"FILE"`
	User         string        `help:"User for cameras that are not in the configuration." placeholder:"NAME"`
	PasswordFile string        `help:"File with that user's password." type:"existingfile" placeholder:"FILE"`
	Host         []string      `help:"Ask this camera, where multicast does not reach: HOST, HOST:PORT or an address like http://HOST/onvif/device_service. May be given again." placeholder:"HOST"`
	Interface    []string      `help:"Look on this network interface only. May be given again." placeholder:"NAME"`
	Timeout      time.Duration `help:"How long to wait for answers to the search, and for each answer of a camera." default:"5s"`
	JSON         bool          `help:"Print JSON."`
	Pictures     string        `help:"Directory for a picture of each camera and index.html, a sheet of them all; a new temporary one when left out." type:"path" placeholder:"DIR"`
}

// Bounds of a search.
const (
	discoverAtOnce   = 16              // devices that are asked at the same time
	discoverLimit    = 5 * time.Minute // for all of them
	deviceAnswers    = 6               // a device may take as long as so many answers
	deviceCameras    = 64              // of one recorder
	picturesMost     = 64 << 20        // bytes, in memory until all have names; then no more are fetched
	defaultGatewayAt = "/etc/sitewatch/gateway.yaml"
)

// Run looks, asks everything that answers, and prints what it is.
func (c *discoverCmd) Run(ctx context.Context, o cli.Out, e cli.Err) error {
	if err := c.check(); err != nil {
		return err
	}
	known, err := c.known(ctx, e)
	if err != nil {
		return err
	}
	if c.Pictures != "" {
		if err := os.MkdirAll(c.Pictures, 0o700); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, discoverLimit)
	defer cancel()
	found, err := c.targets(ctx)
	if err != nil {
		return err
	}
	s := &discovery{cmd: c, known: known, clock: systemClock(), items: make([]item, len(found))}
	s.runEye(ctx, func(ctx context.Context) {
		var g errgroup.Group
		g.SetLimit(discoverAtOnce)
		for i, m := range found {
			g.Go(func() error {
				s.items[i] = s.ask(ctx, m)
				return nil
			})
		}
		g.Wait()
	})
	s.propose()
	if err := s.keepPictures(); err != nil {
		return err
	}
	if c.JSON {
		err = s.printJSON(o)
	} else {
		err = s.print(o)
	}
	if err != nil {
		return err
	}
	return s.verdict()
}

func (c *discoverCmd) check() error {
	wrong := func(format string, args ...any) error { return cli.ArgumentError{Err: fmt.Errorf(format, args...)} }
	switch {
	case (c.User == "") != (c.PasswordFile == ""):
		return wrong("--user and --password-file belong together")
	case c.Timeout < 100*time.Millisecond || c.Timeout > time.Minute:
		return wrong("--timeout %v: 100ms to 1m are possible", c.Timeout)
	case len(c.Host) > onvif.MaxMatches:
		return wrong("--host: %d are too many, %d are possible", len(c.Host), onvif.MaxMatches)
	}
	for _, h := range c.Host {
		if _, err := onvif.Open(onvif.Options{Address: hostAddress(h)}); err != nil {
			return wrong("--host %w", err)
		}
	}
	return nil
}

// hostAddress makes of what a person gives the address of a device service.
func hostAddress(h string) string {
	if strings.Contains(h, "://") {
		return h
	}
	if a, err := netip.ParseAddr(h); err == nil && a.Is6() {
		h = "[" + h + "]"
	}
	return "http://" + h + onvif.DevicePath
}

// known reads the configuration. One that nobody named and that is not there, or has problems, only costs what it would have told.
func (c *discoverCmd) known(ctx context.Context, e cli.Err) (*knownCameras, error) {
	path := c.Config
	if path == "" {
		path = defaultGatewayAt
		if _, err := os.Stat(path); err != nil {
			return &knownCameras{}, nil
		}
	}
	registry := drivers.All()
	g, problems := config.LoadGateway(path, registry.Names()...)
	if len(problems) > 0 {
		if c.Config != "" {
			return nil, cli.ConfigError{Problems: problems}
		}
		fmt.Fprintf(e, "%s has problems, see 'gateway check': not used\n", path)
		return &knownCameras{}, nil
	}
	return newKnownCameras(ctx, g.Cameras), nil
}

// targets are the devices that answered, and the hosts that were named whether they did or not.
func (c *discoverCmd) targets(ctx context.Context) (out []onvif.Match, err error) {
	opt := onvif.DiscoverOptions{Interfaces: c.Interface, Timeout: c.Timeout}
	if len(c.Host) > 0 && len(c.Interface) == 0 {
		opt.Interfaces = []string{onvif.NoInterface}
	}
	ips := make([][]netip.Addr, len(c.Host))
	for i, h := range c.Host {
		if !strings.ContainsAny(h, ":/") { // without a port: its answer to a probe may name one
			ips[i] = addressesOf(ctx, h)
		}
		for _, ip := range ips[i] {
			opt.Hosts = append(opt.Hosts, ip.String())
		}
	}
	if len(c.Host) > 0 && len(c.Interface) == 0 {
		opt.Timeout = min(opt.Timeout, time.Second) // they are asked directly after that
	}
	if len(c.Host) == 0 || len(c.Interface) > 0 || len(opt.Hosts) > 0 {
		if out, err = onvif.Discover(ctx, opt); err != nil {
			return nil, edge.WithHint(err, "see 'ip addr' for the interfaces that are up, or name cameras with --host")
		}
	}
	for i, h := range c.Host {
		if slices.ContainsFunc(out, func(m onvif.Match) bool {
			return slices.Contains(ips[i], m.From) || m.Address == hostAddress(h)
		}) {
			continue
		}
		out = append(out, onvif.Match{Address: hostAddress(h)})
	}
	slices.SortStableFunc(out, func(a, b onvif.Match) int { return a.From.Compare(b.From) })
	return out, nil
}

// addressesOf resolves a name; none when it cannot be.
func addressesOf(ctx context.Context, host string) []netip.Addr {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	as, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
	if err != nil {
		return nil
	}
	for i := range as {
		as[i] = as[i].Unmap()
	}
	return as[:min(len(as), 4)]
}

// discovery is one search.
type discovery struct {
	cmd   *discoverCmd
	known *knownCameras
	clock edge.Clock
	items []item
	eye   *motion.Eye  // nil: there is none
	dir   string       // of the pictures
	bytes atomic.Int64 // of pictures
}

// verdict is why the search was in vain; nil: at least one device was read.
func (s *discovery) verdict() error {
	if len(s.items) == 0 {
		return edge.WithHint(errors.New("no camera answered"), "see that ONVIF is switched on in the cameras, that they are on this network (VLAN) "+
			"and that its switches let multicast through (239.255.255.250, UDP 3702, also a firewall on this machine); or name them: --host ADDRESS")
	}
	for _, it := range s.items {
		if it.Error == "" {
			return nil
		}
	}
	return fmt.Errorf("of %d that answered or were named, none could be read: %s", len(s.items), s.items[0].Error)
}

// knownCameras are the cameras of the configuration, by the hosts on which they are.
type knownCameras struct {
	cameras []config.Camera
	hosts   [][]string // of each: names and addresses
}

func newKnownCameras(ctx context.Context, cs []config.Camera) *knownCameras {
	k := &knownCameras{cameras: cs, hosts: make([][]string, len(cs))}
	var g errgroup.Group
	g.SetLimit(discoverAtOnce)
	for i, c := range cs {
		g.Go(func() error {
			for _, s := range []string{c.Main, c.ONVIF} {
				u, err := url.Parse(s)
				if err != nil || u.Hostname() == "" {
					continue
				}
				k.hosts[i] = append(k.hosts[i], u.Hostname())
				for _, a := range addressesOf(ctx, u.Hostname()) {
					k.hosts[i] = append(k.hosts[i], a.String())
				}
			}
			return nil
		})
	}
	g.Wait()
	return k
}

// at are the cameras on a host.
func (k *knownCameras) at(host string) (out []config.Camera) {
	for i, c := range k.cameras {
		if slices.Contains(k.hosts[i], host) {
			out = append(out, c)
		}
	}
	return out
}
