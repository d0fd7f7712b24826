package segment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/video"
)

var discard = slog.New(slog.DiscardHandler)

// pushAs sends n pictures of a camera.
func (r *rig) pushAs(c edge.CameraID, n int) {
	for range n {
		r.s.Writer(c).Push(r.unit(r.n), r.p)
		r.n++
		r.clock.Advance(100 * time.Millisecond)
		if r.n%10 == 0 {
			r.s.step()
			r.s.makeRoom(r.t.Context())
		}
	}
}

func (r *rig) onDisk() (n int64) {
	filepath.WalkDir(r.opt.Dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if st, err := d.Info(); err == nil {
				n += st.Size()
			}
		}
		return nil
	})
	return n
}

func TestTheOldestFilesOfAllCamerasGoFirst(t *testing.T) {
	r := newRig(t, func(o *Options) {
		for n := range 4 {
			o.Cameras[edge.CameraID(fmt.Sprintf("c%d", n))] = Camera{}
		}
		delete(o.Cameras, cam)
		o.LimitBytes = 8 << 20 // files of 256 KiB
	})
	r.size = 20_000
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		r.pushAs(edge.CameraID(fmt.Sprintf("c%d", min(rnd.IntN(8), 3))), 10)
		if n := r.onDisk(); n > r.opt.LimitBytes {
			t.Fatalf("%d bytes are on disk, %d are allowed", n, r.opt.LimitBytes)
		}
	}
	if n := r.onDisk(); n < r.opt.LimitBytes*3/4 {
		t.Errorf("%d bytes are on disk, want the quota used", n)
	}
	var numbers []uint64
	for _, sh := range r.s.order {
		for _, b := range sh.all() {
			if !b.live {
				numbers = append(numbers, b.number)
			}
		}
		if len(sh.all()) == 0 {
			t.Errorf("nothing is left of camera %s", sh.camera)
		}
	}
	slices.Sort(numbers)
	for i := 1; i < len(numbers); i++ {
		if numbers[i]-numbers[i-1] > 5 { // those between are being written
			t.Errorf("file %d is there and the next is %d: an older one outlived a newer", numbers[i-1], numbers[i])
		}
	}
}

func TestACamerasOwnQuota(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Cameras[other] = Camera{LimitBytes: 1 << 20}
		o.LimitBytes = 64 << 20
	})
	r.size = 20_000
	for range 40 {
		r.pushAs(other, 10)
		r.pushAs(cam, 10)
	}
	st, _ := r.s.Status(other)
	if st.Bytes > 1<<20 || st.Bytes < 1<<19 || st.Deleted == 0 {
		t.Errorf("the small one has %+v", st)
	}
	if st, _ := r.s.Status(cam); st.Deleted != 0 || st.Files == 0 {
		t.Errorf("the other one has %+v", st)
	}
}

func TestHeldFilesGoLast(t *testing.T) {
	var held []Span
	r := newRig(t, func(o *Options) {
		o.LimitBytes = 4 << 20
		o.Held = func(context.Context) ([]Span, error) { return held, nil }
	})
	r.size = 20_000
	r.pushAs(cam, 100)
	from := r.clock.Now().Wall
	r.pushAs(cam, 20)
	held = []Span{{cam, from, from.Add(time.Second)}}
	release := r.s.Hold(Span{cam, from.Add(500 * time.Millisecond), from.Add(2 * time.Second)})
	has := func() bool {
		got := r.got(edge.Stamp{Wall: from})
		return len(got) > 0 && got[0].Arrival.Wall.Sub(from).Abs() < 2*time.Second
	}
	r.pushAs(cam, 1000)
	if !has() {
		t.Fatal("what is held was deleted")
	}
	if n := r.onDisk(); n > r.opt.LimitBytes {
		t.Errorf("%d bytes are on disk, %d are allowed", n, r.opt.LimitBytes)
	}
	held = nil
	r.pushAs(cam, 300)
	if !has() {
		t.Error("what the second hold keeps was deleted")
	}
	release()
	r.pushAs(cam, 300)
	if has() {
		t.Error("it stays although nobody holds it")
	}
}

