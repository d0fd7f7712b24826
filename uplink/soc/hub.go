package soc

import (
	"sync"
	"time"

	"sitewatch/edge"
)

// hub knows which box is connected. Per site only the newest Link counts: an older one is a connection that its box
// has given up and whose end has not reached us yet.
type hub struct {
	mu      sync.Mutex
	links   map[edge.SiteID]*link
	streams map[edge.SiteID]int // open streams of any kind
}

// link is one connected box.
type link struct {
	site     edge.SiteID
	replaced chan struct{} // closed by the hub when a newer one comes
	nudge    chan struct{} // capacity 1: there may be new commands; one look finds all of them

	mu   sync.Mutex
	seen time.Time
}

func newHub() *hub {
	return &hub{links: map[edge.SiteID]*link{}, streams: map[edge.SiteID]int{}}
}

// enter counts a stream of the site; false when it has too many. leave goes with every true.
func (h *hub) enter(site edge.SiteID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams[site] >= maxStreams {
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

func (h *hub) join(site edge.SiteID, at time.Time) *link {
	l := &link{site: site, replaced: make(chan struct{}), nudge: make(chan struct{}, 1), seen: at}
	h.mu.Lock()
	defer h.mu.Unlock()
	if old := h.links[site]; old != nil {
		close(old.replaced)
	}
	h.links[site] = l
	return l
}

func (h *hub) part(l *link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.links[l.site] == l {
		delete(h.links, l.site)
	}
}

func (h *hub) get(site edge.SiteID) *link {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.links[site]
}

func (l *link) touch(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = at
}

func (l *link) lastSeen() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen
}

// Online says whether the site's box is connected and when it was last heard; seen is zero when it is not.
func (s *Server) Online(site edge.SiteID) (seen time.Time, connected bool) {
	l := s.hub.get(site)
	if l == nil {
		return time.Time{}, false
	}
	return l.lastSeen(), true
}

// Nudge makes the site's link look for new commands in the ledger, if there is a link.
func (s *Server) Nudge(site edge.SiteID) {
	if l := s.hub.get(site); l != nil {
		select {
		case l.nudge <- struct{}{}:
		default:
		}
	}
}
