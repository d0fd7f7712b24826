package motion

import (
	"fmt"
	"math"
	"slices"

	"sitewatch/video"
)

// Model says whether something moves, from small grids of brightness. MODEL.md says how and why.
//
// A Model is pure: its time is the PTS. It is used by one goroutine.
type Model struct {
	*cells
	opt       ModelOptions
	least     float64 // cells that a region needs
	started   bool
	lastAt    video.Ticks90k // of the last picture that showed something new
	age       float64        // seconds since the model began
	limitAt   float64        // age at which the limits were worked out
	calm      float64        // seconds since the light changed as a whole
	owed      float64        // seconds that nothing was learnt
	stirs     bool           // something has differed since
	differing int            // cells
	found     []region
	drop      float64 // cells that a drop of rain has at most; 0: it does not rain
	tracks    []track

	open     bool
	movingAt video.Ticks90k
	where    uint64
}

// ModelOptions are what a site may set for a camera. The zero value is what is usual.
type ModelOptions struct {
	Sensitivity float64 // 1 is usual; 2 asks for half the contrast and half the size
	MinSize     float64 // share of the picture that something must have; 0: the usual
	Areas       []Area
}

func (o ModelOptions) equal(p ModelOptions) bool {
	return o.Sensitivity == p.Sensitivity && o.MinSize == p.MinSize && slices.EqualFunc(o.Areas, p.Areas, func(a, b Area) bool {
		return a.Mask == b.Mask && slices.Equal(a.Points, b.Points)
	})
}

// Report is what a picture changed: State is 0 for nothing.
type Report struct {
	State State
	PTS   video.Ticks90k // of the first picture that moved (Start), this one (Keep) or the last one that moved (End)
	Box   Box
	Where uint64
	Why   string
}

const (
	minSize     = 0.002            // of the picture
	warmUp      = 3.0              // seconds before anything is said
	hold        = 2 * video.Second // without movement, and the interval is over
	forgetting  = 60 * video.Second
	sameStep    = 0.02                   // log2 of brightness: a picture in which nothing changes more is the one before, sent again
	sameShare   = 0.0005                 // of the cells
	lightStep   = 0.04                   // log2 of brightness
	lightShare  = 0.5                    // of the cells become brighter, or darker, by that: it is the light, or the exposure
	strayShare  = 0.01                   // of the cells may move elsewhere
	placeShare  = 0.5                    // of the picture is one place
	upsetShare  = 0.4                    // of the cells change their structure: another picture, day and night, a jolt
	calmSeconds = 0.5                    // after that
	step        = 6 * video.Second / 100 // pictures that come closer are not looked at
	learnEvery  = 0.25                   // seconds, while nothing differs
	easeGlance  = 0.75                   // of the limits and of the smallest size: a glance need not be right, it must not miss
	limitEvery  = 1.0                    // seconds: the limits change slowly
)

// NewModel returns a model of grids w wide and h high.
func NewModel(w, h int, opt ModelOptions) *Model {
	m := &Model{cells: newCells(w, h), tracks: make([]track, 0, maxRegions)} // never grows: follow points into it
	m.Setup(opt)
	return m
}

// Setup changes the options, and keeps what is known of the picture.
func (m *Model) Setup(opt ModelOptions) {
	m.opt = opt
	sensitivity, size := opt.Sensitivity, opt.MinSize
	if sensitivity <= 0 {
		sensitivity = 1
	}
	if size <= 0 {
		size = minSize / sensitivity
	}
	m.scale = float32(1 / sensitivity)
	m.least = max(4, size*float64(m.w*m.h))
	m.use = looked(opt.Areas, m.w, m.h)
	m.limitAt = math.Inf(-1)
}

// ready says whether movement would be told.
func (m *Model) ready() bool { return m.started && m.age >= warmUp }

// lively says whether something moves in this picture, or may soon prove to.
func (m *Model) lively() bool {
	return slices.ContainsFunc(m.tracks, func(t track) bool { return t.seen == m.lastAt && t.score >= enough/2 })
}

// begin takes the picture for the background.
func (m *Model) begin(pts video.Ticks90k, grid []uint16) Report {
	m.started, m.lastAt, m.age, m.calm, m.limitAt = true, pts, 0, 0, math.Inf(-1)
	m.owed, m.stirs, m.differing = 0, false, 0
	m.drop, m.wet = 0, false
	m.look(grid)
	m.cells.begin()
	m.tracks = m.tracks[:0]
	if m.open {
		m.open = false
		return Report{State: End, PTS: m.movingAt, Where: m.where}
	}
	return Report{}
}

// judge compares the picture with what is known, and returns whether the picture changed as a whole. light is what
// changed says. Light that leaves the structure alone needs no new beginning, nor does the camera's exposure when it answers to
// something large: that changes the structure in one place. What a shaken camera explains does not differ.
func (m *Model) judge(light float64, ease float32) bool {
	if m.age-m.limitAt >= limitEvery || m.age < warmUp {
		m.limits()
		m.limitAt = m.age
	}
	before := m.differing
	var moving int
	m.differing, moving = m.compare(ease)
	m.stirs = m.stirs || m.differing > 0 || before > 0
	m.found = m.regions(int(m.least/3), m.found)
	n := float64(m.w * m.h)
	if float64(moving) > upsetShare*n || light > lightShare && !m.confined(moving) {
		return true
	}
	if len(m.found) > 0 && !m.open {
		if differing, ok := m.steady(ease); ok {
			m.differing = differing
			m.found = m.regions(int(m.least/3), m.found)
		}
	}
	return false
}

