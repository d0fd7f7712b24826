package evidence

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"

	"sitewatch/edge"
)

func TestHostileZips(t *testing.T) {
	make := func(f func(w *zip.Writer)) []byte {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		f(w)
		must(t, w.Close())
		return b.Bytes()
	}
	add := func(w *zip.Writer, name string, data []byte) {
		f, err := w.Create(name)
		must(t, err)
		_, err = f.Write(data)
		must(t, err)
	}
	for name, b := range map[string][]byte{
		"no zip":                nil,
		"text":                  []byte("evidence"),
		"a way out":             make(func(w *zip.Writer) { add(w, "../../etc/passwd", nil) }),
		"an absolute name":      make(func(w *zip.Writer) { add(w, "/etc/passwd", nil) }),
		"a name with backslash": make(func(w *zip.Writer) { add(w, `..\x`, nil) }),
		"a file twice":          make(func(w *zip.Writer) { add(w, headerFile, []byte("a")); add(w, headerFile, []byte("b")) }),
		"a bomb":                make(func(w *zip.Writer) { add(w, headerFile, make20MiB()) }),
		"a name without end":    make(func(w *zip.Writer) { add(w, strings.Repeat("x", maxName+1), nil) }),
		"folders without end":   make(func(w *zip.Writer) { add(w, strings.Repeat("x/", maxDepth+1)+"x", nil) }),
		"folders beyond number": make(func(w *zip.Writer) {
			for i := range maxFolders/maxDepth + 1 {
				_, err := w.CreateRaw(&zip.FileHeader{Name: fmt.Sprintf("%d/1/2/3/4/5/6/7/8", i)})
				must(t, err)
			}
		}),
		"many small bombs": make(func(w *zip.Writer) {
			for i := range 10 {
				add(w, fmt.Sprint(i), make20MiB()[:1<<20])
			}
		}),
		"too many files": make(func(w *zip.Writer) {
			for i := range maxFiles + 1 {
				_, err := w.CreateRaw(&zip.FileHeader{Name: fmt.Sprint(i)})
				must(t, err)
			}
		}),
	} {
		if _, err := Zip(t.Context(), bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrHostile) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	// A list of files that is larger than any of ours is not read to its end.
	long := make(func(w *zip.Writer) {
		for i := range 300 {
			_, err := w.CreateRaw(&zip.FileHeader{Name: fmt.Sprintf("%d%s", i, strings.Repeat("x", 60000))})
			must(t, err)
		}
	})
	if _, err := Zip(t.Context(), bytes.NewReader(long), int64(len(long))); !errors.Is(err, ErrHostile) || !strings.Contains(err.Error(), "too long") {
		t.Errorf("a long list: got %v", err)
	}
}

// TestZipHasOnlyWhatItLists: who reads a zip from its beginning, and not by the list at its end, finds the same files.
func TestZipHasOnlyWhatItLists(t *testing.T) {
	s := newScene(t)
	var packed, stored bytes.Buffer
	for _, to := range []struct {
		b      *bytes.Buffer
		method uint16
	}{{&packed, zip.Deflate}, {&stored, zip.Store}} {
		w := zip.NewWriter(to.b)
		for name, f := range s.folder() {
			h := &zip.FileHeader{Name: name, Method: to.method}
			f2, err := w.CreateHeader(h) // with a description behind it
			must(t, err)
			_, err = f2.Write(f.Data)
			must(t, err)
		}
		must(t, w.Close())
		s.dir += "2"
	}
	for name, b := range map[string][]byte{"packed": packed.Bytes(), "stored": stored.Bytes(), "zip64": long(stored.Bytes(), 0)} {
		z, err := Zip(t.Context(), bytes.NewReader(b), int64(len(b)))
		must(t, err)
		if r := verify(t, z, s.ca); !r.OK() {
			t.Errorf("%s: %v", name, r.Broken)
		}
	}
	whole := stored.Bytes()
	list := bytes.Index(whole, listMark)
	more := slices.Concat(whole[:list], hidden(t), whole[list:])
	at := more[bytes.LastIndex(more, []byte("PK\x05\x06"))+16:] // where the list is
	binary.LittleEndian.PutUint32(at, uint32(list+len(hidden(t))))
	for name, b := range map[string][]byte{
		"a page ahead of it":       append([]byte("<html>He did it.</html>"), whole...),
		"a page behind it":         append(bytes.Clone(whole), "<html>He did it.</html>"...),
		"another zip behind it":    append(bytes.Clone(whole), packed.Bytes()...),
		"a name of its own":        slices.Concat(whole[:localBytes], []byte("X"), whole[localBytes+1:]),
		"a file ahead of the list": more,
		"two lists":                twice(stored.Bytes()),
		"two lists of a zip64":     long(twice(stored.Bytes()), 0),
		"a zip64 of another list":  long(stored.Bytes(), 1),
		"a name in the list":       renamed(t, false, true),
		"a name where it lies":     renamed(t, true, false),
	} {
		if _, err := Zip(t.Context(), bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrHostile) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// twice is the zip with a film and a second list: its end names the beginning of the first, and the size of the second.
func twice(b []byte) []byte {
	list, end := bytes.Index(b, listMark), bytes.LastIndex(b, endMark)
	return slices.Concat(b[:end], []byte("another film"), b[list:])
}

// long is the zip with the end of a zip64, whose list begins that much later.
func long(b []byte, later uint64) []byte {
	at := bytes.LastIndex(b, endMark)
	end, le := bytes.Clone(b[at:]), binary.LittleEndian
	rec := le.AppendUint64(bytes.Clone(longMark), longBytes-12)
	rec = append(rec, make([]byte, 12)...)
	n := uint64(le.Uint16(end[10:]))
	rec = le.AppendUint64(le.AppendUint64(rec, n), n)
	rec = le.AppendUint64(rec, uint64(le.Uint32(end[12:])))
	rec = le.AppendUint64(rec, uint64(le.Uint32(end[16:]))+later)
	rec = le.AppendUint64(append(rec, "PK\x06\x07\x00\x00\x00\x00"...), uint64(at))
	if later == 0 { // else the old end goes on to name the right one
		copy(end[8:20], bytes.Repeat([]byte{0xff}, 12))
	}
	return slices.Concat(b[:at], rec, []byte{1, 0, 0, 0}, end)
}

// renamed is a zip of a file that has another name in Unicode (0x7075).
func renamed(t *testing.T, lies, list bool) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	name := []byte("\x75\x70\x06\x00\x01\x00\x00\x00\x00x")
	h := &zip.FileHeader{Name: headerFile}
	if lies {
		h.Extra = name
	}
	_, err := w.CreateHeader(h)
	must(t, err)
	if h.Extra = nil; list {
		h.Extra = name
	}
	must(t, w.Close())
	return b.Bytes()
}

// hidden is a file of a zip, without a list.
func hidden(t *testing.T) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create("clips/clip.mp4")
	must(t, err)
	_, err = f.Write([]byte("another film"))
	must(t, err)
	must(t, w.Flush())
	must(t, w.Close())
	return b.Bytes()[:bytes.Index(b.Bytes(), listMark)]
}

func make20MiB() []byte { return bytes.Repeat([]byte{0}, 20<<20) }

func TestLinksInAFolderLeadNowhere(t *testing.T) {
	s := newScene(t)
	s.write(s.dir)
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte("x"), 0o600))
	must(t, os.Remove(filepath.Join(s.dir, custodyFile)))
	must(t, os.Symlink(secret, filepath.Join(s.dir, custodyFile)))
	fsys, closer, err := Open(t.Context(), s.dir)
	must(t, err)
	defer closer.Close()
	if r := verify(t, fsys, s.ca); r.Broken == nil || !strings.Contains(r.Broken.Error(), "link") {
		t.Errorf("got %v", r.Broken)
	}
}

