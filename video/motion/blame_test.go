package motion

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sitewatch/edge"
	"sitewatch/video"
)

// mortal is the argument that makes an eye of this test program which dies of pictures that begin with deadly.
const mortal = "mortal-eye"

var deadly = []byte{0x65, 0xDE, 0xAD}

func mortalEye() {
	say := func(m Message) { os.Stdout.Write(AppendMessage(nil, m)) }
	say(&Ready{Version: Version, Build: mortal})
	for {
		m, err := ReadMessage(os.Stdin)
		if err != nil {
			return
		}
		if s, ok := m.(*StillRequest); ok {
			say(&HandStill{s.ID})
			os.Exit(4)
		}
		if u, ok := m.(*Unit); ok {
			say(&Hand{u.Number})
			if bytes.HasPrefix(u.Data[4:], deadly) {
				os.Exit(3)
			}
			say(&Tally{Camera: u.Camera, Units: u.Number})
			say(&Done{})
		}
	}
}

func TestPictureThatEndsTheEyeIsBlamedAndKept(t *testing.T) {
	t.Run("heard as it comes", func(t *testing.T) { pictureThatEndsTheEye(t, nil) })
	t.Run("heard on beats", func(t *testing.T) { pictureThatEndsTheEye(t, beating(t)) })
}

// beating is a pulse that runs as long as the test.
func beating(t *testing.T) *video.Pulse {
	p := video.NewPulse()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { p.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return p
}

func pictureThatEndsTheEye(t *testing.T, pulse *video.Pulse) {
	t.Helper()
	_, p := film(t)
	bugs := filepath.Join(t.TempDir(), "eye")
	clock := edge.NewSystemClock()
	e := New(Options{Command: os.Args[0], Args: []string{mortal}, Clock: clock, Log: quietLog, Bugs: bugs, Pulse: pulse})
	unit := func(n byte, key bool, data ...byte) video.AccessUnit {
		return video.AccessUnit{Data: video.AppendNALU(nil, append(data, n)), Keyframe: key, PTS: video.Ticks90k(n) * 9000, Arrival: clock.Now()}
	}
	e.Push("good", unit(1, true, 0x65), p)
	e.Push("bad", unit(2, true, 0x65), p)
	e.Push("bad", unit(3, false, deadly...), p)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	err := e.Run(ctx)
	if err == nil || !strings.Contains(err.Error(), "camera bad was in hand") {
		t.Fatalf("Run = %v, want the camera named", err)
	}
	if s := e.Camera("bad", clock.Now()); s.Quarantined == 0 || s.Quarantined > pauseFirst {
		t.Errorf("bad: got %+v, want it in quarantine", s)
	}
	if s := e.Camera("good", clock.Now()); s.Quarantined != 0 {
		t.Errorf("good: got %+v, want it looked at", s)
	}
	files, _ := filepath.Glob(bugs + "/*-bad.h264")
	if len(files) != 1 {
		t.Fatalf("kept %v, want one file", files)
	}
	b, _ := os.ReadFile(files[0])
	want := bytes.Join([][]byte{nil, p.SPS, p.PPS, {0x65, 2}, append(slices.Clone(deadly), 3)}, []byte{0, 0, 0, 1})
	if !bytes.Equal(b, want) {
		t.Errorf("kept %x, want %x", b, want)
	}
	// The next eye begins with what the others kept, and hears nothing of the bad one.
	e.Push("bad", unit(4, true, deadly...), p)
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	waitFor(t, "the next eye to have the good camera", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.cameras["good"].tally.Units == 1
	})
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Errorf("the second eye ended: %v", err)
	}
}

