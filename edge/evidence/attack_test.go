package evidence

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// TestClipThatIsNotCompleteIsSaid: such a folder is not broken, and is not called proved either.
func TestClipThatIsNotCompleteIsSaid(t *testing.T) {
	s := newScene(t)
	s.smashed = true
	m := s.folder()
	r := verify(t, m, s.ca)
	if r.Broken != nil || r.OK() || !r.Holds() || r.Arrived != 1 || r.Clips != 2 {
		t.Fatalf("got %+v", r)
	}
	if len(r.Open) != 3 || !strings.Contains(r.Open[1], clipC+"/still.jpg: a box signs it with its clip") || !strings.Contains(r.Open[2], clipC+"/arrived.mp4: what had come") {
		t.Errorf("open: %q, want event 9 and what had come of a clip", r.Open)
	}
	var out bytes.Buffer
	must(t, r.Print(&out))
	if !strings.HasSuffix(out.String(), "\nNOT COMPLETE\n") || !strings.Contains(out.String(), "\nNothing that a box has signed was changed. There is 1 clip of which only a part had come. No box has signed that part: the operations centre alone stands for it.") || strings.Contains(out.String(), "\nPROVED") {
		t.Errorf("printed:\n%s", &out)
	}
	for name, want := range map[string]string{htmlFile: `src="clips/` + clipC + `/arrived.mp4"`, csvFile: clipA + " " + clipC + ` (incomplete, not signed by the box)",`} {
		if page := string(m[name].Data); !strings.Contains(page, want) || !strings.Contains(page, "incomplete, not signed by the box") {
			t.Errorf("%s lacks %q", name, want)
		}
	}
}

// TestWhatSystemsLeaveBehindBreaksNothing: it is told, and nothing else may have been put there.
func TestWhatSystemsLeaveBehindBreaksNothing(t *testing.T) {
	s := newScene(t)
	m := s.folder()
	for _, name := range []string{".DS_Store", clipDir + "/" + clipA + "/Thumbs.db", clipDir + "/._" + clipA} {
		m[name] = &fstest.MapFile{Data: []byte("x")}
	}
	if r := verify(t, m, s.ca); !r.OK() || len(r.Remarks) != 3 {
		t.Errorf("got %v, %q", r.Broken, r.Remarks)
	}
}

// TestEventBehindAClipIsMissed: who takes a whole journal out leaves clips whose manifests name its events.
func TestEventBehindAClipIsMissed(t *testing.T) {
	s := newScene(t)
	m := s.folder()
	if r := verify(t, m, s.ca); len(r.Remarks) != 0 {
		t.Errorf("nothing is missing: %q", r.Remarks)
	}
	for name := range m {
		if strings.HasPrefix(name, journalDir) {
			delete(m, name)
		}
	}
	if r := verify(t, m, s.ca); r.OK() || len(r.Remarks) != 2 || !strings.Contains(r.Remarks[0], "event 1 of journal "+journalA+", which asked for clip "+clipA) {
		t.Errorf("got %v, %q", r.Broken, r.Remarks)
	}
}

// TestSealOfWhoeverHasTheKeyProvesNoEvent: the SOC's own key seals a folder anew, out of which something was taken.
func TestSealOfWhoeverHasTheKeyProvesNoEvent(t *testing.T) {
	s := newScene(t)
	soc := s.ca.soc()
	whole := s.folder()
	cut := func(name string, from, to int) func(fstest.MapFS) {
		return func(m fstest.MapFS) {
			m[name].Data = []byte(strings.Join(slices.Delete(slices.Collect(strings.Lines(string(m[name].Data))), from, to), ""))
		}
	}
	for name, tt := range map[string]struct {
		change func(fstest.MapFS)
		says   string
	}{
		"the newest events, but for their checkpoint": {cut(eventsA, 6, 8), "event 8: expected event 8, which the box has signed in its checkpoint; there is none"},
		"all events":                      {func(m fstest.MapFS) { m[eventsA].Data = nil }, "event 3: expected event 3, which"},
		"the first entry of the custody":  {cut(custodyFile, 0, 1), "entry 2: expected entry 1"},
		"the custody log":                 {func(m fstest.MapFS) { delete(m, custodyFile) }, custodyFile + ": expected the custody log"},
		"nothing: it is sealed as it was": {func(fstest.MapFS) {}, ""},
		"nothing, but a still is invented": {func(m fstest.MapFS) {
			m[clipDir+"/"+strings.Repeat("d", 32)+"/"+stillFile] = &fstest.MapFile{Data: []byte("another picture")}
		}, ""},
	} {
		m := clone(whole)
		tt.change(m)
		var sums bytes.Buffer
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if !strings.HasPrefix(name, sumsFile) {
				fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(m[name].Data), name)
			}
		}
		sum := sha256.Sum256(sums.Bytes())
		sig, err := soc.Key.Sign(rand.Reader, sum[:], crypto.SHA256)
		must(t, err)
		m[sumsFile].Data, m[sealFile].Data, m[sealCert].Data = sums.Bytes(), sig, pemOf(soc.Certificate)
		r := verify(t, m, s.ca)
		if (tt.says == "") != (r.Broken == nil) || r.Broken != nil && !strings.Contains(r.Broken.Error(), tt.says) {
			t.Errorf("%s: got %v, want %q", name, r.Broken, tt.says)
		}
		var out bytes.Buffer
		must(t, r.Print(&out))
		if strings.Contains(out.String(), "Nothing was changed") || len(m) != len(whole) && strings.HasSuffix(out.String(), "\nPROVED\n") {
			t.Errorf("%s: printed\n%s", name, &out)
		}
	}
}
