package motion

import (
	"math"
	"testing"
)

// street draws houses with windows behind a fence, seen by a camera that is dx and dy cells from its place.
func street(n int, dx, dy float64) []uint16 {
	wall := func(x, y int) float64 {
		switch {
		case x > 120 && y > 80 && (x%9 < 2 || y%14 < 2):
			return 30
		case x%11 < 5 && y%9 < 5:
			return float64(70 + 7*((x/11*5+y/9*3)%9))
		}
		return float64(130 + 6*((x/22+y/18)%4))
	}
	g := make([]uint16, testW*testH)
	for i := range g {
		x, y := float64(i%testW+50)+dx, float64(i/testW+50)+dy
		ix, iy := int(x), int(y)
		rx, ry := x-float64(ix), y-float64(iy)
		v := (wall(ix, iy)*(1-rx)+wall(ix+1, iy)*rx)*(1-ry) + (wall(ix, iy+1)*(1-rx)+wall(ix+1, iy+1)*rx)*ry
		g[i] = uint16(16 * (v + float64((i*7919+n*104729)%7)/4))
	}
	return g
}

// gust is where a camera is that a gust shakes every ten seconds, for a second and a half.
func gust(n int, cells float64) (dx, dy float64) {
	if n < 60 || n%100 >= 75 || n%100 < 60 {
		return 0, 0
	}
	return cells * math.Sin(2.1*float64(n)), cells * math.Cos(1.3*float64(n))
}

func TestShakenCameraSeesNoMovement(t *testing.T) {
	for _, cells := range []float64{0.4, 0.5, 0.8, 1.2} {
		m := NewModel(testW, testH, ModelOptions{})
		if rs, at := play(m, 0, 400, func(n int) []uint16 { dx, dy := gust(n, cells); return street(n, dx, dy) }); len(rs) > 0 {
			t.Errorf("shaken by %v cells: got %q at picture %d", cells, rs[0].Why, at[0])
		}
	}
}

// Who walks while the camera shakes is seen as soon as without, be he far or so near that he fills half of the picture.
func TestWhoWalksBeforeAShakenCameraIsSeen(t *testing.T) {
	for name, draw := range map[string]func(g []uint16, n int){
		"far":              func(g []uint16, n int) { block(g, n-160, 40, 3, 8) },
		"someone":          func(g []uint16, n int) { block(g, 2*(n-160)-10, 30, 12, 30) },
		"before the fence": func(g []uint16, n int) { block(g, n-160+80, 40, 4, 12) },
		"near":             func(g []uint16, n int) { block(g, 12*(n-160)-60, 0, 60, testH) },
	} {
		var told [3]int
		for i, cells := range []float64{0, 0.5, 0.8} {
			m := NewModel(testW, testH, ModelOptions{})
			rs, at := play(m, 0, 175, func(n int) []uint16 {
				dx, dy := gust(n, cells)
				g := street(n, dx, dy)
				if n >= 160 {
					draw(g, n)
				}
				return g
			})
			if len(rs) == 0 || rs[0].State != Start || at[0] < 160 {
				t.Errorf("%s, shaken by %v cells: got %d reports at pictures %v, want the first one after 160", name, cells, len(rs), at)
				continue
			}
			told[i] = at[0]
		}
		if told[1] > told[0]+2 || told[2] > told[0]+3 {
			t.Errorf("%s: told at picture %d, and at %d and %d when the camera shakes", name, told[0], told[1], told[2])
		}
	}
}

// block puts somebody dark into a picture.
func block(g []uint16, at, top, w, h int) {
	for y := top; y < min(testH, top+h); y++ {
		for x := max(0, at); x < min(testW, at+w); x++ {
			g[y*testW+x] = 16 * uint16(20+(x-at+y)%4)
		}
	}
}

// A mask does not hide that the camera shakes, nor does what moves in it pass for that.
func TestShakenCameraWithAMask(t *testing.T) {
	m := NewModel(testW, testH, ModelOptions{Areas: []Area{{Mask: true, Points: []Point{{0, 0}, {32768, 0}, {32768, 65535}, {0, 65535}}}}})
	if rs, at := play(m, 0, 400, func(n int) []uint16 { dx, dy := gust(n, 0.5); return street(n, dx, dy) }); len(rs) > 0 {
		t.Errorf("got %q at picture %d", rs[0].Why, at[0])
	}
}

func BenchmarkShake(b *testing.B) {
	m := NewModel(testW, testH, ModelOptions{})
	play(m, 0, 60, func(n int) []uint16 { return street(n, 0, 0) })
	m.look(street(60, 0.4, 0.3))
	m.compare(1)
	for b.Loop() {
		m.shift()
	}
}