// A picture that hangs the decoder is noticed when the pipe is full: by then it is not kept any more.
func TestPictureThatIsNotKeptIsBlamedAllTheSame(t *testing.T) {
	clock := edge.NewSystemClock()
	e := New(Options{Clock: clock, Log: quietLog})
	e.setUp(true)
	for n := range 300 {
		e.Push("bad", video.AccessUnit{Data: []byte{1}, Keyframe: n%10 == 0, Arrival: clock.Now()}, video.Params{})
		e.Push("good", video.AccessUnit{Data: []byte{1}, Keyframe: n%10 == 0, Arrival: clock.Now()}, video.Params{})
	}
	e.noted(&Hand{Number: 1})
	e.setUp(false)
	if c, ok := e.blame(clock.Now()); !ok || c.camera != "bad" {
		t.Errorf("blamed %q, %v, want the camera of the first picture", c.camera, ok)
	}
}

// What an eye has said of its work and what waits for it when it dies, and whose fault that is.
func TestOnlyWhatIsInHandIsBlamed(t *testing.T) {
	for _, row := range []struct {
		name string
		said []Message
		want edge.CameraID
	}{
		{"nothing yet", nil, ""},
		{"a picture in hand", []Message{&Hand{1}}, "door"},
		{"the next one in hand", []Message{&Hand{1}, &Done{}, &Hand{2}}, "till"},
		{"one in hand of several", []Message{&Hand{1}, &Hand{2}}, "till"},
		{"a picture that it is done with", []Message{&Hand{1}, &Done{}}, ""},
		{"a still in hand", []Message{&Hand{1}, &Done{}, &HandStill{9}}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			clock := &steady{edge.Stamp{Boot: "b", Mono: time.Hour}}
			e := New(Options{Clock: clock, Log: quietLog})
			e.setUp(true)
			key := video.AccessUnit{Data: []byte{1}, Keyframe: true, Arrival: clock.Now()}
			e.Push("door", key, video.Params{})
			e.Push("till", key, video.Params{})
			for _, m := range row.said {
				e.noted(m)
			}
			e.stills[3] = asked{nil, make(chan StillReply, 1)} // one that waits excuses nobody
			e.Push("door", key, video.Params{})                // what comes until the death is heard of is no sign that it hung
			e.setUp(false)
			c, ok := e.blame(clock.Now())
			if c.camera != row.want || ok != (row.want != "") {
				t.Errorf("blamed %q, %v, want %q", c.camera, ok, row.want)
			}
			for _, id := range []edge.CameraID{"door", "till"} {
				if q := e.Camera(id, clock.Now()).Quarantined; q > 0 != (id == row.want) {
					t.Errorf("%s is in quarantine for %v", id, q)
				}
			}
		})
	}
}

// A still that is asked for while an eye dies of something else is the next eye's; only the one in hand is refused.
func TestStillsThatWaitForADeadEyeGoToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Pool{}
		for range 2 {
			p.eyes = append(p.eyes, New(Options{Clock: &steady{}, Log: quietLog}))
			p.eyes[len(p.eyes)-1].setUp(true)
		}
		first, next := p.eyes[0], p.eyes[1]
		type outcome struct {
			jpeg []byte
			err  error
		}
		still := func(u video.AccessUnit) chan outcome {
			c := make(chan outcome, 1)
			go func() {
				b, err := p.Still(t.Context(), video.Params{}, u)
				c <- outcome{b, err}
			}()
			synctest.Wait()
			return c
		}
		bad, good := video.AccessUnit{Data: []byte{1}}, video.AccessUnit{Data: []byte{2}}
		one, other := still(bad), still(good)
		first.noted(&HandStill{first.lastID - 1})
		first.setUp(false)
		if o := <-one; !errors.Is(o.err, ErrDied) {
			t.Errorf("the picture in hand: got %v, want ErrDied", o.err)
		}
		synctest.Wait()
		next.answer(&StillReply{ID: next.lastID, OK: true, Data: []byte("a picture")})
		if o := <-other; o.err != nil || string(o.jpeg) != "a picture" {
			t.Errorf("the picture that waited: got %q, %v, want the next eye's", o.jpeg, o.err)
		}
		other = still(good)
		next.setUp(false)
		if o := <-other; !errors.Is(o.err, ErrNoEye) {
			t.Errorf("when no eye is left: got %v, want ErrNoEye", o.err)
		}
		next.setUp(true)
		if o := <-still(bad); !errors.Is(o.err, ErrDied) {
			t.Errorf("the picture that ended an eye: got %v, want it refused", o.err)
		}
		other = still(good)
		next.answer(&StillReply{ID: next.lastID, OK: true})
		if o := <-other; o.err != nil {
			t.Errorf("asked again: got %v, want it made", o.err)
		}
	})
}

