package motion

import (
	"fmt"
	"math"

	"sitewatch/video"
)

// scene compares what a camera sees with what it usually sees, about once a second: is it covered, turned away, out of focus?
//
// It compares structure (cells.cur), which light leaves alone, and asks three things: does it look alike (the correlation with
// the reference), is there anything to see (its energy), and are edges sharp (which the decoder measures in keyframes). Each trouble must last before it is told, and so must its end.
type scene struct {
	w, h   int
	ref    []float32 // the usual structure
	energy float64   // its mean
	n      int       // pictures in it
	tried  int       // pictures looked at for it until it was known
	like   float64   // usual likeness
	sharp  float64   // usual sharpness
	sharps int       // keyframes in it
	blunt  bool      // the last keyframe was not sharp
	at     video.Ticks90k
	told   Trouble // 0: none
	toldAt video.Ticks90k
	other  Trouble        // what it looks like instead
	since  video.Ticks90k // without a break
}

const (
	sceneEvery   = video.Second
	sceneLast    = 6 * video.Second   // what is told has lasted so long
	movedLast    = 10 * video.Second  // a lorry that fills the picture drives on
	sceneAdopt   = 600 * video.Second // a view that lasts is the usual one
	bareAdopt    = 144 * sceneAdopt   // a day: what covers a camera for a night is no view
	sceneKnown   = 8                  // pictures before anything is told
	sceneBusy    = 0.03               // of the cells differ: something is there
	sceneTries   = 60                 // pictures after which a scene in which something always moves is taken as it is
	sceneSeconds = 300                // in which the reference follows
	leastTexture = 0.003              // log2, mean of all cells: a picture with less shows nothing to compare with
	leastAlike   = 0.5                // so must pictures usually be like the reference, or it is noise that they show
	alike        = 0.55               // of the usual likeness: as ever
	strange      = 0.45               // less is another picture
	bare         = 0.35               // of the usual energy
	blunt        = 0.5                // of the usual sharpness
)

// look takes the structure of a picture and says what is to be told: 0 for nothing.
func (s *scene) look(pts video.Ticks90k, c *cells, sharp float64) (t Trouble, state State, why string) {
	if sharp > 0 {
		s.focus(sharp)
	}
	if d := pts - s.at; s.ref != nil && d >= 0 && d < sceneEvery {
		return 0, 0, ""
	}
	if s.ref == nil {
		s.w, s.h, s.ref = c.w, c.h, make([]float32, len(c.cur))
	}
	s.at = pts
	like, energy := s.compare(c.cur)
	if s.n < sceneKnown {
		if s.tried++; s.tried <= sceneTries && like < leastAlike && c.busy() { // what fills the picture now is not what is usually there
			s.n = 0
			return 0, 0, ""
		}
	}
	now := s.judge(like, energy)
	if now == 0 && s.told == 0 && like >= alike*s.like || s.n < sceneKnown {
		s.learn(c.cur, like, energy)
	}
	if s.n < sceneKnown {
		return 0, 0, ""
	}
	if now == s.told || now != s.other {
		s.other, s.since = now, pts
	}
	last := sceneLast
	if now == Moved {
		last = movedLast
	}
	adopt := sceneAdopt
	if s.told == Covered {
		adopt = bareAdopt
	}
	switch {
	case s.told != 0 && pts-s.toldAt > adopt: // somebody has turned it and means it
		t, s.told, s.n, s.tried = s.told, 0, 0, 0
		s.sharps, s.sharp = 0, 0
		return t, End, "what it sees is the usual picture now"
	case now == s.told || pts-s.since < last:
		return 0, 0, ""
	case s.told != 0: // over, or another trouble: that one is told when it has lasted
		t, s.told, s.since = s.told, 0, pts
		return t, End, fmt.Sprintf("%.0f %% like the usual picture", 100*like)
	}
	s.told, s.toldAt = now, pts
	switch now {
	case Covered:
		why = fmt.Sprintf("%.0f %% of the usual structure, %.0f %% like it, for %d s", 100*energy/s.energy, max(0, 100*like), sceneLast/video.Second)
	case Moved:
		why = fmt.Sprintf("the picture is another, %.0f %% like the usual one, for %d s", max(0, 100*like), last/video.Second)
		if dx, dy, ok := s.shift(c.cur); ok {
			why = fmt.Sprintf("the picture is shifted by %d %% across and %d %% down, for %d s", 100*dx/s.w, 100*dy/s.h, last/video.Second)
		}
	case Defocused:
		why = fmt.Sprintf("edges have lost more than half of their sharpness, for %d s", sceneLast/video.Second)
	}
	return now, Start, why
}

func (s *scene) judge(like, energy float64) Trouble {
	switch {
	case s.n < sceneKnown || s.energy < leastTexture || s.like < leastAlike:
		return 0
	case like < strange*s.like && energy < bare*s.energy:
		return Covered
	case like < strange*s.like:
		return Moved
	case s.blunt:
		return Defocused
	case like < alike*s.like && s.told != 0:
		return s.told // neither this nor that: as before
	}
	return 0
}

// busy says whether something is there that fills much of the picture.
func (c *cells) busy() bool {
	n := 0
	for _, d := range c.differs {
		if d {
			n++
		}
	}
	return float64(n) > sceneBusy*float64(len(c.differs))
}

// compare returns the correlation with the reference and the mean energy.
func (s *scene) compare(cur []float32) (like, energy float64) {
	var cr, cc, rr float64
	for y := range s.h {
		row := cur[y*s.w : (y+1)*s.w]
		for x, v := range row {
			r := s.ref[y*s.w+x]
			cr += float64(v * r)
			cc += float64(v * v)
			rr += float64(r * r)
			energy += float64(abs(v))
		}
	}
	if cc > 0 && rr > 0 {
		like = cr / math.Sqrt(cc*rr)
	}
	return like, energy / float64(len(cur))
}

// focus takes the sharpness of a keyframe.
func (s *scene) focus(sharp float64) {
	s.blunt = s.sharps >= 3 && sharp < blunt*s.sharp
	if !s.blunt && s.told == 0 {
		s.sharps++
		s.sharp += max(1/float64(s.sharps), 1/float64(sceneSeconds)) * (sharp - s.sharp)
	}
}

func (s *scene) learn(cur []float32, like, energy float64) {
	s.n++
	rate := max(1/float64(s.n), 1/float64(sceneSeconds))
	for i, v := range cur {
		s.ref[i] += float32(rate) * (v - s.ref[i])
	}
	s.energy += rate * (energy - s.energy)
	if s.n > 1 { // the first has nothing that it could be like
		s.like += max(1/float64(s.n-1), 1/float64(sceneSeconds)) * (like - s.like)
	}
}

// shift looks for the reference elsewhere in the picture.
func (s *scene) shift(cur []float32) (dx, dy int, ok bool) {
	most := 0.0
	for sy := -s.h / 4; sy <= s.h/4; sy++ {
		for sx := -s.w / 4; sx <= s.w/4; sx++ {
			var cr, cc, rr float64
			for y := max(0, sy); y < min(s.h, s.h+sy); y += 2 {
				for x := max(0, sx); x < min(s.w, s.w+sx); x += 2 {
					v, r := cur[y*s.w+x], s.ref[(y-sy)*s.w+x-sx]
					cr += float64(v * r)
					cc += float64(v * v)
					rr += float64(r * r)
				}
			}
			if l := cr / math.Sqrt(max(cc*rr, 1e-9)); l > most {
				most, dx, dy = l, sx, sy
			}
		}
	}
	return dx, dy, most > alike
}
