package clip

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestExportHasEveryPacketOfTheClip(t *testing.T) {
	b265 := []string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:keyint=10:min-keyint=10:scenecut=0:bframes=2:b-adapt=0:open-gop=1", "-tag:v", "hvc1"}
	for name, c := range map[string]struct {
		args    []string
		without string
	}{
		"H.264":                      {args(picture, x264), ""},
		"H.265":                      {args(picture, x265), ""},
		"H.265, open GOPs":           {args(picture, b265), ""},
		"H.264 and AAC":              {args(picture, tone, x264, aac), ""},
		"H.265 and AAC of 44.1 kHz":  {args(picture, tone, x265, aac, []string{"-ar", "44100"}), ""},
		"H.264 and Opus":             {args(picture, tone, x264, []string{"-c:a", "libopus", "-b:a", "24k", "-strict", "-2"}), "sound in opus"},
		"H.264 and AAC of two sides": {args(picture, tone, x264, []string{"-c:a", "aac", "-ac", "2"}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, src := cutPieces(t, encoded(t, c.args...))
			dst := filepath.Join(t.TempDir(), "out.mp4")
			without, err := Export(src, dst)
			if err != nil || without != c.without {
				t.Fatalf("without %q, %v; want %q", without, err, c.without)
			}
			want, got := tracks(t, src), tracks(t, dst)
			if without != "" {
				delete(want, "audio")
			}
			if len(got) != len(want) {
				t.Fatalf("%d tracks, want %d", len(got), len(want))
			}
			for kind, w := range want {
				g := got[kind]
				if !slices.Equal(g.hashes, w.hashes) {
					t.Errorf("%s: %d packets, want %d, each the same", kind, len(g.hashes), len(w.hashes))
				}
				// ffprobe takes the delay of a track that begins late from its last packet.
				if g.Codec != w.Codec || g.Frames != w.Frames || !near(g.Start, w.Start, 0.0002) || !near(g.End, w.End, w.Start+0.0002) {
					t.Errorf("%s: %v, want %v", kind, g, w)
				}
			}
			if b, err := os.ReadFile(dst); err != nil || strings.Contains(string(b), "moof") {
				t.Errorf("%v, or there are fragments", err)
			}
			// Another program's opinion: the coded stream without its container is the same, bit by bit.
			if a, b := streamHash(t, src), streamHash(t, dst); a != b {
				t.Errorf("ffmpeg's hash of the pictures is %s, want %s", b, a)
			}
		})
	}
}

func streamHash(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.Command("ffmpeg", "-v", "error", "-i", path, "-map", "0:v", "-c", "copy", "-f", "streamhash", "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