// Who does not wait any more has left the work behind: if that ends the eye, the picture is not given to another.
func TestStillThatNobodyWaitsForIsRefusedWhenItEndsAnEye(t *testing.T) {
	e := New(Options{Clock: &steady{}, Log: quietLog})
	e.setUp(true)
	u := video.AccessUnit{Data: []byte{1}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range maxStills {
		if _, err := e.Still(ctx, video.Params{}, u); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want the asker gone", err)
		}
	}
	if _, err := e.Still(ctx, video.Params{}, u); !errors.Is(err, ErrNoEye) {
		t.Errorf("more than it may have: got %v, want ErrNoEye", err)
	}
	e.noted(&HandStill{1})
	e.setUp(false)
	if _, err := (&Pool{eyes: []*Eye{e}}).Still(t.Context(), video.Params{}, u); !errors.Is(err, ErrDied) {
		t.Errorf("got %v, want ErrDied", err)
	}
}

// A camera may end one eye after another with stills of pictures as large as they may be: once nobody needs these, they are not kept.
func TestPicturesThatEndedAnEyeAreNotKept(t *testing.T) {
	e := New(Options{Clock: &steady{}, Log: quietLog})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range deadlyMost {
		u := video.AccessUnit{Data: make([]byte, 1<<20)}
		e.setUp(true)
		e.Still(ctx, video.Params{}, u)
		e.noted(&HandStill{e.lastID})
		e.setUp(false)
		if !e.isDeadly(pictureOf(u)) {
			t.Fatal("a picture that has ended an eye would be tried again")
		}
	}
	runtime.GC()
	kept := 0
	for _, d := range e.deadly {
		if d.Value() != nil {
			kept++
		}
	}
	if kept > 1 { // the last one may be in a register
		t.Errorf("%d pictures are kept, want none", kept)
	}
}

// A still that ends an eye is asked for again and again while the clip is cut; the other eyes must not go the same way.
func TestStillThatEndsAnEyeIsNotTriedOnTheOthers(t *testing.T) {
	ids := []edge.CameraID{"a", "b", "c", "d", "e", "f", "g", "h"}
	p := NewPool(Options{Command: os.Args[0], Args: []string{mortal}, Clock: edge.NewSystemClock(), Log: quietLog}, ids)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, e := range p.Eyes() {
		wg.Go(func() {
			for ctx.Err() == nil {
				e.Run(ctx)
			}
		})
	}
	defer wg.Wait()
	defer cancel()
	waitFor(t, "the eyes", func() bool { return p.Status().Up })
	u := video.AccessUnit{Data: []byte{1, 2, 3}, Keyframe: true}
	params, err := video.NewH264Params(testSPS, testPPS)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := p.Still(ctx, params, u); !errors.Is(err, ErrDied) {
			t.Fatalf("Still = %v, want ErrDied", err)
		}
	}
	waitFor(t, "the eye to be back", func() bool { return p.Status().Up })
	if s := p.Status(); s.Starts != uint64(len(p.Eyes()))+1 {
		t.Errorf("%d starts of %d eyes, want one eye ended once", s.Starts, len(p.Eyes()))
	}
}

