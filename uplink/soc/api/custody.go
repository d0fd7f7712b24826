package api

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
	"sitewatch/uplink/wire"
)

const (
	// A player asks for a clip in many ranges, and a person looks at it twice: that is one entry.
	sameLook  = 10 * time.Minute
	maxLooks  = 4096 // that are remembered; beyond, an entry may come twice
	noteAfter = 2 * time.Second
)

// looks remembers who has seen what a moment ago.
type looks struct {
	mu   sync.Mutex
	seen map[look]time.Duration // Mono
}

type look struct {
	who, address, action string
	clip                 edge.ClipID
	digest               string // empty while the clip is on its way
}

// again says whether l was there within sameLook, and remembers it.
func (s *looks) again(l look, now time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.seen[l]; ok && now-at < sameLook {
		return true
	}
	if s.seen == nil || len(s.seen) >= maxLooks {
		s.seen = map[look]time.Duration{}
	}
	s.seen[l] = now
	return false
}

// forget makes the next look like l one of its own again.
func (s *looks) forget(l look) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seen, l)
}

// looked writes into the custody log that somebody gets a file. There are no accounts yet: a name is what the proxy in front says. A
// log that cannot be written is said, and does not keep anybody from a picture of a fire.
func (a *API) looked(r *http.Request, c *ledger.Clip, part edge.FilePart) {
	if r.Method != http.MethodGet {
		return
	}
	l := look{clip: c.ID, action: ledger.ViewedStill, who: clipped(cmp.Or(r.Header.Get("X-Forwarded-User"), r.Header.Get("X-Forwarded-Preferred-Username"), r.Header.Get("X-Forwarded-Email")))}
	l.address, _, _ = net.SplitHostPort(r.RemoteAddr)
	if f := r.Header.Get("X-Forwarded-For"); f != "" {
		l.address += " for " + clipped(f)
	}
	digest := c.StillHas
	if part == edge.PartClip {
		l.action, digest = ledger.DownloadedClip, c.SHA256
		// The console's player of a clip that grows asks for ranges, too.
		if d := r.Header.Get("Sec-Fetch-Dest"); d == "video" || d == "empty" && r.Header.Get("Range") != "" {
			l.action = ledger.ViewedClip
		}
	}
	l.digest = string(digest)
	now := a.o.Clock.Now()
	if a.looks.again(l, now.Mono) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), noteAfter)
	defer cancel()
	err := a.o.Ledger.Note(ctx, ledger.CustodyEntry{Site: c.Site, At: now.Wall, Who: l.who, Address: l.address, Action: l.action, Clip: c.ID, Digest: digest})
	if err != nil {
		a.looks.forget(l) // a player asks again soon
		a.o.Log.Error("who has looked at a file is not in the custody log", "site", c.Site, "clip", c.ID, "who", l.who, "address", l.address, "err", err)
	}
}

func clipped(s string) string { return s[:min(len(s), 200)] }

// custodyEntry is an entry as the API gives it.
type custodyEntry struct {
	ID      ledger.Index  `json:"id"`
	Site    edge.SiteID   `json:"site"`
	N       int64         `json:"n"`
	At      stamp         `json:"at"`
	Who     string        `json:"who"`
	Address string        `json:"address"`
	Action  string        `json:"action"`
	Clip    edge.ClipID   `json:"clip"`
	SHA256  edge.HexBytes `json:"sha256"`
	Note    string        `json:"note"`
	Hash    edge.HexBytes `json:"hash"`
}

func (a *API) custody(w http.ResponseWriter, r *http.Request) {
	v, ok := query(w, r, "site", "clip", "after", "limit")
	if !ok {
		return
	}
	if v.Has("site") && !edge.ValidID(v.Get("site")) {
		fail(w, http.StatusBadRequest, "site is not the id of a site")
		return
	}
	if v.Has("clip") && !wire.ValidID(v.Get("clip")) {
		fail(w, http.StatusBadRequest, "clip is not the id of a clip")
		return
	}
	var after ledger.Index
	if v.Has("after") {
		if after, ok = index(v.Get("after")); !ok {
			fail(w, http.StatusBadRequest, notIndex)
			return
		}
	}
	limit := 100
	if v.Has("limit") {
		n, err := strconv.ParseUint(v.Get("limit"), 10, 16)
		if err != nil || n < 1 || n > 1000 {
			fail(w, http.StatusBadRequest, "limit is not a number from 1 to 1000")
			return
		}
		limit = int(n)
	}
	got, err := a.o.Ledger.Custody(r.Context(), edge.SiteID(v.Get("site")), edge.ClipID(v.Get("clip")), after, limit+1)
	if err != nil {
		a.trouble(w, r, err)
		return
	}
	var out items
	if len(got) > limit {
		got = got[:limit]
		out.Next = &got[limit-1].ID
	}
	list := make([]custodyEntry, 0, len(got))
	for _, c := range got {
		e := c.Entry
		list = append(list, custodyEntry{c.ID, e.Site, e.N, stamp(e.At), e.Who, e.Address, e.Action, e.Clip, e.Digest, e.Note, c.Hash})
	}
	out.Items = list
	reply(w, http.StatusOK, out)
}
