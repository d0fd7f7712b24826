package rtsp

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"

	"sitewatch/edge"
	"sitewatch/video"
	"sitewatch/video/rtsptest"
)

func TestRepeats(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	noise := func(head byte, n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		b[0] = head
		return b
	}
	unit := func(key bool, nalu []byte) video.AccessUnit {
		return video.AccessUnit{Keyframe: key, Data: video.AppendNALU(nil, nalu)}
	}
	same, sameP, tiny := noise(0x65, 3000), noise(0x41, 900), []byte{0x41, 0x9A, 1, 2, 3}
	film := [][]byte{noise(0x65, 3000), noise(0x65, 3000)}
	for name, c := range map[string]struct {
		picture           func(n int) video.AccessUnit
		repeating, moving bool
	}{
		"pictures of a sensor": {func(n int) video.AccessUnit {
			if n%25 == 0 {
				return unit(true, noise(0x65, 3000))
			}
			return unit(false, noise(0x41, 500))
		}, false, true},
		"nothing moves, at a bit rate that varies": {func(n int) video.AccessUnit {
			if n%50 == 0 {
				return unit(true, noise(0x65, 3000))
			}
			return unit(false, tiny)
		}, false, true},
		"one keyframe again and again": {func(int) video.AccessUnit { return unit(true, same) }, true, false},
		"one keyframe again and again, with numbers in its head": {func(n int) video.AccessUnit {
			b := append([]byte{}, same...)
			b[2] = byte(n)
			return unit(true, b)
		}, true, false},
		"one GOP again and again": {func(n int) video.AccessUnit {
			if n%25 == 0 {
				return unit(true, same)
			}
			return unit(false, noise(0x41, 500))
		}, true, false},
		"one picture between keyframes again and again": {func(n int) video.AccessUnit {
			if n == 0 {
				return unit(true, same)
			}
			return unit(false, sameP)
		}, true, false},
		"a film of two GOPs in a loop": {func(n int) video.AccessUnit {
			if n%25 == 0 {
				return unit(true, film[n/25%2])
			}
			return unit(false, noise(0x41, 500))
		}, false, true},
		"endless GOP": {func(n int) video.AccessUnit {
			if n == 0 {
				return unit(true, same)
			}
			return unit(false, noise(0x41, 500))
		}, false, true},
	} {
		var x repeats
		for n := range 25 * 70 {
			u := c.picture(n)
			u.Arrival = edge.Stamp{Mono: time.Duration(n) * 40 * time.Millisecond}
			x.see(u, video.H264)
			if x.repeating && n < 250 {
				t.Errorf("%s: frozen after %v", name, u.Arrival.Mono)
				break
			}
		}
		if x.repeating != c.repeating || x.moving != c.moving {
			t.Errorf("%s: repeating %v, moving %v, want %v, %v", name, x.repeating, x.moving, c.repeating, c.moving)
		}
	}
}

func TestFrozenAndThawed(t *testing.T) {
	units, err := footage()
	if err != nil {
		t.Fatal(err)
	}
	s, err := rtsptest.Listen(rtsptest.Options{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	cam := s.Camera("stockroom/main")
	frozen := make(chan bool, 1)
	play(t, s, func(n int, still bool) [][]byte {
		if still {
			n = 0
		}
		return units[n%len(units)]
	}, cam, frozen)
	c, sink := start(t, Options{URL: s.URL("stockroom/main"), Frozen: true})
	sink.mu.Lock()
	before := len(sink.still)
	sink.mu.Unlock()
	stillIs := func(want ...string) func() bool {
		return func() bool {
			sink.mu.Lock()
			defer sink.mu.Unlock()
			got := sink.still[before:]
			for i, w := range want {
				if i >= len(got) || !strings.HasPrefix(got[i], w) {
					return false
				}
			}
			return len(got) == len(want)
		}
	}
	waitFor(t, "thawed, as it was frozen in an earlier run", stillIs("thawed"))
	frozen <- true
	waitFor(t, "frozen", stillIs("thawed", "frozen: "+sameAgain))
	if st := c.Status(); st.Frozen == "" || st.Lost {
		t.Errorf("got status %+v, want frozen and not lost", st)
	}
	frozen <- false
	waitFor(t, "thawed", stillIs("thawed", "frozen", "thawed"))
}

// A camera that comes back after a while has its time for a first picture: what is old is not what it shows.
func TestCameraThatComesBackIsNotFrozenAtOnce(t *testing.T) {
	clock := edge.NewSystemClock()
	c := &course{}
	c.picture.Store(int64(clock.Now().Mono - time.Minute))
	s := newSource(Options{Clock: clock}, c)
	s.asm = newAssembler(video.H264, nil, nil, nil, func(video.AccessUnit, int64) {})
	s.onPacket(&rtp.Packet{Header: rtp.Header{SequenceNumber: 1, SSRC: 7}, Payload: []byte{0x67, 1}})
	if age := clock.Now().Mono - time.Duration(c.picture.Load()); age > noNewPicture {
		t.Errorf("the newest picture is %v old by the first packet", age)
	}
}