// What an eye says of a scene, the next cannot end, unless it is told what the scene usually is.
func TestScenesEndWithTheEye(t *testing.T) {
	e := New(Options{Clock: edge.NewSystemClock(), Log: quietLog})
	e.Push("door", video.AccessUnit{Data: []byte{1}, Keyframe: true}, video.Params{})
	if rs := e.changed(&Scene{Camera: "door", Trouble: Covered, State: Start}); len(rs) != 1 || rs[0].scene.Over {
		t.Fatalf("got %+v, want it covered", rs)
	}
	if rs := e.unsee(e.opt.Clock.Now()); len(rs) != 1 || !rs[0].scene.Over || rs[0].scene.Trouble != Covered {
		t.Errorf("got %+v, want it over", rs)
	}
	if rs := e.changed(&Scene{Camera: "door", Trouble: Covered, State: Start}); len(rs) != 1 {
		t.Error("the next eye is not heard")
	}
	e.changed(&Scene{Camera: "door", Trouble: Covered, State: End})
	e.changed(&Scene{Camera: "door", Trouble: Moved, State: Start, Usual: []byte{1}})
	recalls := func() (n int) {
		for _, m := range e.orders() {
			if r, ok := m.(*Recall); ok && r.Camera == "door" && r.Trouble == Moved {
				n++
			}
		}
		return n
	}
	if n := recalls(); n != 0 {
		t.Errorf("the eye that has said so is told %d times", n)
	}
	for range 2 {
		e.setUp(false)
		if rs := e.unsee(e.opt.Clock.Now()); len(rs) != 0 || len(e.Camera("door", e.opt.Clock.Now()).Troubles) != 1 {
			t.Errorf("got %+v of an eye that died, want the trouble to stand", rs)
		}
		e.setUp(true)
		e.Setup("door", Alert, false, ModelOptions{}) // no reason to say it again
		if n := recalls() + recalls(); n != 1 {
			t.Errorf("the next eye is told %d times, want once", n)
		}
	}
	if rs := e.changed(&Scene{Camera: "door", Trouble: Moved, State: End}); len(rs) != 1 || !rs[0].scene.Over {
		t.Errorf("got %+v, want it over", rs)
	}
	e.setUp(true)
	if n := recalls(); n != 0 {
		t.Errorf("what is over is told to the next eye")
	}
}

func TestQuarantineGrowsAndIsForgiven(t *testing.T) {
	var w watched
	now := time.Hour
	for _, want := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second} {
		if got := w.quarantine(now); got != want {
			t.Errorf("got a pause of %v, want %v", got, want)
		}
		now += time.Minute
	}
	for range 20 {
		w.quarantine(now)
	}
	if got := w.quarantine(now); got != pauseMost {
		t.Errorf("got a pause of %v, want the longest", got)
	}
	if got := w.quarantine(now + 2*time.Hour); got != pauseFirst {
		t.Errorf("hours later: got a pause of %v, want the first one again", got)
	}
}

// Who waits for a keyframe after a quarantine is not told that the processors are too slow.
func TestQuarantineIsNotBehind(t *testing.T) {
	e := New(Options{Clock: edge.NewSystemClock(), Log: quietLog})
	e.setUp(true)
	e.camera("door").quarantine(time.Hour)
	after := edge.Stamp{Mono: time.Hour + pauseFirst}
	push := func(size int, key bool) CameraStatus {
		e.Push("door", video.AccessUnit{Data: make([]byte, size), Keyframe: key, Arrival: after}, video.Params{})
		return e.Camera("door", after)
	}
	if s := push(100, false); s.LeftOut != 0 || s.Behind {
		t.Errorf("waiting for a keyframe: got %d left out, behind %v", s.LeftOut, s.Behind)
	}
	if s := push(queueBytes+1, true); s.LeftOut != 1 || !s.Behind {
		t.Errorf("no room for it: got %d left out, behind %v", s.LeftOut, s.Behind)
	}
	if s := push(100, false); s.LeftOut != 2 {
		t.Errorf("after that: got %d left out, want 2", s.LeftOut)
	}
}

func TestBugsAreBounded(t *testing.T) {
	e := New(Options{Clock: edge.NewSystemClock(), Log: quietLog, Bugs: t.TempDir()})
	_, p := film(t)
	for range 2 * maxBugs {
		if _, err := e.keepBug(culprit{camera: edge.CameraID(edge.NewID()[:8]), params: p}); err != nil {
			t.Fatal(err)
		}
	}
	if files, _ := os.ReadDir(e.opt.Bugs); len(files) != maxBugs {
		t.Errorf("%d files are kept, want %d", len(files), maxBugs)
	}
}