// Holds may not fill the disk: beyond half of the quota the newest give way, and the first alarm keeps its pictures.
func TestHoldsAreBounded(t *testing.T) {
	r := newRig(t, func(o *Options) { o.LimitBytes = 4 << 20 })
	r.size = 20_000
	r.pushAs(cam, 50)
	first := r.clock.Now().Wall
	for range 100 {
		at := r.clock.Now().Wall
		r.s.Hold(Span{cam, at, at.Add(time.Second)})
		r.pushAs(cam, 20)
	}
	if n := r.onDisk(); n > r.opt.LimitBytes {
		t.Errorf("%d bytes are on disk, %d are allowed", n, r.opt.LimitBytes)
	}
	got := r.got(edge.Stamp{Wall: first})
	if len(got) == 0 || got[0].Arrival.Wall.Sub(first).Abs() > 2*time.Second {
		t.Error("the first hold gave way")
	}
	if last := got[len(got)-1].Arrival.Wall; r.clock.Now().Wall.Sub(last) > 2*time.Second {
		t.Errorf("recording has stopped at %v", last)
	}
}

// Without a limit nothing is half of it: what nobody holds goes first when the disk asks for room.
func TestHeldFilesGoLastWithoutALimit(t *testing.T) {
	free := int64(1 << 30)
	r := newRig(t, func(o *Options) {
		o.LimitBytes, o.MinFreeBytes = 0, 100<<20
		o.Free = func(string) (int64, int64, error) { return free, 1 << 40, nil }
	})
	r.size = 20_000
	from := r.clock.Now().Wall
	r.s.Hold(Span{cam, from, from})
	for range 4 {
		r.pushAs(cam, 20)
		r.s.closeAll()
	}
	if st, _ := r.s.Status(cam); st.Dropped != 0 || st.Files != 4 {
		t.Fatalf("status is %+v, want 4 files of all that came", st)
	}
	free = 100<<20 - 1
	r.s.makeRoom(t.Context())
	if st, _ := r.s.Status(cam); st.Deleted != 1 || !st.Oldest.Equal(from) {
		t.Errorf("status is %+v, want that another file went than the held", st)
	}
}

func TestAllFilesGoWhenNoCameraIsRecordedAnyMore(t *testing.T) {
	for _, limit := range []int64{0, 1 << 30} {
		r := newRig(t, nil)
		r.size = 20_000
		from := r.clock.Now().Wall
		for range 2 * goneAtOnce {
			r.pushAs(cam, 10)
			r.s.closeAll()
		}
		files := len(r.files(".seg"))
		held := []Span{{cam, from, from}}
		r.opt.Cameras, r.opt.LimitBytes = nil, limit
		r.opt.Held = func(context.Context) ([]Span, error) { return held, nil }
		r.s = Open(r.opt)
		r.s.countDown()
		for range unusedFor/unusedStep - 1 {
			r.clock.Advance(unusedStep)
			r.s.countDown()
			r.s.makeRoom(t.Context())
		}
		if left, ok := r.s.Leaving(); len(r.files(".seg")) != files || !ok || left != unusedStep {
			t.Fatalf("limit %d: %d of %d files are left, and %v, %v; want all for another hour", limit, len(r.files(".seg")), files, left, ok)
		}
		r.clock.Advance(unusedStep)
		r.s.countDown()
		r.s.makeRoom(t.Context())
		if n := len(r.files(".seg")); n != files-goneAtOnce {
			t.Errorf("limit %d: %d of %d files are left, want all but %d", limit, n, files, goneAtOnce)
		}
		for range 3 {
			r.s.makeRoom(t.Context())
		}
		if got := r.got(edge.Stamp{}); len(got) == 0 || !got[0].Arrival.Wall.Equal(from) {
			t.Fatalf("limit %d: what a clip waits for was deleted", limit)
		}
		held = nil
		r.s.makeRoom(t.Context())
		if n := len(r.files(".seg")); n != 0 {
			t.Errorf("limit %d: %d files are left", limit, n)
		}
		if _, ok := r.s.Leaving(); ok {
			t.Errorf("limit %d: it is still leaving", limit)
		}
	}
}

