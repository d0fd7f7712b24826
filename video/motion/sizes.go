package motion

import "math"

// sizes learns how many bytes pictures have while nothing moves, by their place after the keyframe: many encoders spend
// more on some places than on others. A jump only wakes; that there is none says nothing, unless it has proved to (reliable).
type sizes struct {
	mean, dev [places]float64 // of log2 of bytes
	n         [places]int
	taken     int
	high      int // pictures in a row that were larger than usual
	hits      int // intervals that a jump announced in time
	misses    int // and that none did
}

const (
	places        = 64
	leastJump     = 0.6  // log2: 1.7 times the usual size, twice in a row; or twice as much of a jump at once
	jumpDevs      = 3    // usual deviations
	sizesRate     = 0.05 // of the newest picture
	sizesKnown    = 3    // pictures at a place before it is judged
	reliableAfter = 200  // pictures
	reliableBits  = 0.08 // per pixel, of a picture that would be a jump: one that moves 2 % of the picture costs as much
	hitsPerMiss   = 20
)

// jump says whether a picture of so many bytes is too large for its place. factor makes it harder to please.
func (s *sizes) jump(bytes, place int, factor float64) bool {
	place = min(place, places-1)
	if s.n[place] < sizesKnown {
		s.high = 0
		return false
	}
	z := math.Log2(float64(bytes+1)) - s.mean[place]
	limit := factor * max(leastJump, jumpDevs*s.dev[place])
	if z <= limit {
		s.high = 0
		return false
	}
	s.high++
	return s.high >= 2
}

// learn takes the size of a picture during which nothing moved.
func (s *sizes) learn(bytes, place int) {
	place = min(place, places-1)
	v := math.Log2(float64(bytes + 1))
	rate := max(sizesRate, 1/float64(s.n[place]+1))
	d := v - s.mean[place]
	if s.n[place] > 0 {
		s.dev[place] += rate * (math.Abs(d) - s.dev[place])
	}
	s.mean[place] += rate * d
	s.n[place]++
	s.taken++
}

// known says whether pictures of all places after the keyframe are judged: the first of them comes once in a GOP.
func (s *sizes) known() bool { return s.n[1] >= sizesKnown }

// proved books whether a jump came with the beginning of an interval.
func (s *sizes) proved(hit bool) {
	if hit {
		s.hits++
	} else {
		s.misses++
	}
	if s.hits+s.misses > 100 { // what was long ago counts less
		s.hits, s.misses = s.hits/2, s.misses/2
	}
}

// reliable says whether pictures of so many pixels may be left undecoded in alert while their size does not jump: nearly all of the
// picture is sent as unchanged then, and what would be a jump is less than somebody who moves adds.
func (s *sizes) reliable(pixels int) bool {
	if s.taken < reliableAfter || s.misses*hitsPerMiss > s.hits {
		return false
	}
	bits, n := 0.0, 0
	for p := range places {
		if s.n[p] >= sizesKnown {
			bits += 8 * math.Exp2(s.mean[p]+max(leastJump, jumpDevs*s.dev[p]))
			n++
		}
	}
	return n > 0 && bits/float64(n) < reliableBits*float64(pixels)
}
