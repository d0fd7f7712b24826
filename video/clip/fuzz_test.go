package clip

import (
	"os"
	"path/filepath"
	"testing"
)

// Whatever a power cut, or somebody who edits a clip, has left: it is cut back to what is whole, or refused, and exported or not.
func FuzzSalvage(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x10ftypisom\x00\x00\x00\x00"))
	for _, name := range []string{"h264-aac.mp4", "h265-lpcm.mp4"} { // a picture or two of real clips
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "x.tmp")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		out := path + ".mp4"
		_, exported := Export(path, out)
		if _, err := os.Stat(out); (err == nil) != (exported == nil) {
			t.Errorf("export says %v, and there is a file: %v", exported, err == nil)
		}
		s, err := salvage(path)
		if err != nil {
			return
		}
		if s.codec == "" {
			t.Errorf("got %+v", s)
		}
		again, err := salvage(path) // what is left is whole
		if err != nil || again.end != s.end || again.note != s.note {
			t.Errorf("a second time: %+v, %v, want %+v", again, err, s)
		}
	})
}

func TestSeedsOfTheFuzzerAreWhole(t *testing.T) {
	for name, sound := range map[string]string{"h264-aac.mp4": "aac", "h265-lpcm.mp4": "lpcm"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := salvage(path); err != nil || s.audio != sound || s.size.Width != 32 {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
		without, err := Export(path, path+".out.mp4")
		if err != nil || (without == "") != (sound == "aac") {
			t.Errorf("%s: exported without %q, %v", name, without, err)
		}
	}
}
