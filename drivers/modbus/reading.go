package modbus

import (
	"encoding/binary"
	"strconv"
	"strings"
)

// tri is what is known of a condition.
type tri int8

const (
	unknown tri = iota
	inactive
	active
)

func triOf(on bool) tri {
	if on {
		return active
	}
	return inactive
}

// source says how a point's conditions are read from a frame's data. Exactly one of the ways is used.
type source struct {
	way    way
	at     int // which input or register of the data
	other  int // pair: the normally open contact
	invert bool
	flip   bool // invert, of the other
	bit    uint16
	absent *test
	tests  []meaning
	bands  []band
}

type way int8

const (
	input  way = iota // an input: one condition
	pair              // two inputs: alarm, cable fault
	flag              // a bit of a register: one condition
	states            // a register: a condition for each kind
	loop              // a register with a loop's level: alarm, loop fault
)

// test is a Match that was checked.
type test struct{ mask, from, to uint16 }

func (t test) matches(v uint16) bool { v &= t.mask; return v >= t.from && v <= t.to }

type meaning struct {
	test
	cond int // the condition that is active
	text string
	hold bool
}

// band is a range of a loop's level; a level in no band is a fault of the loop.
type band struct {
	from, to uint16
	state    bandState
}

type bandState string

const (
	bandNormal bandState = "normal"
	bandAlarm  bandState = "alarm"
	bandShort  bandState = "short"
	bandOpen   bandState = "open"
)

func inputAt(data []byte, i int) bool { return data[i/8]>>(i%8)&1 != 0 }

// read sets what the data says of each of the point's conditions, and returns the text that goes with what is active. data has
// the size that was asked for.
func (s *source) read(data []byte, out []tri) (text string) {
	if s.way == input {
		out[0] = triOf(inputAt(data, s.at) != s.invert)
		return ""
	}
	if s.way == pair {
		return s.readPair(data, out)
	}
	v := binary.BigEndian.Uint16(data[2*s.at:])
	if s.absent != nil && s.absent.matches(v) {
		for i := range out {
			out[i] = unknown
		}
		return ""
	}
	switch s.way {
	case flag:
		out[0] = triOf(v&s.bit != 0 != s.invert)
	case states:
		return s.readStates(v, out)
	case loop:
		return s.readLoop(v, out)
	}
	return ""
}

// readPair: of a healthy pair exactly one contact is closed. Neither is a cut, both a short; what the detector says is not
// known then.
func (s *source) readPair(data []byte, out []tri) string {
	nc, no := inputAt(data, s.at) != s.invert, inputAt(data, s.other) != s.flip
	if nc == no {
		out[0], out[1] = unknown, active
		if nc {
			return "both contacts closed: short or crossed wires"
		}
		return "both contacts open: cable cut"
	}
	out[0], out[1] = triOf(no), inactive
	return ""
}

func (s *source) readStates(v uint16, out []tri) (text string) {
	hold := false
	for i := range out {
		out[i] = inactive
	}
	for _, m := range s.tests {
		if m.matches(v) {
			out[m.cond] = active
			hold = hold || m.hold
			if m.text != "" && text == "" {
				text = m.text
				if strings.Contains(text, "{n}") {
					text = strings.ReplaceAll(text, "{n}", strconv.Itoa(int(v)))
				}
			}
		}
	}
	if hold {
		for i := range out {
			if out[i] == inactive {
				out[i] = unknown
			}
		}
	}
	return text
}

func (s *source) readLoop(v uint16, out []tri) string {
	for _, b := range s.bands {
		if v < b.from || v > b.to {
			continue
		}
		switch b.state {
		case bandNormal, bandAlarm:
			out[0], out[1] = triOf(b.state == bandAlarm), inactive
			return ""
		case bandShort:
			out[0], out[1] = unknown, active
			return "the loop is short: " + strconv.Itoa(int(v))
		case bandOpen:
			out[0], out[1] = unknown, active
			return "the loop is open: " + strconv.Itoa(int(v))
		}
	}
	out[0], out[1] = unknown, active
	return "the loop's level is in no band: " + strconv.Itoa(int(v))
}
