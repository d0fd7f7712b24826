package edge

import "fmt"

// Lane is how an event travels to the SOC: order holds inside a lane only, and urgent overtakes everything (P3).
type Lane uint8

const (
	Urgent  Lane = 1 // fire, hold-up, panic, duress, intruder, tamper, gas, lone worker and their restores
	Routine Lane = 2 // every other event
	Bulk    Lane = 3 // stills and clips; no event is in it
)

// EventLanes are the lanes that events travel in, the most urgent first.
var EventLanes = [...]Lane{Urgent, Routine}

// String returns "urgent", "routine" or "bulk".
func (l Lane) String() string {
	switch l {
	case Urgent:
		return "urgent"
	case Routine:
		return "routine"
	case Bulk:
		return "bulk"
	}
	return fmt.Sprintf("lane(%d)", uint8(l))
}

// ParseLane is the reverse of String.
func ParseLane(s string) (Lane, error) {
	for _, l := range []Lane{Urgent, Routine, Bulk} {
		if l.String() == s {
			return l, nil
		}
	}
	return 0, fmt.Errorf("lane %q is not urgent, routine or bulk", s)
}

// MarshalText writes the lane's name.
func (l Lane) MarshalText() ([]byte, error) {
	if l < Urgent || l > Bulk {
		return nil, fmt.Errorf("lane %d does not exist", uint8(l))
	}
	return []byte(l.String()), nil
}

// UnmarshalText reads the lane's name.
func (l *Lane) UnmarshalText(b []byte) error {
	p, err := ParseLane(string(b))
	*l = p
	return err
}
