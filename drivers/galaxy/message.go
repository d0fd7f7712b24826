package galaxy

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sitewatch/edge"
)

// packet is one event of an N or O block with the modifiers that stand before it. A modifier holds until another of its
// kind or the end of the block.
type packet struct {
	modifiers
	code string // two capitals
	addr string // decimal on a Galaxy, where the standard says hexadecimal
}

type modifiers struct {
	date, time string // MM-DD-YY, HH:MM[:SS]
	user       string
	group      string
	value      string // of RP: minutes to the next automatic test
}

// parse reads the data of an N or O block: fields between slashes, lower-case modifiers before the event they qualify.
// XOR parity misses swapped bytes and pairs of equal errors, so what does not fit the grammar is reported in suspect,
// and nothing that could be read is left out.
func parse(data []byte) (packets []packet, suspect string) {
	doubt := func(format string, args ...any) {
		if suspect == "" {
			suspect = fmt.Sprintf(format, args...)
		}
	}
	var mod modifiers
	last := ""
	for field := range bytes.SplitSeq(data, []byte("/")) {
		last = string(field)
		switch {
		case len(field) < 2:
			doubt("field %q is too short", field)
		case lower(field[0]) && lower(field[1]):
			if why := mod.set(last[:2], last[2:]); why != "" {
				doubt("%s", why)
			}
		case upper(field[0]) && upper(field[1]):
			addr, ok := address(last[2:])
			if !ok {
				doubt("event %q is not two capitals, address and units", field)
			}
			packets = append(packets, packet{modifiers: mod, code: last[:2], addr: addr})
		default:
			doubt("field %q is neither modifier nor event", field)
		}
	}
	if len(packets) == 0 {
		doubt("no event in %q", data)
	} else if len(last) >= 2 && lower(last[0]) {
		doubt("modifier %q stands behind the last event", last)
	}
	return packets, suspect
}

// set notes a modifier; module, automatic id, phone, level, path, route group and sub-subscriber (pi, ai, ph, lv, pt, rg, ss) stay
// in the raw bytes only, and so do those that it does not know.
func (m *modifiers) set(name, value string) (why string) {
	switch name {
	case "da":
		m.date = value
		if _, err := time.Parse("01-02-06", value); err != nil {
			return fmt.Sprintf("date %q is not MM-DD-YY", value)
		}
	case "ti":
		m.time = value
		if _, err := parseTime(value); err != nil {
			return fmt.Sprintf("time %q is not HH:MM or HH:MM:SS", value)
		}
	case "id":
		m.user = clean([]byte(value))
		if !digits(value) {
			return fmt.Sprintf("user %q is not a number", value)
		}
	case "va":
		m.value = value
		if !digits(value) || len(value) > 6 {
			return fmt.Sprintf("value %q is not a number", value)
		}
	case "pi", "ai", "ph", "lv", "pt", "rg", "ss":
		if !digits(value) {
			return fmt.Sprintf("modifier %s%q is not a number", name, value)
		}
	case "ri":
		m.group = strings.TrimLeft(clean([]byte(value)), "0") // group 001 is partition 1
		if m.group == "" && value != "" {
			m.group = "0"
		}
		if !digits(value) {
			return fmt.Sprintf("group %q is not a number", value)
		}
	}
	return ""
}

// maxTest is the longest period between tests that is believed.
const maxTest = 31 * 24 * time.Hour

// testPeriod is how long until the panel tests its line again, when it says so: va1440/RP.
func testPeriod(data []byte) (time.Duration, bool) {
	packets, suspect := parse(data)
	for _, p := range packets {
		if p.code != "RP" || suspect != "" {
			continue
		}
		if n, err := strconv.Atoi(p.value); err == nil && n > 0 && time.Duration(n)*time.Minute <= maxTest {
			return time.Duration(n) * time.Minute, true
		}
	}
	return 0, false
}

func parseTime(s string) (time.Time, error) {
	if len(s) == len("15:04:05") {
		return time.Parse("15:04:05", s)
	}
	return time.Parse("15:04", s)
}

// address reads what follows the code: an address of up to 4 characters, then optionally * with up to 6 digits and a unit
// type of 1 or 2 characters. What does not fit is returned too, cleaned.
func address(s string) (addr string, ok bool) {
	addr, units, has := strings.Cut(s, "*")
	ok = len(addr) <= 4
	for i := range len(addr) {
		ok = ok && (digit(addr[i]) || upper(addr[i]))
	}
	if has {
		n := 0
		for n < len(units) && digit(units[n]) {
			n++
		}
		ok = ok && n <= 6 && len(units)-n <= 2 && units != ""
	}
	return clean([]byte(addr)), ok
}

func lower(c byte) bool { return 'a' <= c && c <= 'z' }
func upper(c byte) bool { return 'A' <= c && c <= 'Z' }
func digit(c byte) bool { return '0' <= c && c <= '9' }

func digits(s string) bool {
	for i := range len(s) {
		if !digit(s[i]) {
			return false
		}
	}
	return s != ""
}

// clean makes text of the panel's bytes. 0x80-0x9F are a private character set (0x99 is an O-umlaut in Swedish firmware)
// and nothing else is sure either: all but printable ASCII becomes a question mark.
func clean(b []byte) string {
	out := make([]byte, len(b))
	for i, c := range b {
		if c < 0x20 || c > 0x7E {
			c = '?'
		}
		out[i] = c
	}
	return string(out)
}

// eventSignals makes the signals of an N or O block: one for each event in it, and one of kind unknown when there is none.
func eventSignals(f Frame, raw []byte, at edge.Stamp, loc *time.Location) []edge.Signal {
	packets, suspect := parse(f.Data)
	base := edge.Signal{Old: f.FC == FCOldEvent, Suspect: suspect, At: at, Raw: raw, Key: f.Data}
	if len(packets) == 0 {
		base.Kind, base.Text = edge.KindUnknown, strings.TrimSpace(clean(f.Data))
		return []edge.Signal{base}
	}
	sigs := make([]edge.Signal, 0, len(packets))
	for _, p := range packets {
		s := base
		s.Code, s.User, s.Partition = p.code, p.user, edge.PartitionID(p.group)
		s.Kind = edge.KindOfSIA(p.code, p.user != "")
		s.Dated = p.time != ""
		s.Said, s.SaidDate = said(p.date, p.time, at.Wall, loc, s.Old)
		switch addresses(p.code) {
		case addressUser:
			if s.User == "" {
				s.User = p.addr
			}
		case addressGroup:
			if s.Partition == "" {
				s.Partition = edge.PartitionID(strings.TrimLeft(p.addr, "0"))
			}
		default:
			s.Zone = edge.ZoneID(p.addr)
		}
		sigs = append(sigs, s)
	}
	return sigs
}

// What the address of an event means (SIA DC-03 data code table).
const (
	addressZone = iota
	addressUser
	addressGroup
)

func addresses(code string) int {
	switch code {
	case "CL", "OP", "BC", "CE", "CI", "CJ", "CT", "OK", "OR", "JA", "RX":
		return addressUser
	case "CA", "CG", "OA", "OG":
		return addressGroup
	}
	return addressZone
}

// textSignal makes the signal of an A block: text for the event before it.
func textSignal(f Frame, raw []byte, at edge.Stamp, set charset) edge.Signal {
	return edge.Signal{
		Kind: edge.KindAmended,
		Text: strings.TrimSpace(set.text(f.Data)),
		Key:  append([]byte{byte(FCText)}, f.Data...), // so that it is never equal to an event's
		At:   at,
		Raw:  raw,
	}
}
