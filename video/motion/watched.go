package motion

import (
	"time"

	"sitewatch/edge"
	"sitewatch/video"
)

// watched is one camera on the gateway's side of its eye.
type watched struct {
	setup  Setup
	told   bool // the eye that is up knows the setup
	urgent bool // a zone of it is in alarm
	hinted bool // a hint is to be passed on
	hintAt edge.Stamp

	raising  bool          // it is to be looked at closely, and the eye has taken no picture of it since
	raisedAt time.Duration // when that was last said, by Mono
	raise    time.Duration // how long it took then

	anchor video.Anchor
	gap    bool // units were left out; the next that is taken is a keyframe
	rested bool // because of a quarantine, not because the eye is behind

	dropped   uint64        // units that were left out because the eye is behind
	droppedAt time.Duration // of the last one, by Mono

	waits     []queued // for the eye
	waitBytes int

	// kept are the units since the last keyframe but one: for the eye that comes after this one, and for the report when one of
	// them has ended it. They are shared with the ring, if the stream has one.
	kept      []queued
	keptBytes int

	open  bool // something moves
	since Interval
	sees  map[Trouble]bool // what the eye says is wrong with the picture
	usual *Recall          // for the next eye, while something is
	anew  bool             // the eye that is up has not been told of that yet
	tally Tally

	until  time.Duration // it is in quarantine until then, by Mono
	blamed int           // times that it has ended an eye, of late
	lastAt time.Duration // of the last one, by Mono
}

// keep notes a unit that the eye gets.
func (w *watched) keep(q queued) {
	if q.unit.Keyframe {
		last := 0
		for i, k := range w.kept {
			if k.unit.Keyframe {
				last = i
			}
		}
		for _, k := range w.kept[:last] {
			w.keptBytes -= len(k.unit.Data)
		}
		w.kept = append([]queued(nil), w.kept[last:]...)
	} else if len(w.kept) == 0 {
		return
	}
	w.kept = append(w.kept, q)
	if w.keptBytes += len(q.unit.Data); w.keptBytes > maxHeldBytes || len(w.kept) > maxHeldUnits {
		w.kept, w.keptBytes = nil, 0 // until the next keyframe
	}
}

// leaveOut notes that a unit did not get to the eye.
func (w *watched) leaveOut() { w.gap, w.kept, w.keptBytes = true, nil, 0 }

// The pause of a camera whose picture has ended an eye: it doubles each time, and is forgotten after an hour without.
const (
	pauseFirst = 10 * time.Second
	pauseMost  = 10 * time.Minute
	forgiven   = time.Hour
)

// quarantine begins the pause.
func (w *watched) quarantine(now time.Duration) time.Duration {
	if now-w.lastAt > forgiven {
		w.blamed = 0
	}
	pause := min(pauseFirst<<min(w.blamed, 16), pauseMost)
	w.blamed++
	w.lastAt, w.until = now, now+pause
	w.leaveOut()
	w.rested = true
	return pause
}

// behindTime is how long after the last picture that was left out an eye counts as behind.
const behindTime = 10 * time.Second

// CameraStatus is how the eye is with one camera.
type CameraStatus struct {
	Grade       Grade
	Moving      bool
	Awake       bool // every picture is decoded
	Decoded     uint64
	Damaged     uint64
	LeftOut     uint64        // pictures that were not looked at because the eye was behind
	Behind      bool          // such as of late
	Quarantined time.Duration // how long it is not looked at yet, because a picture of it has ended an eye; 0: it is looked at
	Hinted      edge.Stamp    // the last time that somebody else believed that something moves
	Raise       time.Duration // how long it took, the last time that it was to be looked at closely, until the eye took a picture; 0: it never was
	Troubles    []Trouble
}

// Camera returns how the eye is with a camera.
func (e *Eye) Camera(id edge.CameraID, now edge.Stamp) CameraStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.cameras[id]
	if w == nil {
		return CameraStatus{Grade: Watching}
	}
	s := CameraStatus{Grade: w.setup.Grade, Moving: w.open, Awake: w.tally.Awake, Decoded: uint64(w.tally.Decoded), Damaged: uint64(w.tally.Damaged),
		LeftOut: w.dropped, Behind: w.dropped > 0 && now.Mono-w.droppedAt < behindTime,
		Quarantined: max(0, w.until-now.Mono), Hinted: w.hintAt, Raise: w.raise}
	for _, t := range []Trouble{Covered, Moved, Defocused} {
		if w.sees[t] {
			s.Troubles = append(s.Troubles, t)
		}
	}
	return s
}

// Status is a snapshot for a status page.
type Status struct {
	Up      bool
	Starts  uint64
	Dropped uint64 // pictures that were not looked at
	Moving  int    // cameras with an open interval
}

// Status returns how the eye is.
func (e *Eye) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := Status{Up: e.up, Starts: e.starts, Dropped: e.dropped}
	for _, w := range e.cameras {
		if w.open {
			s.Moving++
		}
	}
	return s
}