// confined says whether next to all of the cells that move are in one place.
func (m *Model) confined(moving int) bool {
	var most region
	for _, r := range m.found {
		if r.moving > most.moving {
			most = r
		}
	}
	n := float64(m.w * m.h)
	return float64(moving-most.moving) <= strayShare*n && float64(most.box.overlap(most.box)) <= placeShare*n
}

// Glance takes a keyframe that comes long after the picture before. When it may show movement it returns true and forgets the
// picture again: the ones between must be looked at first. factor makes it harder to please.
func (m *Model) Glance(pts video.Ticks90k, grid []uint16, factor float64) bool {
	gap := pts - m.lastAt
	if !m.started || gap <= 0 || gap > forgetting {
		m.begin(pts, grid)
		return false
	}
	m.look(grid)
	seconds := gap.Duration().Seconds()
	if _, light := m.changed(); m.judge(light, easeGlance) || slices.ContainsFunc(m.found, func(r region) bool { return float64(r.moving)-m.drop >= easeGlance*m.least*factor }) {
		m.unlook()
		m.differs, m.differed = m.differed, m.differs
		return true
	}
	m.lastAt = pts
	m.age += seconds
	m.calm += seconds
	m.dry(seconds)
	m.learn(m.owed+seconds, 0, false)
	m.owed, m.stirs = 0, false
	return false
}

// Doze takes a keyframe that comes long after the picture before while an interval is open. ok is false, and the picture forgotten again, when it
// shows no movement that is as good as the interval needs: then the ones between must be looked at, to find when it ended.
func (m *Model) Doze(pts video.Ticks90k, grid []uint16) (r Report, ok bool) {
	gap := pts - m.lastAt
	if !m.open || gap <= 0 || gap > forgetting {
		return r, false
	}
	m.look(grid)
	best := -1
	if !m.judge(0, 1) { // the exposure follows whoever is there
		for i, f := range m.found {
			if float64(f.moving)-m.drop >= m.least && (best < 0 || f.moving > m.found[best].moving) {
				best = i
			}
		}
	}
	if best < 0 {
		m.unlook()
		m.differs, m.differed = m.differed, m.differs
		return r, false
	}
	seconds := gap.Duration().Seconds()
	m.lastAt, m.movingAt = pts, pts
	m.age += seconds
	m.calm += seconds
	m.dry(seconds)
	m.learn(m.owed+seconds, 0, false)
	m.owed, m.stirs = 0, false
	m.tracks = m.tracks[:0]
	m.where |= m.parts
	return Report{State: Keep, PTS: pts, Box: m.boxOf(m.found[best].box), Where: m.where}, true
}

// Step takes the next picture.
func (m *Model) Step(pts video.Ticks90k, grid []uint16) Report {
	gap := pts - m.lastAt
	if !m.started || gap < -forgetting || gap > forgetting {
		return m.begin(pts, grid)
	}
	if gap < step {
		return Report{}
	}
	m.look(grid)
	some, light := m.changed()
	if some < sameShare {
		m.unlook()
		m.drop, m.wet = 0, false
		return m.quiet(pts)
	}
	m.lastAt = pts
	seconds := gap.Duration().Seconds()
	m.age += seconds
	if m.calm += seconds; m.judge(light, 1) {
		m.calm = 0
	}
	m.weather(seconds)
	// While nothing differs there is no hurry.
	upset := m.calm < calmSeconds
	if m.owed += seconds; m.stirs || upset || m.owed >= learnEvery {
		m.learn(m.owed, float32(m.owed/(m.age+m.owed)), upset && !m.open)
		m.owed, m.stirs = 0, false
	}
	if m.calm < calmSeconds {
		m.tracks = m.tracks[:0]
		return m.quiet(pts)
	}
	best := m.follow(pts, gap)
	if m.age < warmUp || best == nil {
		return m.quiet(pts)
	}
	m.movingAt = pts
	r := Report{State: Keep, PTS: pts, Box: m.boxOf(best.box)}
	if !m.open {
		m.open, m.where = true, 0
		r.State, r.PTS, r.Why = Start, best.since, best.why(pts, m.w*m.h)
	}
	m.where |= m.parts
	r.Where = m.where
	return r
}

// quiet is for a picture in which nothing moves.
func (m *Model) quiet(pts video.Ticks90k) Report {
	if m.open && pts-m.movingAt >= hold {
		m.open = false
		return Report{State: End, PTS: m.movingAt, Where: m.where}
	}
	return Report{}
}

func (m *Model) boxOf(b box) Box {
	x, y := func(v int) uint16 { return uint16(v * 65535 / m.w) }, func(v int) uint16 { return uint16(v * 65535 / m.h) }
	return Box{x(b.x0), y(b.y0), x(b.x1), y(b.y1)}
}

// why says what was seen in words that somebody in front of a screen can check.
func (t *track) why(now video.Ticks90k, cells int) string {
	return fmt.Sprintf("region %.2g %% of picture crossed %d cells in %.1f s", 100*float64(t.cells)/float64(cells), t.travel(), (now - t.since).Duration().Seconds())
}
