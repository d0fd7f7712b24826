package segment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
	"sitewatch/video"
)

// faults are what the disk does from now on, by camera.
type faults struct {
	create, write, sync map[string]error
	halves              bool // a write that fails has written half
	slow                int  // bytes a second; 0: as fast as it can
}

func newFaults() *faults {
	return &faults{create: map[string]error{}, write: map[string]error{}, sync: map[string]error{}}
}

func (f *faults) Create(path string) (File, error) {
	c := filepath.Base(filepath.Dir(path))
	if err := f.create[c]; err != nil {
		return nil, err
	}
	inner, err := createUnsynced(path)
	return &faultyFile{inner, f, c}, err
}

type faultyFile struct {
	File
	f      *faults
	camera string
}

func (f *faultyFile) Append(pieces [][]byte) error {
	if err := f.f.write[f.camera]; err != nil {
		if f.f.halves {
			f.File.Append(pieces[:len(pieces)/2])
		}
		return err
	}
	if f.f.slow > 0 {
		n := 0
		for _, p := range pieces {
			n += len(p)
		}
		time.Sleep(time.Duration(n) * time.Second / time.Duration(f.f.slow))
	}
	return f.File.Append(pieces)
}

func (f *faultyFile) Sync() error {
	if err := f.f.sync[f.camera]; err != nil {
		return err
	}
	return f.File.Sync()
}

const other = edge.CameraID("till")

// two is a rig with a second camera that sends the same.
func two(t *testing.T, f *faults, change func(*Options)) (*rig, func(n int)) {
	r := newRig(t, func(o *Options) {
		o.Cameras[other] = Camera{}
		if f != nil {
			o.Create = f.Create
		}
		if change != nil {
			change(o)
		}
	})
	return r, func(n int) {
		for range n {
			r.s.Writer(other).Push(r.unit(r.n), r.p)
			r.push(1)
		}
	}
}

func (r *rig) all(c edge.CameraID) []video.AccessUnit {
	r.t.Helper()
	rd, err := r.s.From(c, edge.Stamp{})
	if err != nil {
		r.t.Fatal(err)
	}
	defer rd.Close()
	return readAll(r.t, rd)
}

func TestADiskThatFailsEndsOneCameraAndGoesOnByItself(t *testing.T) {
	for name, set := range map[string]func(*faults, error){
		"create":       func(f *faults, err error) { f.create[string(cam)] = err },
		"write":        func(f *faults, err error) { f.write[string(cam)] = err },
		"half a write": func(f *faults, err error) { f.write[string(cam)], f.halves = err, true },
		"sync":         func(f *faults, err error) { f.sync[string(cam)] = err },
	} {
		for _, err := range []error{unix.EIO, unix.ENOSPC, unix.EROFS} {
			t.Run(fmt.Sprint(name, " ", err), func(t *testing.T) {
				f := newFaults()
				r, push := two(t, f, func(o *Options) { o.LimitBytes = 4 << 20 }) // files of 256 KiB
				r.size = 10_000
				push(30)
				set(f, err)
				push(60)
				if st, _ := r.s.Status(cam); st.Trouble == "" || st.Dropped == 0 {
					t.Errorf("status is %+v", st)
				}
				ts := r.s.changes()
				if len(ts) != 1 || !slices.Equal(ts[0].Cameras, []edge.CameraID{cam}) || ts[0].Over || ts[0].Reason == "" {
					t.Errorf("told %+v, want the trouble of one camera", ts)
				}
				push(100)
				if ts := r.s.changes(); len(ts) != 0 {
					t.Errorf("told %+v again", ts)
				}
				set(f, nil)
				push(400)
				if ts := r.s.changes(); len(ts) != 1 || !ts[0].Over {
					t.Errorf("told %+v, want its end", ts)
				}
				st, _ := r.s.Status(cam)
				if st.Trouble != "" {
					t.Errorf("the trouble is still %q", st.Trouble)
				}
				r.s.step()
				got := r.all(cam)
				lost := 0
				for i, u := range got {
					lost += int(u.Lost)
					if i > 0 && (u.Lost > 0) != (u.PTS-got[i-1].PTS > 9000) {
						t.Errorf("picture %d has %d lost and comes %d after the one before", i, u.Lost, u.PTS-got[i-1].PTS)
					}
				}
				if len(got)+lost != len(r.sent) || uint64(lost) != st.Dropped {
					t.Errorf("%d pictures are there and %d are said to be lost, %d counted, of %d", len(got), lost, st.Dropped, len(r.sent))
				}
				same(t, r.all(other), r.sent)
			})
		}
	}
}

