package motion

import (
	"strings"
	"testing"

	"sitewatch/video"
)

const (
	testW, testH = 128, 72
	tenth        = video.Second / 10
)

// room draws a room of checks, with noise that differs from picture to picture.
func room(gain float64, n int) []uint16 {
	g := make([]uint16, testW*testH)
	for i := range g {
		x, y := i%testW, i/testW
		v := gain * float64(80+60*((x/9+y/7)%2))
		g[i] = uint16(16 * min(255, v+float64((i*7919+n*104729)%7)/2))
	}
	return g
}

// person stands in front of it, 12 cells wide and 30 high.
func person(g []uint16, at int) []uint16 {
	for y := 30; y < 60; y++ {
		for x := max(0, at); x < min(testW, at+12); x++ {
			g[y*testW+x] = 16 * uint16(15+(x-at+y)%4)
		}
	}
	return g
}

// play gives a model pictures, ten a second, and returns what it says, each with the picture it said it at.
func play(m *Model, from, n int, picture func(n int) []uint16) (rs []Report, at []int) {
	for i := from; i < from+n; i++ {
		if r := m.Step(video.Ticks90k(i)*tenth, picture(i)); r.State != 0 {
			rs, at = append(rs, r), append(at, i)
		}
	}
	return rs, at
}

func TestSomebodyWalksThrough(t *testing.T) {
	m := NewModel(testW, testH, ModelOptions{})
	if rs, _ := play(m, 0, 60, func(n int) []uint16 { return room(1, n) }); len(rs) > 0 {
		t.Fatalf("got %+v of an empty room", rs)
	}
	rs, at := play(m, 60, 100, func(n int) []uint16 { return person(room(1, n), 2*(n-60)-10) })
	if len(rs) < 3 || rs[0].State != Start || rs[len(rs)-1].State != End {
		t.Fatalf("got %+v, want a start, keeps and an end", rs)
	}
	start, end := rs[0], rs[len(rs)-1]
	if from := int(start.PTS / tenth); from < 60 || from > 64 || at[0] > 66 {
		t.Errorf("begins with picture %d and is told at %d, want within 0.6 s of 60", from, at[0])
	}
	if last := int(end.PTS / tenth); last < 125 || last > 132 || at[len(at)-1] > 151 {
		t.Errorf("ends with picture %d and is told at %d: he left with 129", last, at[len(at)-1])
	}
	if !strings.HasPrefix(start.Why, "region ") || !strings.Contains(start.Why, "crossed") {
		t.Errorf("got why %q", start.Why)
	}
	// He crossed all eight columns of the picture, and none of its upper rows.
	for column := range 8 {
		if end.Where>>(8*4+column)&1 == 0 {
			t.Errorf("where %#x does not have column %d", end.Where, column)
		}
	}
	if end.Where&0xFFFF != 0 {
		t.Errorf("where %#x has rows in which nothing moved", end.Where)
	}
}

func TestLightIsNoMovement(t *testing.T) {
	for name, gain := range map[string]func(n int) float64{
		"a lamp goes off":      func(n int) float64 { return map[bool]float64{true: 1, false: 0.6}[n < 60] },
		"a lamp goes on":       func(n int) float64 { return map[bool]float64{true: 0.5, false: 1}[n < 60] },
		"the sun goes down":    func(n int) float64 { return 1 - float64(n)/300 },
		"a tube flickers":      func(n int) float64 { return 1 - 0.15*float64(n%2) },
		"exposure hunts":       func(n int) float64 { return 1 + 0.2*float64(n/10%3) },
		"the camera goes grey": func(n int) float64 { return map[bool]float64{true: 1, false: 0.02}[n < 60] },
	} {
		m := NewModel(testW, testH, ModelOptions{})
		if rs, _ := play(m, 0, 200, func(n int) []uint16 { return room(gain(n), n) }); len(rs) > 0 {
			t.Errorf("%s: got %+v", name, rs[0])
		}
	}
}