// When the eye is behind, cameras that matter less lose first, and keyframes last.
func TestRateFallsBeforeAnyIsBlind(t *testing.T) {
	e := New(Options{Clock: edge.NewSystemClock(), Log: quietLog})
	e.setUp(true) // nobody empties the queue
	e.Setup("alert", Alert, false, ModelOptions{Sensitivity: 1})
	e.Setup("alarm", Alert, true, ModelOptions{Sensitivity: 1})
	last := map[edge.CameraID]int{}
	cameras := []edge.CameraID{"watched", "alert", "alarm"}
	for n := range 200 {
		for _, c := range cameras {
			before := e.units
			e.Push(c, video.AccessUnit{Data: make([]byte, 64<<10), Keyframe: n == 0}, video.Params{})
			if e.units > before {
				last[c] = n
			}
		}
	}
	if !(last["watched"] < last["alert"] && last["alert"] < last["alarm"]) || last["watched"] == 0 {
		t.Errorf("the last pictures taken are %v, want the less urgent to lose first", last)
	}
	if e.bytes > queueBytes {
		t.Errorf("%d bytes wait", e.bytes)
	}
	for len(e.cameras["watched"].waits) > 0 { // the eye goes on
		e.next()
	}
	e.bytes = queueBytes * 5 / 8
	e.Push("watched", video.AccessUnit{Data: make([]byte, 100)}, video.Params{})
	e.Push("watched", video.AccessUnit{Data: make([]byte, 100), Keyframe: true}, video.Params{})
	e.Push("watched", video.AccessUnit{Data: make([]byte, 100)}, video.Params{})
	if q := e.cameras["watched"].waits; len(q) != 1 || !q[0].unit.Keyframe || q[0].unit.Lost == 0 {
		t.Errorf("got %d pictures, want the keyframe alone, marked that some are missing", len(q))
	}
	// Whoever looks after the site is told which cameras are looked at less than they should be, and for how long that is so.
	for at, want := range map[time.Duration]bool{0: true, behindTime - 1: true, behindTime: false} {
		if s := e.Camera("watched", edge.Stamp{Mono: at}); s.LeftOut == 0 || s.Behind != want {
			t.Errorf("%v after the last picture that was left out: got %d left out, behind %v, want %v", at, s.LeftOut, s.Behind, want)
		}
	}
	e.Push("fresh", video.AccessUnit{Data: make([]byte, 100), Keyframe: true}, video.Params{})
	if s := e.Camera("fresh", edge.Stamp{}); s.LeftOut != 0 || s.Behind {
		t.Errorf("a camera that lost nothing: got %d left out, behind %v", s.LeftOut, s.Behind)
	}
}

// An eye that cannot keep up with a camera in alarm alone looks at the keyframes of the others all the same, and at new ones.
func TestAlarmBlindsNoOtherCamera(t *testing.T) {
	e := New(Options{Clock: edge.NewSystemClock(), Log: quietLog})
	e.setUp(true)
	e.Setup("alarm", Alert, true, ModelOptions{Sensitivity: 1})
	push := func(c edge.CameraID, key bool) {
		e.Push(c, video.AccessUnit{Data: make([]byte, 100), Keyframe: key}, video.Params{})
	}
	for n := range 30 {
		push("other", n%10 == 0)
	}
	for range 100 {
		push("alarm", true)
	}
	var turns []int // in which the other camera was
	var seen []queued
	for n := range 32 {
		if q := e.next(); q.camera == "other" {
			turns, seen = append(turns, n), append(seen, q)
		}
	}
	if want := []int{7, 15, 23, 31}; !slices.Equal(turns, want) {
		t.Fatalf("the other camera has its turns at %v, want %v", turns, want)
	}
	if !seen[0].unit.Keyframe || seen[0].number != 21 || seen[0].unit.Lost == 0 || seen[1].number != 22 || seen[1].unit.Lost != 0 {
		t.Errorf("it begins with %+v, want its newest keyframe, marked that some are missing, and what follows", seen)
	}
	if s := e.Camera("other", edge.Stamp{}); s.LeftOut != 20 || !s.Behind {
		t.Errorf("got %d left out, behind %v, want 20 and that it is said", s.LeftOut, s.Behind)
	}
	units, bytes := 0, 0
	for id, w := range e.cameras {
		units, bytes = units+len(w.waits), bytes+100*len(w.waits)
		if w.waitBytes != 100*len(w.waits) {
			t.Errorf("camera %s: %d bytes are said to wait, want %d", id, w.waitBytes, 100*len(w.waits))
		}
	}
	if e.units != units || e.bytes != bytes || units != 100-28+6 {
		t.Errorf("%d units and %d bytes are said to wait, want %d and %d", e.units, e.bytes, units, bytes)
	}
}

