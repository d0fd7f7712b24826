package soc

import (
	"sync"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
)

// maxPaths is how many ways to the SOC a box may have.
const maxPaths = 4

// maxSiteStreams bounds the open streams of a site: two on each path, and as many that have been given up and whose end has
// not reached us yet.
const maxSiteStreams = 4 * maxPaths

// hub knows which boxes are connected, and by which of their paths. Of a path only the newest Link counts: an older one is a
// connection that its box has given up.
type hub struct {
	mu      sync.Mutex
	sites   map[edge.SiteID]*hubSite
	streams map[edge.SiteID]int // open streams of any kind
}

// hubSite is a site that is or was connected. It stays for good: there are as many as there are certificates.
type hubSite struct {
	name  string
	paths map[string]*hubPath // at most maxPaths
}

// hubPath is a way by which the site's box is or was connected.
type hubPath struct {
	link  *link // nil: not connected
	heard edge.Stamp
}

// link is one Link of a box.
type link struct {
	site     edge.SiteID
	path     string
	hub      *hub
	replaced chan struct{} // closed by the hub when a newer one of the same path comes
	nudge    chan struct{} // capacity 1: there may be new commands; one look finds all of them
}

func newHub() *hub {
	return &hub{sites: map[edge.SiteID]*hubSite{}, streams: map[edge.SiteID]int{}}
}

// enter counts a stream of the site; false when it has too many. leave goes with every true.
func (h *hub) enter(site edge.SiteID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams[site] >= maxSiteStreams {
		return false
	}
	h.streams[site]++
	return true
}

func (h *hub) leave(site edge.SiteID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams[site]--; h.streams[site] == 0 {
		delete(h.streams, site)
	}
}

// remember takes up what the ledger knows of a site's path, unless its box has been there already.
func (h *hub) remember(site edge.SiteID, name, path string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.site(site)
	if s.name == "" {
		s.name = name
	}
	if s.paths[path] == nil && len(s.paths) < maxPaths {
		s.paths[path] = &hubPath{}
	}
}

func (h *hub) site(id edge.SiteID) *hubSite {
	s := h.sites[id]
	if s == nil {
		s = &hubSite{paths: map[string]*hubPath{}}
		h.sites[id] = s
	}
	return s
}

// join makes a connected path known; nil when maxPaths others are connected.
func (h *hub) join(site edge.SiteID, name, path string, now edge.Stamp) *link {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.site(site)
	p := s.paths[path]
	if p == nil {
		if len(s.paths) >= maxPaths && !s.forgetOldest() {
			return nil
		}
		p = &hubPath{}
		s.paths[path] = p
	}
	l := &link{site: site, path: path, hub: h, replaced: make(chan struct{}), nudge: make(chan struct{}, 1)}
	if p.link != nil {
		close(p.link.replaced)
	}
	p.link, p.heard, s.name = l, now, name
	return l
}

// forgetOldest makes room for another path; false when all are connected.
func (s *hubSite) forgetOldest() bool {
	oldest := ""
	found := false
	for name, p := range s.paths {
		if p.link == nil && (!found || p.heard.Mono < s.paths[oldest].heard.Mono) {
			oldest, found = name, true
		}
	}
	if found {
		delete(s.paths, oldest)
	}
	return found
}

// forget drops a path that is not connected.
func (h *hub) forget(site edge.SiteID, path string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.sites[site]; s != nil && s.paths[path] != nil && s.paths[path].link == nil {
		delete(s.paths, path)
	}
}

func (h *hub) part(l *link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.sites[l.site].paths[l.path]; p != nil && p.link == l {
		p.link = nil
	}
}

// touch notes that the link's box has been heard.
func (l *link) touch(now edge.Stamp) {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	if p := l.hub.sites[l.site].paths[l.path]; p != nil && p.link == l {
		p.heard = now
	}
}

// heard calls f for every path, connected or not; heard is zero for one that has only been remembered.
func (h *hub) heard(f func(site edge.SiteID, name, path string, heard edge.Stamp)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, s := range h.sites {
		for path, p := range s.paths {
			f(id, s.name, path, p.heard)
		}
	}
}

// Online says whether the site's box is connected and when it was last heard; seen is zero when it is not.
func (s *Server) Online(site edge.SiteID) (seen time.Time, connected bool) {
	for _, p := range s.Paths(site) {
		if !p.Lost && !p.Heard.Before(seen) {
			seen, connected = p.Heard, true
		}
	}
	return seen, connected
}

// Paths are the ways by which the site's box is connected, and, marked as lost, those by which it was.
func (s *Server) Paths(site edge.SiteID) []ledger.Path {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	x := s.hub.sites[site]
	if x == nil {
		return nil
	}
	out := make([]ledger.Path, 0, len(x.paths))
	for name, p := range x.paths {
		out = append(out, ledger.Path{Site: site, Name: name, Heard: p.heard.Wall, Lost: p.link == nil})
	}
	return out
}

// Nudge makes the site's links look for new commands in the ledger. Each sends what is new to it: the box does a command
// once, whichever path it comes by, and the ledger keeps the first outcome.
func (s *Server) Nudge(site edge.SiteID) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	x := s.hub.sites[site]
	if x == nil {
		return
	}
	for _, p := range x.paths {
		if p.link == nil {
			continue
		}
		select {
		case p.link.nudge <- struct{}{}:
		default:
		}
	}
}
