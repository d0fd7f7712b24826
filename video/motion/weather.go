package motion

import "slices"

const (
	manyDrops      = 8    // pieces that leap at once: it rains or snows
	leapStays      = 0.25 // of a piece's cells differed before: it leaps
	leapGap        = 0.3  // seconds: in more people too are where they were not
	dropFactor     = 4    // times the size of the one in the middle is no drop
	dropsJoin      = 6    // the more drops there are, the more of them touch: as many as this add one to that
	dropMost       = 3    // smallest sizes: what is larger is no drop
	weatherSeconds = 5
)

// drops returns how many cells a drop or a flake has at most that falls before the camera, seconds after the picture before. Where so many pieces
// move at once, each where nothing was, that is what they are: people and cars are still partly where they were. 0: it does not rain.
func (m *Model) drops(seconds float64) float64 {
	if seconds > leapGap {
		return 0
	}
	var sizes [maxRegions]int
	n := 0
	for _, r := range m.found {
		if float64(r.moving) >= m.least/3 && r.leaps() {
			sizes[n] = r.moving
			n++
		}
	}
	if n < manyDrops {
		return 0
	}
	slices.Sort(sizes[:n])
	return min(max(dropFactor, float64(n)/dropsJoin)*float64(sizes[n/2]), dropMost*m.least)
}

// leaps says whether a region is where next to nothing was in the picture before.
func (r region) leaps() bool { return float64(r.stays) <= leapStays*float64(r.cells) }

// dry is weather for keyframes, between which nobody can tell what leaps: as long as there are so many pieces it goes on, and otherwise it ends.
func (m *Model) dry(seconds float64) {
	if m.wet && m.drops(0) == 0 {
		m.weather(max(seconds, 2*leapGap))
	}
}

// weather books whether it rains, and how large drops are.
func (m *Model) weather(seconds float64) {
	m.drop = max(m.drops(seconds), m.drop*float64(decay(seconds, weatherSeconds)))
	if m.wet = m.drop >= m.least; !m.wet {
		m.drop = 0
	}
}