func TestAFullDiskIsOneTroubleOfAllCameras(t *testing.T) {
	f := newFaults()
	r, push := two(t, f, nil)
	push(10)
	f.write[string(cam)], f.write[string(other)] = unix.ENOSPC, unix.ENOSPC
	push(30)
	if ts := r.s.changes(); len(ts) != 1 || len(ts[0].Cameras) != 2 || ts[0].Reason != "the disk is full" {
		t.Errorf("told %+v, want one of both", ts)
	}
}

func TestADiskThatIsTooSlowCostsWholeGOPs(t *testing.T) {
	r := newRig(t, nil)
	r.size = 100_000
	w := r.s.Writer(cam)
	for range 50 { // nobody writes
		for range 10 {
			u := r.unit(r.n)
			w.Push(u, r.p)
			r.sent = append(r.sent, u)
			r.n++
			r.clock.Advance(100 * time.Millisecond)
			if w.bytes > pendingBytes {
				t.Fatalf("%d bytes wait", w.bytes)
			}
		}
		if r.n%100 == 0 {
			r.s.step()
		}
	}
	r.s.step()
	got := r.got(edge.Stamp{})
	lost := 0
	for i, u := range got {
		lost += int(u.Lost)
		if i > 0 && u.PTS-got[i-1].PTS > 9000 && (!u.Keyframe || u.Lost == 0 || got[i-1].PTS/9000%10 != 9) {
			t.Errorf("after picture %d comes %d, keyframe %v, %d lost: want whole GOPs", got[i-1].PTS/9000, u.PTS/9000, u.Keyframe, u.Lost)
		}
	}
	st, _ := r.s.Status(cam)
	if lost == 0 || uint64(lost)+uint64(w.missed) != st.Dropped || len(got)+lost+int(w.missed) != len(r.sent) || st.DroppedGOPs == 0 {
		t.Errorf("%d there, %d lost, status %+v, of %d", len(got), lost, st, len(r.sent))
	}
	if ts := r.s.changes(); len(ts) != 1 || !strings.Contains(ts[0].Reason, "slow") {
		t.Errorf("told %+v", ts)
	}
	r.clock.Advance(2 * slowOver)
	if ts := r.s.changes(); len(ts) != 1 || !ts[0].Over {
		t.Errorf("told %+v, want the end", ts)
	}
}

// bubble is the bubble's clock.
type bubble struct{}

func (bubble) Now() edge.Stamp {
	now := time.Now()
	return edge.Stamp{Wall: now.UTC(), Mono: now.Sub(time.Unix(0, 0)), Boot: "bubble"}
}

