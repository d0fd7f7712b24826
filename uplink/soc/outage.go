package soc

import (
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
)

// outage is the one outage event that may be open. Its sites are those whose loss is InOutage or BackFrom.
type outage struct {
	open    bool
	seq     edge.Seq      // of its event
	opened  time.Duration // Mono when it was
	joined  time.Duration // Mono when the last site joined
	changed time.Duration // Mono when the last site joined or came back
	amended time.Duration // Mono when its event was last amended
	dirty   bool          // its event does not say what is so
}

const (
	floodSites  = 5                // so many sites may go silent together and are still told one by one,
	floodShare  = 50               // or one in so many of all that were there
	holdBack    = 5 * time.Second  // the longest that a lost site waits for others that are silent, too
	amendEvery  = 10 * time.Second // the outage's event is not amended more often
	settleBeats = 6                // heartbeats without change after which an outage that is nearly over is over
	outageMost  = 24 * time.Hour   // after which what is still missing is told site by site: that is no outage any more
)

// flood is how many sites may go silent together without being an outage.
func (p *presence) flood() int {
	there := 0
	for _, s := range p.sites {
		if s.loss == ledger.Here || s.loss == ledger.BackFrom {
			there++
		}
	}
	return max(floodSites, there/floodShare)
}

// tell decides how sites are told that have been silent for long enough, the longest silent first: one by one, or as an
// outage when they are many. Boxes are heard every heartbeat, each at its own moment, so what takes all of them away at once
// shows within one heartbeat; suspects are those of which it shows already. Nobody waits for that longer than holdBack.
func (p *presence) tell(silent []*siteLine, suspects int, now edge.Stamp) {
	for len(p.told) > 0 && now.Mono-p.told[0] > p.silence() {
		p.told = p.told[1:]
	}
	if len(silent) == 0 {
		return
	}
	most := p.flood() - len(p.told)
	switch {
	case p.outage.open && now.Mono-p.outage.joined < p.silence(), len(silent) > most:
		p.join(silent, now)
	case suspects > most && silent[0].quiet(now)-p.silence() < min(holdBack, p.beat):
	default:
		for _, s := range silent {
			p.lost(s, now)
			p.told = append(p.told, now.Mono)
		}
	}
}

// join puts sites into the outage, and opens it when it is not.
func (p *presence) join(silent []*siteLine, now edge.Stamp) {
	first := now.Wall
	for _, s := range silent {
		p.set(s, ledger.InOutage)
		if h := s.heard(); !h.IsZero() && h.Before(first) {
			first = h
		}
	}
	p.outage.joined, p.outage.changed = now.Mono, now.Mono
	if p.outage.open {
		p.outage.dirty = true
		return
	}
	p.outage = outage{open: true, opened: now.Mono, joined: now.Mono, changed: now.Mono, amended: now.Mono}
	p.plan.opens = true
	e := event(nil, edge.KindOutage, first, now, outageWhy(len(silent), len(p.told), p.present()), "")
	e.Text = p.missingText()
	p.plan.events = append(p.plan.events, e)
}

// opened takes the number that the ledger has given to the event of the outage.
func (p *presence) opened(seq edge.Seq) { p.outage.seq = seq }

// present is how many sites are heard.
func (p *presence) present() (n int) {
	for _, s := range p.sites {
		if s.loss == ledger.Here || s.loss == ledger.BackFrom {
			n++
		}
	}
	return n
}

// tend keeps an open outage's event true, and ends it when all are back, or nearly all and no more come, or when it has lasted for
// outageMost: those that are missing then are told one by one.
func (p *presence) tend(now edge.Stamp) {
	if !p.outage.open || p.plan.opens {
		return
	}
	missing, total := 0, 0
	for _, s := range p.sites {
		switch s.loss {
		case ledger.InOutage:
			missing++
			total++
		case ledger.BackFrom:
			total++
		}
	}
	settled := now.Mono-p.outage.changed >= settleBeats*p.beat
	if missing <= min(floodSites, total/10) || settled && missing <= p.flood() && missing <= total/2 || now.Mono-p.outage.opened >= outageMost {
		p.close(missing, total, now)
		return
	}
	if p.outage.dirty && now.Mono-p.outage.amended >= amendEvery && p.outage.seq > 0 {
		e := event(nil, edge.KindAmended, now.Wall, now, stillWhy(missing, total), "")
		e.Amends, e.Text = p.outage.seq, p.missingText()
		p.plan.events = append(p.plan.events, e)
		p.outage.dirty, p.outage.amended = false, now.Mono
	}
}

func (p *presence) close(missing, total int, now edge.Stamp) {
	p.outage = outage{}
	for _, s := range p.sorted() {
		switch s.loss {
		case ledger.InOutage:
			p.lost(s, now)
		case ledger.BackFrom:
			p.set(s, ledger.Here)
		}
	}
	p.plan.events = append(p.plan.events, event(nil, edge.KindOutage.Restored(), now.Wall, now, backWhy(missing, total), ""))
}