// FuzzVerify puts other bytes in the place of one file of a good folder: nothing panics, and nothing
// can be changed without being found.
func FuzzVerify(f *testing.F) {
	s := newScene(f)
	s.smashed = true
	whole := s.folder()
	names := slices.Sorted(maps.Keys(whole))
	for i, n := range names {
		f.Add(uint8(i), whole[n].Data)
	}
	f.Fuzz(func(t *testing.T, i uint8, b []byte) {
		name := names[int(i)%len(names)]
		m := fstest.MapFS{}
		maps.Copy(m, whole)
		m[name] = &fstest.MapFile{Data: b}
		r := verify(t, m, s.ca)
		must(t, r.Print(io.Discard))
		if bytes.Equal(b, whole[name].Data) != (r.Holds() && len(r.Remarks) == 0) {
			t.Errorf("%s: %q is taken", name, b)
		}
	})
}

// TestNothingOfAFolderReachesTheTerminal: what a folder says cannot stand there as a verdict.
func TestNothingOfAFolderReachesTheTerminal(t *testing.T) {
	s := newScene(t)
	m := s.folder()
	evil := "x\r\x1b[2K\x1b[1APROVED\n\u009b31m\u202e\u2066.pem"
	m[certDir+"/"+evil] = &fstest.MapFile{Data: m[sealCert].Data}
	r := verify(t, m, s.ca)
	if r.Broken == nil || !strings.Contains(r.Broken.File, evil) {
		t.Fatalf("got %v, want a break in the file", r.Broken)
	}
	var out strings.Builder
	must(t, r.Print(&out))
	for what, s := range map[string]string{"error": r.Broken.Error(), "report": out.String()} {
		for l := range strings.Lines(s) {
			if l == "PROVED\n" || strings.ContainsFunc(strings.TrimSuffix(l, "\n"), func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) {
				t.Errorf("the %s has %q", what, l)
			}
		}
	}
}

