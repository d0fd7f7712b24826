package video

import (
	"time"

	"sitewatch/edge"
)

// CameraClock is what a camera's own clock shows, by its RTCP sender reports (RFC 3550 §6.4.1), against the clock of the box.
type CameraClock struct {
	Known    bool          // it tells a time that somebody has set
	Unset    bool          // it tells one that nobody has set: 1970, or years away
	Offset   time.Duration // camera minus box at the last report; the way of the report is in it, some milliseconds
	DriftPPM float64       // how much faster than the box's clock it runs, measured over Over; 0 below a minute
	Over     time.Duration
	Steps    uint64     // how often it has jumped by more than a second
	At       edge.Stamp // of the last report
}
