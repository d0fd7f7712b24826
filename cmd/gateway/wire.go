package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"sitewatch/cmd/cli"
	"sitewatch/drivers"
	"sitewatch/drivers/panel"
	"sitewatch/edge"
	"sitewatch/edge/alarm"
	"sitewatch/edge/config"
	"sitewatch/edge/journal"
	"sitewatch/edge/local"
	"sitewatch/edge/supervise"
	"sitewatch/uplink"
	"sitewatch/video"
	"sitewatch/video/clip"
	"sitewatch/video/motion"
	"sitewatch/video/segment"
)

// box is the gateway's parts, wired. Nothing of it runs before run.
type box struct {
	cfg     *config.Gateway
	clock   edge.Clock
	log     *slog.Logger
	started time.Time

	journal  *journal.Journal
	disk     error                 // why the journal is in memory only; nil: it is on the disk
	losses   map[journal.Loss]bool // as the last run left them
	desk     *alarm.Desk
	lines    []*panel.Line
	cameras  []*camera
	pulse    *video.Pulse // nil without cameras
	eye      *motion.Pool // nil without cameras
	grades   *grades      // likewise
	motions  *motions     // nil without cameras
	cutter   *clip.Cutter
	segments *segment.Store                // nil: nothing is recorded, nor was
	cuts     uplink.Cuts                   // clips that grow, for the client
	client   atomic.Pointer[uplink.Client] // nil until the box is enrolled
	pages    *local.Server
	tree     atomic.Pointer[supervise.Tree]

	identity atomic.Pointer[uplink.Identity] // with which the journal's statements are signed; nil: not read yet
	unsigned atomic.Bool                     // it has been said that the identity cannot be read
}

// newBox opens the journal and makes everything else.
func newBox(ctx context.Context, g *config.Gateway, clock edge.Clock, log *slog.Logger) (*box, error) {
	b := &box{cfg: g, clock: clock, log: log, started: clock.Now().Wall}
	opt := journal.Options{Dir: g.Data, Site: g.Site.ID, Clock: clock, Log: log, LimitBytes: int64(g.Limits.Journal), ClipLimitBytes: int64(g.Limits.Clips), Sign: b.sign, Signer: b.signer, Version: cli.Version}
	var err error
	if b.journal, b.disk, err = journal.OpenAnyway(ctx, opt, memoryDir(g)); err != nil {
		return nil, err
	}
	if err = b.recall(ctx); err == nil {
		err = b.wire(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, b.journal.Close())
	}
	return b, nil
}

// wire makes the arms and ties them to the desk and the journal.
func (b *box) wire(ctx context.Context) (err error) {
	g := b.cfg
	b.desk, err = alarm.NewDesk(alarm.Options{Journal: b.journal, Clock: b.clock, Log: b.log, Site: g.Site.ID, Panels: deskPanels(g),
		Before: g.Clips.Before, After: g.Clips.After, Rules: alarm.Rules(g.Alarms), Disk: b.disk,
		MotionRules: motionRules(g), Roles: roles(g), Location: g.Site.Location, Watch: b.watch})
	if err != nil {
		return err
	}
	if b.losses, err = b.journal.Losses(ctx); err != nil {
		return err
	}
	registry := drivers.All()
	for _, p := range g.Panels {
		d, ok := registry.Driver(p.Driver)
		if !ok {
			return fmt.Errorf("panel %s: no driver %q", p.ID, p.Driver)
		}
		l, err := panel.NewLine(panel.LineOptions{Panel: p.ID, Driver: d, Port: p.Port, Settings: p.Settings, Sink: b.desk.Panel(p.ID),
			Report: b.desk.Report, Clock: b.clock, Log: b.log, Location: g.Site.Location,
			Lost:   b.losses[journal.Loss{Kind: edge.KindPanelLost, Subject: string(p.ID)}],
			Faulty: b.losses[journal.Loss{Kind: edge.KindLineFault, Subject: string(p.ID)}]})
		if err != nil {
			return fmt.Errorf("panel %s: %w", p.ID, err)
		}
		b.lines = append(b.lines, l)
	}
	if err := b.wireCameras(); err != nil {
		return err
	}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collector{b})
	b.pages, err = local.New(local.Options{Listen: g.Listen, Log: b.log, Metrics: metrics, Status: b.status, Health: b.health, Motions: b.searchMotions})
	return err
}

// watch tells the eyes, if there are any.
func (b *box) watch(alarmed []edge.CameraID) {
	if b.grades != nil {
		b.grades.Watch(alarmed)
	}
}

// deskPanels gives the desk what it must know of the panels.
func deskPanels(g *config.Gateway) map[edge.PanelID]alarm.Panel {
	panels := map[edge.PanelID]alarm.Panel{}
	for _, p := range g.Panels {
		zones := map[edge.ZoneID]alarm.Zone{}
		for id, z := range p.Zones {
			zones[id] = alarm.Zone{Name: z.Name, Kind: z.Kind, Partition: z.Partition, Route: z.Route, Cameras: z.Cameras}
		}
		panels[p.ID] = alarm.Panel{Cameras: p.Cameras, Zones: zones, Kinds: p.Kinds}
	}
	return panels
}

// sign signs with the box's key. Without an identity that can be read there is no signature: the journal must not stop for it.
func (b *box) sign(message []byte) ([]byte, error) {
	id := b.loadIdentity()
	if id == nil {
		return nil, nil
	}
	return id.Sign(message)
}

// signer is the box's key for statements that name their certificate; false while there is none.
func (b *box) signer() (edge.Signer, bool) {
	id := b.loadIdentity()
	if id == nil {
		return edge.Signer{}, false
	}
	return id.Signer(), true
}

// loadIdentity reads the box's identity until there is one: a box may be enrolled while it runs. The identity then looks for a
// newer certificate by itself.
func (b *box) loadIdentity() *uplink.Identity {
	if id := b.identity.Load(); id != nil {
		return id
	}
	id, err := uplink.LoadIdentity(b.identityDir())
	if err != nil {
		if !errors.Is(err, uplink.ErrNotEnrolled) && b.unsigned.CompareAndSwap(false, true) {
			b.log.Error("what happens is not signed: the box's identity cannot be read", "err", err)
		}
		return nil
	}
	b.unsigned.Store(false)
	b.identity.Store(id)
	return id
}

// memoryDir is where the journal goes while the disk cannot be written: in memory, for this data directory alone. "" when the
// machine names no such place for this user.
func memoryDir(g *config.Gateway) string {
	dir := os.Getenv("RUNTIME_DIRECTORY") // of systemd: RuntimeDirectory=
	switch {
	case dir != "":
	case os.Geteuid() == 0:
		dir = "/run/sitewatch"
	default:
		if dir = os.Getenv("XDG_RUNTIME_DIR"); dir == "" {
			return ""
		}
	}
	sum := sha256.Sum256([]byte(g.Data))
	return filepath.Join(dir, "journal-"+hex.EncodeToString(sum[:4]))
}

// identityDir is where the box's key and certificate are.
func (b *box) identityDir() string { return identityDir(b.cfg) }

func identityDir(g *config.Gateway) string { return filepath.Join(g.Data, "identity") }
