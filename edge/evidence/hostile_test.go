package evidence

import (
	"archive/zip"
	"bytes"
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
		"too many files": make(func(w *zip.Writer) {
			for i := range maxFiles + 1 {
				_, err := w.CreateRaw(&zip.FileHeader{Name: fmt.Sprint(i)})
				must(t, err)
			}
		}),
	} {
		if _, err := Zip(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrHostile) {
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
	if _, err := Zip(bytes.NewReader(long), int64(len(long))); !errors.Is(err, ErrHostile) || !strings.Contains(err.Error(), "too long") {
		t.Errorf("a long list: got %v", err)
	}
}

func make20MiB() []byte { return bytes.Repeat([]byte{0}, 20<<20) }

func TestLinksInAFolderLeadNowhere(t *testing.T) {
	s := newScene(t)
	s.write(s.dir)
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte("x"), 0o600))
	must(t, os.Remove(filepath.Join(s.dir, custodyFile)))
	must(t, os.Symlink(secret, filepath.Join(s.dir, custodyFile)))
	fsys, closer, err := Open(s.dir)
	must(t, err)
	defer closer.Close()
	if r := verify(t, fsys, s.ca); r.Broken == nil || !strings.Contains(r.Broken.Error(), "link") {
		t.Errorf("got %v", r.Broken)
	}
}

// FuzzVerify puts other bytes in the place of one file of a good folder: nothing panics, and nothing but what is meant for reading
// can be changed without being found.
func FuzzVerify(f *testing.F) {
	s := newScene(f)
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
		if bytes.Equal(b, whole[name].Data) != (r.OK() && len(r.Remarks) == 0) && !forReading(name) && name != sealCert {
			t.Errorf("%s: %q is taken", name, b)
		}
	})
}

func FuzzZip(f *testing.F) {
	s := newScene(f)
	r, n := zipOf(f, s.folder(), "")
	b, err := io.ReadAll(io.NewSectionReader(r, 0, n))
	must(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		z, err := Zip(bytes.NewReader(b), int64(len(b)))
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
