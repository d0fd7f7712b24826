package motion

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
	"weak"

	"sitewatch/edge"
	"sitewatch/video"
)

// Options describe the eyes of a site.
type Options struct {
	Command  string   // path of the eye
	Args     []string // none, but for tests
	Clock    edge.Clock
	Log      *slog.Logger
	Reporter Reporter     // nil: nobody wants to know what moves
	Pulse    *video.Pulse // when what the eyes say is taken in; nil: as it comes
	// Usual is the directory for what cameras usually see while they do not, made when there is any; "": a restart ends such a trouble.
	Usual string
	// Bugs is the directory for pictures that have ended an eye, made when there are any; "": they are not kept.
	Bugs string
}

const (
	// queueBytes bounds what waits for the eye. It is the eye's misfortune when it is slower, never the camera's.
	queueBytes  = 8 << 20
	queueUnits  = 1024
	maxStills   = 16 // waiting
	maxReports  = 256
	writeLimit  = 5 * time.Second // for one message to a pipe that the eye does not empty
	readyLimit  = 10 * time.Second
	stillLimit  = 10 * time.Second
	staleAfter  = 30 * time.Second // an interval whose camera sends nothing any more
	staleCheck  = 5 * time.Second
	stderrBytes = 2048
)

// owned is how many units ago the one in hand can have come: what waits, what an eye goes back to, and more.
const owned = 8192

// ErrDied says that an eye ended while it made a still of the picture: no other is to try.
var ErrDied = errors.New("motion: the eye ended while it made the still")

// ErrNoEye says that no eye is up to make a still, or that it ended before it began to.
var ErrNoEye = errors.New("motion: no eye is up")

// Eye is the gateway's side of one eye process. Run runs it; everything else may be called from any goroutine at any time.
type Eye struct {
	opt Options

	mu      sync.Mutex
	cameras map[edge.CameraID]*watched
	turns   []*watched // those whose pictures wait, in the order in which they have their turn
	units   int        // that wait, of all cameras
	bytes   int        // of them
	favours int        // how many units of cameras in alarm have gone one after another
	dropped uint64
	number  uint32               // of the newest unit
	owners  [owned]edge.CameraID // of the newest units, by number: also of those that are not kept any more
	holds   holding
	hand    uint32        // which one
	handAt  time.Duration // when the eye last said so, by Mono
	stills  map[uint32]asked
	asks    []*StillRequest
	deadly  [deadlyMost]weak.Pointer[byte] // pictures that ended an eye when a still was made of them, by where they lie; it keeps none of them
	deaths  int                            // of these
	lastID  uint32
	up      bool
	wake    chan struct{} // there is something to write
	starts  uint64

	usualAt map[edge.CameraID]time.Duration // when keepUsual has written a camera's file, by Mono; it alone looks at that
}

// queued is a unit on its way to the eye.
type queued struct {
	camera edge.CameraID
	params video.Params
	unit   video.AccessUnit
	number uint32
}

// New returns an Eye that has started nothing.
func New(opt Options) *Eye {
	return &Eye{opt: opt, stills: map[uint32]asked{}, wake: make(chan struct{}, 1), cameras: map[edge.CameraID]*watched{},
		usualAt: map[edge.CameraID]time.Duration{}}
}

// Push gives the eye a picture to look at. It never blocks: when the eye is behind, pictures are left out, those of cameras that are
// only watched first, keyframes last.
func (e *Eye) Push(camera edge.CameraID, u video.AccessUnit, p video.Params) {
	if u.Audio != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.camera(camera)
	w.anchor = video.AnchorOf(u)
	if w.until > u.Arrival.Mono {
		return // in quarantine
	}
	behind := e.up && !e.room(w, u)
	if behind || w.gap && !u.Keyframe {
		e.dropped++
		if w.rested = w.rested && !behind; !w.rested {
			w.dropped, w.droppedAt = w.dropped+1, u.Arrival.Mono
		}
		w.leaveOut()
		return
	}
	if w.gap {
		u.Lost++
		w.gap, w.rested = false, false
	}
	e.number++
	e.owners[e.number%owned] = camera
	q := queued{camera, p, u, e.number}
	w.keep(q)
	if e.up {
		e.enqueue(w, q)
	}
}

