package segment

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
	"sitewatch/video"
	"sitewatch/video/ring"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

var (
	sps = unhex("67640028acd940780227e5c044000003000400000300f03c60c658")
	pps = unhex("68ebe3cb22c0")

	vps265 = unhex("40010c01ffff016000000300900000030000030078959009")
	sps265 = unhex("420101016000000300900000030000030078a003c08010e596564924caf0168080000003008000000784")
	pps265 = unhex("4401c172b46240")
)

func params(t testing.TB) video.Params {
	t.Helper()
	p, err := video.NewH264Params(sps, pps)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func params265(t testing.TB) video.Params {
	t.Helper()
	p, err := video.NewH265Params(vps265, sps265, pps265)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const cam = edge.CameraID("door")

// unsynced leaves out the syncing, which takes long and shows nothing unless the power goes.
type unsynced struct{ File }

func (unsynced) Sync() error { return nil }

func createUnsynced(path string) (File, error) {
	f, err := createFile(path)
	return unsynced{f}, err
}

// rig is a store with a clock that the test moves, and a camera of ten pictures a second with a keyframe each second.
type rig struct {
	t     testing.TB
	opt   Options
	clock *edgetest.Clock
	s     *Store
	p     video.Params
	n     int // next picture
	size  int // of one
	sent  []video.AccessUnit
}

func newRig(t testing.TB, change func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t, clock: edgetest.NewClock(), p: params(t), size: 100}
	r.opt = Options{Dir: filepath.Join(edgetest.FastDir(t), "segments"), Cameras: map[edge.CameraID]Camera{cam: {}}, LimitBytes: 1 << 30, MinFreeBytes: 1,
		Clock: r.clock, Log: discard, Create: createUnsynced}
	if change != nil {
		change(&r.opt)
	}
	r.s = Open(r.opt)
	return r
}

// reopen is a restart of the program, without the orderly end of the one before.
func (r *rig) reopen() {
	for _, sh := range r.s.order {
		sh.abandon()
	}
	r.s = Open(r.opt)
}

// unit is picture n; its data says which it is.
func (r *rig) unit(n int) video.AccessUnit {
	data := make([]byte, max(r.size, 12))
	copy(data, fmt.Sprintf("%08d", n))
	return video.AccessUnit{Data: data, PTS: video.Ticks90k(n) * 9000, Keyframe: n%10 == 0, Arrival: r.clock.Now()}
}

// push sends n pictures, writing each second as Run does.
func (r *rig) push(n int) {
	for range n {
		u := r.unit(r.n)
		r.s.Writer(cam).Push(u, r.p)
		r.sent = append(r.sent, u)
		r.n++
		r.clock.Advance(100 * time.Millisecond)
		if r.n%9 == 0 {
			r.s.step()
		}
	}
}

// got reads all that there is from at on.
func (r *rig) got(at edge.Stamp) []video.AccessUnit {
	r.t.Helper()
	rd, err := r.s.From(cam, at)
	if err != nil {
		r.t.Fatal(err)
	}
	defer rd.Close()
	return readAll(r.t, rd)
}

func readAll(t testing.TB, rd *Reader) (out []video.AccessUnit) {
	t.Helper()
	for {
		u, p, err := rd.Next(context.Background())
		if errors.Is(err, ErrEnd) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if !p.Valid() {
			t.Fatal("a unit without parameters")
		}
		out = append(out, u)
	}
}

func numbers(us []video.AccessUnit) (out []int) {
	for _, u := range us {
		var n int
		fmt.Sscanf(string(u.Data), "%08d", &n)
		out = append(out, n)
	}
	return out
}

func upTo(from, to int) (out []int) {
	for n := from; n < to; n++ {
		out = append(out, n)
	}
	return out
}

func same(t testing.TB, got, want []video.AccessUnit) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d units, want %d", len(got), len(want))
	}
	for i := range got {
		g, w := got[i], want[i]
		if g.PTS != w.PTS || g.Keyframe != w.Keyframe || g.Arrival != w.Arrival || g.Lost != w.Lost || !bytes.Equal(g.Data, w.Data) || !g.Audio.Equal(w.Audio) {
			t.Fatalf("unit %d: got %+v, want %+v", i, g, w)
		}
	}
}

