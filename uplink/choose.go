package uplink

import (
	"math"
	"time"
)

// vital is what the choice between the paths looks at; all times are the box's Mono.
type vital struct {
	up      bool
	heard   time.Duration // when the SOC was last heard on it
	pending bool          // something sent on it has no answer yet,
	asked   time.Duration // since then
	rtt     time.Duration
	beat    time.Duration
	steady  time.Duration // from when on it is preferred again after it has failed
}

const (
	maxRTT    = 5 * time.Second // a SOC that answers late on purpose must not make the box wait for ever
	leastMute = time.Second     // a shorter pause of a path is none
	forever   = time.Duration(math.MaxInt64)
	nowhere   = -1 // no path
)

// patience is how long an urgent event waits for its ack before it also goes by another path.
func (v vital) patience() time.Duration { return 2*min(v.rtt, maxRTT) + 200*time.Millisecond }

// doubtAt is when the path begins to be doubtful if nothing is heard on it until then: long before it is lost, events go
// by another path.
func (v vital) doubtAt() time.Duration {
	at := v.heard + v.beat + v.beat/2
	if v.pending {
		at = min(at, max(v.heard, v.asked)+max(leastMute, 2*v.patience()))
	}
	return at
}

func (v vital) sound(now time.Duration) bool { return v.up && now < v.doubtAt() }

// settling is how long a path that has failed must be sound before it is preferred again, so that a bad line does not
// make everything go to and fro.
func (v vital) settling() time.Duration { return 2 * v.beat }

// pick chooses among the paths that may be used: the first that is sound, but the present one stays as long as it is sound
// and nothing before it is steady. nowhere when none is up. After wake the answer may be another.
func pick(now time.Duration, present int, paths []vital, may func(i int) bool) (best int, wake time.Duration) {
	wake = forever
	first, steady, sound := nowhere, nowhere, nowhere // the first that is up, that is sound and steady, that is sound
	for i, v := range paths {
		if !v.up || !may(i) {
			continue
		}
		if first == nowhere {
			first = i
		}
		if now < v.steady {
			wake = min(wake, v.steady-now)
		}
		if !v.sound(now) {
			continue
		}
		wake = min(wake, v.doubtAt()-now)
		if sound == nowhere {
			sound = i
		}
		if steady == nowhere && now >= v.steady {
			steady = i
		}
	}
	there := present != nowhere && paths[present].up && may(present)
	switch {
	case there && steady != nowhere && steady < present:
		return steady, wake
	case there && paths[present].sound(now):
		return present, wake
	case steady != nowhere:
		return steady, wake
	case sound != nowhere:
		return sound, wake
	case there:
		return present, wake
	}
	return first, wake
}
