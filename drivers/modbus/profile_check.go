package modbus

import (
	"fmt"
	"slices"
	"strconv"

	"sitewatch/edge"
)

// Limits of a profile.
const (
	maxBlocks = 16
	maxStates = 64 // of one point
)

// check says all that is wrong with the profile.
func (p *Profile) check() (wrong []string) {
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for _, name := range append([]string{p.Name}, p.Aliases...) {
		if !edge.ValidID(name) {
			bad("name: %q is not a name of letters, digits and -", name)
		}
	}
	if p.Priority != "" && p.Priority != High && p.Priority != Normal {
		bad("priority: %q is neither high nor normal", p.Priority)
	}
	if !debounces.holds(p.Debounce) || p.Timeout != 0 && !timeouts.holds(p.Timeout) {
		bad("debounce must be %v, timeout %v", debounces, timeouts)
	}
	if len(p.Blocks) == 0 || len(p.Blocks) > maxBlocks {
		bad("blocks: %d of them; a profile has 1 to %d", len(p.Blocks), maxBlocks)
		return wrong
	}
	type taken struct {
		bits  uint16
		where string
	}
	names, places := map[string]string{}, map[[2]int][]taken{}
	for i := range p.Blocks {
		b, at := &p.Blocks[i], fmt.Sprintf("blocks[%d]", i)
		if why := b.check(); why != "" {
			bad("%s: %s", at, why)
			continue
		}
		for _, pt := range b.points() {
			where := at + " point " + strconv.Quote(pt.Point)
			if why := pt.check(b, p.Contacts); why != "" {
				bad("%s: %s", where, why)
				continue
			}
			if other := names[pt.Point]; other != "" {
				bad("%s overlaps with %s: they have one name", where, other)
			}
			names[pt.Point] = where
			bits := uint16(0xFFFF)
			if pt.Bit != nil {
				bits = 1 << *pt.Bit
			}
			spot := [2]int{int(b.FC), *pt.At - b.Base}
			for _, o := range places[spot] {
				if o.bits&bits != 0 {
					bad("%s overlaps with %s: they are read from one place", where, o.where)
				}
			}
			places[spot] = append(places[spot], taken{bits, where})
		}
	}
	return wrong
}

func (b *Block) check() string {
	most := maxRegisters
	if b.FC.bits() {
		most = maxBits
	}
	first := b.Start - b.Base
	switch {
	case !b.FC.bits() && !b.FC.registers():
		return fmt.Sprintf("fc: %d is not one of the functions that read, 1 to 4", b.FC)
	case b.Base != 0 && b.Base != 1:
		return "base: it is 0, or 1 when the manual calls the first one 1"
	case b.Count < 1 || b.Count > most:
		return fmt.Sprintf("count: %d; one request reads 1 to %d", b.Count, most)
	case first < 0 || first+b.Count > 1<<16:
		return fmt.Sprintf("start: %d with base %d and count %d is not within 0 to 65535", b.Start, b.Base, b.Count)
	case b.Number < 0 || b.Number > 1<<16:
		return "number: it is what the first point is called, 1 or more"
	case b.Number == 0 && len(b.Points) == 0:
		return "points: there are none; number them with number: 1, or list them"
	case b.Poll != 0 && !polls.holds(b.Poll):
		return fmt.Sprintf("poll must be %v", polls)
	case b.FC.bits() && b.Decode != Bits:
		return "decode: inputs and coils are bits"
	case !slices.Contains([]Decoding{Bits, Enum, Compare, Analogue}, b.Decode):
		return fmt.Sprintf("decode: %q is not one of bits, enum, compare, analogue", b.Decode)
	case b.Absent != nil && (b.FC.bits() || b.Absent.check() != ""):
		return "absent: " + orElse(b.Absent.check(), "inputs and coils have none")
	}
	if b.Number == 0 {
		return ""
	}
	seen := map[string]bool{}
	for _, pt := range b.Points {
		n, err := strconv.Atoi(pt.Point)
		if err != nil || n < b.Number || n >= b.Number+b.Count || pt.At != nil || pt.Bit != nil || seen[pt.Point] {
			return fmt.Sprintf("point %q: with number, points are those of %d to %d, each once, without at and bit", pt.Point, b.Number, b.Number+b.Count-1)
		}
		seen[pt.Point] = true
	}
	return ""
}

