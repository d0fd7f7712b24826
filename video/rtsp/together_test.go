package rtsp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
	"sitewatch/video"
	"sitewatch/video/rtsptest"
)

// most is how far the heap may grow with the whole catalogue connected, the servers' part in it: half of the one unit of
// 200 MB that is among what they send.
const most = 96 << 20

// TestAllBadCamerasTogether looks at the whole catalogue at once, with four good cameras beside it.
func TestAllBadCamerasTogether(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	t.Cleanup(func() { // after the good cameras' end
		if err := edgetest.Leaked(ignore); err != nil {
			t.Error(err)
		}
	})
	passwords := passwordFile(t, "hall und rauch")
	good := goodCameras(t)
	before, base := descriptors(t), heap()

	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	look := func(id edge.CameraID, url string, sink Sink) *Camera {
		stall, keyframe := patience(string(id))
		c, err := NewCamera(Options{ID: id, URL: url, User: "u", PasswordFile: passwords, Sink: sink, Clock: edge.NewSystemClock(),
			Log: slog.New(slog.NewTextHandler(io.Discard, nil)), StallAfter: stall, KeyframeAfter: keyframe, UDPWait: stall})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { c.Run(ctx) })
		return c
	}
	var goods []*Camera
	var sinks []*seen
	for i := range 4 {
		sink := &seen{}
		sinks, goods = append(sinks, sink), append(goods, look(edge.CameraID(fmt.Sprint("good-", i)), good.URL(fmt.Sprint("good-", i)), sink))
	}
	bads, frozen := map[string]*Camera{}, &stillness{}
	for _, b := range rtsptest.Catalogue() {
		s, err := b.Listen("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { s.Run(ctx) })
		sink := &stillness{}
		if b.Name == "frozen" {
			sink = frozen
		}
		bads[b.Name] = look(edge.CameraID(b.Name), s.URL("main"), sink)
	}

	told, peak := map[string]string{}, uint64(0)
	done := func(name string, c *Camera) bool {
		s := c.Status()
		if why := troubles[name]; why != "" && s.Trouble != "" {
			told[name] = s.Trouble
			return regexp.MustCompile(why).MatchString(s.Trouble)
		}
		return troubles[name] == "" && s.Units >= 30
	}
	waiting := catalogue()
	for deadline := time.After(8 * time.Minute); len(waiting) > 0 || !frozen.told.Load() || slices.ContainsFunc(sinks, func(s *seen) bool { return s.count() < 100 }); {
		waiting = slices.DeleteFunc(waiting, func(name string) bool { return done(name, bads[name]) })
		peak = max(peak, heap())
		select {
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			for _, name := range waiting {
				t.Errorf("%s: got %+v, it was last told as %q, want %q", name, bads[name].Status(), told[name], troubles[name])
			}
			t.Fatalf("waited in vain; the frozen one was told %v", frozen.told.Load())
		}
	}
	for i, c := range goods {
		if s := c.Status(); s.Lost || s.Trouble != "" || s.Connections > 0 || s.LostPackets > 0 || s.BadPackets > 0 {
			t.Errorf("good camera %d: got %+v", i, s)
		}
	}
	cancel()
	wg.Wait()
	for i, s := range sinks {
		checkWhole(t, i, s)
	}
	t.Logf("heap grew by at most %d MB; %d pictures of each good camera", (peak-min(peak, base))>>20, sinks[0].count())
	if peak > base+most {
		t.Errorf("the heap grew by %d MB, want at most %d", (peak-base)>>20, most>>20)
	}
	waitFor(t, "the descriptors to be closed", func() bool { return descriptors(t) <= before })
}

// goodCameras serves good-0 to good-3, the footage in a loop at its own rate.
func goodCameras(t *testing.T) *rtsptest.Server {
	t.Helper()
	s, err := rtsptest.Listen(rtsptest.Options{Addr: "127.0.0.1:0", User: "u", Password: "hall und rauch"})
	if err != nil {
		t.Fatal(err)
	}
	var cams []*rtsptest.Camera
	for i := range 4 {
		cams = append(cams, s.Camera(fmt.Sprint("good-", i)))
	}
	sendFilm(t, s, cams, 50*time.Millisecond, 10*time.Millisecond, t.Errorf)
	return s
}

// checkWhole holds what came of a good camera against the footage, picture by picture.
func checkWhole(t *testing.T, camera int, s *seen) {
	t.Helper()
	units, err := footage()
	if err != nil {
		t.Fatal(err)
	}
	var want [][]byte
	for _, u := range units {
		unit, _, _, err := video.NewH264Unit(u, 0, edge.Stamp{})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, unit.Data)
	}
	at := slices.IndexFunc(want, func(w []byte) bool { return bytes.Equal(w, s.units[0].Data) })
	for n, u := range s.units {
		if at < 0 || !bytes.Equal(u.Data, want[(at+n)%len(want)]) {
			t.Fatalf("good camera %d: picture %d of %d is not the one that was sent", camera, n, len(s.units))
		}
		if n > 0 && u.PTS-s.units[n-1].PTS != 4500 {
			t.Errorf("good camera %d: picture %d is %d ticks after the one before, want 4500", camera, n, u.PTS-s.units[n-1].PTS)
		}
	}
}

// stillness is a Sink that remembers whether the camera was told frozen.
type stillness struct{ told atomic.Bool }

func (*stillness) OnUnit(video.AccessUnit, video.Params)  {}
func (*stillness) Lost(context.Context, string)           {}
func (*stillness) Restored(context.Context)               {}
func (s *stillness) Frozen(_ context.Context, why string) { s.told.Store(why == sameAgain) }
func (*stillness) Thawed(context.Context)                 {}

// heap is what is allocated, the dead of this cycle in it.
func heap() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// descriptors counts this process's open files and sockets.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(slices.DeleteFunc(entries, func(e os.DirEntry) bool {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		return err != nil || strings.HasPrefix(to, "anon_inode") // the runtime's own
	}))
}