func (e *Eye) enqueue(w *watched, q queued) {
	if len(w.waits) == 0 {
		e.turns = append(e.turns, w)
	}
	w.waits = append(w.waits, q)
	w.waitBytes += len(q.unit.Data)
	e.units++
	e.bytes += len(q.unit.Data)
	e.signal()
}

// next takes the next unit. Cameras have their turn one after another, so that one whose pictures take long to decode, or which sends too
// many, delays another's by a few pictures and not by all that waits; those in alarm come first. An eye that cannot even keep up with these has a
// turn in eight for another, which begins with its newest keyframe: none is blind. Somebody must wait.
func (e *Eye) next() (q queued) {
	i := max(0, slices.IndexFunc(e.turns, func(w *watched) bool { return w.urgent }))
	if j := slices.IndexFunc(e.turns, func(w *watched) bool { return !w.urgent }); j >= 0 && e.favours >= favoursMost {
		i = j
		e.catchUp(e.turns[i])
	}
	w := e.turns[i]
	if e.favours++; !w.urgent {
		e.favours = 0
	}
	q = w.waits[0]
	w.waits[0] = queued{}
	w.waits = w.waits[1:]
	w.waitBytes -= len(q.unit.Data)
	e.units--
	e.bytes -= len(q.unit.Data)
	e.turns = slices.Delete(e.turns, i, i+1)
	if len(w.waits) > 0 {
		e.turns = append(e.turns, w)
	}
	return q
}

// favoursMost is how many units of cameras in alarm may go one after another while other cameras wait.
const favoursMost = 7

// catchUp leaves out what waits of a camera before its newest keyframe: it is old, and there is no time for it.
func (e *Eye) catchUp(w *watched) {
	for n := len(w.waits) - 1; n > 0; n-- {
		if !w.waits[n].unit.Keyframe {
			continue
		}
		for i := range n {
			size := len(w.waits[i].unit.Data)
			w.waitBytes, e.bytes = w.waitBytes-size, e.bytes-size
			w.waits[i] = queued{}
		}
		w.waits = w.waits[n:]
		w.waits[0].unit.Lost++
		e.units, e.dropped, w.dropped, w.droppedAt = e.units-n, e.dropped+uint64(n), w.dropped+uint64(n), w.waits[0].unit.Arrival.Mono
		return
	}
}

// room says whether u may wait, too. The more waits, the more must matter what comes: so each camera's rate falls to that of its
// keyframes before any is not looked at. A camera never has more than what it leaves to the others.
func (e *Eye) room(w *watched, u video.AccessUnit) bool {
	quarters := 4
	switch {
	case u.Keyframe || w.urgent:
	case w.setup.Grade == Alert:
		quarters = 3
	default:
		quarters = 2
	}
	return len(w.waits) < queueUnits*quarters/4-e.units && w.waitBytes+len(u.Data) <= queueBytes*quarters/4-e.bytes
}

func (e *Eye) camera(id edge.CameraID) *watched {
	w := e.cameras[id]
	if w == nil {
		w = &watched{setup: Setup{Camera: id, Grade: Watching, Options: ModelOptions{Sensitivity: 1}}}
		e.cameras[id] = w
	}
	return w
}

// Setup says how a camera is looked at from now on. urgent is for cameras whose zone is in alarm: they come first when the eye is behind.
func (e *Eye) Setup(camera edge.CameraID, grade Grade, urgent bool, opt ModelOptions) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.camera(camera)
	if urgent && !w.urgent || grade == Alert && w.setup.Grade != Alert {
		w.raising, w.raisedAt = true, e.opt.Clock.Now().Mono
	}
	w.urgent = urgent
	if w.setup.Grade == grade && w.setup.Options.equal(opt) {
		return
	}
	w.setup.Grade, w.setup.Options, w.told = grade, opt, false
	e.signal()
}

