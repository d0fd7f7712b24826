package api

import (
	"cmp"
	"net/http"
	"slices"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
)

type site struct {
	ID        edge.SiteID `json:"id"`
	Name      string      `json:"name"`
	Kind      string      `json:"kind"`
	Connected bool        `json:"connected"`
	LastSeen  stamp       `json:"last_seen"`
	Version   string      `json:"version"`
	Journals  []journal   `json:"journals"`
	Paths     []path      `json:"paths"`

	Certificate certificate `json:"certificate"`
}

// certificate is what the box was last seen with. An expired one is taken all the same: the box was off for long, or cannot renew.
type certificate struct {
	ExpiresAt stamp `json:"expires_at"`
	Expired   bool  `json:"expired"`
	Revoked   bool  `json:"revoked"`
}

// path is a way by which the box reaches the SOC; its name is "" when the box has only one.
type path struct {
	Path      string `json:"path"`
	Connected bool   `json:"connected"`
	LastSeen  stamp  `json:"last_seen"`
}

type journal struct {
	ID         edge.JournalID `json:"id"`
	Watermarks watermarks     `json:"watermarks"`
	LastSeq    edge.Seq       `json:"last_seq"`
	Gaps       []gap          `json:"gaps"`
}

type watermarks struct {
	Urgent  edge.Seq `json:"urgent"`
	Routine edge.Seq `json:"routine"`
	Bulk    edge.Seq `json:"bulk"`
}

type gap struct {
	From   edge.Seq `json:"from"`
	To     edge.Seq `json:"to"`
	Reason string   `json:"reason"`
}

func (a *API) sites(w http.ResponseWriter, r *http.Request) {
	if _, ok := query(w, r); !ok {
		return
	}
	known, err := a.o.Ledger.Sites(r.Context())
	if err != nil {
		a.trouble(w, r, err)
		return
	}
	list := make([]site, 0, len(known))
	for i := range known {
		list = append(list, a.presentSite(&known[i]))
	}
	reply(w, http.StatusOK, items{Items: list})
}

func (a *API) presentSite(k *ledger.Site) site {
	s := site{ID: k.ID, Name: k.Name, Kind: k.Kind, LastSeen: stamp(k.LastSeen), Version: k.Version, Journals: []journal{}, Paths: []path{}}
	if seen, up := a.o.Presence.Online(k.ID); up {
		s.Connected, s.LastSeen = true, stamp(seen)
	}
	for _, p := range a.o.Presence.Paths(k.ID) {
		s.Paths = append(s.Paths, path{Path: p.Name, Connected: !p.Lost, LastSeen: stamp(p.Heard)})
	}
	if c := a.o.Certificates; c != nil {
		if expires, expired, revoked, known := c.Certificate(k.ID); known {
			s.Certificate = certificate{stamp(expires), expired, revoked}
		}
	}
	slices.SortFunc(s.Paths, func(a, b path) int { return cmp.Compare(a.Path, b.Path) })
	for _, j := range k.Journals {
		out := journal{ID: j.ID, Watermarks: watermarks(j.Watermarks), LastSeq: j.LastSeq, Gaps: []gap{}}
		for _, g := range j.Gaps {
			out.Gaps = append(out.Gaps, gap{g.From, g.To, g.Reason})
		}
		s.Journals = append(s.Journals, out)
	}
	return s
}
