package espa444

import (
	"time"

	"sitewatch/edge"
)

const (
	// lapse is when the Control Station takes the line back because it has seen no valid traffic (section "time supervision").
	lapse = 10 * time.Second
	// pollWindow is how long after a poll without an EOT before it the selection that it led to may come. Some panels never
	// send that EOT (Autronica); their next poll comes later than this.
	pollWindow = 500 * time.Millisecond
	// ownEcho is how soon after our EOT an EOT is our own, come back on a line that is known to bring back what we send.
	ownEcho = 100 * time.Millisecond
)

// answer is what a poll or a selection asks of us.
type answer byte

const (
	nothing  answer = 0
	accept   answer = ACK // selected
	giveBack answer = EOT // polled: we never have anything to send
)

// turn knows whose turn it is on the line; own is our address. Pure.
//
// "2 ENQ" is a poll when it follows an EOT, and a selection when it follows the poll of another station: that one has got the
// turn and selects us. A panel that is both Control Station and sender polls itself, so that the wire shows 1 ENQ 2 ENQ.
type turn struct {
	own byte

	last   edge.Stamp // of the last valid traffic
	idle   bool       // the last thing was an EOT of the panel
	polled byte       // the station that was polled last and has not done anything yet; 0 none
	pollAt edge.Stamp
	sure   bool // that poll followed an EOT
	with   byte // who is selected; 0 nobody
	blocks int  // that came since
	eotAt  edge.Stamp
	eot    bool // the last thing was our EOT, at eotAt
	echoes bool // what we send comes back: a pair of wires
}

func newTurn(own byte) turn { return turn{own: own} }

// heard notes valid traffic. After a long silence the Control Station has taken the line back, whatever was before.
func (t *turn) heard(at edge.Stamp) {
	if over(at, t.last, lapse) {
		echoes := t.echoes
		*t = newTurn(t.own)
		t.echoes = echoes
	}
	t.last = at
}

// over says whether now is more than d after then.
func over(now, then edge.Stamp, d time.Duration) bool {
	gone, ok := now.Since(then)
	return !ok || gone > d
}

// enq takes a poll or a selection of a station.
func (t *turn) enq(addr byte, at edge.Stamp) answer {
	t.heard(at)
	idle, polled := t.idle, t.polled
	if !t.sure && over(at, t.pollAt, pollWindow) {
		polled = 0
	}
	again := t.with == t.own && t.blocks == 0 && !idle // the ACK of our selection was lost
	t.idle, t.eot, t.polled, t.with, t.blocks = false, false, 0, 0, 0
	if addr != t.own {
		if polled != 0 {
			t.with = addr
		}
		// Of a panel without EOTs this may be a poll too: the selection of us that it leads to must not be missed.
		t.polled, t.pollAt, t.sure = addr, at, idle
		return nothing
	}
	if polled != 0 || again {
		t.with = t.own
		return accept
	}
	t.eot, t.eotAt = true, at
	return giveBack
}

// end takes an EOT and says whether it was the panel's.
func (t *turn) end(at edge.Stamp) bool {
	t.heard(at)
	own := t.echoes && t.eot && !over(at, t.eotAt, ownEcho)
	t.eot = false
	if own {
		return false
	}
	t.idle, t.polled, t.with, t.blocks = true, 0, 0, 0
	return true
}

// ack takes an ACK. While we are selected nobody else says that: it is ours.
func (t *turn) ack() { t.echoes = t.echoes || t.with == t.own }

// block takes a good block and says whether it is for us. One without a selection is: its selection was lost, or came
// before the line was opened, and an alarm must not be lost for that.
func (t *turn) block(at edge.Stamp) bool {
	t.heard(at)
	t.idle, t.eot, t.polled = false, false, 0
	t.blocks++
	if t.with == 0 {
		t.with = t.own
	}
	return t.with == t.own
}

// waits says whether somebody may wait for our answer to a block that was damaged or stopped in its middle: noise is
// answered to nobody.
func (t *turn) waits(e end) bool { return t.with == t.own || t.with == 0 && e == wrong }
