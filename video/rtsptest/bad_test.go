package rtsptest

import (
	"context"
	"flag"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/google/go-cmp/cmp"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
)

var update = flag.Bool("update", false, "write the table of bad cameras into README.md anew")

func TestMain(m *testing.M) { edgetest.Main(m) }

func TestCatalogueIsDocumented(t *testing.T) {
	const begin, end = "<!-- catalogue -->\n", "<!-- end -->\n"
	var table strings.Builder
	table.WriteString(begin + "| name | what it does | known from | a gateway |\n|---|---|---|---|\n")
	seen := map[string]bool{}
	for _, b := range Catalogue() {
		if seen[b.Name] || !edge.ValidID(b.Name) || b.Does == "" || b.From == "" {
			t.Errorf("%q is no name of its own, or says too little", b.Name)
		}
		seen[b.Name] = true
		table.WriteString("| `" + b.Name + "` | " + b.Does + " | " + b.From + " | " + b.expected() + " |\n")
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(readme), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("README.md has no place for the table")
	}
	want := before + table.String() + end + after
	if *update {
		if err := os.WriteFile("README.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if diff := cmp.Diff(want, string(readme)); diff != "" {
		t.Errorf("README.md is not what Catalogue says; go test -update writes it:\n%s", diff)
	}
	if _, err := BadNamed("well-behaved"); err == nil {
		t.Error("a camera that is not there was found")
	}
}

func TestFilms(t *testing.T) {
	for name, c := range map[string]struct{ pictures, keys, sets, slices int }{
		"plain.h264": {40, 4, 2, 1}, "endless.h264": {33, 1, 2, 1}, "small.h264": {20, 2, 2, 1}, "fast.h264": {50, 1, 2, 1},
		"slices.h264": {20, 2, 2, 4}, "b.h264": {24, 2, 2, 1}, "idr.h265": {20, 2, 3, 1}, "cra.h265": {36, 3, 3, 1},
	} {
		f, keys, shown := loadFilm(name), 0, map[int]bool{}
		for _, p := range f.pictures {
			shown[p.display] = true
			if p.key {
				keys++
			}
			if len(p.nalus) != c.slices {
				t.Errorf("%s: a picture of %d slices, want %d", name, len(p.nalus), c.slices)
			}
		}
		if len(f.pictures) != c.pictures || keys != c.keys || len(f.sets) != c.sets || len(shown) != c.pictures || !shown[0] {
			t.Errorf("%s: got %d pictures, %d keys, %d parameter sets, %d places", name, len(f.pictures), keys, len(f.sets), len(shown))
		}
	}
	// An IDR, a P-picture and the two B-pictures that are shown between them.
	f := loadFilm("b.h264")
	for n, want := range []int{0, 3, 1, 2, 6, 4, 5} {
		if got := f.pictures[n].display; got != want {
			t.Errorf("B-pictures: the %dth picture is shown as %dth, want %dth", n, got, want)
		}
	}
}

func TestGiantClaims(t *testing.T) {
	var s h264.SPS
	if err := s.Unmarshal(giant); err != nil || s.Width() != 16384 || s.Height() != 16384 {
		t.Errorf("got %dx%d, %v", s.Width(), s.Height(), err)
	}
	if err := s.Unmarshal(loadFilm("fast.h264").sets[0]); err != nil || s.FPS() != 1000 {
		t.Errorf("got %v pictures a second, %v", s.FPS(), err)
	}
}

// Fake time makes each recording the same; video/rtsp holds all of them against their files.
func TestDialoguesAreReadAsWritten(t *testing.T) {
	for _, name := range []string{"wrong-password", "stalls-in-a-picture", "endless-line", "keepalive-501", "garbage"} {
		b, err := BadNamed(name)
		if err != nil {
			t.Fatal(err)
		}
		var text string
		synctest.Test(t, func(t *testing.T) { text = b.Record(t.Context(), edge.NewSystemClock()).String() })
		d, err := ParseDialogue(text)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		if diff := cmp.Diff(text, d.String()); diff != "" {
			t.Errorf("%s is read as something else:\n%s", name, diff)
		}
	}
}

func TestBadDialogues(t *testing.T) {
	for name, text := range map[string]string{
		"no end":                 "> OPTIONS * RTSP/1.0\n>\n",
		"camera speaks first":    "< RTSP/1.0 200 OK\n= closes\n",
		"camera interrupts":      "> OPTIONS * RTSP/1.0\n< RTSP/1.0 200 OK\n= closes\n",
		"no hex":                 "> A\n>\n<x zz\n= closes\n",
		"too many bytes":         "> A\n>\n<x 00*99999999\n= closes\n",
		"no number of times":     "> A\n>\n*x <x 00\n= closes\n",
		"another end":            "= explodes\n",
		"a line of another kind": "? what\n= closes\n",
	} {
		if d, err := ParseDialogue(text); err == nil {
			t.Errorf("%s: got %+v", name, d)
		}
	}
}

func TestBadServerEnds(t *testing.T) {
	b, err := BadNamed("silent")
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	cancel()
	wg.Wait()
}
