package main

import (
	"context"
	"errors"
	"time"

	"sitewatch/cmd/cli"
	"sitewatch/edge"
	"sitewatch/uplink"
)

// errNotEnrolled is no failure of the box: it keeps everything until somebody enrols it.
var errNotEnrolled = edge.WithHint(uplink.ErrNotEnrolled, "run 'soc claim --site ID' at the SOC and 'gateway enrol --token TOKEN' here; events wait on the box until then")

// enrolCheck is how often a box that is not enrolled looks whether it is by now.
const enrolCheck = 2 * time.Second

// runUplink delivers to the SOC. A box that is not enrolled yet journals and records all the same, says so once, and
// begins to deliver when it has its certificate, without a restart.
func (b *box) runUplink(ctx context.Context) error {
	id, err := b.waitIdentity(ctx)
	if err != nil || id == nil {
		return err
	}
	c := uplink.New(uplink.Options{Outbox: b.journal, Files: b.journal, Cuts: &b.cuts, Evidence: b.journal, Identity: id, Paths: b.paths(), Clock: b.clock, Log: b.log,
		Kind: b.cfg.Site.Kind, Name: b.cfg.Site.Name, Version: cli.Version, Report: b.desk.Report, Command: b.command,
		LostPaths: b.lostPaths(), Limit: b.bulkLimit})
	b.client.Store(c)
	return c.Run(ctx)
}

// paths are the ways to the SOC as configured; rates there are in bits.
func (b *box) paths() (out []uplink.Path) {
	for _, p := range b.cfg.Uplink.Paths {
		out = append(out, uplink.Path{Name: p.Name, Interface: p.Interface, SOC: p.SOC, Bulk: uplink.BulkPolicy(p.Bulk), Limit: int64(p.Limit) / 8})
	}
	return out
}

// bulkLimit is what uplink.limit and uplink.schedule leave to stills and clips at that time, in bytes a second; 0: no limit.
func (b *box) bulkLimit(now edge.Stamp) int64 {
	return int64(b.cfg.Uplink.LimitAt(now.Wall.In(b.cfg.Site.Location))) / 8
}

// lostPaths are those that the journal's last word about is that they are lost.
func (b *box) lostPaths() map[string]bool {
	out := map[string]bool{}
	for l := range b.losses {
		if l.Kind == edge.KindPathLost {
			out[l.Subject] = true
		}
	}
	return out
}

// waitIdentity returns the box's identity as soon as there is one, nil when ctx ends before.
func (b *box) waitIdentity(ctx context.Context) (*uplink.Identity, error) {
	said := false
	for {
		id, err := uplink.LoadIdentity(b.identityDir())
		if err == nil {
			return id, nil
		}
		if !errors.Is(err, uplink.ErrNotEnrolled) {
			return nil, err
		}
		if !said {
			b.log.Warn(errNotEnrolled.Error())
			said = true
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(enrolCheck):
		}
	}
}
