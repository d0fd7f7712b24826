package osdp

import (
	"fmt"

	"sitewatch/edge"
)

const kindPSUFault edge.Kind = "psu-fault"

// known is what has been stored of a point.
type known byte

const (
	unknown known = iota
	inactive
	active
)

func knownAs(b byte) known {
	if b == 0 {
		return inactive
	}
	return active
}

// points is what has been stored of a device's points. A reply is full state: what differs from it is said.
type points struct {
	tamper, power known
	inputs        [maxInputs]known
}

// reading is one reply that holds state: cmd's answer or a report of the device's own.
type reading struct {
	code byte
	data []byte
}

// changes appends a signal for each point that the reading shows otherwise than it is stored. base has what all have in common.
func (p *points) changes(out []edge.Signal, c *deviceConfig, r reading, base edge.Signal) []edge.Signal {
	base.State = true
	switch r.code {
	case repLocal:
		for i, slot := range p.local(r.data) {
			if knownAs(r.data[i]) == *slot {
				continue
			}
			s := base
			s.Kind, s.Zone = edge.KindTamper, c.part("tamper")
			if i == 1 {
				s.Kind, s.Zone = kindPSUFault, c.part("power")
			}
			if r.data[i] == 0 {
				s.Kind = s.Kind.Restored()
			}
			out = append(out, s)
		}
	case repInput:
		for i, b := range r.data[:min(len(r.data), maxInputs)] {
			if knownAs(b) == p.inputs[i] {
				continue
			}
			s := base
			s.Zone, s.Active = c.zone(i+1), b != 0
			if b > 1 {
				s.Suspect = fmt.Sprintf("input state %d is neither 0 nor 1; taken as active", b)
			}
			out = append(out, s)
		}
	}
	return out
}

// stored notes that the changes of the reading are stored.
func (p *points) stored(r reading) {
	switch r.code {
	case repLocal:
		for i, slot := range p.local(r.data) {
			*slot = knownAs(r.data[i])
		}
	case repInput:
		for i, b := range r.data[:min(len(r.data), maxInputs)] {
			p.inputs[i] = knownAs(b)
		}
	}
}

// local are the points of a local status, as many as the data have.
func (p *points) local(data []byte) []*known {
	return []*known{&p.tamper, &p.power}[:min(len(data), 2)]
}
