package motion

import (
	"sitewatch/edge"
	"sitewatch/video"
)

// Grid is a picture made small: the mean brightness of each cell in sixteenths.
type Grid struct {
	Width, Height int
	Cells         []uint16
	Sharp         float64 // how much of what changes within eight pixels changes within two; 0: not known
}

// Decoder decodes the pictures of one camera. Grids are valid until the next call.
type Decoder interface {
	// Key decodes a keyframe by itself.
	Key(u *Unit) (Grid, error)
	// Next decodes u. fresh: u is a keyframe and nothing before it matters; otherwise u follows the u of the Next before,
	// with no Key between. look gets the pictures that come out, in the order in which they are to be shown.
	Next(u *Unit, fresh bool, look func(pts video.Ticks90k, g Grid)) error
}

// Grader decides which pictures of one camera are decoded, and has them judged by the model.
//
// Asleep it decodes keyframes, each by itself. When one differs, or a picture between them has more bytes than its place
// usually has, or somebody gives a hint, it wakes: it goes back to the last keyframe that was quiet, decodes from there, which
// is much faster than real time, and then every picture as it comes. So what moved began when it began, although it was
// noticed later. In alert it sleeps only where sizes have proved to tell.
//
// A Grader is pure: its time is the PTS. It is used by one goroutine.
type Grader struct {
	camera edge.CameraID
	dec    Decoder
	say    func(Message)

	grade  Grade
	opt    ModelOptions
	pixels int
	model  *Model
	sizes  sizes
	scene  scene
	recall *Recall // what the first picture is to be looked at with

	gop, before []*Unit // since the last keyframe, and from the one before it
	held        int     // bytes of both
	place       int     // of the newest unit after its keyframe
	newest      video.Ticks90k
	awake       bool
	busy        bool           // asleep while an interval is open, and something moved in the newest picture that was decoded
	keyAt       video.Ticks90k // of the newest keyframe
	gopTime     video.Ticks90k // from the one before it
	fresh       bool           // the decoder begins with the next keyframe
	hurt        bool           // what the decoder gives is not to be looked at before the next keyframe
	hurtAt      video.Ticks90k
	livelyAt    video.Ticks90k // something may have moved, or the grader woke
	jumpAt      video.Ticks90k // last jump of the size
	proofAt     video.Ticks90k // start of an interval that a jump should have announced; 0: none
	hintTo      video.Ticks90k
	opened      bool    // an interval since it woke
	vain        float64 // times that it woke in vain, of late
	keptAt      video.Ticks90k
	tally       Tally
	talliedAt   video.Ticks90k
}

const (
	maxHeldBytes  = 4 << 20
	maxHeldUnits  = 1024
	watchingSleep = video.Second      // of quiet
	alertSleep    = 10 * video.Second // of quiet
	hintTime      = 10 * video.Second
	leastGOP      = video.Second / 2 // closer keyframes cost more than they tell
	dozeGOP       = 3 * video.Second // longer ones would join what are two visits
	keepEvery     = video.Second
	tallyEvery    = 10 * video.Second
	jumpAhead     = 3 * video.Second / 10 // a jump this long after an interval's start has announced it
	hurtTime      = 12 * video.Second     // a camera that never sends a keyframe is looked at again after so long
	maxVain       = 4
	vainSeconds   = 120
)

// NewGrader returns a grader that watches. say gets what it finds.
func NewGrader(camera edge.CameraID, say func(Message)) *Grader {
	return &Grader{camera: camera, say: say, grade: Watching, tally: Tally{Camera: camera}}
}

// Open gives the decoder of the units that follow, and the size of their pictures.
func (g *Grader) Open(dec Decoder, size video.Size) {
	g.dec, g.pixels = dec, size.Width*size.Height
	g.gop, g.before, g.held = nil, nil, 0
	g.awake, g.busy, g.fresh = true, false, true
}

// Setup changes how the camera is looked at.
func (g *Grader) Setup(grade Grade, opt ModelOptions) {
	if g.model != nil && !opt.equal(g.opt) {
		g.model.Setup(opt)
	}
	raised := grade == Alert && g.grade != Alert
	g.grade, g.opt = grade, opt
	if raised && !g.awake && (g.open() || !g.sizes.reliable(g.pixels)) {
		g.wake(g.gop)
	}
}

// open says whether an interval is.
func (g *Grader) open() bool { return g.model != nil && g.model.open }

// Hint says that somebody else believes that something moves.
func (g *Grader) Hint() {
	g.hintTo = g.newest + hintTime
	if !g.awake {
		g.wake(g.gop)
	}
}

// Take takes the next unit.
func (g *Grader) Take(u *Unit) {
	if g.dec == nil {
		return
	}
	if d := (u.PTS - g.newest).Duration().Seconds(); d > 0 {
		g.vain *= float64(decay(d, vainSeconds))
	}
	g.newest = u.PTS
	g.tally.Units++
	begins := g.keep(u)
	if u.Lost && !u.Keyframe {
		g.damage()
	}
	jump := g.jumps(u)
	switch {
	case g.awake:
		g.next(u)
	case begins:
		g.key(u)
	case jump && !g.busy, g.open() && u.PTS-g.keyAt > dozeGOP:
		g.wake(g.gop)
	}
	g.rest(u)
	if d := u.PTS - g.talliedAt; d >= tallyEvery || d < 0 {
		g.talliedAt, g.tally.Awake = u.PTS, g.awake
		t := g.tally
		g.say(&t)
	}
}

