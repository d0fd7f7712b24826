package rtsp

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
	"sitewatch/video"
	"sitewatch/video/rtsptest"
)

func TestMain(m *testing.M) { edgetest.Main(m) }

// footage is two seconds of test picture, an IDR every half second.
var footage = sync.OnceValues(func() (units [][][]byte, err error) {
	err = rtsptest.Encode(context.Background(), nil, rtsptest.TestPicture(320, 240, 20, 10, 2), func(n [][]byte) error {
		units = append(units, n)
		return nil
	})
	return units, err
})

// footageSlices is the same with four slices to a picture.
var footageSlices = sync.OnceValues(func() (units [][][]byte, err error) {
	err = rtsptest.Encode(context.Background(), nil, append(rtsptest.TestPicture(320, 240, 20, 10, 2), "-slices", "4"), func(n [][]byte) error {
		units = append(units, n)
		return nil
	})
	return units, err
})

// footage265 is the same in H.265, footage265Open with B-pictures and CRA pictures.
var (
	footage265 = sync.OnceValues(func() (units [][][]byte, err error) {
		err = rtsptest.Encode265(context.Background(), nil, rtsptest.TestPicture265(320, 240, 20, 10, 2, false), func(n [][]byte) error {
			units = append(units, n)
			return nil
		})
		return units, err
	})
	footage265Open = sync.OnceValues(func() (units [][][]byte, err error) {
		err = rtsptest.Encode265(context.Background(), nil, rtsptest.TestPicture265(320, 240, 20, 10, 2, true), func(n [][]byte) error {
			units = append(units, n)
			return nil
		})
		return units, err
	})
)

// serve starts a server with one camera that plays the footage in a loop until the test ends.
func serve(t *testing.T, opt rtsptest.Options, fault rtsptest.Fault) (*rtsptest.Server, *rtsptest.Camera) {
	t.Helper()
	return serveFilm(t, opt, fault, footage)
}

func serveFilm(t *testing.T, opt rtsptest.Options, fault rtsptest.Fault, film func() ([][][]byte, error)) (*rtsptest.Server, *rtsptest.Camera) {
	t.Helper()
	units, err := film()
	if err != nil {
		t.Fatal(err)
	}
	opt.Addr = "127.0.0.1:0"
	s, err := rtsptest.Listen(opt)
	if err != nil {
		t.Fatal(err)
	}
	cam := s.Camera("stockroom/main")
	cam.Set(fault)
	play(t, s, func(n int, _ bool) [][]byte { return units[n%len(units)] }, cam, nil)
	return s, cam
}

// play runs the server and shows what picture says, until the test ends; the first one is there when it returns. What comes out of still is handed to picture from then on.
func play(t testing.TB, s *rtsptest.Server, picture func(n int, still bool) [][]byte, cam *rtsptest.Camera, still <-chan bool) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	show := func(n int, on bool) {
		if err := cam.Write(picture(n, on), uint32(1<<32-90000+n*4500)); err != nil && ctx.Err() == nil {
			t.Log(err)
		}
	}
	show(0, false) // a client that is faster would be told that there is no picture
	wg.Go(func() { s.Run(ctx) })
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond) // faster than it says: tests wait less
		defer tick.Stop()
		on := false
		for n := 1; ctx.Err() == nil; n++ {
			<-tick.C
			select {
			case on = <-still:
			default:
			}
			show(n, on)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// seen is a Sink that remembers.
type seen struct {
	mu     sync.Mutex
	units  []video.AccessUnit
	params []video.Params
	health []string
	still  []string
	enough func() // called when some have come
}

func (s *seen) OnUnit(u video.AccessUnit, p video.Params) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.units, s.params = append(s.units, u), append(s.params, p)
	if s.enough != nil && len(s.units) == 5 {
		s.enough()
	}
}
func (s *seen) Lost(_ context.Context, reason string)   { s.said("lost: " + reason) }
func (s *seen) Restored(context.Context)                { s.said("restored") }
func (s *seen) Frozen(_ context.Context, reason string) { s.stillness("frozen: " + reason) }
func (s *seen) Thawed(context.Context)                  { s.stillness("thawed") }
func (s *seen) stillness(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.still = append(s.still, what)
}
func (s *seen) said(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.health = append(s.health, what)
}
func (s *seen) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.units)
}

// lost says whether the last word is that the camera is lost.
func (s *seen) lost() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.health)%2 == 1
}
func (s *seen) healthIs(n int) func() bool {
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.health) >= n
	}
}

