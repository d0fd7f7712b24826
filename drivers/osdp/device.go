package osdp

import (
	"fmt"
	"time"
)

// stage is where a device is in its start-up. From local on it is in service.
type stage byte

const (
	starting  stage = iota // a poll with sequence 0
	identity               // what it is
	abilities              // what it can
	challenge              // handshake, first half
	proof                  // handshake, second half
	keySet                 // its own key, inside a channel with the factory key
	local                  // tamper and power
	inputs                 // all inputs
	polling
)

const (
	pollEvery  = 50 * time.Millisecond
	readEvery  = 30 * time.Second       // full state, beside what the device reports by itself
	offline    = 8 * time.Second        // without a valid answer, as the devices count it too
	busyWait   = 100 * time.Millisecond // after "busy"
	holdWait   = time.Second            // after a signal could not be stored
	firstWait  = 200 * time.Millisecond // before the start is tried again; it doubles
	lastWait   = 2 * time.Second
	probeEvery = 5 * time.Second // a lost device
	probeGap   = time.Second     // between two lost devices: those that are there wait for each
	tries      = 3
)

// device is one device's conversation. Times are of the monotonic clock.
type device struct {
	deviceConfig
	stage   stage
	seq     byte
	out     []byte // the command under way, as it was sent; empty: none
	command byte   // its code
	tried   int
	due     time.Duration
	wait    time.Duration // before the next start
	good    time.Duration // last valid answer in service; at first when the session began
	read    time.Duration // when the full state was read last
	again   time.Duration // not before then is a loss told again that could not be stored

	random  [8]byte
	pending *channel // handshake under way
	channel *channel // up

	onDefault bool // the next challenge is for the factory key
	keyed     bool // its own key has worked: the factory key is never tried again
	noLocal   bool // it does not know the command
	noInputs  bool

	lost    known // as stored: active, it is lost
	points  points
	reason  string // why it is not in service; "" when it is, or does not answer
	ident   string
	reports uint64 // cards, keys and the like: not ours to read

	logged   string // trouble that was logged last
	loggedAt time.Duration
	troubles int // since then
}

// isLost says whether the device counts as lost.
func (d *device) isLost() bool { return d.lost == active }

// build makes the command of the stage in out. Only the handshake's needs random.
func (d *device) build() error {
	f := Frame{Addr: d.address, Ctrl: d.seq | hasCRC}
	if d.checksum {
		f.Ctrl = d.seq
	}
	switch d.stage {
	case starting, polling:
		f.Code = cmdPoll
	case identity:
		f.Code, f.Data = cmdID, []byte{0}
	case abilities:
		f.Code, f.Data = cmdCap, []byte{0}
	case challenge:
		f.Code, f.Data, f.SCB = cmdChallenge, d.random[:], []byte{3, scbChallenge, d.which()}
	case proof:
		f.Code, f.Data, f.SCB = cmdSCrypt, d.pending.server[:], []byte{3, scbSCrypt, d.which()}
	case keySet:
		f.Code, f.Data = cmdKeySet, append([]byte{1, 16}, d.key[:]...)
	case local:
		f.Code = cmdLocal
	case inputs:
		f.Code = cmdInput
	}
	d.command = f.Code
	var err error
	if d.channel != nil {
		d.out, err = d.channel.wrap(d.out[:0], f)
	} else {
		d.out, err = f.AppendBinary(d.out[:0])
	}
	if err != nil {
		return fmt.Errorf("osdp command %02X: %w", f.Code, err)
	}
	return nil
}

func (d *device) which() byte {
	if d.onDefault {
		return keyDefault
	}
	return keyOwn
}

// scbk is the key of the handshake under way.
func (d *device) scbk() Key {
	if d.onDefault {
		return defaultKey
	}
	return *d.key
}

// answers says whether f answers the command under way. Anything else is an echo, another device's, or late.
func (d *device) answers(f Frame) bool {
	if f.Addr != d.address|isReply {
		return false
	}
	switch {
	case f.seq() == d.seq:
		return true
	case f.Code == repBusy:
		return f.seq() == 0
	case f.Code == repNak && nakCode(f) == nakSequence:
		return true // it does not know our number, so it may answer with its own
	}
	return false
}

// next goes on to another stage with the next number.
func (d *device) next(s stage, due time.Duration) {
	d.stage, d.seq, d.out, d.tried, d.due = s, d.seq%3+1, d.out[:0], 0, due
}

// restart begins anew with number 0, after a growing wait.
func (d *device) restart(now time.Duration) {
	if d.isLost() {
		d.begin(now + probeEvery)
		return
	}
	d.begin(now + d.wait)
	d.wait = min(2*d.wait, lastWait)
}

// begin begins anew with number 0.
func (d *device) begin(due time.Duration) {
	d.stage, d.seq, d.out, d.tried, d.due = starting, 0, d.out[:0], 0, due
	d.pending, d.channel = nil, nil
}

// failed notes that the command got no valid answer: it is said again with the same bytes, for a device must not act twice on
// one number; after the last try all begins anew. Others get their turn in between.
func (d *device) failed(now time.Duration) {
	d.tried++
	if d.stage == starting {
		d.reason = ""
	}
	if d.stage == starting || d.tried >= tries {
		d.restart(now)
		return
	}
	d.due = now
}