// TestWriterRefusesWhatVerifyDoes: nobody learns years later that his evidence is too large to be looked at.
func TestWriterRefusesWhatVerifyDoes(t *testing.T) {
	w, err := Create(filepath.Join(t.TempDir(), "x.zip"))
	must(t, err)
	defer w.Discard()
	for i := range maxFiles {
		w.have[fmt.Sprint(i)] = true
	}
	if err := w.put("one", nil); !errors.Is(err, ErrTooMuch) {
		t.Errorf("one file too many: %v", err)
	}
	small, err := Create(filepath.Join(t.TempDir(), "y.zip"))
	must(t, err)
	defer small.Discard()
	if err := small.Gaps(journalA, []edge.Gap{{From: 1, To: 2, Reason: strings.Repeat("x", maxGaps)}}); !errors.Is(err, ErrTooMuch) {
		t.Errorf("gaps: %v", err)
	}
	h := Header{Site: "0417", Notes: []string{strings.Repeat("x", maxHeader)}}
	if _, err := small.Close(h, nil, nil, newCA(t, nil).soc()); !errors.Is(err, ErrTooMuch) {
		t.Errorf("description: %v", err)
	}
}

// TestLongTimelineIsProved: a file for reading has no bound of its own.
func TestLongTimelineIsProved(t *testing.T) {
	s := newScene(t)
	s.text = strings.Repeat("x", maxHeader)
	s.write(s.dir)
	fsys, closer, err := Open(t.Context(), s.dir)
	must(t, err)
	defer closer.Close()
	if r := verify(t, fsys, s.ca); !r.OK() {
		t.Errorf("got %v", r.Broken)
	}
}

// TestZipStopsWhenTold also while it learns the names.
func TestZipStopsWhenTold(t *testing.T) {
	r, n := zipOf(t, newScene(t).folder(), "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Zip(ctx, r, n); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func FuzzZip(f *testing.F) {
	s := newScene(f)
	r, n := zipOf(f, s.folder(), "")
	b, err := io.ReadAll(io.NewSectionReader(r, 0, n))
	must(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		z, err := Zip(t.Context(), bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		verify(t, z, s.ca)
	})
}

func FuzzParseLine(f *testing.F) {
	f.Add(Line{N: 1, Body: []byte(`{"a":1}`)}.Append(nil))
	f.Add(Line{N: 1, Body: []byte("\n")}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ParseLine(bytes.TrimSuffix(b, []byte("\n")))
		if err != nil {
			return
		}
		again, err := ParseLine(bytes.TrimSuffix(l.Append(nil), []byte("\n")))
		if err != nil || again.N != l.N || again.Prev != l.Prev || !bytes.Equal(again.Body, l.Body) {
			t.Errorf("%q: %+v became %+v, %v", b, l, again, err)
		}
	})
}
