package edge

import "time"

// Stamp is one reading of the box's clocks. Seq orders, Mono measures, Wall is for people: never subtract two Walls.
type Stamp struct {
	Wall   time.Time     `json:"wall"`   // UTC
	Mono   time.Duration `json:"mono"`   // since the machine booted; comparable between stamps of the same Boot only
	Boot   BootID        `json:"boot"`   // which boot Mono counts from
	Synced bool          `json:"synced"` // the kernel says that Wall is kept by NTP
	// Unset says that Wall is only a time that surely has passed: nothing tells what it is now.
	Unset bool `json:"unset,omitempty"`
}

// Since returns how long after o the stamp s was taken; ok is false when they are of different boots,
// where nothing but the wall clock could tell.
func (s Stamp) Since(o Stamp) (d time.Duration, ok bool) {
	if s.Boot != o.Boot {
		return 0, false
	}
	return s.Mono - o.Mono, true
}

// Clock tells the time. It is read only where an event or an access unit is made; pure code receives the Stamp.
type Clock interface {
	Now() Stamp
}

// ClockState says how good the wall clock was when an event was recorded (P9).
type ClockState string

const (
	ClockSynced   ClockState = "synced"   // kept by NTP
	ClockDrifting ClockState = "drifting" // plausible, or told by the SOC, but nothing keeps it now
	ClockUnset    ClockState = "unset"    // only a time that surely has passed: a dead battery, 1970
)

// earliestWall is before any box runs this program: a wall clock that shows less was never set.
var earliestWall = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// ClockState grades the stamp's wall clock.
func (s Stamp) ClockState() ClockState {
	switch {
	case s.Unset || s.Wall.Before(earliestWall):
		return ClockUnset
	case s.Synced:
		return ClockSynced
	}
	return ClockDrifting
}