// staleHint is how old a hint may become while no eye is up.
const staleHint = 10 * time.Second

// Hint says that somebody else, the camera itself perhaps, believes that something moves.
func (e *Eye) Hint(camera edge.CameraID, at edge.Stamp) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.camera(camera)
	w.hinted, w.hintAt = true, at
	e.signal()
}

// hint takes the hint of a camera that waits, if it is fresh.
func (e *Eye) hint(w *watched) bool {
	if !w.hinted {
		return false
	}
	w.hinted = false
	age, same := e.opt.Clock.Now().Since(w.hintAt)
	return same && age < staleHint
}

func (e *Eye) signal() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Still asks the eye for a JPEG of the keyframe u. ErrNoEye: try again later.
func (e *Eye) Still(ctx context.Context, p video.Params, u video.AccessUnit) ([]byte, error) {
	a := asked{pictureOf(u), make(chan StillReply, 1)} // the reader of the pipe never waits for us
	e.mu.Lock()
	if !e.up || len(e.stills) >= maxStills {
		e.mu.Unlock()
		return nil, ErrNoEye
	}
	e.lastID++
	id := e.lastID
	e.stills[id] = a // until it is answered, also when nobody waits any more: the eye has it all the same
	e.asks = append(e.asks, &StillRequest{ID: id, Params: p, Data: u.Data})
	e.signal()
	e.mu.Unlock()
	t := time.NewTimer(stillLimit)
	defer t.Stop()
	select {
	case r, ok := <-a.reply:
		switch {
		case !ok && e.isDeadly(a.picture):
			return nil, ErrDied
		case !ok:
			return nil, ErrNoEye // it died of something else
		}
		if !r.OK {
			return nil, fmt.Errorf("motion: still: %s", r.Data)
		}
		return r.Data, nil
	case <-t.C:
		return nil, fmt.Errorf("motion: still: no answer within %v", stillLimit)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// setUp begins or ends the time in which work is taken. Of one eye's work the next gets what its cameras kept: so it knows at once
// what they look at.
func (e *Eye) setUp(up bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s, ok := e.stills[e.hand]; ok && !up && e.holds == aStill {
		e.deadly[e.deaths%deadlyMost] = weak.Make(s.picture)
		e.deaths++
	}
	e.up = up
	for _, w := range e.turns {
		w.waits, w.waitBytes = nil, 0
	}
	e.turns, e.units, e.bytes, e.asks = nil, 0, 0, nil
	for id, s := range e.stills {
		close(s.reply)
		delete(e.stills, id)
	}
	if !up {
		return
	}
	e.starts++
	e.holds, e.handAt = nothing, e.opt.Clock.Now().Mono
	for _, w := range e.cameras {
		w.told, w.anew = false, w.usual != nil
		for _, q := range w.kept {
			if e.bytes+len(q.unit.Data) > queueBytes/2 || e.units >= queueUnits/2 {
				w.leaveOut()
				break
			}
			e.enqueue(w, q)
		}
	}
	e.signal()
}

// orders returns what is to be said before the pictures that wait: stills first, they belong to an alarm.
func (e *Eye) orders() (ms []Message) {
	for _, a := range e.asks {
		ms = append(ms, a)
	}
	e.asks = nil
	for id, w := range e.cameras {
		if !w.told {
			w.told = true
			s := w.setup
			ms = append(ms, &s)
		}
		if w.anew {
			w.anew = false
			ms = append(ms, w.usual)
		}
		if e.hint(w) {
			ms = append(ms, &Hint{Camera: id})
		}
	}
	return ms
}

// answer gives a reply to whoever asked. Nobody may: the time was over.
func (e *Eye) answer(r *StillReply) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s, ok := e.stills[r.ID]; ok {
		s.reply <- *r
		delete(e.stills, r.ID)
	}
}
