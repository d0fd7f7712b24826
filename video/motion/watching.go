package motion

import (
	"slices"

	"sitewatch/video"
)

// jumps says whether a unit has more bytes than its place usually has.
func (g *Grader) jumps(u *Unit) bool {
	if u.Keyframe || g.hurt {
		return false
	}
	factor := 1.0
	if !g.awake && !g.busy {
		factor += g.vain / 4
	}
	if !g.sizes.jump(len(u.Data), g.place, factor) {
		return false
	}
	g.jumpAt = u.PTS
	return true
}

// key looks at a keyframe while asleep. What it shows decides whether the pictures since the one before must be looked at: when something begins to
// move, to find since when; when nothing moves any more, to find until when; while it goes on, nobody asks.
func (g *Grader) key(u *Unit) {
	g.hand(u)
	grid, err := g.dec.Key(u)
	if err != nil {
		g.tally.Damaged++
		if g.open() { // it is not to last because nothing can be seen
			g.awake, g.busy, g.fresh = true, false, true
		}
		return
	}
	m := g.of(grid)
	switch {
	case g.busy && g.goesOn(u, grid):
	case m.open && g.busy, m.Glance(u.PTS, grid.Cells, 1+g.vain/4):
		grid.Cells = slices.Clone(grid.Cells) // the decoder's own are valid until its next call
		g.search(append(slices.Clone(g.before), u), grid)
	default:
		g.busy = false
		g.see(u.PTS, grid.Sharp)
		g.tell(m.quiet(u.PTS))
	}
}

// goesOn says whether a keyframe shows that the open interval does. If so it sleeps on.
func (g *Grader) goesOn(u *Unit, grid Grid) bool {
	if !g.open() || !g.mayDoze() {
		return false
	}
	r, ok := g.model.Doze(u.PTS, grid.Cells)
	if ok {
		g.awake, g.busy, g.livelyAt = false, true, u.PTS
		g.see(u.PTS, grid.Sharp)
		g.tell(r)
	}
	return ok
}

// search wakes, to find in the units when something that moved has ended, or when something has begun. If that still moves in the last of
// them, a keyframe that shows grid, those between are of no interest.
func (g *Grader) search(units []*Unit, grid Grid) {
	over, moved := g.busy, g.model.movingAt
	g.rise()
	for _, u := range units {
		g.next(u)
		if over || !g.open() || g.model.movingAt <= moved {
			continue
		}
		if over = true; g.goesOn(units[len(units)-1], grid) {
			return
		}
	}
}

// wake decodes the units, which begin with a keyframe, and every one that follows.
func (g *Grader) wake(units []*Unit) {
	g.rise()
	for _, u := range units {
		g.next(u)
	}
}

func (g *Grader) rise() {
	if !g.busy { // what woke it may have only begun
		g.livelyAt = g.newest
	}
	g.awake, g.fresh, g.busy, g.opened = true, true, false, g.open()
}

// mayDoze says whether keyframes suffice while something moves: they are close enough to tell how long, and far enough apart to be cheaper.
func (g *Grader) mayDoze() bool {
	return g.grade == Watching && g.newest >= g.hintTo && g.gopTime >= leastGOP && g.gopTime <= dozeGOP && g.newest-g.keyAt <= dozeGOP
}

// rests goes to sleep in watching: when something moves and has been told, or when nothing has stirred for a while.
func (g *Grader) rests(quiet video.Ticks90k) {
	m := g.model
	if m.open && !g.mayDoze() {
		return
	}
	if (g.gopTime > dozeGOP || g.newest-g.keyAt >= dozeGOP) && !g.sizes.known() {
		return // nothing would wake it before the next keyframe, and that may be too late
	}
	g.busy = m.open && m.movingAt == m.lastAt
	if g.busy || quiet >= watchingSleep {
		g.sleep()
	}
}