// What has passed of the week outlives a restart, a file that is damaged begins it anew, and a camera that is recorded again ends it.
func TestTheWeekBeforeAllFilesGoIsCounted(t *testing.T) {
	r := newRig(t, nil)
	r.pushAs(cam, 10)
	r.s.closeAll()
	recorded := r.opt.Cameras
	left := func(cameras map[edge.CameraID]Camera, hours int) time.Duration {
		t.Helper()
		r.opt.Cameras = cameras
		r.reopen()
		r.s.countDown()
		for range hours {
			r.clock.Advance(unusedStep)
			r.s.countDown()
			r.s.makeRoom(t.Context())
		}
		left, _ := r.s.Leaving()
		return left
	}
	for i, tt := range []struct {
		cameras map[edge.CameraID]Camera
		hours   int
		want    time.Duration
	}{{nil, 10, unusedFor - 10*time.Hour}, {nil, 100, unusedFor - 110*time.Hour}, {recorded, 1, 0}, {nil, 1, unusedFor - time.Hour}} {
		if got := left(tt.cameras, tt.hours); got != tt.want {
			t.Errorf("run %d: %v are left, want %v", i, got, tt.want)
		}
	}
	for text, want := range map[string]time.Duration{"": unusedFor, "-1": unusedFor, "1e9": unusedFor, "12\n": unusedFor - 12*time.Hour, "60000": 0} {
		if err := os.WriteFile(filepath.Join(r.opt.Dir, unusedFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := left(nil, 0); got != want {
			t.Errorf("%q: %v are left, want %v", text, got, want)
		}
	}
	if err := os.WriteFile(filepath.Join(r.opt.Dir, unusedFile), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	left(recorded, 0)
	if _, err := os.Stat(filepath.Join(r.opt.Dir, unusedFile)); !os.IsNotExist(err) {
		t.Errorf("the count is still there, whatever it says: %v", err)
	}
	if n := len(r.files(".seg")); n != 1 {
		t.Errorf("%d files are left, want the one", n)
	}
}

func TestNothingIsDeletedWhileNobodyKnowsWhatIsHeld(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.LimitBytes = 2 << 20
		o.Held = func(context.Context) ([]Span, error) { return nil, context.DeadlineExceeded }
	})
	r.size = 20_000
	r.pushAs(cam, 300)
	if st, _ := r.s.Status(cam); st.Deleted != 0 {
		t.Errorf("%d files were deleted", st.Deleted)
	}
}

func TestTheDisksFloor(t *testing.T) {
	free := int64(1 << 30)
	r := newRig(t, func(o *Options) {
		o.LimitBytes = 8 << 20
		o.MinFreeBytes = 100 << 20
		o.Free = func(string) (int64, int64, error) { return free, 1 << 40, nil }
	})
	r.size = 20_000
	r.pushAs(cam, 200)
	before, _ := r.s.Status(cam)
	free = 100<<20 - 1<<20 // a megabyte is lacking
	r.s.makeRoom(t.Context())
	after, _ := r.s.Status(cam)
	if gone := before.Bytes - after.Bytes; gone < 1<<20 || gone > 2<<20 {
		t.Errorf("%d bytes gave way, want about one MiB", gone)
	}
	r.pushAs(cam, 10)
	if st, _ := r.s.Status(cam); st.Trouble != "" {
		t.Errorf("recording has stopped, %q, although there was something to delete", st.Trouble)
	}
	free = 1 << 20
	for range 5 {
		r.pushAs(cam, 10)
	}
	st, _ := r.s.Status(cam)
	if st.Trouble != "the disk is full" || st.Dropped == 0 {
		t.Errorf("status is %+v, want that it has stopped", st)
	}
	free = 110 << 20 // not enough to begin again
	for range 40 {
		r.pushAs(cam, 10)
	}
	if st, _ := r.s.Status(cam); st.Trouble == "" {
		t.Error("it goes on and will stop at once")
	}
	free = 1 << 30
	for range 40 {
		r.pushAs(cam, 10)
	}
	if st, _ := r.s.Status(cam); st.Trouble != "" {
		t.Errorf("it does not go on: %q", st.Trouble)
	}
}

// The wall clock steps while a camera is recorded: what is asked by the time of day is found all the same.
func TestStepsOfTheWallClock(t *testing.T) {
	r := newRig(t, nil)
	r.push(50)
	r.clock.Step(-3 * time.Hour)
	r.push(50)
	r.clock.Step(24 * time.Hour)
	r.push(50)
	r.s.step()
	for _, n := range []int{5, 55, 105, 145} {
		if got := numbers(r.got(edge.Stamp{Wall: r.sent[n].Arrival.Wall})); len(got) == 0 || got[0] != n/10*10 {
			t.Errorf("from the time of picture %d: got %v", n, got)
		}
	}
	same(t, r.got(edge.Stamp{}), r.sent)
}

func TestAGOPWithoutEnd(t *testing.T) {
	r := newRig(t, func(o *Options) { o.LimitBytes = 4 << 20 })
	u := r.unit(0)
	r.s.Writer(cam).Push(u, r.p)
	for n := 1; n < 1000; n++ {
		u := r.unit(n)
		u.Data, u.Keyframe = make([]byte, 10_000), false
		r.clock.Advance(100 * time.Millisecond)
		r.s.Writer(cam).Push(u, r.p)
		r.s.step()
		r.s.makeRoom(t.Context())
		if size := r.onDisk(); size > r.opt.LimitBytes {
			t.Fatalf("%d bytes are on disk", size)
		}
	}
	st, _ := r.s.Status(cam)
	if st.Units < 100 || st.Dropped < 100 || st.Units+st.Dropped != 1000 {
		t.Errorf("status is %+v", st)
	}
	r.n = 1000
	r.push(20)
	r.s.step()
	got := r.got(edge.Stamp{})
	if last := got[len(got)-1]; last.PTS != r.sent[len(r.sent)-1].PTS {
		t.Errorf("it did not go on at the next keyframe: %d units, the last has PTS %d", len(got), last.PTS)
	}
}

func TestNamesOfFiles(t *testing.T) {
	at := time.Date(2026, 11, 25, 22, 44, 34, 123_000_000, time.UTC)
	name := stem(42, at) + sealedExt
	if name != "000000000042-20261125T224434.123Z.seg" {
		t.Errorf("got %s", name)
	}
	if n, w, sealed, ok := parseName(name); !ok || n != 42 || !w.Equal(at) || !sealed {
		t.Errorf("got %d, %v, %v, %v", n, w, sealed, ok)
	}
	for _, bad := range []string{"", "x.seg", "42-20261125T224434.123Z.seg", "000000000042-20261125T224434Z.seg", "000000000042-20261125T224434.123Z.mp4",
		"-00000000042-20261125T224434.123Z.seg", "000000000042.seg"} {
		if _, _, _, ok := parseName(bad); ok {
			t.Errorf("%q is taken for a segment", bad)
		}
	}
}

// Many files must not keep a box from starting.
func BenchmarkOpen(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "segments")
	if err := os.MkdirAll(filepath.Join(dir, string(cam)), 0o700); err != nil {
		b.Fatal(err)
	}
	const files = 16384 // a TiB
	for n := range files {
		if err := os.WriteFile(filepath.Join(dir, string(cam), stem(uint64(n+1), time.Unix(int64(n)*240, 0))+sealedExt), nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	r := newRig(b, nil)
	r.opt.Dir = dir
	b.ReportAllocs()
	for b.Loop() {
		Open(r.opt)
	}
	b.ReportMetric(files, "files")
}

// BenchmarkWrite is what a second of a camera of 2 Mbit/s costs beside the disk, and BenchmarkRead what a reader of it.
func BenchmarkWrite(b *testing.B) {
	r := newRig(b, func(o *Options) { o.Create = nil })
	data := make([]byte, 2_000_000/8/15)
	b.SetBytes(15 * int64(len(data)))
	b.ReportAllocs()
	w := r.s.Writer(cam)
	for n := 0; b.Loop(); n++ {
		for i := range 15 {
			w.Push(video.AccessUnit{Data: data, PTS: video.Ticks90k(n*15+i) * 6000, Keyframe: i == 0 && n%2 == 0, Arrival: r.clock.Now()}, r.p)
			r.clock.Advance(time.Second / 15)
		}
		r.s.step()
		r.s.makeRoom(b.Context())
	}
}

func BenchmarkRead(b *testing.B) {
	r := newRig(b, nil)
	r.size = 2_000_000 / 8 / 10
	r.push(600)
	r.s.closeAll()
	b.SetBytes(int64(600 * r.size))
	b.ReportAllocs()
	for b.Loop() {
		if got := r.got(edge.Stamp{}); len(got) != 600 {
			b.Fatal(len(got))
		}
	}
}

// A power cut must not take the file's name back: its folder is brought to the disk when the name is there.
func TestHoursAreNamedOnDisk(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, unusedFile)
	broken := errors.New("the disk is broken")
	for hours, want := range []error{nil, broken} {
		synced := ""
		err := putHours(file, int64(hours), func(dir string) error {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Error(err)
			}
			synced = dir + " with " + string(b)
			return want
		})
		if !errors.Is(err, want) || synced != fmt.Sprint(dir, " with ", hours) {
			t.Errorf("got %v, synced %q, want %v and the folder with %d", err, synced, want, hours)
		}
	}
}
