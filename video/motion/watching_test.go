package motion

import (
	"testing"

	"sitewatch/video"
)

// newWatching returns a grader that watches what is drawn, and has been doing so for n pictures.
func newWatching(t *testing.T, picture func(n int) []uint16, say func(Message), n int) (*Grader, *drawn) {
	d := &drawn{t: t, picture: picture, last: -1}
	g := NewGrader("a", say)
	g.Open(d, video.Size{Width: 640, Height: 360})
	watch(t, g, d, 0, n, even)
	return g, d
}

// Keyframes alone would join two people who come one after the other.
func TestWatchingTellsTwoVisitsApart(t *testing.T) {
	var got []Message
	g, d := newWatching(t, func(n int) []uint16 {
		switch {
		case n >= 305 && n < 350:
			return person(room(1, n), 2*(n-305)-10)
		case n >= 378 && n < 430:
			return person(room(1, n), 2*(n-378)-10)
		}
		return room(1, n)
	}, func(m Message) { got = append(got, m) }, 300)
	watch(t, g, d, 300, 200, even)
	starts, ends := spans(got)
	if len(starts) != 2 || len(ends) != 2 {
		t.Fatalf("got %d starts and %d ends, want two each", len(starts), len(ends))
	}
	for i, want := range []struct{ from, to int }{{305, 350}, {378, 430}} {
		if from, to := int(starts[i].PTS/tenth), int(ends[i].PTS/tenth); from < want.from || from > want.from+5 || to < want.to-10 || to > want.to+20 {
			t.Errorf("visit %d: got pictures %d to %d, want %d to %d", i, from, to, want.from, want.to)
		}
	}
}

// More bytes wake; when they are nothing it sleeps again within a second.
func TestWakingInVainIsShort(t *testing.T) {
	g, d := newWatching(t, func(n int) []uint16 { return room(1, n) }, func(Message) {}, 300)
	before := d.decoded
	watch(t, g, d, 300, 60, func(n int) int {
		if n == 306 || n == 307 {
			return 3000
		}
		return even(n)
	})
	if n := d.decoded - before; n < 8 || n > 20 {
		t.Errorf("decoded %d pictures, want those since the keyframe and a second more", n)
	}
}

// A camera all of whose pictures are keyframes is looked at twice a second, and its visitor found as others are.
func TestWatchingOnlyKeyframes(t *testing.T) {
	var got []Message
	d := &drawn{t: t, picture: visit(305), last: -1}
	g := NewGrader("a", func(m Message) { got = append(got, m) })
	g.Open(d, video.Size{Width: 640, Height: 360})
	take := func(from, to int) {
		for n := from; n < to; n++ {
			g.Take(&Unit{Number: uint32(n), PTS: video.Ticks90k(n) * tenth, Keyframe: true, Data: make([]byte, 20000)})
		}
	}
	take(0, 100)
	before := d.decoded + d.keys
	take(100, 300)
	if n := d.decoded + d.keys - before; n > 42 {
		t.Errorf("decoded %d of 200 quiet pictures", n)
	}
	take(300, 450)
	starts, ends := spans(got)
	if len(starts) != 1 || len(ends) != 1 {
		t.Fatalf("got %d starts and %d ends, want one each", len(starts), len(ends))
	}
	if from, told := starts[0].PTS/tenth, starts[0].At/tenth; from < 300 || from > 310 || told > 315 {
		t.Errorf("begins with %d, told at %d: he came with 305", from, told)
	}
}

// Some cameras send keyframes more and more seldom. An interval must not stay open until there is one.
func TestKeyframesThatStopWhileSomethingMoves(t *testing.T) {
	var got []Message
	g, d := newWatching(t, pacing(305, 410), func(m Message) { got = append(got, m) }, 400)
	for n := 400; n < 500; n++ {
		g.Take(&Unit{Number: uint32(n), PTS: video.Ticks90k(n) * tenth, Keyframe: n == 400, Data: make([]byte, 300)})
	}
	_, ends := spans(got)
	if len(ends) != 1 {
		t.Fatalf("got %d ends, want one though there was no keyframe", len(ends))
	}
	if end := int(ends[0].PTS / tenth); end < 408 || end > 412 || d.decoded == 0 {
		t.Errorf("ends with %d, he went with 410", end)
	}
}

// Until the usual sizes are known nothing would wake before the next keyframe, and who came before it may be gone by then.
func TestRareKeyframesAreNotWaitedForBeforeSizesAreKnown(t *testing.T) {
	for _, gop := range []int{100, 1 << 30} {
		var got []Message
		g := NewGrader("a", func(m Message) { got = append(got, m) })
		d := &drawn{t: t, last: -1, picture: visit(115)}
		g.Open(d, video.Size{Width: 1280, Height: 720})
		g.Setup(Watching, ModelOptions{})
		for n := range 800 {
			g.Take(&Unit{Camera: "a", Number: uint32(n), PTS: video.Ticks90k(n) * tenth, Keyframe: n%gop == 0, Data: make([]byte, 300+n%3)})
		}
		if starts, _ := spans(got); len(starts) != 1 || starts[0].At > 125*tenth {
			t.Errorf("keyframes %d pictures apart: got %d starts, want one: he came with 115, and the next keyframe with 200 at the earliest", gop, len(starts))
		}
		if gop == 100 && d.decoded > 450 {
			t.Errorf("decoded %d pictures of 800: it does not sleep when the sizes are known", d.decoded)
		}
	}
}
