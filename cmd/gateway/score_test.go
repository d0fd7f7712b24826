package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// yard encodes 12 s of a yard that a block crosses from second 5 to second 8.
func yard(path string) error {
	const w, h = 320, 180
	var raw bytes.Buffer
	for n := range 120 {
		at := (n-50)*11 - 40
		for i := range w * h {
			x, y := i%w, i/w
			v := byte(60 + 40*((x/20+y/20)%2) + (x*7+y*13+n*31)%5)
			if n >= 50 && n < 80 && x >= at && x < at+40 && y >= 60 && y < 150 {
				v = 220
			}
			raw.WriteByte(v)
		}
		raw.Write(bytes.Repeat([]byte{128}, w*h/2))
	}
	cmd := exec.Command("ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", "320x180", "-r", "10", "-i", "pipe:0",
		"-threads", "1", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "20", path)
	cmd.Stdin = &raw
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func TestEyeScore(t *testing.T) {
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	film := filepath.Join(dir, "yard.mp4")
	if err := yard(film); err != nil {
		t.Fatal(err)
	}
	truth := filepath.Join(dir, "truth.csv")
	if err := os.WriteFile(truth, []byte("clip,start_s,end_s,label,target\nyard.mp4,5,8,block,True\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, error) {
		var stderr strings.Builder
		cmd := exec.Command(filepath.Join(bin, "gateway"), append([]string{"eye", "score"}, args...)...)
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		return string(out) + stderr.String(), err
	}
	out, err := run("--json", film)
	if err != nil {
		t.Fatal(out)
	}
	var found map[string][][3]float64
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	if f := found["yard.mp4"]; len(f) != 1 || f[0][0] < 5 || f[0][0] > 5.6 || f[0][2] > 6 || f[0][1] < 7 || f[0][1] > 8.2 {
		t.Errorf("got %v, want one interval from 5 to 8 s", found)
	}
	pictures := filepath.Join(dir, "pictures")
	out, err = run("--truth", truth, "--out", pictures, "--grade", "watching", film)
	if err != nil || !strings.Contains(out, "1/1") || !strings.Contains(out, "region") {
		t.Errorf("got %v: %s", err, out)
	}
	for _, name := range []string{"yard-timeline.png", "yard-heat.png"} {
		f, err := os.Open(filepath.Join(pictures, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := png.Decode(f); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	whole, err := os.ReadFile(film)
	if err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(dir, "half.mp4")
	if err := os.WriteFile(half, whole[:len(whole)/2], 0o600); err != nil { // its tables, which are at the end, are gone
		t.Fatal(err)
	}
	if out, err = run("--json", half, film, truth); err == nil || !strings.Contains(out, `"yard.mp4":[[`) || strings.Contains(out, `"half.mp4"`) ||
		!strings.Contains(out, "half.mp4: not an MP4 file") || !strings.Contains(out, "truth.csv: not an MP4 file") {
		t.Errorf("two files that are no films: got %v: %s, want what they are and the film's result", err, out)
	}
	front := filepath.Join(dir, "front.mp4")
	if out, err := exec.Command("ffmpeg", "-v", "error", "-i", film, "-c", "copy", "-movflags", "+faststart", front).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	if err := os.Truncate(front, int64(len(whole)/2)); err != nil {
		t.Fatal(err)
	}
	if out, err = run("--truth", truth, front); err != nil || !strings.Contains(out, "of 120 pictures cannot be read") || !strings.Contains(out, "says nothing of a clip front.mp4") {
		t.Errorf("a film that is cut short: got %v: %s, want that said, and that there is no truth for it", err, out)
	}
	for name, c := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"no film":    {[]string{truth}, 1, "ffmpeg -i"},
		"not there":  {[]string{filepath.Join(dir, "none.mp4")}, 1, "none.mp4"},
		"no truth":   {[]string{"--truth", film, film}, 2, "ground truth"},
		"same names": {[]string{film, film}, 2, "yard.mp4"},
		"a grade":    {[]string{"--grade", "asleep", film}, 2, "grade"},
	} {
		out, err := run(c.args...)
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != c.status || !strings.Contains(out, c.says) {
			t.Errorf("%s: got %v: %s, want status %d and %q", name, err, out, c.status, c.says)
		}
	}
}