// One camera sends 240 small keyframes a second that take a fifth of a second each to decode. It may cost itself what it likes.
func TestCameraThatFloodsDelaysNoOther(t *testing.T) {
	e := New(Options{Clock: edge.NewSystemClock(), Log: quietLog})
	e.setUp(true)
	e.Setup("alarm", Alert, true, ModelOptions{Sensitivity: 1})
	key := video.AccessUnit{Keyframe: true, Data: make([]byte, 100)}
	for range 10 * queueUnits {
		e.Push("flood", key, video.Params{})
	}
	if n := e.units; n > queueUnits/2 {
		t.Errorf("one camera has %d of %d places", n, queueUnits)
	}
	for _, c := range []edge.CameraID{"a", "b", "alarm"} {
		e.Push(c, key, video.Params{})
		e.Push(c, key, video.Params{})
	}
	var order []edge.CameraID
	for range 8 {
		order = append(order, e.next().camera)
	}
	if want := []edge.CameraID{"alarm", "alarm", "flood", "a", "b", "flood", "a", "b"}; !slices.Equal(order, want) {
		t.Errorf("the eye gets %v, want %v", order, want)
	}
	for n := range 10 * queueUnits {
		e.Push("flood", key, video.Params{})
		if n%100 == 0 {
			e.Push("a", key, video.Params{})
		}
	}
	if w := e.cameras["a"]; len(w.waits) < 100 {
		t.Errorf("of a good camera %d pictures wait, want all 102", len(w.waits))
	}
	if b := e.gather(nil, map[edge.CameraID]video.Params{}); len(b) > 10_000 {
		t.Errorf("%d bytes are written at once, want a few pictures of each camera", len(b))
	}
	for e.units > 0 {
		e.next()
	}
	if e.bytes != 0 || len(e.turns) != 0 || e.cameras["flood"].waitBytes != 0 {
		t.Errorf("nothing waits, but %d bytes of %d cameras", e.bytes, len(e.turns))
	}
}

func TestPoolSpreadsCameras(t *testing.T) {
	var ids []edge.CameraID
	for range 24 {
		ids = append(ids, edge.CameraID(edge.NewID()[:8]))
	}
	p := NewPool(Options{Command: eyePath, Clock: edge.NewSystemClock(), Log: quietLog}, ids)
	load := map[*Eye]int{}
	for _, id := range ids {
		load[p.of[id]]++
	}
	for _, n := range load {
		if want := len(ids) / len(p.Eyes()); n > want+1 {
			t.Errorf("an eye has %d cameras, want about %d", n, want)
		}
	}
	p.Push("unknown", video.AccessUnit{Keyframe: true}, video.Params{})
	p.Hint("unknown", edge.Stamp{})
	if _, err := p.Still(t.Context(), video.Params{}, video.AccessUnit{Data: []byte{1}}); err != ErrNoEye {
		t.Errorf("Still without an eye: got %v, want ErrNoEye", err)
	}
	if s := p.Status(); s.Up {
		t.Error("eyes are up that nobody runs")
	}
}
