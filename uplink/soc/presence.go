package soc

import (
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
)

// presence decides what is lost and what is back, from when each path of each site was last heard. It is pure: it reads no
// clock and does no I/O; runPresence feeds it and makes durable what it says. Silence is measured by the SOC's monotonic clock.
//
// A path is lost when it has been silent for `missed` heartbeats, a site when all its paths are. When many sites go silent
// together they are told in one outage event (outage.go) and not one by one.
type presence struct {
	beat   time.Duration
	sites  map[edge.SiteID]*siteLine
	round  int           // of observing
	last   time.Duration // Mono of the step before; 0: there was none
	outage outage
	told   []time.Duration // Mono at which sites were told one by one, not longer ago than silence()
	plan   *plan           // of the step under way
}

// siteLine is the line to one site.
type siteLine struct {
	id    edge.SiteID
	name  string
	paths map[string]*pathLine
	loss  ledger.Loss
}

// pathLine is one path of a site.
type pathLine struct {
	name  string
	heard edge.Stamp
	here  bool          // heard in this run of the SOC: heard.Mono is of its clock
	from  time.Duration // Mono from which silence counts: when it was heard, later when it could not have been
	lost  bool          // path-lost has been told
	round int           // in which it was observed last
	dirty bool          // to be made durable
}

// plan is what one step has found out.
type plan struct {
	ledger.Raising
	urgent []edge.Event // come first
	events []edge.Event
	opens  bool // the last of all events opens an outage
}

const (
	// comeBack is how long boxes are given to find a SOC that was away: they wait up to 15 s between tries, and a try may
	// take as long.
	comeBack = 45 * time.Second
	// forgetAfter is when a lost path is taken for one that the box does not have any more.
	forgetAfter = 30 * 24 * time.Hour
)

func newPresence(beat time.Duration) *presence {
	return &presence{beat: beat, sites: map[edge.SiteID]*siteLine{}}
}

// silence is how long a path must be silent to be lost: a little less than `missed` heartbeats, so that within those it is seen,
// durable and told.
func (p *presence) silence() time.Duration { return missed*p.beat - p.beat/8 }

// load takes up what an earlier run has told. Nobody is lost anew before all have had time to come back.
func (p *presence) load(l ledger.Presence, now edge.Stamp) {
	for _, s := range l.Sites {
		x := p.site(s.Site, s.Name)
		x.loss = s.Loss
		p.outage.open = p.outage.open || s.Loss == ledger.InOutage || s.Loss == ledger.BackFrom
	}
	for _, k := range l.Paths {
		if k.Lost && now.Wall.Sub(k.Heard) > forgetAfter {
			continue
		}
		p.site(k.Site, "").paths[k.Name] = &pathLine{name: k.Name, heard: edge.Stamp{Wall: k.Heard}, from: now.Mono + comeBack, lost: k.Lost}
	}
	for _, s := range l.Sites { // one that has said Hello has a path, also if an older program did not write it down
		if x := p.sites[s.Site]; len(x.paths) == 0 {
			x.paths[""] = &pathLine{heard: edge.Stamp{Wall: s.Heard}, from: now.Mono + comeBack, lost: s.Loss == ledger.Lost}
		}
	}
	p.outage.seq, p.outage.changed, p.outage.amended = l.Outage, now.Mono, now.Mono
	p.outage.joined = now.Mono - p.silence()
	// The outage is at least as old as the silence of the last site in it. All get the time to come back before it ends.
	var last time.Time
	for _, s := range p.sites {
		if h := s.heard(); s.loss == ledger.InOutage && h.After(last) {
			last = h
		}
	}
	p.outage.opened = now.Mono - max(0, min(now.Wall.Sub(last), outageMost-comeBack-p.silence()))
}

func (p *presence) site(id edge.SiteID, name string) *siteLine {
	s := p.sites[id]
	if s == nil {
		s = &siteLine{id: id, paths: map[string]*pathLine{}}
		p.sites[id] = s
	}
	if name != "" {
		s.name = name
	}
	return s
}

// observe takes when a path was last heard; every path there is is observed before every step. A zero heard is one that has not
// been heard in this run.
func (p *presence) observe(id edge.SiteID, name, path string, heard edge.Stamp) {
	s := p.site(id, name)
	k := s.paths[path]
	if k == nil && heard.Wall.IsZero() {
		return // forgotten, and not back
	}
	if k == nil {
		k = &pathLine{name: path, from: heard.Mono, dirty: true}
		s.paths[path] = k
	}
	k.round = p.round
	if heard.Wall.IsZero() {
		return
	}
	if !k.here {
		k.from = heard.Mono // it needs no time to come back any more
	}
	k.heard, k.here = heard, true
	k.from = max(k.from, heard.Mono)
}

// alive says that the path has been heard lately.
func (p *presence) alive(k *pathLine, now edge.Stamp) bool {
	return k.here && now.Mono-k.heard.Mono < p.silence()
}

// quiet is how long all paths of a site have been silent for which they can be blamed; 0 for a site that is heard.
func (s *siteLine) quiet(now edge.Stamp) time.Duration {
	least := time.Duration(-1)
	for _, k := range s.paths {
		if d := max(0, now.Mono-k.from); least < 0 || d < least {
			least = d
		}
	}
	return max(0, least)
}

// heard is when the site was last heard by any path.
func (s *siteLine) heard() (t time.Time) {
	for _, k := range s.paths {
		if k.heard.Wall.After(t) {
			t = k.heard.Wall
		}
	}
	return t
}
