package api

import (
	"errors"
	"net/http"
	"strconv"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
)

// completeness is what is here of a journal: every seq from first to last is present or in missing, once.
type completeness struct {
	Journal   edge.JournalID `json:"journal"`
	First     edge.Seq       `json:"first"`
	Last      edge.Seq       `json:"last"`
	Present   uint64         `json:"present"`
	Complete  bool           `json:"complete"` // nothing is missing
	Missing   []gap          `json:"missing"`
	Conflicts []conflict     `json:"conflicts"`
}

// conflict is a seq under which the box sent two events. Both are kept.
type conflict struct {
	Seq    edge.Seq `json:"seq"`
	Reason string   `json:"reason"`
}

// gaps proves what of a site has arrived. A page speaks of the same seqs of all journals: those after `after` up to `next`.
func (a *API) gaps(w http.ResponseWriter, r *http.Request) {
	v, ok := query(w, r, "after", "limit")
	if !ok {
		return
	}
	id := r.PathValue("id")
	if !edge.ValidID(id) {
		fail(w, http.StatusNotFound, noSite)
		return
	}
	var after edge.Seq
	limit := 1000
	if v.Has("after") {
		n, err := strconv.ParseUint(v.Get("after"), 10, 63)
		if err != nil || n == 1<<63-1 {
			fail(w, http.StatusBadRequest, "after is not the seq of an event: 0 or a positive number, in digits")
			return
		}
		after = edge.Seq(n)
	}
	if v.Has("limit") {
		n, err := strconv.ParseUint(v.Get("limit"), 10, 16)
		if err != nil || n < 1 || n > 1000 {
			fail(w, http.StatusBadRequest, "limit is not a number from 1 to 1000")
			return
		}
		limit = int(n)
	}
	known, next, err := a.o.Ledger.Gaps(r.Context(), edge.SiteID(id), after, limit)
	if errors.Is(err, ledger.ErrNotFound) {
		fail(w, http.StatusNotFound, noSite)
		return
	}
	if err != nil {
		a.trouble(w, r, err)
		return
	}
	list := make([]completeness, 0, len(known))
	for _, k := range known {
		c := completeness{Journal: k.Journal, First: k.First, Last: k.Last, Present: k.Present, Complete: k.Present == uint64(k.Last),
			Missing: []gap{}, Conflicts: []conflict{}}
		for _, g := range k.Missing {
			c.Missing = append(c.Missing, gap{g.From, g.To, g.Reason})
		}
		for _, g := range k.Conflicts {
			c.Conflicts = append(c.Conflicts, conflict{g.From, g.Reason})
		}
		list = append(list, c)
	}
	out := items{Items: list}
	if next > 0 {
		i := ledger.Index(next)
		out.Next = &i
	}
	reply(w, http.StatusOK, out)
}

const noSite = "there is no site with this id"
