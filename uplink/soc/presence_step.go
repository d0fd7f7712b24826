package soc

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
)

// step looks at every site and returns what has to be told and kept. It takes for granted that this becomes durable.
func (p *presence) step(now edge.Stamp) *plan {
	p.plan = &plan{}
	p.plan.At = now.Wall
	p.forgetUnseen()
	if p.last > 0 && now.Mono-p.last > p.beat {
		p.excuse(now) // we have not looked for long: what was silent meanwhile may have been ourselves
	}
	p.last = now.Mono
	var silent []*siteLine // of which nothing has been told
	suspects := 0          // silent nearly long enough, those included
	for _, id := range slices.Sorted(maps.Keys(p.sites)) {
		s := p.sites[id]
		p.returns(s, now)
		gone := s.loss == ledger.Lost || s.loss == ledger.InOutage
		switch q := s.quiet(now); {
		case gone || len(s.paths) == 0:
		case q >= p.silence():
			silent = append(silent, s)
			suspects++
		case q >= p.silence()-p.beat:
			suspects++
			p.losses(s, now)
		default:
			p.losses(s, now)
		}
	}
	slices.SortStableFunc(silent, func(a, b *siteLine) int { return cmp.Compare(b.quiet(now), a.quiet(now)) })
	p.tell(silent, suspects, now)
	p.tend(now)
	return p.finish()
}

// finish puts the plan together: urgent events first, and what has changed about paths.
func (p *presence) finish() *plan {
	out := p.plan
	out.Events = append(out.urgent, out.events...)
	for _, s := range p.sites {
		for _, k := range s.paths {
			if k.dirty {
				k.dirty = false
				out.Paths = append(out.Paths, ledger.Path{Site: s.id, Name: k.name, Heard: k.heard.Wall, Lost: k.lost})
			}
		}
	}
	p.plan = nil
	return out
}

// forgetUnseen drops the paths that are no longer there: a box has only so many.
func (p *presence) forgetUnseen() {
	for _, s := range p.sites {
		for _, k := range s.paths {
			if k.round != p.round {
				p.forget(s, k)
			}
		}
	}
	p.round++
}

func (p *presence) forget(s *siteLine, k *pathLine) {
	delete(s.paths, k.name)
	p.plan.Forget = append(p.plan.Forget, ledger.Path{Site: s.id, Name: k.name})
}

// excuse gives everybody as long as after a start.
func (p *presence) excuse(now edge.Stamp) {
	for _, s := range p.sites {
		for _, k := range s.paths {
			k.from = max(k.from, now.Mono)
		}
	}
}

// returns tells what is heard again.
func (p *presence) returns(s *siteLine, now edge.Stamp) {
	alive := ""
	found := false
	for _, name := range slices.Sorted(maps.Keys(s.paths)) {
		k := s.paths[name]
		if !p.alive(k, now) {
			continue
		}
		if !found {
			alive, found = name, true
		}
		if k.lost {
			k.lost, k.dirty = false, true
			p.plan.events = append(p.plan.events, event(s, edge.KindPathLost.Restored(), k.heard.Wall, now, pathBack(name), name))
		}
	}
	if !found {
		return
	}
	switch s.loss {
	case ledger.Lost:
		p.set(s, ledger.Here)
		p.plan.urgent = append(p.plan.urgent, event(s, edge.KindSiteLost.Restored(), now.Wall, now, "The box is heard again"+byPath(alive)+".", ""))
	case ledger.InOutage:
		p.set(s, ledger.BackFrom)
		p.outage.changed, p.outage.dirty = now.Mono, true
	default:
		return
	}
	for _, k := range s.paths { // the other paths have their time from now on
		k.from = max(k.from, now.Mono)
	}
}

// losses tells which paths of a site that is heard are lost. The name "" is the only path of a box: a box that begins to name
// its paths, or ceases to, has not lost it.
func (p *presence) losses(s *siteLine, now edge.Stamp) {
	var by []string
	for _, name := range slices.Sorted(maps.Keys(s.paths)) {
		// One that is about to be lost, too, is no comfort: it shows within a heartbeat whether it is the path or the site.
		if k := s.paths[name]; k.here && now.Mono-k.heard.Mono < p.silence()-p.beat {
			by = append(by, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.paths)) {
		k := s.paths[name]
		overdue := now.Mono-k.from >= p.silence()
		switch {
		case len(by) == 0 || !overdue:
		case (name == "") != (by[0] == ""):
			if k.lost {
				p.plan.events = append(p.plan.events, event(s, edge.KindPathLost.Restored(), now.Wall, now, "The box has other paths now.", name))
			}
			p.forget(s, k)
		case !k.lost:
			p.lose(s, k, now, by)
		}
	}
}

// lose tells that a path is lost; by are those by which the site is heard.
func (p *presence) lose(s *siteLine, k *pathLine, now edge.Stamp, by []string) {
	k.lost, k.dirty = true, true
	p.plan.events = append(p.plan.events, event(s, edge.KindPathLost, k.heard.Wall, now, pathGone(k, by), k.name))
}

// lost tells that a site is lost, with all its paths.
func (p *presence) lost(s *siteLine, now edge.Stamp) {
	p.set(s, ledger.Lost)
	p.plan.urgent = append(p.plan.urgent, event(s, edge.KindSiteLost, s.heard(), now, siteGone(s), ""))
	for _, name := range slices.Sorted(maps.Keys(s.paths)) {
		if k := s.paths[name]; !k.lost {
			p.lose(s, k, now, nil)
		}
	}
}

func (p *presence) set(s *siteLine, loss ledger.Loss) {
	s.loss = loss
	p.plan.Sites = append(p.plan.Sites, ledger.SiteLoss{Site: s.id, Heard: s.heard(), Loss: loss})
}

// event is one of the SOC's own.
func event(s *siteLine, kind edge.Kind, occurred time.Time, now edge.Stamp, why, path string) edge.Event {
	if occurred.IsZero() {
		occurred = now.Wall
	}
	e := edge.Event{Kind: kind, Occurred: occurred, Recorded: now, Why: why, Path: path}
	if s != nil {
		e.Site = s.id
	}
	return e
}
