package motion

import (
	"errors"
	"testing"

	"sitewatch/video"
)

// drawn is a Decoder of pictures that are drawn, by the number of the unit. It checks that it is used as it must be.
type drawn struct {
	t             *testing.T
	picture       func(n int) []uint16
	bad           func(n int) bool // cannot be decoded
	last          int              // number of the last unit of a row; -1: none
	keys, decoded int
}

func (d *drawn) Key(u *Unit) (Grid, error) {
	d.keys, d.last = d.keys+1, -1
	if !u.Keyframe {
		d.t.Errorf("unit %d was decoded by itself and is no keyframe", u.Number)
	}
	if d.bad != nil && d.bad(int(u.Number)) {
		return Grid{}, errors.New("broken")
	}
	return Grid{Width: testW, Height: testH, Cells: d.picture(int(u.Number))}, nil
}

func (d *drawn) Next(u *Unit, fresh bool, look func(video.Ticks90k, Grid)) error {
	d.decoded++
	if fresh && !u.Keyframe || !fresh && d.last != int(u.Number)-1 && !u.Lost {
		d.t.Errorf("unit %d follows %d, fresh %v, keyframe %v", u.Number, d.last, fresh, u.Keyframe)
	}
	d.last = int(u.Number)
	if d.bad != nil && d.bad(int(u.Number)) {
		return errors.New("broken")
	}
	look(u.PTS, Grid{Width: testW, Height: testH, Cells: d.picture(int(u.Number))})
	return nil
}

// watch gives a grader n units, ten a second with a keyframe every two, of the sizes that size says.
func watch(t *testing.T, g *Grader, d *drawn, from, n int, size func(n int) int) {
	d.t = t
	for i := from; i < from+n; i++ {
		g.Take(&Unit{Camera: "a", Number: uint32(i), PTS: video.Ticks90k(i) * tenth, Keyframe: i%20 == 0, Data: make([]byte, size(i))})
	}
}

func even(n int) int {
	if n%20 == 0 {
		return 20000
	}
	return 300 + n%3
}

// visit is a room that somebody crosses from picture at to at+70.
func visit(at int) func(n int) []uint16 {
	return func(n int) []uint16 {
		if n < at || n > at+70 {
			return room(1, n)
		}
		return person(room(1, n), 2*(n-at)-10)
	}
}

func spans(ms []Message) (starts, ends []*Motion) {
	for _, m := range ms {
		if m, ok := m.(*Motion); ok && m.State == Start {
			starts = append(starts, m)
		} else if ok && m.State == End {
			ends = append(ends, m)
		}
	}
	return starts, ends
}

func TestWatchingWakesAndGoesBack(t *testing.T) {
	jump := func(n int) int {
		if n > 307 && n < 380 && n%20 != 0 {
			return 2000
		}
		return even(n)
	}
	for name, c := range map[string]struct {
		size  func(int) int
		hint  bool
		delay int // pictures from his first to the report
	}{
		"by the next keyframe": {even, false, 15},
		"by the bytes":         {jump, false, 5},
		"by a hint":            {even, true, 6},
	} {
		var got []Message
		g := NewGrader("a", func(m Message) { got = append(got, m) })
		d := &drawn{t: t, picture: visit(305), last: -1}
		g.Open(d, video.Size{Width: 640, Height: 360})
		watch(t, g, d, 0, 300, even)
		if quiet := d.decoded + d.keys; quiet > 70 {
			t.Errorf("%s: decoded %d of 300 quiet pictures", name, quiet)
		}
		watch(t, g, d, 300, 10, c.size)
		if c.hint {
			g.Hint()
		}
		watch(t, g, d, 310, 190, c.size)
		starts, ends := spans(got)
		if len(starts) != 1 || len(ends) != 1 {
			t.Fatalf("%s: got %d starts and %d ends, want one each", name, len(starts), len(ends))
		}
		if from := int(starts[0].PTS / tenth); from < 305 || from > 310 || int(starts[0].At/tenth) > 305+c.delay {
			t.Errorf("%s: begins with %d, told at %d: he came with 305, want it told within %d pictures", name, from, starts[0].At/tenth, c.delay)
		}
		before := d.decoded
		watch(t, g, d, 500, 100, even)
		if d.decoded-before > 10 {
			t.Errorf("%s: decoded %d of 100 pictures after he had gone", name, d.decoded-before)
		}
	}
}

func TestAlertSleepsOnlyWhereSizesTell(t *testing.T) {
	for name, c := range map[string]struct {
		size   func(int) int
		sleeps bool
	}{
		"nearly nothing is sent in quiet": {even, true},
		"constant bit rate":               {func(n int) int { return 6000 + n%20*10 }, false},
		"sizes all over the place":        {func(n int) int { return 50 << (n * 7 % 6) }, false},
	} {
		g := NewGrader("a", func(Message) {})
		d := &drawn{t: t, picture: visit(900), last: -1}
		g.Setup(Alert, ModelOptions{})
		g.Open(d, video.Size{Width: 640, Height: 360})
		watch(t, g, d, 0, 600, c.size)
		if sleeps := d.decoded < 450; sleeps != c.sleeps {
			t.Errorf("%s: decoded %d of 600, want it to sleep: %v", name, d.decoded, c.sleeps)
		}
	}
	// On one that sleeps a jump wakes within 300 ms, and an interval that no jump announced ends the sleeping.
	for name, jump := range map[string]int{"with a jump": 3000, "without": 300} {
		var got []Message
		g := NewGrader("a", func(m Message) { got = append(got, m) })
		d := &drawn{t: t, picture: visit(605), last: -1}
		g.Setup(Alert, ModelOptions{})
		g.Open(d, video.Size{Width: 640, Height: 360})
		watch(t, g, d, 0, 600, even)
		watch(t, g, d, 600, 400, func(n int) int {
			if n >= 605 && n < 675 && n%20 != 0 {
				return jump
			}
			return even(n)
		})
		starts, _ := spans(got)
		if len(starts) != 1 {
			t.Fatalf("%s: got %d intervals, want 1", name, len(starts))
		}
		if delay := int(starts[0].At/tenth) - 605; jump > 300 && delay > 5 {
			t.Errorf("%s: told after %d pictures", name, delay)
		}
		if slept := !g.awake; slept != (jump > 300) {
			t.Errorf("%s: sleeps afterwards: %v", name, slept)
		}
	}
}

