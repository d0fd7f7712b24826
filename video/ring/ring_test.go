package ring

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/video"
)

var params = video.Params{Codec: video.H264, SPS: []byte{0x67}, PPS: []byte{0x68}}

// unit is picture n of a stream of ten a second with a GOP of a second; its first byte says which it is.
func unit(n, size int) video.AccessUnit {
	data := make([]byte, size)
	data[0] = byte(n)
	at := time.Duration(n) * 100 * time.Millisecond
	return video.AccessUnit{Data: data, Keyframe: n%10 == 0, PTS: video.TicksOf(at), Arrival: edge.Stamp{Mono: at}}
}

func fill(r *Ring, from, to, size int) {
	for n := from; n < to; n++ {
		r.Push(unit(n, size), params)
	}
}

func next(t *testing.T, rd *Reader) video.AccessUnit {
	t.Helper()
	u, _, err := rd.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestKeepsWholeGOPsForTheTimeAsked(t *testing.T) {
	r := New(Options{Keep: 3 * time.Second, LimitBytes: 1 << 20})
	fill(r, 3, 10, 100) // no IDR yet
	if s := r.Stats(); s.Units != 0 || s.Dropped != 7 {
		t.Errorf("before the first IDR: got %+v, want nothing held", s)
	}
	fill(r, 10, 75, 100)
	// At 7.4 s three seconds back is 4.4 s: the GOP of 4.0 s is the oldest that is needed.
	if got := next(t, r.From(0)); got.Data[0] != 40 {
		t.Errorf("oldest: got picture %d, want 40", got.Data[0])
	}
	for _, c := range []struct {
		mono time.Duration
		want byte
	}{{5500 * time.Millisecond, 50}, {6 * time.Second, 60}, {9 * time.Second, 70}, {0, 40}} {
		rd := r.From(c.mono)
		if got := next(t, rd); got.Data[0] != c.want || !got.Keyframe {
			t.Errorf("from %v: got picture %d, want %d", c.mono, got.Data[0], c.want)
		}
		if got := next(t, rd); got.Data[0] != c.want+1 {
			t.Errorf("from %v: then got picture %d, want %d", c.mono, got.Data[0], c.want+1)
		}
		if u, _, ok := r.Keyframe(c.mono); !ok || u.Data[0] != c.want {
			t.Errorf("keyframe at %v: got %d, want %d", c.mono, u.Data[0], c.want)
		}
	}
}

func TestBoundedByBytes(t *testing.T) {
	limit := int64(25 * (1000 + unitOverhead))
	r := New(Options{Keep: time.Hour, LimitBytes: limit})
	for n := range 200 {
		r.Push(unit(n, 1000), params)
		if s := r.Stats(); s.Bytes > limit || s.Units == 0 {
			t.Fatalf("after picture %d: got %+v, limit %d", n, s, limit)
		}
	}
	if got := next(t, r.From(0)); got.Data[0] != 180 {
		t.Errorf("oldest: got picture %d, want 180", got.Data[0])
	}
}

func TestGOPOverTheLimitIsDroppedToTheNextIDR(t *testing.T) {
	r := New(Options{Keep: time.Hour, LimitBytes: 5000})
	fill(r, 0, 10, 1000)
	if s := r.Stats(); s.Units != 0 || s.Bytes != 0 || s.Dropped != 10 {
		t.Errorf("got %+v, want an empty ring and 10 dropped", s)
	}
	fill(r, 10, 13, 1000)
	if got := next(t, r.From(0)); got.Data[0] != 10 {
		t.Errorf("got picture %d, want 10", got.Data[0])
	}
	if _, _, ok := New(Options{}).Keyframe(0); ok {
		t.Error("an empty ring has a keyframe")
	}
}

func TestReaderFollowsLive(t *testing.T) {
	r := New(Options{Keep: 5 * time.Second, LimitBytes: 1 << 20})
	rd := r.From(0)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, _, err := rd.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("empty ring: got %v, want the deadline", err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { fill(r, 0, 30, 10) })
	for n := range 30 {
		if got := next(t, rd); got.Data[0] != byte(n) {
			t.Fatalf("got picture %d, want %d", got.Data[0], n)
		}
	}
	wg.Wait()
}

func TestReaderLeavesAloneWhatADeadCameraSentLongBefore(t *testing.T) {
	r := New(Options{Keep: 5 * time.Second, LimitBytes: 1 << 20})
	fill(r, 0, 15, 10)
	rd := r.From(time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if u, _, err := rd.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got picture %d, %v, want to wait", u.Data, err)
	}
	r.Push(video.AccessUnit{Data: []byte{99}, Keyframe: true, Arrival: edge.Stamp{Mono: time.Hour + time.Minute}}, params)
	if got := next(t, rd); got.Data[0] != 99 {
		t.Errorf("got picture %d, want the one that came when the camera was back", got.Data[0])
	}
}

func TestSlowReaderIsTold(t *testing.T) {
	r := New(Options{Keep: 2 * time.Second, LimitBytes: 1 << 20})
	fill(r, 0, 15, 10)
	rd := r.From(0)
	next(t, rd)
	fill(r, 15, 95, 10)
	if _, _, err := rd.Next(t.Context()); !errors.Is(err, ErrOverrun) {
		t.Fatalf("got %v, want ErrOverrun", err)
	}
	if got := next(t, rd); got.Data[0] != 70 || !got.Keyframe {
		t.Errorf("then got picture %d, want 70, an IDR", got.Data[0])
	}
}

// Whatever is pushed, the ring stays within its bounds, starts at an IDR and gives units in order.
func FuzzPush(f *testing.F) {
	f.Add(uint64(1), []byte{10, 200, 3, 255, 0})
	f.Fuzz(func(t *testing.T, seed uint64, sizes []byte) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		r := New(Options{Keep: time.Duration(rnd.IntN(5)) * time.Second, LimitBytes: int64(rnd.IntN(5000))})
		rd := r.From(0)
		var mono time.Duration
		last, fresh := video.Ticks90k(-1), true
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for i, s := range sizes {
			mono += time.Duration(rnd.IntN(400)) * time.Millisecond
			r.Push(video.AccessUnit{Data: make([]byte, int(s)), PTS: video.Ticks90k(i), Keyframe: rnd.IntN(4) == 0,
				Arrival: edge.Stamp{Mono: mono}}, params)
			if st := r.Stats(); st.Bytes > r.opt.LimitBytes || st.Bytes < 0 || (st.GOPs == 0) != (st.Units == 0) {
				t.Fatalf("got %+v with a limit of %d", st, r.opt.LimitBytes)
			}
			if rnd.IntN(3) != 0 {
				continue
			}
			switch u, _, err := rd.Next(ctx); {
			case errors.Is(err, ErrOverrun):
				fresh = true
			case err == nil:
				if u.PTS <= last || (fresh && !u.Keyframe) {
					t.Fatalf("got picture %d (IDR %v) after %d, fresh %v", u.PTS, u.Keyframe, last, fresh)
				}
				last, fresh = u.PTS, false
			}
		}
	})
}

