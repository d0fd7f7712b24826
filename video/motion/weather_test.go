package motion

import (
	"math/rand/v2"
	"testing"

	"sitewatch/video"
)

// rainy draws streaks of rain, lit by the camera, over a picture: many, and each where none was in the picture before.
func rainy(g []uint16, n, streaks int) []uint16 {
	rnd := rand.New(rand.NewPCG(uint64(n), 7))
	for range streaks {
		x, y := rnd.IntN(testW), rnd.IntN(testH-9)
		for i := range 9 {
			g[(y+i)*testW+x] += 16 * 30 // a drop is out of focus and lets through what is behind it
		}
	}
	return g
}

func TestRainIsNoMovement(t *testing.T) {
	for name, streaks := range map[string]func(n int) int{
		"it rains":     func(int) int { return 40 },
		"it pours":     func(int) int { return 70 },
		"rain sets in": func(n int) int { return min(40, max(0, n-60)) },
		"showers":      func(n int) int { return 40 * (n / 50 % 2) },
	} {
		m := NewModel(testW, testH, ModelOptions{})
		if rs, at := play(m, 0, 300, func(n int) []uint16 { return rainy(room(0.4, n), n, streaks(n)) }); len(rs) > 0 {
			t.Errorf("%s: got %q at picture %d", name, rs[0].Why, at[0])
		}
	}
}

// Who walks in the rain is seen, also after it has rained for long, and the interval ends when he has left.
func TestWhoWalksInTheRainIsSeen(t *testing.T) {
	m := NewModel(testW, testH, ModelOptions{})
	rs, at := play(m, 0, 400, func(n int) []uint16 { return rainy(person(room(0.4, n), 2*(n-300)-10), n, 40) })
	if len(rs) < 2 || rs[0].State != Start || at[0] < 300 || at[0] > 307 {
		t.Fatalf("got %d reports, at pictures %v, want the first soon after 300", len(rs), at)
	}
	if end := rs[len(rs)-1]; end.State != End || end.PTS > 375*tenth {
		t.Errorf("got %+v at last, want an end: he left with picture 369", end)
	}
}

// A camera that sends few pictures sees everybody where he was not: a crowd is no rain.
func TestCrowdIsNoRain(t *testing.T) {
	m := NewModel(testW, testH, ModelOptions{})
	crowd := func(n int) []uint16 {
		g := room(1, n)
		if n < 40 {
			return g
		}
		for k := range 12 {
			block(g, 10*k+6*(n%2), 14+36*(k%2), 4, 9)
		}
		return g
	}
	for n := range 60 {
		if r := m.Step(video.Ticks90k(n)*5*tenth, crowd(n)); r.State == Start {
			return
		}
	}
	t.Error("nobody seen")
}

// Asleep a model gets keyframes alone. Rain ends in them too: what is no larger than a drop was is seen again, and the scene is judged.
func TestRainEndsWhileOneSleeps(t *testing.T) {
	m := NewModel(testW, testH, ModelOptions{})
	play(m, 0, 100, func(n int) []uint16 { return rainy(room(0.4, n), n, 40) })
	if !m.wet {
		t.Fatal("it does not rain")
	}
	for k := range 10 {
		n := 100 + 20*k
		if m.Glance(video.Ticks90k(n)*tenth, rainy(room(0.4, n), n, 40), 4) || !m.wet {
			t.Fatalf("keyframe %d in the rain: woke, or took it to be dry", k)
		}
	}
	for k := range 10 {
		n := 300 + 20*k
		if m.Glance(video.Ticks90k(n)*tenth, room(0.4, n), 1) {
			t.Fatalf("keyframe %d after the rain: woke", k)
		}
	}
	if m.wet || m.drop > 0 {
		t.Errorf("20 s later it still rains, with drops of %.0f cells", m.drop)
	}
}
