package motion

import (
	"fmt"
	"testing"

	"sitewatch/video"
)

func TestScenes(t *testing.T) {
	shop := func(n int) []uint16 { // with things of its own everywhere
		g := room(1, n)
		for k := range 25 {
			x, y := k*41%110, k*29%60
			for i := range 80 {
				g[(y+i/10)*testW+x+i%10] = uint16(16 * (20 + k*8))
			}
		}
		return g
	}
	shifted := func(n int) []uint16 {
		g := shop(n)
		out := make([]uint16, len(g))
		for i := range g {
			out[i] = g[i/testW*testW+(i%testW+20)%testW]
		}
		return out
	}
	dim := func(n int) []uint16 {
		g := shop(n)
		for i := range g {
			g[i] /= 5
		}
		return g
	}
	lorry := func(n int) []uint16 { return person(person(person(person(shop(n), 20), 32), 44), 56) }
	for name, c := range map[string]struct {
		what  func(n int) []uint16
		sharp float64
		want  string
	}{
		"as ever":          {shop, 0.25, "[]"},
		"the light goes":   {dim, 0.25, "[]"},
		"a lorry stops":    {lorry, 0.25, "[]"},
		"covered":          {grey, 0.5, "[covered 1 covered 3]"},
		"turned away":      {shifted, 0.25, "[moved 1 moved 3]"},
		"out of focus":     {shop, 0.1, "[defocused 1 defocused 3]"},
		"a little blurred": {shop, 0.16, "[]"},
	} {
		var s scene
		cells := newCells(testW, testH)
		var got []string
		for n := range 120 {
			picture, sharp := shop(n), 0.25
			if n >= 40 && n < 80 {
				picture, sharp = c.what(n), c.sharp
			}
			cells.look(picture)
			trouble, state, why := s.look(video.Ticks90k(n)*video.Second, cells, sharp)
			if trouble == 0 {
				continue
			}
			got = append(got, fmt.Sprint(trouble, state))
			if why == "" || state == Start && (n < 45 || n > 55) || state == End && (n < 85 || n > 95) {
				t.Errorf("%s: %v %d at %d s, %q: want it told within 15 s of 40 and 80", name, trouble, state, n, why)
			}
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: got %v, want %s", name, got, c.want)
		}
	}
}

// grey is all that a covered camera sees.
func grey(n int) []uint16 {
	g := make([]uint16, testW*testH)
	for i := range g {
		g[i] = uint16(16*40 + (i*7919+n*104729)%20)
	}
	return g
}

// A camera that is covered for the night sees again when what covers it has gone, not before.
func TestCoverIsNoView(t *testing.T) {
	var s scene
	cells := newCells(testW, testH)
	var told []string
	for n := range 2000 {
		at := video.Ticks90k(n) * video.Second
		picture := room(1, n)
		switch {
		case n >= 40 && n < 1960:
			picture, at = grey(n), at+video.Ticks90k(n-40)*20*video.Second // for eleven hours
		case n >= 1960:
			at += 1920 * 20 * video.Second
		}
		cells.look(picture)
		if trouble, state, why := s.look(at, cells, 0); trouble != 0 {
			told = append(told, fmt.Sprint(trouble, state))
			if state == End && n < 1960 {
				t.Errorf("%q while it is covered", why)
			}
		}
	}
	if fmt.Sprint(told) != "[covered 1 covered 3]" {
		t.Errorf("got %v, want covered, once, and its end", told)
	}
}

// Who turns a camera and means it has a new usual picture after ten minutes.
func TestNewViewIsAdopted(t *testing.T) {
	var s scene
	cells := newCells(testW, testH)
	told := ""
	for n := range 800 {
		picture := room(1, n)
		if n >= 40 {
			for i, j := 0, len(picture)-1; i < j; i, j = i+1, j-1 { // upside down, and with something else in it
				picture[i], picture[j] = picture[j], picture[i]
			}
			picture = person(picture, 50)
			for i := range picture {
				picture[i] = 255*16 - picture[i]
			}
		}
		cells.look(picture)
		if trouble, state, _ := s.look(video.Ticks90k(n)*video.Second, cells, 0); trouble != 0 {
			told += fmt.Sprint(trouble, state, " ")
		}
	}
	if told != "moved 1 moved 3 " || s.told != 0 {
		t.Errorf("got %q, want moved, once, and its end", told)
	}
}

// Whoever fills the picture while a camera is new is no part of the usual one: bare ground that he leaves behind is not covered.
func TestWhoPassesIsNotTheUsualPicture(t *testing.T) {
	ground := func(n int) []uint16 { // asphalt: texture of its own, and little of it
		g := make([]uint16, testW*testH)
		for i := range g {
			g[i] = uint16(16*90 + 16*2*((i%testW/5+i/testW/5)%2) + (i*7919+n*104729)%9)
		}
		return g
	}
	car := func(g []uint16, at int) []uint16 {
		for y := 10; y < 70; y++ {
			for x := max(0, at); x < min(testW, at+90); x++ {
				g[y*testW+x] = uint16(16 * (30 + 190*((x-at)/6%2^y/6%2)))
			}
		}
		return g
	}
	shop := func(n int) []uint16 { return room(1, n) }
	for name, c := range map[string]struct {
		what     func(n int) []uint16 // five a second
		want     string
		from, by int // pictures between which it is told
	}{
		"a car in the first seconds": {func(n int) []uint16 {
			if n < 20 || n >= 40 {
				return ground(n)
			}
			return car(ground(n), 10*(n-20)-90)
		}, "[]", 0, 0},
		"a car in the first picture": {func(n int) []uint16 { return car(ground(n), 10*n) }, "[]", 0, 0},
		"a car, then it is covered": {func(n int) []uint16 {
			if n < 200 {
				return car(shop(n), 10*n-100)
			}
			return make([]uint16, testW*testH)
		}, "[covered 1]", 200, 260},
	} {
		var got []string
		at, n := 0, 0
		g := NewGrader("x", func(m Message) {
			if s, ok := m.(*Scene); ok {
				got, at = append(got, fmt.Sprint(s.Trouble, " ", int(s.State))), n
			}
		})
		m := g.of(Grid{Width: testW, Height: testH})
		for n = range 500 {
			pts := video.Ticks90k(n) * video.Second / 5
			m.Step(pts, c.what(n))
			g.see(pts, 0)
		}
		if fmt.Sprint(got) != c.want || len(got) > 0 && (at < c.from || at > c.by) {
			t.Errorf("%s: got %v, at picture %d, want %s between %d and %d", name, got, at, c.want, c.from, c.by)
		}
	}
}

// A scene of which no picture is like another is taken as it is after a minute. Here it is one at last.
func TestBusySceneIsKnownAfterAMinute(t *testing.T) {
	var s scene
	cells := newCells(testW, testH)
	told := ""
	for n := range 160 {
		picture := room(1, n)
		if n < 60 {
			for i := range picture {
				picture[i] = uint16(16 * (60 + 100*((i%testW+3*n)*n/9%2)))
			}
		}
		if n >= 140 {
			clear(picture)
		}
		cells.look(picture)
		for i := range cells.differs {
			cells.differs[i] = i%20 == 0
		}
		if trouble, state, _ := s.look(video.Ticks90k(n)*video.Second, cells, 0); trouble != 0 {
			told += fmt.Sprint(trouble, state, " at ", n)
		}
	}
	if told != "covered 1 at 146" {
		t.Errorf("got %q, want covered at 146", told)
	}
}