func BenchmarkPush(b *testing.B) {
	r := New(Options{Keep: 15 * time.Second, LimitBytes: 16 << 20})
	data := make([]byte, 20_000)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		at := time.Duration(n) * 66 * time.Millisecond
		r.Push(video.AccessUnit{Data: data, Keyframe: n%30 == 0, Arrival: edge.Stamp{Mono: at}}, params)
	}
}

func TestSoundLiesBetweenThePictures(t *testing.T) {
	r := New(Options{Keep: time.Minute, LimitBytes: 1 << 20})
	sound := &video.AudioParams{Codec: video.PCMU, Rate: 8000, Channels: 1}
	push := func(mono time.Duration, key bool, a *video.AudioParams) {
		r.Push(video.AccessUnit{Data: []byte{1}, Keyframe: key, Audio: a, Arrival: edge.Stamp{Mono: mono}}, params)
	}
	push(1, false, sound) // nothing to hear it with
	push(2, true, nil)
	push(3, false, sound)
	push(4, false, nil)
	rd := r.From(3)
	var got []bool
	for range 3 {
		u, _, err := rd.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, u.Audio != nil)
	}
	if want := []bool{false, true, false}; !slices.Equal(got, want) {
		t.Errorf("got sound %v, want %v", got, want)
	}
	if s := r.Stats(); s.GOPs != 1 || s.Units != 3 || s.Dropped != 1 {
		t.Errorf("got %+v, want one GOP of 3 units and 1 dropped", s)
	}
}