// keep holds the unit for going back, and says whether a GOP begins with it. Keyframes that come closer are no beginning, as if all had been one GOP.
func (g *Grader) keep(u *Unit) bool {
	if d := u.PTS - g.keyAt; u.Keyframe && (d >= leastGOP || d < 0 || len(g.gop) == 0 || g.hurt) {
		for _, b := range g.before {
			g.held -= len(b.Data)
		}
		g.before, g.gop, g.place = g.gop, []*Unit{u}, 0
		g.keyAt, g.gopTime = u.PTS, u.PTS-g.keyAt
		g.held += len(u.Data)
		g.hurt = false
		return true
	}
	g.place++
	if len(g.gop) == 0 {
		return false // its keyframe is not there
	}
	g.gop = append(g.gop, u)
	g.held += len(u.Data)
	if g.held > maxHeldBytes || len(g.gop) > maxHeldUnits { // there is no going back until the next keyframe
		g.gop, g.before, g.held = nil, nil, 0
	}
	return false
}

func (g *Grader) damage() {
	if !g.hurt {
		g.hurt, g.hurtAt = true, g.newest
		g.gop = nil
		g.held = 0
		for _, b := range g.before {
			g.held += len(b.Data)
		}
	}
	g.tally.Damaged++
}

// hand says what the decoder gets.
func (g *Grader) hand(u *Unit) {
	g.tally.Decoded++
	g.say(&Hand{u.Number})
}

// next decodes a unit while awake.
func (g *Grader) next(u *Unit) {
	if g.fresh && !u.Keyframe {
		return
	}
	g.hand(u)
	err := g.dec.Next(u, g.fresh, func(pts video.Ticks90k, grid Grid) {
		if g.hurt && g.newest-g.hurtAt < hurtTime {
			return
		}
		g.hurt = false
		g.step(pts, grid)
	})
	g.fresh = false
	if err != nil {
		g.damage()
	}
}

// of returns the model for grids of that size.
func (g *Grader) of(grid Grid) *Model {
	if g.model == nil || g.model.w != grid.Width || g.model.h != grid.Height {
		if g.model != nil && g.model.open {
			g.say(&Motion{Camera: g.camera, State: End, PTS: g.model.movingAt, At: g.newest})
		}
		if t := g.scene.told; t != 0 {
			g.say(&Scene{Camera: g.camera, Trouble: t, State: End, PTS: g.newest, Why: "the size of the picture has changed"})
		}
		g.model, g.scene = NewModel(grid.Width, grid.Height, g.opt), scene{}
		g.remember()
	}
	return g.model
}

// step has the model judge a picture.
func (g *Grader) step(pts video.Ticks90k, grid Grid) {
	m := g.of(grid)
	r := m.Step(pts, grid.Cells)
	if m.lively() {
		g.livelyAt = max(g.livelyAt, pts)
	}
	g.see(pts, grid.Sharp)
	g.tell(r)
}

// tell passes on what the model says.
func (g *Grader) tell(r Report) {
	switch r.State {
	case Start:
		g.opened, g.vain, g.keptAt = true, 0, g.newest
		g.proofAt = r.PTS
	case Keep:
		if g.newest-g.keptAt < keepEvery {
			return
		}
		g.keptAt = g.newest
	case 0:
		return
	}
	g.say(&Motion{Camera: g.camera, State: r.State, PTS: r.PTS, At: g.newest, Box: r.Box, Where: r.Where, Why: r.Why})
}

// see says when the camera sees what it should not.
func (g *Grader) see(pts video.Ticks90k, sharp float64) {
	if g.model.wet { // rain hides what is behind it
		return
	}
	if t, state, why := g.scene.look(pts, g.model.cells, sharp); t != 0 {
		m := &Scene{Camera: g.camera, Trouble: t, State: state, PTS: pts, Why: why}
		if state == Start {
			m.Usual = g.scene.usual()
		}
		g.say(m)
	}
}

// rest learns from a quiet unit and goes to sleep after enough of them.
func (g *Grader) rest(u *Unit) {
	m := g.model
	if m == nil || !m.started {
		return
	}
	quiet := g.newest - g.livelyAt
	if quiet < 0 {
		g.livelyAt = g.newest // the camera's time has begun anew
	}
	if g.proofAt != 0 && g.newest >= g.proofAt+jumpAhead {
		g.sizes.proved(g.jumpAt >= g.proofAt-jumpAhead && g.jumpAt <= g.proofAt+jumpAhead)
		g.proofAt = 0
	}
	if !u.Keyframe && !m.open && quiet >= video.Second {
		g.sizes.learn(len(u.Data), g.place)
	}
	if !g.awake || g.newest < g.hintTo || !m.ready() {
		return
	}
	if g.grade == Watching {
		g.rests(quiet)
	} else if !m.open && quiet >= alertSleep && g.sizes.reliable(g.pixels) {
		g.sleep()
	}
}

func (g *Grader) sleep() {
	g.awake = false
	if !g.opened {
		g.vain = min(g.vain+1, maxVain)
	}
}