// A camera that sends few pictures sets its exposure by more than noise from one to the next when something large and bright comes.
// That is no new light: what came is still what moves.
func TestExposureThatAnswersToWhatMovesHidesNothing(t *testing.T) {
	const from = 40
	for _, seconds := range []float64{0.1, 0.5, 1} {
		m := NewModel(testW, testH, ModelOptions{})
		each := video.Ticks90k(seconds * float64(video.Second))
		var rs []Report
		for n := range from + 20 {
			g := room(1, n)
			if n >= from {
				g = room(1-0.06*float64(min(n-from+1, 6)), n)
				for y := 20; y < 60; y++ {
					for x := max(0, 8*(n-from)-24); x < min(testW, 8*(n-from)+16); x++ {
						g[y*testW+x] = uint16(16 * (180 + 5*((x+y)%3)))
					}
				}
			}
			at := video.Ticks90k(n) * each
			if r := m.Step(at, g); r.State != 0 {
				rs = append(rs, r)
				if r.State == Start && n > from+3 {
					t.Errorf("a picture in %v s: told with picture %d of him", seconds, n-from)
				}
			}
		}
		if len(rs) == 0 || rs[0].State != Start {
			t.Errorf("a picture in %v s: got %+v, want somebody seen", seconds, rs)
		}
	}
}

// Leaves move in places of their own, over and over.
func TestFoliageIsNoMovementButAHandBeforeItIs(t *testing.T) {
	leaves := func(n int) []uint16 {
		g := room(1, n)
		for k := range 60 {
			x, y := k*37%120, k*23%68
			x += (n/2 + k) * (1 + k%3) % 5
			for i := range 12 {
				g[(y+i/4)*testW+x+i%4] = uint16(16 * (30 + 40*((k+n/3)%4)))
			}
		}
		return g
	}
	m := NewModel(testW, testH, ModelOptions{})
	play(m, 0, 100, leaves) // it has to get to know them
	if rs, _ := play(m, 100, 600, leaves); len(rs) > 0 {
		t.Errorf("got %+v of leaves", rs[0])
	}
	if rs, _ := play(m, 700, 60, func(n int) []uint16 { return person(leaves(n), 2*(n-700)-10) }); len(rs) == 0 {
		t.Error("did not see somebody before the leaves")
	}
}

// Who stands still for long becomes part of the room; when he goes, the place where he stood is no second person.
func TestNoGhostIsLeftBehind(t *testing.T) {
	m := NewModel(testW, testH, ModelOptions{})
	where := func(n int) int { return max(0, min(2*(n-60), 60), 2*(n-500)+60) }
	rs, at := play(m, 0, 650, func(n int) []uint16 {
		if n < 60 {
			return room(1, n)
		}
		return person(room(1, n), where(n))
	})
	last := len(rs) - 1
	if last < 0 || rs[last].State != End || rs[last].PTS > 540*tenth || at[last] > 560 {
		t.Errorf("got %+v at %d last: he left with picture 534", rs[last], at[last])
	}
}

func TestAreas(t *testing.T) {
	upper := Area{Points: []Point{{0, 0}, {65535, 0}, {65535, 20000}, {0, 20000}}}
	mask := Area{Mask: true, Points: []Point{{0, 24000}, {65535, 24000}, {65535, 58000}, {0, 58000}}}
	for name, c := range map[string]struct {
		opt  ModelOptions
		sees bool
	}{
		"all of the picture":    {ModelOptions{}, true},
		"another region":        {ModelOptions{Areas: []Area{upper}}, false},
		"a mask over him":       {ModelOptions{Areas: []Area{mask}}, false},
		"larger than he is":     {ModelOptions{MinSize: 0.2}, false},
		"a region of all of it": {ModelOptions{Areas: []Area{{Points: []Point{{0, 0}, {65535, 0}, {65535, 65535}, {0, 65535}}}}}, true},
	} {
		m := NewModel(testW, testH, c.opt)
		rs, _ := play(m, 0, 130, func(n int) []uint16 {
			if n < 60 {
				return room(1, n)
			}
			return person(room(1, n), 2*(n-60)-10)
		})
		if (len(rs) > 0) != c.sees {
			t.Errorf("%s: got %d reports, want some: %v", name, len(rs), c.sees)
		}
	}
}

// A clock that jumps or a camera that was away says nothing about movement.
func TestTimeJumps(t *testing.T) {
	m := NewModel(testW, testH, ModelOptions{})
	play(m, 0, 60, func(n int) []uint16 { return room(1, n) })
	for _, from := range []int{100000, 50000, 50300} {
		if rs, _ := play(m, from, 60, func(n int) []uint16 { return room(1, n+from) }); len(rs) > 0 {
			t.Errorf("from picture %d: got %+v", from, rs)
		}
	}
}

func BenchmarkModel(b *testing.B) {
	m := NewModel(testW, testH, ModelOptions{})
	var pictures [16][]uint16
	for n := range pictures {
		pictures[n] = room(1, n)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		m.Step(video.Ticks90k(n)*tenth, pictures[n%len(pictures)])
	}
}
