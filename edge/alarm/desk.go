// Package alarm decides what signals mean: the tracker (pure) makes events of them, the Desk journals these, and only
// then may a driver acknowledge. It knows panels, zones and set state; it never touches a wire, a picture or the SOC,
// and there is nothing in it that changes a panel. A Desk may be used from any goroutine.
package alarm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/journal"
)

// Journal is where events go and what is remembered over a restart.
type Journal interface {
	Append(ctx context.Context, evs ...edge.Event) (last edge.Seq, err error)
	Commit(ctx context.Context, b journal.Batch) ([]edge.Seq, error)
	PanelMemory(ctx context.Context, panel edge.PanelID) (journal.PanelMemory, error)
	Resent(ctx context.Context, panel edge.PanelID, zone edge.ZoneID, key []byte, except []edge.Seq) (seq edge.Seq, at edge.Stamp, ok bool, err error)
	Matched(panel edge.PanelID, at edge.Stamp, seqs ...edge.Seq)
	Settle(panel edge.PanelID)
	Partitions() []journal.Partition
	PanelMeaning(ctx context.Context, panel edge.PanelID) ([]journal.Point, []journal.Alarm, error)
	Modes() []journal.Mode
	Read(ctx context.Context, lane edge.Lane, after edge.Seq, max int) ([]edge.Record, error)
}

// Panel is what the desk knows of a panel.
type Panel struct {
	Cameras []edge.CameraID // for alarms of zones that name none
	Zones   map[edge.ZoneID]Zone
	Kinds   map[string]edge.Kind // by SIA code: what the site takes it for; see Fixed
}

// Zone is what the desk knows of a zone.
type Zone struct {
	Name      string
	Kind      edge.Kind // of signals that have neither kind nor code
	Partition edge.PartitionID
	Route     string // interior, perimeter, entry or external
	Cameras   []edge.CameraID
}

// Options of NewDesk. All but the spans are needed.
type Options struct {
	Journal Journal
	Clock   edge.Clock
	Log     *slog.Logger
	Site    edge.SiteID
	Panels  map[edge.PanelID]Panel
	Before  time.Duration // how much of a clip is before the alarm
	After   time.Duration // and after
	Rules   Rules

	MotionRules []MotionRule             // what becomes of movement; the first that fits decides
	Roles       map[edge.CameraID]string // what cameras are there for
	Location    *time.Location           // of the site; nil: UTC
	// Watch is told, after the commit, that a partition changed or that alarms came which these cameras look at. It does not block.
	// nil: nobody wants to know.
	Watch func(alarmed []edge.CameraID)
	// Disk says why nothing is durable; nil: it is. When it is not nil each signal is journalled and then refused, so that no
	// panel is acknowledged (P1), and what a panel therefore repeats is taken for the same as long as it goes on.
	Disk error
}

// Desk is where all signals and reports of a site arrive.
type Desk struct {
	opt     Options
	tracker tracker
	panels  map[edge.PanelID]*Sink // never changes after NewDesk

	zonesOf map[edge.CameraID][]watches // likewise
	video   video
	busy    busy
	changed chan struct{} // holds one token: Run has something to look at

	motionsCounted, motionsSent atomic.Uint64
}

// NewDesk makes the desk; it reads and writes nothing yet.
func NewDesk(opt Options) (*Desk, error) {
	if opt.Journal == nil || opt.Clock == nil || opt.Log == nil || opt.Site == "" {
		return nil, errors.New("alarm: Journal, Clock, Log and Site are needed")
	}
	opt.Panels, opt.Rules = maps.Clone(opt.Panels), opt.Rules.withDefaults()
	d := &Desk{opt: opt, panels: map[edge.PanelID]*Sink{}, changed: make(chan struct{}, 1), zonesOf: camerasOf(opt.Panels),
		tracker: tracker{panels: opt.Panels, before: opt.Before, after: opt.After}}
	for id := range opt.Panels {
		d.panels[id] = newSink(d, id)
	}
	return d, nil
}

// Panel is where the driver of the panel brings its signals. A panel that is not configured has no zones and no cameras;
// ask for such a one once only, since each call makes a sink of its own.
func (d *Desk) Panel(id edge.PanelID) *Sink {
	if s := d.panels[id]; s != nil {
		return s
	}
	return newSink(d, id)
}

// Report journals what the box itself has to say. Nil means that it is on disk.
func (d *Desk) Report(ctx context.Context, ev edge.Event) error {
	ev.Text, ev.Why, ev.Raw = clean(ev.Text, maxText), clean(ev.Why, maxText), ev.Raw[:min(len(ev.Raw), maxRaw)]
	if ev.Why == "" {
		ev.Why = phrase(ev)
		if ev.Panel != "" {
			ev.Why += ", panel " + string(ev.Panel)
		}
		if len(ev.Cameras) > 0 {
			ev.Why += ", camera " + strings.Join(toStrings(ev.Cameras), ", ")
		}
	}
	if _, err := d.opt.Journal.Append(ctx, ev); err != nil {
		return fmt.Errorf("report %s: %w", ev.Kind, err)
	}
	return nil
}

func toStrings(ids []edge.CameraID) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = string(id)
	}
	return out
}

// Motions returns how many motion intervals came since the start: those that were only counted, and those that became events.
func (d *Desk) Motions() (counted, sent uint64) { return d.motionsCounted.Load(), d.motionsSent.Load() }
