package espa444

import (
	"bytes"
	"fmt"
	"strings"

	"sitewatch/edge"
)

// Headers of a block.
const (
	headCall       = '1' // call to pager
	headStatus     = '2' // status information
	headRequest    = '3' // status request
	headSubscriber = '4' // call to a subscriber line
	headOther      = '5'
)

// Records of a block; '01' is not '1'.
const (
	recAddress  = '1' // pager or group
	recText     = '2'
	recBeep     = '3'
	recCallType = '4'
	recTimes    = '5' // number of transmissions
	recPriority = '6'
	recStatus   = '7' // of the call
	recSystem   = '8' // status of the paging system
)

const (
	callReset    = "1" // of recCallType: what the text says is over
	alarmCall    = "1" // of recPriority
	maxAddress   = 16
	maxTextBytes = 512 // four times what the standard allows
)

// message is what a block says.
type message struct {
	header   byte // 0: not one character
	address  string
	text     string
	reset    bool
	priority byte // '1' to '3', 0 when the block has none that can be read
	status   bool // it has a call status or a system status
	records  int
	suspect  string
}

// parse reads the data of a block. Records come in any order and what is absent has its default. XOR misses swapped
// characters and pairs of equal errors, so what does not fit the grammar is reported in suspect, and nothing that could be
// read is left out.
func parse(data []byte) (m message) {
	head, body, ok := bytes.Cut(data, []byte{STX})
	if !ok {
		m.doubt("there is no STX")
		head, body = data[:min(len(data), 1)], data[min(len(data), 1):]
	}
	if len(head) == 1 && head[0] >= headCall && head[0] <= headOther {
		m.header = head[0]
	} else {
		m.doubt("header %q is not one of 1 to 5", clean(head))
	}
	if i := bytes.IndexFunc(body, stray); i >= 0 {
		m.doubt("control character %02X in a record", body[i])
	}
	var text, loose []string
	for rec := range bytes.SplitSeq(body, []byte{RS}) {
		if len(rec) == 0 {
			continue // some senders close the last record with RS too
		}
		id, value, ok := bytes.Cut(rec, []byte{US})
		if !ok || len(id) != 1 {
			m.doubt("record %q has no number", clean(rec))
			loose = append(loose, clean(rec))
			continue
		}
		m.records++
		if id[0] == recText {
			text = append(text, clean(value))
			continue
		}
		m.record(id[0], clean(value))
	}
	if len(text) == 0 {
		text = loose // better than nothing: an alarm may be in it
	}
	if m.text = strings.Join(text, " "); len(m.text) > maxTextBytes {
		m.text = strings.ToValidUTF8(m.text[:maxTextBytes], "")
		m.doubt("the text is over %d bytes long", maxTextBytes)
	}
	return m
}

func (m *message) doubt(format string, args ...any) {
	if m.suspect == "" {
		m.suspect = fmt.Sprintf(format, args...)
	}
}

func (m *message) record(id byte, value string) {
	switch id {
	case recAddress:
		if m.address == "" {
			m.address = value
		}
		if len(value) > maxAddress {
			m.doubt("address %q is over %d characters", value, maxAddress)
		}
	case recCallType:
		m.reset = value == callReset
		if !digitUpTo(value, '3') {
			m.doubt("call type %q is not 1 to 3", value)
		}
	case recPriority:
		switch {
		case !digitUpTo(value, '3'):
			m.doubt("priority %q is not 1 to 3", value)
		case m.priority == 0 || value[0] < m.priority:
			m.priority = value[0] // said twice, the more urgent one counts
		}
	case recStatus, recSystem:
		m.status = true
	}
}

func digitUpTo(s string, last byte) bool { return len(s) == 1 && s[0] >= '1' && s[0] <= last }

// speaks says whether the block is one that says something. A status request asks; what is neither of them, or is alarmed
// about something, speaks.
func (m message) speaks() bool { return m.header != headRequest || m.alarm() }

// calls says whether the text is a message to people, not a report of how such a message fared.
func (m message) calls() bool {
	switch m.header {
	case headStatus, headRequest:
		return m.alarm() && !m.status // a call under the wrong header is still a call
	}
	return true
}

func (m message) alarm() bool { return m.priority == alarmCall[0] }

// stray says whether c is a control character that has no place in a record; line ends are tolerated.
func stray(c rune) bool {
	return c < 0x20 && c != US && c != RS && c != '\r' && c != '\n' && c != '\t'
}

// clean makes text of the panel's characters: ISO 646, or Latin-1 where the eighth bit is used. Line ends and the second
// line of a display (after another US) become spaces, other control characters question marks.
func clean(b []byte) string {
	var w strings.Builder
	w.Grow(len(b))
	for _, c := range b {
		switch {
		case c == '\r' || c == '\n' || c == '\t' || c == US:
			w.WriteByte(' ')
		case c < 0x20 || c >= 0x7F && c < 0xA0:
			w.WriteByte('?')
		default:
			w.WriteRune(rune(c))
		}
	}
	return strings.TrimSpace(w.String())
}

// purpose is what a block is for.
type purpose byte

const (
	tells purpose = iota
	asks          // and says nothing
	blank         // nothing can be read in it
)

// signalOf makes the signal of a block, unless the block asks.
func signalOf(r *rules, f Frame, raw []byte, at edge.Stamp) (s edge.Signal, p purpose) {
	m := parse(f.Data)
	if !m.speaks() {
		return edge.Signal{}, asks
	}
	if m.records == 0 && m.text == "" {
		m.doubt("there is no record in it")
		p = blank
	}
	s = edge.Signal{At: at, Raw: bytes.Clone(raw), Key: bytes.Clone(f.Data), Text: m.text, Kind: edge.KindUnknown}
	if m.calls() {
		v := r.classify(m)
		s.Kind, s.Zone, s.Partition = v.kind, v.zone, v.partition
		if v.text != "" {
			s.Text = v.text
		}
		if v.why != "" {
			m.doubt("%s", v.why)
		}
	}
	if s.Text == "" && m.address != "" {
		s.Text = "call to " + m.address
	}
	s.Suspect = m.suspect
	return s, p
}