// The whole Store, with a disk of 1 MB/s under 4 cameras of 600 kB/s: Push never waits, each camera gets a part, and the end is orderly.
func TestRunOnASlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaults()
		f.slow = 1_000_000
		opt := Options{Dir: filepath.Join(t.TempDir(), "segments"), Cameras: map[edge.CameraID]Camera{}, LimitBytes: 1 << 30, MinFreeBytes: 1, Clock: bubble{},
			Log: discard, Create: f.Create}
		for n := range 4 {
			opt.Cameras[edge.CameraID(fmt.Sprintf("c%d", n))] = Camera{}
		}
		s := Open(opt)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		p := params(t)
		data := make([]byte, 60_000)
		for n := range 400 {
			for c := range opt.Cameras {
				began := time.Now()
				s.Writer(c).Push(video.AccessUnit{Data: data, PTS: video.Ticks90k(n) * 9000, Keyframe: n%10 == 0, Arrival: bubble{}.Now()}, p)
				if d := time.Since(began); d > 0 {
					t.Fatalf("Push took %v", d)
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
		for c := range opt.Cameras {
			st, _ := s.Status(c)
			if st.Units+st.Dropped != 400 || st.Dropped == 0 || st.Units < 100 {
				t.Errorf("camera %s: %+v", c, st)
			}
			if left, _ := filepath.Glob(filepath.Join(opt.Dir, string(c), "*"+writingExt)); len(left) != 0 {
				t.Errorf("camera %s: %v is not sealed", c, left)
			}
		}
	})
	if err := edgetest.Leaked(); err != nil {
		t.Error(err)
	}
}

func TestRunRecordsAndReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFaults()
		var told []Trouble
		opt := Options{Dir: filepath.Join(t.TempDir(), "segments"), Cameras: map[edge.CameraID]Camera{cam: {}}, LimitBytes: 1 << 30, MinFreeBytes: 1, Clock: bubble{},
			Log: discard, Create: f.Create, Report: func(_ context.Context, t Trouble) { told = append(told, t) }}
		s := Open(opt)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		p, n := params(t), 0
		send := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); n++ {
				s.Writer(cam).Push(video.AccessUnit{Data: make([]byte, 100), PTS: video.Ticks90k(n) * 9000, Keyframe: n%10 == 0, Arrival: bubble{}.Now()}, p)
				time.Sleep(100 * time.Millisecond)
			}
		}
		send(10 * time.Second)
		synctest.Wait()
		if st, _ := s.Status(cam); time.Since(st.Synced) > time.Second {
			t.Errorf("synced up to %v ago, want a second at most", time.Since(st.Synced))
		}
		f.write[string(cam)] = unix.EIO
		send(time.Minute)
		f.write[string(cam)] = nil
		send(time.Minute)
		cancel()
		<-done
		if len(told) != 2 || told[0].Over || !told[1].Over || told[0].Reason != "write: input/output error" {
			t.Errorf("told %+v, want a trouble and its end", told)
		}
		if w := s.Wear(); w.BytesPerDay < 100*10*60*60*24 {
			t.Errorf("forecast is %+v", w)
		}
	})
}

func TestAPanicInAGoroutineOfRunIsItsError(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Free = func(string) (int64, int64, error) { panic("no disk like that") } })
	var p *edge.PanicError
	if err := r.s.Run(t.Context()); !errors.As(err, &p) || p.Value != "no disk like that" {
		t.Errorf("got %v, want the panic as an error", err)
	}
}

func TestNoShelfForNobody(t *testing.T) {
	r := newRig(t, nil)
	if _, err := r.s.From("nobody", edge.Stamp{}); !errors.Is(err, ErrNotRecorded) {
		t.Errorf("got %v", err)
	}
	if w := r.s.Writer("nobody"); w != nil {
		t.Error("there is a writer")
	}
	// What is there of a camera that is not recorded any more is read and counted.
	r.push(30)
	r.s.closeAll()
	r.opt.Cameras = nil
	r.s = Open(r.opt)
	r.s.step()
	if got := r.got(edge.Stamp{}); len(got) != 30 {
		t.Errorf("got %d pictures of before, want 30", len(got))
	}
	if st, ok := r.s.Status(cam); !ok || st.Files != 1 {
		t.Errorf("status is %+v, %v", st, ok)
	}
	if err := os.Remove(r.files(".seg")[0]); err != nil { // behind its back
		t.Fatal(err)
	}
	if got := r.got(edge.Stamp{}); len(got) != 0 {
		t.Errorf("got %d pictures of a file that is gone", len(got))
	}
}
