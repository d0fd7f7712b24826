package osdp

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sitewatch/drivers/panel"
	"sitewatch/drivers/paneltest"
	"sitewatch/edge"
)

// fixedRandom gives the challenge B0..B7, so that a secure channel's bytes can be written down.
type fixedRandom struct{}

func (fixedRandom) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 0xB0 + byte(i%8)
	}
	return len(b), nil
}

const testKey = "00112233445566778899AABBCCDDEEFF"

// inTestdata goes to a folder of its own with a copy of the transcripts and the key file that they name: a key's file must have
// a mode that a clone would not keep.
func inTestdata(t testing.TB) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "testdata"), os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	writeKey(t, "device.key", testKey+"\n", 0o600)
}

func writeKey(t testing.TB, name, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
	return name
}

// laterClock is 30 years on: in a bubble it is the year 2000, which the box takes for a clock that nobody has set.
type laterClock struct{ edge.Clock }

func (c laterClock) Now() edge.Stamp {
	s := c.Clock.Now()
	s.Wall = s.Wall.AddDate(30, 0, 0)
	return s
}

// testDriver is the driver with challenges that are always the same, and a clock that is set.
func testDriver() panel.Driver {
	d := newDriver(fixedRandom{})
	make := d.New
	d.New = func(s *panel.Settings, o panel.SessionOptions) panel.Session {
		if o.Clock != nil {
			o.Clock = laterClock{o.Clock}
		}
		return make(s, o)
	}
	return d
}

func TestConformance(t *testing.T) {
	inTestdata(t)
	paneltest.Run(t, testDriver())
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// received returns what devices send in all transcripts, as seeds.
func received(t testing.TB) (all [][]byte) {
	t.Helper()
	files, _ := filepath.Glob("testdata/*.wire")
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tr, err := panel.ParseTranscript(text)
		if err != nil {
			t.Fatal(err)
		}
		var b []byte
		for _, s := range tr.Steps {
			if s.Op == panel.Receive {
				b = append(b, s.Bytes...)
			}
		}
		all = append(all, b)
	}
	return all
}
