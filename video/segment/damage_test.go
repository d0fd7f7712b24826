package segment

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
	"sitewatch/video"
)

// small is the bytes of a file of three GOPs with sound, what is in it, and behind which byte each unit is whole.
func small(t testing.TB) (file []byte, units []video.AccessUnit, ends []int64) {
	t.Helper()
	r := newRig(t, nil)
	r.size = 20
	sound, err := video.NewAudioParams(video.PCMU, 8000, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 30 {
		u := r.unit(n)
		if n%10 == 5 {
			u.Audio = sound
		}
		r.clock.Advance(100 * time.Millisecond)
		r.s.Writer(cam).Push(u, r.p)
		r.s.step()
		units, ends = append(units, u), append(ends, r.s.shelves[cam].books[0].bytes)
	}
	file, err = os.ReadFile(r.files(".part")[0])
	if err != nil {
		t.Fatal(err)
	}
	return file, units, ends
}

// found is a rig whose disk has one file, which the test makes.
type found struct{ *rig }

func newFound(t testing.TB) found { return found{newRig(t, nil)} }

// put makes the file anew.
func (f found) put(b []byte) {
	f.t.Helper()
	dir := filepath.Join(f.opt.Dir, string(cam))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		f.t.Fatal(err)
	}
	for _, old := range f.files("") {
		if err := os.Remove(old); err != nil {
			f.t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, stem(7, time.Unix(0, 0))+writingExt), b, 0o600); err != nil {
		f.t.Fatal(err)
	}
	f.s = Open(f.opt)
}

// left is what can be read of a file as it is.
func (f found) left(b []byte) []video.AccessUnit {
	f.t.Helper()
	f.put(b)
	return f.got(edge.Stamp{})
}

// both reads it before it is mended and after.
func (f found) both(b []byte) (before, after []video.AccessUnit) {
	f.t.Helper()
	before = f.left(b)
	f.s.mendAll(f.t.Context())
	after = f.got(edge.Stamp{})
	if n, w := len(f.files(".seg")), len(f.files(".part")); w != 0 || n > 1 || n == 0 && len(after) > 0 { // one that has its index stays, whatever became of its GOPs
		f.t.Fatalf("%d sealed and %d others are left, with %d units", n, w, len(after))
	}
	return before, after
}

func TestCutAtEveryByte(t *testing.T) {
	file, units, ends := small(t)
	f := newFound(t)
	for n := range len(file) + 1 {
		whole := 0
		for whole < len(ends) && ends[whole] <= int64(n) {
			whole++
		}
		same(t, f.left(file[:n]), units[:whole])
		if n%11 != 0 { // mending syncs, which takes its time
			continue
		}
		before, after := f.both(file[:n])
		same(t, before, units[:whole])
		same(t, after, units[:whole])
	}
}

// What was not written yet, of a file whose size was, is zeros.
func TestZerosBehindTheLastWholeRecord(t *testing.T) {
	file, units, ends := small(t)
	f := newFound(t)
	for k, end := range ends {
		before, after := f.both(append(bytes.Clone(file[:end]), make([]byte, 5000)...))
		same(t, before, units[:k+1])
		same(t, after, units[:k+1])
	}
}

// A bit that has turned over costs the GOP in which it is, never another one, and no picture is other than it was. That of the header
// costs the file.
func TestBitFlips(t *testing.T) {
	file, units, ends := small(t)
	_, first, err := readHeader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	f := newFound(t)
	for at := range file {
		b := bytes.Clone(file)
		b[at] ^= 1 << (at % 8)
		before := f.left(b)
		after := before
		if at%17 == 0 { // which syncs
			before, after = f.both(b)
		}
		if at < int(first) {
			continue
		}
		hurt := 0
		for ends[hurt] <= int64(at) {
			hurt++
		}
		for _, got := range [][]video.AccessUnit{before, after} {
			for _, n := range append(upTo(0, hurt/10*10), upTo(hurt/10*10+10, 30)...) {
				if !slices.ContainsFunc(got, func(u video.AccessUnit) bool {
					return u.PTS == units[n].PTS && bytes.Equal(u.Data, units[n].Data) && u.Keyframe == units[n].Keyframe
				}) {
					t.Fatalf("bit of byte %d, in unit %d: unit %d is gone", at, hurt, n)
				}
			}
			for _, u := range got {
				n := int(u.PTS / 9000)
				if n >= 30 || !bytes.Equal(u.Data, units[n].Data) || u.Keyframe != units[n].Keyframe || u.Arrival != units[n].Arrival {
					t.Fatalf("bit of byte %d: got %+v", at, u)
				}
			}
		}
	}
}

