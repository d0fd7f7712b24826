package uplink

import (
	"sync/atomic"

	"sitewatch/edge"
)

// Path is one way to the SOC, such as the broadband line or a mobile modem.
type Path struct {
	Name      string     // "" when it is the only one and has no name
	Interface string     // network interface that its connections must take; "" leaves that to the routes
	SOC       []string   // host:port, tried in turn, the last good one first
	Bulk      BulkPolicy // "" is BulkAll
	Limit     int64      // bytes a second for stills and clips; 0: none
}

// title is how a person calls the path.
func (p Path) title() string {
	if p.Interface == "" {
		return p.Name
	}
	return p.Name + " (" + p.Interface + ")"
}

// BulkPolicy says what of the stills and clips a path may carry. Every path carries events.
type BulkPolicy string

const (
	BulkNone   BulkPolicy = "none"
	BulkStills BulkPolicy = "stills"
	BulkAll    BulkPolicy = "all"
)

// carries says whether the policy lets a file of this part go.
func (b BulkPolicy) carries(part edge.FilePart) bool {
	return b == BulkAll || b == "" || b == BulkStills && part == edge.PartStill
}

// path is a Path while the client runs.
type path struct {
	Path
	index  int
	line   *line
	states chan pathState // capacity 1, the newest value; read by runPath
	good   atomic.Int32   // which of SOC is tried first
	known  resolved
}

func newPath(i int, o Options) *path {
	p := o.Paths[i]
	limit := func() int64 {
		own := p.Limit
		if o.Limit != nil {
			if l := o.Limit(o.Clock.Now()); l > 0 && (own == 0 || l < own) {
				own = l
			}
		}
		return own * 8
	}
	return &path{Path: p, index: i, line: newLine(o.Clock, limit), states: make(chan pathState, 1)}
}

// task is what the log calls the path's session.
func (p *path) task() string {
	if p.Name == "" {
		return "link"
	}
	return p.Name
}

func (p *path) address() string { return p.SOC[p.good.Load()] }

// nextAddress is for runLink only, which finds out which one is good.
func (p *path) nextAddress() { p.good.Store((p.good.Load() + 1) % int32(len(p.SOC))) }