func (r *rig) files(ext string) (out []string) {
	r.t.Helper()
	out, err := filepath.Glob(filepath.Join(r.opt.Dir, string(cam), "*"+ext))
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

func TestWhatWasWrittenIsRead(t *testing.T) {
	r := newRig(t, nil)
	r.push(27)
	r.s.step()
	same(t, r.got(edge.Stamp{}), r.sent)
	r.s.closeAll()
	same(t, r.got(edge.Stamp{}), r.sent)
	if s, w := r.files(".seg"), r.files(".part"); len(s) != 1 || len(w) != 0 {
		t.Errorf("got %v and %v, want one sealed file", s, w)
	}
	r.reopen()
	same(t, r.got(edge.Stamp{}), r.sent)
	oldest, newest, ok := r.s.Span(cam)
	if !ok || !oldest.Equal(r.sent[0].Arrival.Wall) || !newest.Equal(r.sent[26].Arrival.Wall) {
		t.Errorf("got %v to %v, %v", oldest, newest, ok)
	}
}

func TestSoundAndParametersComeBack(t *testing.T) {
	r := newRig(t, nil)
	aac, err := video.NewAudioParams(video.AAC, 16000, 1, []byte{0x14, 0x08})
	if err != nil {
		t.Fatal(err)
	}
	ulaw, err := video.NewAudioParams(video.PCMU, 8000, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	h264, h265 := r.p, params265(t)
	var want []video.AccessUnit
	var wantParams []video.Params
	for n := range 60 {
		u, p := r.unit(n), h264
		if n >= 20 {
			p = h265
		}
		if n%3 == 1 {
			u.Audio = aac
			if n >= 44 {
				u.Audio = ulaw
			}
		}
		u.Lost = uint32(n % 7)
		u.Keyframe = u.Keyframe && u.Audio == nil
		u.Arrival.Synced, u.Arrival.Unset = n%2 == 0, n%5 == 0
		r.clock.Advance(100 * time.Millisecond)
		r.s.Writer(cam).Push(u, p)
		if n%10 == 7 {
			r.s.step()
		}
		if n >= 10 || n%10 == 0 || u.Keyframe || len(want) > 0 {
			want, wantParams = append(want, u), append(wantParams, p)
		}
	}
	r.s.step()
	rd, err := r.s.From(cam, edge.Stamp{})
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	for i := range want {
		u, p, err := rd.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w := want[i]
		if !p.Equal(wantParams[i]) || p.Size != wantParams[i].Size || !u.Audio.Equal(w.Audio) || u.Lost != w.Lost || u.Arrival != w.Arrival || !bytes.Equal(u.Data, w.Data) {
			t.Fatalf("unit %d: got %+v with %v, want %+v with %v", i, u, p.Codec, w, wantParams[i].Codec)
		}
	}
}

func TestReadersBeginAtTheKeyframeAtOrBefore(t *testing.T) {
	r := newRig(t, func(o *Options) { o.LimitBytes = 1 << 20 }) // files of 256 KiB
	r.size = 20_000
	r.push(100)
	r.s.step()
	if len(r.files("")) < 3 {
		t.Fatalf("got %d files, want several", len(r.files("")))
	}
	for n := range 99 {
		at := r.sent[n].Arrival
		wall := edge.Stamp{Wall: at.Wall}
		for name, at := range map[string]edge.Stamp{"mono": at, "wall": wall} {
			if got := numbers(r.got(at)); !slices.Equal(got, upTo(n/10*10, 100)) {
				t.Fatalf("%s of %d: got %v", name, n, got)
			}
		}
	}
	if got := r.got(edge.Stamp{Wall: r.sent[0].Arrival.Wall.Add(-time.Hour)}); len(got) != 100 {
		t.Errorf("before everything: got %d units, want 100", len(got))
	}
	if got := r.got(edge.Stamp{Wall: r.sent[99].Arrival.Wall.Add(time.Hour)}); len(got) != 0 {
		t.Errorf("in the future: got %d units, want none yet", len(got))
	}
}

func TestAReaderFollowsTheWriterAcrossFiles(t *testing.T) {
	r := newRig(t, func(o *Options) { o.LimitBytes = 1 << 20 })
	r.size = 20_000
	r.push(3)
	r.s.step()
	rd, err := r.s.From(cam, r.sent[0].Arrival)
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	var got []video.AccessUnit
	for range 30 {
		got = append(got, readAll(t, rd)...)
		r.push(3)
	}
	r.s.closeAll()
	got = append(got, readAll(t, rd)...)
	same(t, got, r.sent)
}

func TestFollowGoesOnInTheRing(t *testing.T) {
	r := newRig(t, nil)
	rg := ring.New(ring.Options{Keep: 3 * time.Second, LimitBytes: 1 << 20})
	push := func(n int) {
		for range n {
			r.push(1)
			rg.Push(r.sent[len(r.sent)-1], r.p)
		}
	}
	push(100)
	follow := func(at edge.Stamp) *Follower {
		f, err := r.s.Follow(cam, at, rg, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	read := func(f *Follower, n int) (out []video.AccessUnit) {
		for range n {
			u, _, err := f.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, u)
		}
		return out
	}
	f := follow(r.sent[15].Arrival)
	same(t, read(f, 90), r.sent[10:])
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, _, err := f.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want to wait for the next picture", err)
	}
	push(5)
	same(t, read(f, 5), r.sent[100:])
	push(100) // the ring has not got what comes next any more
	same(t, read(f, 100), r.sent[105:])
	same(t, read(follow(edge.Stamp{Wall: r.sent[42].Arrival.Wall}), 165), r.sent[40:])
	late := follow(r.sent[190].Arrival)
	same(t, read(late, 15), r.sent[190:])
	if late.disk.book != nil {
		t.Error("the disk was read for what the ring has")
	}
}

func TestFollowGoesOnInTheRingOfTheNextBoot(t *testing.T) {
	r := newRig(t, nil)
	r.clock.Advance(time.Hour)
	r.push(20)
	r.s.closeAll()
	r.clock.Advance(time.Minute)
	r.clock.Reboot("boot-2")
	r.s = Open(r.opt)
	rg := ring.New(ring.Options{Keep: time.Minute, LimitBytes: 1 << 20})
	for range 20 { // in the ring, and not on disk yet
		rg.Push(r.unit(r.n), r.p)
		r.n++
		r.clock.Advance(100 * time.Millisecond)
	}
	f, err := r.s.Follow(cam, r.sent[10].Arrival, rg, func() time.Duration { return 0 })
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got []video.AccessUnit
	for {
		u, _, err := f.Next(t.Context())
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, u)
	}
	if n := numbers(got); !slices.Equal(n, upTo(10, 40)) {
		t.Fatalf("got %v, want those on disk from 10 on and all of the ring", n)
	}
	if got[10].Lost == 0 {
		t.Error("the hole between the boots is not told of")
	}
}

// Patience is for pictures to come, not for the disk, however slow that is.
func TestPatienceIsNotForTheDisk(t *testing.T) {
	r := newRig(t, nil)
	r.push(40)
	r.s.step()
	waited := 0
	f, err := r.s.Follow(cam, edge.Stamp{Wall: r.sent[0].Arrival.Wall}, ring.New(ring.Options{Keep: time.Minute, LimitBytes: 1 << 20}), func() time.Duration { waited++; return 0 })
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for n := range 40 {
		if _, _, err := f.Next(t.Context()); err != nil {
			t.Fatalf("picture %d: %v", n, err)
		}
	}
	if waited != 0 {
		t.Errorf("patience was asked for %d times while pictures came from disk", waited)
	}
	if _, _, err := f.Next(t.Context()); !errors.Is(err, context.DeadlineExceeded) || waited != 1 {
		t.Errorf("got %v, patience asked for %d times", err, waited)
	}
}

func TestTheLastPicturesOfAFileAreReadAlthoughItEndsMeanwhile(t *testing.T) {
	r := newRig(t, nil)
	r.push(18)
	r.s.step()
	rd, err := r.s.From(cam, edge.Stamp{})
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	got := readAll(t, rd)
	limit, asked := rd.scan.w.limit, 0
	rd.scan.w.limit = func() int64 {
		n := limit()
		if asked++; asked == 2 { // the reader has just met the end, and now more is written and the file ends
			r.push(9)
			r.s.closeAll()
		}
		return n
	}
	same(t, append(got, readAll(t, rd)...), r.sent)
}

func TestPTSGoOnAcrossARestartAndABoot(t *testing.T) {
	r := newRig(t, nil)
	r.push(20)
	r.s.step()
	r.reopen()
	r.clock.Advance(10 * time.Second)
	was := r.n
	r.n = 0 // the new run's line begins anew
	r.push(20)
	r.s.step()
	r.reopen()
	r.clock.Advance(time.Minute)
	r.clock.Reboot("boot-2")
	r.n = 5000
	r.push(20)
	r.s.step()
	got := r.got(edge.Stamp{})
	if len(got) != was+40 {
		t.Fatalf("got %d units, want %d", len(got), was+40)
	}
	for i := 1; i < len(got); i++ {
		wall := got[i].Arrival.Wall.Sub(got[i-1].Arrival.Wall)
		if pts := (got[i].PTS - got[i-1].PTS).Duration(); (pts - wall).Abs() > time.Millisecond {
			t.Errorf("unit %d: PTS goes on by %v, the clock by %v", i, pts, wall)
		}
	}
	if got[45].Arrival.Boot != "boot-2" || got[0].Arrival.Boot != "boot-1" {
		t.Errorf("got boots %s and %s", got[0].Arrival.Boot, got[45].Arrival.Boot)
	}
	at := r.sent[45].Arrival
	if n := numbers(r.got(at)); n[0] != 5000 {
		t.Errorf("by the clock of this boot: got %d first, want 5000", n[0])
	}
	if n := numbers(r.got(r.sent[25].Arrival)); len(n) != 40 {
		t.Errorf("by the clock of another boot: got %d units, want 40", len(n))
	}
	for _, f := range r.files(".part") {
		if _, err := os.Stat(f); err != nil {
			t.Error(err)
		}
	}
}
