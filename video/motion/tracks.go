package motion

import (
	"math"
	"slices"

	"sitewatch/video"
)

// track is a region followed from picture to picture.
type track struct {
	since, seen video.Ticks90k
	pictures    int
	cells       int     // in the newest picture
	score       float64 // how much it moved of late, in times what a region needs
	swept       int     // cells that it moved into and where nothing had been lately
	first, box  box
	matched     bool
}

const (
	trackGap   = video.Second // unseen, and it is another one
	trackReach = 4            // cells between pictures, at least
	trackSpeed = 25           // cells a second, of a camera that sends fewer pictures than one in trackSlow seconds
	trackSlow  = 0.4
	trackLoss  = 1.0 // seconds in which the score falls to a third
	enough     = 3.4 // score that opens an interval
	capScore   = 2.5 // what one picture adds at most: two at least are needed
	keepScore  = 1.0 // score that keeps one open
)

// travel is how many cells its middle has come.
func (t *track) travel() int {
	dx := (t.box.x0 + t.box.x1 - t.first.x0 - t.first.x1) / 2
	dy := (t.box.y0 + t.box.y1 - t.first.y0 - t.first.y1) / 2
	return int(math.Hypot(float64(dx), float64(dy)) + 0.5)
}

// follow books the regions of this picture and returns the track that says that something moves, or nil.
func (m *Model) follow(pts, gap video.Ticks90k) (best *track) {
	m.tracks = slices.DeleteFunc(m.tracks, func(t track) bool { return pts-t.seen >= max(trackGap, 3*gap) })
	for i := range m.tracks {
		m.tracks[i].matched = false
	}
	for _, r := range m.found {
		moving := float64(r.moving) - m.drop
		if moving < m.least/3 || m.wet && gap.Duration().Seconds() <= leapGap && r.leaps() {
			continue
		}
		t := m.trackOf(r.box, max(trackReach, int(trackSpeed*(gap.Duration().Seconds()-trackSlow))))
		switch {
		case t == nil && len(m.tracks) == maxRegions:
			continue
		case t == nil:
			m.tracks = append(m.tracks, track{since: pts, seen: pts, first: r.box, box: r.box})
			t = &m.tracks[len(m.tracks)-1]
		case t.matched: // it has come apart
			t.box = t.box.union(r.box)
			t.cells += r.cells
			t.swept += r.fresh
			continue
		default:
			t.score *= float64(decay((pts - t.seen).Duration().Seconds(), max(trackLoss, 2*gap.Duration().Seconds())))
			t.box = r.box
			t.swept += r.fresh
		}
		t.matched, t.seen, t.cells = true, pts, r.cells
		t.pictures++
		t.score += min(capScore, moving/m.least)
		if m.tells(t) && (best == nil || t.score > best.score) {
			best = t
		}
	}
	return best
}

// tells says whether a track is movement: to open an interval it must have moved into places where nothing had been.
func (m *Model) tells(t *track) bool {
	if m.open {
		return t.pictures >= 2 && t.score >= keepScore
	}
	return t.pictures >= 2 && t.score >= enough && float64(t.swept) >= m.least
}

// trackOf finds the track that a region belongs to, reach cells around it at most.
func (m *Model) trackOf(b box, reach int) (t *track) {
	most := 0
	for i := range m.tracks {
		if o := m.tracks[i].box.grow(reach).overlap(b); o > most {
			t, most = &m.tracks[i], o
		}
	}
	return t
}