// What is damaged, missing or comes anew is no movement.
func TestDamageIsNoMovement(t *testing.T) {
	noise := func(n int) []uint16 { // what a decoder makes of half a picture
		g := room(1, n)
		for i := len(g) / 3; i < 2*len(g)/3; i++ {
			g[i] = uint16(16 * ((i*31 + n*977) % 200))
		}
		return g
	}
	for _, grade := range []Grade{Watching, Alert} {
		var got []Message
		g := NewGrader("a", func(m Message) { got = append(got, m) })
		d := &drawn{t: t, last: -1, bad: func(n int) bool { return n%97 == 5 }}
		hurt := func(n int) bool { return n%97 >= 5 && n/20 == (n-n%97+5)/20 || n%140 > 130 }
		d.picture = func(n int) []uint16 {
			if hurt(n) {
				return noise(n)
			}
			return room(1, n)
		}
		g.Setup(grade, ModelOptions{})
		g.Open(d, video.Size{Width: 640, Height: 360})
		for n := range 1000 {
			if n%300 == 0 {
				g.Open(d, video.Size{Width: 640, Height: 360}) // it reconnects
				d.last = n - 1
			}
			g.Take(&Unit{Camera: "a", Number: uint32(n), PTS: video.Ticks90k(n) * tenth, Keyframe: n%20 == 0, Lost: n%140 > 130, Data: make([]byte, even(n))})
		}
		if starts, _ := spans(got); len(starts) > 0 {
			t.Errorf("grade %d: got %+v", grade, starts[0])
		}
	}
}

// However long a GOP is, what is kept to go back to is bounded.
func TestKeepsBoundedly(t *testing.T) {
	g := NewGrader("a", func(Message) {})
	d := &drawn{t: t, picture: func(n int) []uint16 { return room(1, 0) }, last: -1}
	g.Open(d, video.Size{Width: 640, Height: 360})
	for n := range 5000 {
		g.Take(&Unit{Number: uint32(n), PTS: video.Ticks90k(n) * tenth, Keyframe: n == 0, Data: make([]byte, 20000)})
		if g.held > maxHeldBytes || len(g.gop) > maxHeldUnits {
			t.Fatalf("holds %d bytes, %d units", g.held, len(g.gop))
		}
	}
}

// pacing is a room in which somebody walks to and fro from picture at to end.
func pacing(at, end int) func(n int) []uint16 {
	return func(n int) []uint16 {
		if n < at || n > end {
			return room(1, n)
		}
		x := (n - at) % 220 // 110 cells there, and back
		if x > 110 {
			x = 220 - x
		}
		return person(room(1, n), x)
	}
}

// While somebody is there whom the SOC knows of, keyframes suffice to see that he still is; when he has gone is found exactly.
func TestWatchingDozesWhileMovementGoesOn(t *testing.T) {
	for name, c := range map[string]struct {
		grade Grade
		rouse func(g *Grader)
		most  int // pictures decoded of 400
		least int
	}{
		"watching":             {Watching, func(*Grader) {}, 60, 10},
		"alert":                {Alert, func(*Grader) {}, 420, 400},
		"the grade is raised":  {Watching, func(g *Grader) { g.Setup(Alert, ModelOptions{}) }, 420, 340},
		"a hint in the middle": {Watching, func(g *Grader) { g.Hint() }, 250, 100},
	} {
		var got []Message
		g := NewGrader("a", func(m Message) { got = append(got, m) })
		g.Setup(c.grade, ModelOptions{})
		d := &drawn{t: t, picture: pacing(305, 873), last: -1}
		g.Open(d, video.Size{Width: 640, Height: 360})
		watch(t, g, d, 0, 400, even)
		before := d.decoded + d.keys
		watch(t, g, d, 400, 50, even)
		c.rouse(g)
		watch(t, g, d, 450, 350, even)
		if n := d.decoded + d.keys - before; n > c.most || n < c.least {
			t.Errorf("%s: decoded %d of 400 pictures while he paced, want %d to %d", name, n, c.least, c.most)
		}
		watch(t, g, d, 800, 200, even)
		starts, ends := spans(got)
		if len(starts) != 1 || len(ends) != 1 {
			t.Fatalf("%s: got %d starts and %d ends, want one each", name, len(starts), len(ends))
		}
		if end := int(ends[0].PTS / tenth); end < 868 || end > 876 {
			t.Errorf("%s: ends with %d, he went with 873", name, end)
		}
	}
}