func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !cond(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// start runs a Camera with limits a tenth of the real ones, where opt has none.
func start(t *testing.T, opt Options) (*Camera, *seen) {
	t.Helper()
	sink := &seen{}
	opt.ID, opt.Sink, opt.Clock, opt.Log = "stockroom", sink, edge.NewSystemClock(), slog.New(slog.NewTextHandler(io.Discard, nil))
	opt.LostAfter, opt.StallAfter = cmp.Or(opt.LostAfter, 900*time.Millisecond), cmp.Or(opt.StallAfter, 500*time.Millisecond)
	opt.RetryMax, opt.RefusedFor = 300*time.Millisecond, 400*time.Millisecond
	c, err := NewCamera(opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { c.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return c, sink
}

func passwordFile(t *testing.T, pw string) string {
	path := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(path, []byte(pw+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPicturesComeThrough(t *testing.T) {
	for name, c := range map[string]struct {
		server rtsptest.Options
		fault  rtsptest.Fault
		user   string
		film   func() ([][][]byte, error)
	}{
		"nobody asks":                      {},
		"digest with MD5":                  {server: rtsptest.Options{User: "sitewatch", Password: "hall und rauch"}, user: "sitewatch"},
		"digest with SHA-256":              {server: rtsptest.Options{User: "sitewatch", Password: "hall und rauch", SHA256: true}, user: "sitewatch"},
		"parameters in the pictures alone": {fault: rtsptest.NoParameters},
		"H.265":                            {film: footage265},
		"H.265, parameters in the pictures alone": {film: footage265, fault: rtsptest.NoParameters},
	} {
		t.Run(name, func(t *testing.T) {
			if c.film == nil {
				c.film = footage
			}
			s, _ := serveFilm(t, c.server, c.fault, c.film)
			cam, sink := start(t, Options{URL: s.URL("stockroom/main"), User: c.user, PasswordFile: passwordFile(t, c.server.Password),
				LostAfter: time.Minute, StallAfter: time.Minute}) // one connection, however busy the machine is
			waitFor(t, "60 pictures", func() bool { return sink.count() >= 60 }) // over the wrap of RTP time
			sink.mu.Lock()
			defer sink.mu.Unlock()
			if !sink.units[0].Keyframe || sink.units[0].PTS != 0 {
				t.Errorf("first picture: IDR %v, PTS %d, want an IDR at 0", sink.units[0].Keyframe, sink.units[0].PTS)
			}
			for i := 1; i < len(sink.units); i++ {
				if d := sink.units[i].PTS - sink.units[i-1].PTS; d != 4500 {
					t.Errorf("picture %d came %d ticks after the one before, want 4500", i, d)
				}
			}
			if got, want := sink.params[0].Size, (video.Size{Width: 320, Height: 240}); got != want {
				t.Errorf("got size %v, want %v", got, want)
			}
			if st := cam.Status(); st.Lost || st.Trouble != "" || st.Units < 60 {
				t.Errorf("got status %+v", st)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	for name, c := range map[string]struct {
		fault  func(s *rtsptest.Server, cam *rtsptest.Camera, on bool)
		reason string
	}{
		"stalls with the connection open": {func(_ *rtsptest.Server, cam *rtsptest.Camera, on bool) {
			cam.Set(map[bool]rtsptest.Fault{true: rtsptest.Stall}[on])
		}, "no pictures"},
		"dies and comes back": {func(s *rtsptest.Server, _ *rtsptest.Camera, on bool) { s.SetDown(on) }, ""},
		"sends rubbish": {func(_ *rtsptest.Server, cam *rtsptest.Camera, on bool) {
			cam.Set(map[bool]rtsptest.Fault{true: rtsptest.Rubbish}[on])
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, server := serve(t, rtsptest.Options{}, rtsptest.None)
			cam, sink := start(t, Options{URL: s.URL("stockroom/main")})
			waitFor(t, "pictures", func() bool { return sink.count() > 5 })
			c.fault(s, server, true)
			// A machine that is held up may lose the camera a time more.
			waitFor(t, "camera-lost, and why", func() bool {
				why := cam.Trouble()
				return sink.lost() && why != "" && strings.Contains(why, c.reason)
			})
			n := sink.count()
			c.fault(s, server, false)
			waitFor(t, "restored", func() bool { return !sink.lost() })
			waitFor(t, "pictures again", func() bool { return sink.count() > n+20 })
			sink.mu.Lock()
			defer sink.mu.Unlock()
			for i, h := range sink.health { // random bytes may once in a while be taken for a picture
				if want := []string{"lost: ", "restored"}[i%2]; !strings.HasPrefix(h, want) || len(h) == len("lost: ") {
					t.Errorf("got %q, want lost and why, restored", sink.health)
				}
			}
			for i := 1; i < len(sink.units); i++ {
				if sink.units[i].PTS <= sink.units[i-1].PTS {
					t.Errorf("PTS went from %d to %d", sink.units[i-1].PTS, sink.units[i].PTS)
				}
			}
		})
	}
}

func TestAbsentAtStart(t *testing.T) {
	s, _ := serve(t, rtsptest.Options{}, rtsptest.None)
	s.SetDown(true)
	_, sink := start(t, Options{URL: s.URL("stockroom/main")})
	waitFor(t, "camera-lost", sink.healthIs(1))
	s.SetDown(false)
	waitFor(t, "restored", sink.healthIs(2))
}

func TestWhyItIsLost(t *testing.T) {
	for name, c := range map[string]struct {
		server rtsptest.Options
		opt    Options
		want   error
	}{
		"wrong password": {rtsptest.Options{User: "u", Password: "right"}, Options{User: "u"}, ErrRefused},
		"no user":        {rtsptest.Options{User: "u", Password: "right"}, Options{}, ErrRefused},
		"Basic only":     {rtsptest.Options{User: "u", Password: "wrong-secret", Basic: true}, Options{User: "u"}, ErrBasic},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := serve(t, c.server, rtsptest.None)
			c.opt.URL = s.URL("stockroom/main")
			c.opt.PasswordFile = passwordFile(t, "wrong-secret")
			c.opt.Clock, c.opt.Sink = edge.NewSystemClock(), &seen{}
			err := NewSource(c.opt).Run(t.Context())
			if !errors.Is(err, c.want) || edge.HintOf(err) == "" {
				t.Errorf("got %v (hint %q), want %v", err, edge.HintOf(err), c.want)
			}
			if strings.Contains(err.Error(), "wrong-secret") {
				t.Errorf("the password is in %q", err)
			}
		})
	}
	s, _ := serve(t, rtsptest.Options{}, rtsptest.None)
	o := Options{URL: s.URL("elsewhere"), Clock: edge.NewSystemClock(), Sink: &seen{}}
	if err := NewSource(o).Run(t.Context()); err == nil || edge.HintOf(err) == "" {
		t.Errorf("unknown path: got %v, want a hint", err)
	}
	o.URL, o.PasswordFile = s.URL("stockroom/main"), "/nonexistent/pw"
	if err := NewSource(o).Run(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no password file: got %v", err)
	}
}

func TestAddress(t *testing.T) {
	for _, bad := range []string{"", "camera", "http://camera/main", "rtsp://user:hush@camera/main", "rtsp://user:hu%sh@camera/main", "rtsp:///main"} {
		_, err := NewCamera(Options{URL: bad})
		if !errors.Is(err, ErrAddress) || edge.HintOf(err) == "" {
			t.Errorf("%q: got %v, want ErrAddress with a hint", bad, err)
		} else if strings.Contains(err.Error(), "hu") {
			t.Errorf("%q: password in %q", bad, err)
		}
	}
	got := safeText(errors.New("dial rtsp://u:hush@cam/x\x1b[2J: hush"), "hush")
	if strings.Contains(got, "hush") || strings.Contains(got, "\x1b") {
		t.Errorf("got %q", got)
	}
}

func TestLossDropsToTheNextWholeIDR(t *testing.T) {
	s, cam := serve(t, rtsptest.Options{}, rtsptest.None)
	c, sink := start(t, Options{URL: s.URL("stockroom/main")})
	waitFor(t, "pictures", func() bool { return sink.count() > 5 })
	cam.Set(rtsptest.Lossy)
	waitFor(t, "losses", func() bool { n := sink.count(); return n > 60 })
	sink.mu.Lock()
	defer sink.mu.Unlock()
	broken := 0
	for i := 1; i < len(sink.units); i++ {
		if sink.units[i].PTS-sink.units[i-1].PTS == 4500 {
			continue
		}
		if broken++; !sink.units[i].Keyframe {
			t.Errorf("after a loss picture %d is no IDR", i)
		}
	}
	if broken == 0 {
		t.Error("no loss was seen")
	}
	_ = c
}