// Damage in the middle shows as a loss with what comes next.
func TestDamageIsToldOf(t *testing.T) {
	file, _, ends := small(t)
	file[ends[12]+20] ^= 1
	got, _ := newFound(t).both(file)
	want := append(upTo(0, 13), upTo(20, 30)...)
	if n := numbers(got); !slices.Equal(n, want) {
		t.Fatalf("got %v, want %v", n, want)
	}
	for i, u := range got {
		if (u.Lost > 0) != (i == 13) {
			t.Errorf("picture %d has %d lost", want[i], u.Lost)
		}
	}
}

// Without its index, or with one that is damaged, a sealed file is read as well.
func TestIndexIsASavingOnly(t *testing.T) {
	r := newRig(t, nil)
	r.push(50)
	r.s.closeAll()
	path := r.files(".seg")[0]
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	inf, err := readInfo(bytes.NewReader(good), int64(len(good)))
	if err != nil || len(inf.index) != 5 || inf.units != 50 {
		t.Fatalf("got %+v, %v", inf, err)
	}
	if found, err := scan(bytes.NewReader(good), int64(len(good))); err != nil || !slices.Equal(found.index, inf.index) || found.end != inf.end || found.units != inf.units || found.pts != inf.pts {
		t.Errorf("a scan finds %+v, %v; want %+v", found, err, inf)
	}
	for at := inf.end; at < int64(len(good)); at += 3 {
		bad := bytes.Clone(good)
		bad[at] ^= 0x10
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		r.reopen()
		if got := numbers(r.got(r.sent[33].Arrival)); !slices.Equal(got, upTo(30, 50)) {
			t.Fatalf("damage at %d: got %v", at, got)
		}
	}
}

// Pictures can be made of anything, of records too: those are not taken for any, and looking through them is no work without end.
func TestRecordsInsidePicturesAreNone(t *testing.T) {
	file, units, _ := small(t)
	r := newRig(t, nil)
	var evil []byte
	for len(evil) < 1<<20 {
		evil = append(evil, marker[:]...)
		evil = binary.BigEndian.AppendUint32(evil, maxBody)
		evil = append(evil, file[len(file)-200:]...)
	}
	for n := range 20 {
		u := r.unit(n)
		if n < 10 {
			u.Data = evil[:len(evil)-n]
		}
		if n == 0 || n > 8 {
			r.s.Writer(cam).Push(u, r.p)
		}
		r.clock.Advance(100 * time.Millisecond)
	}
	r.s.step()
	b, err := os.ReadFile(r.files(".part")[0])
	if err != nil {
		t.Fatal(err)
	}
	b[400] ^= 1 // in the first picture's record
	got, _ := newFound(t).both(b)
	if len(got) != 10 || !got[0].Keyframe || got[0].PTS != units[10].PTS {
		t.Fatalf("got %d units, want the second GOP", len(got))
	}
}

func FuzzScan(f *testing.F) {
	edgetest.Fuzz(f)
	file, _, _ := small(f)
	f.Add(file)
	f.Add(file[:len(file)/2])
	r := newRig(f, nil)
	r.push(30)
	r.s.closeAll()
	sealed, err := os.ReadFile(r.files(".seg")[0])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Fuzz(func(t *testing.T, b []byte) {
		before, after := newFound(t).both(b)
		if fmt.Sprint(numbers(before)) != fmt.Sprint(numbers(after)) {
			t.Errorf("mending changes what is there: %v, then %v", numbers(before), numbers(after))
		}
		if len(after) > 0 && !after[0].Keyframe {
			t.Error("it does not begin with a keyframe")
		}
	})
}

// FuzzParse is the bytes of one record whose sums are right.
func FuzzParse(f *testing.F) {
	f.Add(uint8(kindParams), uint8(0), []byte{1, 0, 1, 0x67})
	f.Add(uint8(kindPicture), uint8(1), make([]byte, 40))
	f.Add(uint8(kindIndex), uint8(0), make([]byte, 48))
	f.Add(uint8(kindEnd), uint8(0), make([]byte, 40))
	f.Add(uint8(kindSound), uint8(0), []byte{3, 1, 0, 0, 31, 64})
	f.Add(uint8(kindFile), uint8(0), append([]byte{1}, make([]byte, 60)...))
	f.Fuzz(func(t *testing.T, k, flags uint8, body []byte) {
		b := appendRecord(nil, 42, kind(k), flags, body)
		if kind(k) == kindFile {
			b = appendRecord(nil, 0, kindFile, flags, body)
		}
		r, n, err := parse(b, 42)
		if err != nil || n != len(b) || r.kind != kind(k) || r.flags != flags || !bytes.Equal(r.body, body) {
			t.Fatalf("got %+v, %d, %v", r, n, err)
		}
		parseHeader(r)
		parseParams(r)
		parseSound(r)
		parseUnit(r)
		parseIndex(r, 1<<40)
		parseEnding(r)
	})
}