func orElse(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// points are all points of the block, each with its place; b has been checked.
func (b *Block) points() []Point {
	if b.Number == 0 {
		return b.Points
	}
	out := make([]Point, b.Count)
	for i := range out {
		name, at := strconv.Itoa(b.Number+i), b.Start+i
		if j := slices.IndexFunc(b.Points, func(p Point) bool { return p.Point == name }); j >= 0 {
			out[i] = b.Points[j]
		}
		out[i].Point, out[i].At = name, &at
	}
	return out
}

// check looks at a point of b, which is in order.
func (p Point) check(b *Block, contacts bool) string {
	states := p.states(b)
	switch {
	case !edge.ValidID(p.Point):
		return "its name is none of letters, digits and -"
	case p.At == nil || *p.At < b.Start || *p.At >= b.Start+b.Count:
		return fmt.Sprintf("at: it must say a place from %d to %d", b.Start, b.Start+b.Count-1)
	case p.Bit != nil && (b.FC.bits() || b.Decode != Bits || *p.Bit < 0 || *p.Bit > 15):
		return "bit: 0 to 15 of a register that is decoded as bits"
	case p.Kind != "" && !edge.KnownKind(p.Kind):
		return fmt.Sprintf("kind: nothing is known as %q", p.Kind)
	case len(states) > maxStates:
		return fmt.Sprintf("states: over %d", maxStates)
	case p.plain(b) && len(states) > 0:
		return "states: an input, a bit or a loop has none"
	case p.plain(b) && p.Kind == "" && !contacts:
		return "kind: it says nothing, and only contacts are named by the site"
	case !p.plain(b) && len(states) == 0:
		return "states: a register needs them"
	case !p.plain(b) && p.Kind != "":
		return "kind: a register has that in its states"
	}
	for i, m := range states {
		if why := m.check(b.Decode); why != "" {
			return fmt.Sprintf("states[%d]: %s", i, why)
		}
	}
	return ""
}

// plain says whether the point has one condition: it is active or it is not.
func (p Point) plain(b *Block) bool { return b.FC.bits() || b.Decode == Analogue || p.Bit != nil }

// states are the meanings of the point's register.
func (p Point) states(b *Block) []Meaning {
	if len(p.States) > 0 || p.plain(b) && p.Bit != nil {
		return p.States
	}
	return b.States
}

func (m Meaning) check(d Decoding) string {
	switch {
	case !edge.KnownKind(m.Kind):
		return fmt.Sprintf("kind: nothing is known as %q", m.Kind)
	case d == Enum && m.Is == nil:
		return "is: a code needs it"
	}
	return m.Match.check()
}

func (m *Match) check() string {
	if m == nil {
		return ""
	}
	ways := 0
	for _, there := range []bool{m.Bit != nil, m.Is != nil, m.From != nil || m.To != nil} {
		if there {
			ways++
		}
	}
	switch {
	case ways != 1:
		return "one of bit, is, or from and to must say when it matches"
	case m.Bit != nil && (*m.Bit < 0 || *m.Bit > 15 || m.Mask != nil):
		return "bit: 0 to 15, without a mask"
	}
	if mask, from, to := m.bounds(); from > to || from&^mask != 0 && m.Is != nil {
		return "it can never match"
	}
	return ""
}

// bounds are m as a mask and a range; m has been checked.
func (m *Match) bounds() (mask, from, to uint16) {
	if m.Bit != nil {
		bit := uint16(1) << *m.Bit
		return bit, bit, bit
	}
	mask, to = 0xFFFF, 0xFFFF
	if m.Mask != nil {
		mask = *m.Mask
	}
	if m.Is != nil {
		return mask, *m.Is, *m.Is
	}
	if m.From != nil {
		from = *m.From
	}
	if m.To != nil {
		to = *m.To
	}
	return mask, from, to
}
