package motion

import (
	"encoding/binary"
	"math"
)

// What a camera usually sees outlives the eye that has learnt it while something is wrong with the picture: the next eye would take
// that for the usual one. The gateway keeps it as bytes, and only an eye looks into them:
//
//	usual = 1:u8  w:u16 h:u16  pictures:u16 keyframes:u16  energy:u32 like:u32 sharp:u32  w*h times structure:i16
//
// energy, like and sharp are in millionths, structure in 4096ths of log2 of brightness.
const (
	usualVersion  = 1
	usualHead     = 21
	usualSide     = 128
	maxUsualBytes = usualHead + 2*usualSide*usualSide
	million       = 1e6
	structureUnit = 4096
)

// usual says what the scene usually looks like; nil: there is none to hand on.
func (s *scene) usual() []byte {
	if s.w > usualSide || s.h > usualSide || s.n < sceneKnown {
		return nil
	}
	b := []byte{usualVersion}
	for _, v := range []int{s.w, s.h, min(s.n, sceneSeconds), min(s.sharps, sceneSeconds)} {
		b = binary.BigEndian.AppendUint16(b, uint16(v))
	}
	for _, v := range []float64{s.energy, s.like, s.sharp} {
		b = binary.BigEndian.AppendUint32(b, uint32(million*min(max(v, 0), 1000)))
	}
	for _, v := range s.ref {
		b = binary.BigEndian.AppendUint16(b, uint16(int16(min(max(math.Round(float64(v)*structureUnit), math.MinInt16), math.MaxInt16))))
	}
	return b
}

// parseUsual reads what usual has said. ok is false when it is of another kind, or not whole.
func parseUsual(b []byte) (s scene, ok bool) {
	f := &fields{b: b}
	version := f.uint8()
	s.w, s.h, s.n, s.sharps = int(f.uint16()), int(f.uint16()), int(f.uint16()), int(f.uint16())
	for _, v := range []*float64{&s.energy, &s.like, &s.sharp} {
		*v = float64(f.uint32()) / million
	}
	if f.bad || version != usualVersion || s.w > usualSide || s.h > usualSide || s.n < sceneKnown || len(f.b) != 2*s.w*s.h {
		return scene{}, false
	}
	for range s.w * s.h {
		s.ref = append(s.ref, float32(int16(f.uint16()))/structureUnit)
	}
	return s, true
}

// Recall says what was wrong with the picture when the last eye ended. It comes before the first picture.
func (g *Grader) Recall(r *Recall) {
	if g.model == nil {
		g.recall = r
	}
}

// remember begins with what was recalled. When that does not fit the pictures it is over: nobody could ever say so otherwise.
func (g *Grader) remember() {
	r := g.recall
	if g.recall = nil; r == nil {
		return
	}
	s, ok := parseUsual(r.Usual)
	if !ok || s.w != g.model.w || s.h != g.model.h {
		g.say(&Scene{Camera: g.camera, Trouble: r.Trouble, State: End, PTS: g.newest, Why: whyAnew})
		return
	}
	s.blunt = r.Trouble == Defocused
	s.told, s.toldAt, s.other, s.since, s.at = r.Trouble, g.newest, r.Trouble, g.newest, g.newest-sceneEvery
	g.scene = s
}

// whyAnew is why a trouble is over that no eye can go on with.
const whyAnew = "it is looked at anew"
