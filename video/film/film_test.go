package film

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sitewatch/video"
)

// make encodes a small film.
func record(t testing.TB, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "film.mp4")
	args = append([]string{"-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=10:duration=4", "-threads", "1", "-pix_fmt", "yuv420p", "-g", "20"}, args...)
	if out, err := exec.Command("ffmpeg", append(args, "-y", path)...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	return path
}

type picture struct {
	pts video.Ticks90k
	key bool
	sum [32]byte
}

func pictures(t testing.TB, path string) (out []picture, f *Film) {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Each(func(u video.AccessUnit, p video.Params) error {
		if p.Size != (video.Size{Width: 320, Height: 180}) {
			t.Errorf("got pictures of %v", p.Size)
		}
		out = append(out, picture{u.PTS, u.Keyframe, sha256.Sum256(u.Data)})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out, f
}

func TestFilms(t *testing.T) {
	for name, args := range map[string][]string{
		"H.264":                            {"-c:v", "libx264", "-bf", "0"},
		"H.264 with B-frames":              {"-c:v", "libx264", "-bf", "2"},
		"H.264, tables in front":           {"-c:v", "libx264", "-bf", "0", "-movflags", "+faststart"},
		"H.264, fragmented":                {"-c:v", "libx264", "-bf", "0", "-movflags", "+frag_keyframe+empty_moov+default_base_moof"},
		"H.264, old fragments":             {"-c:v", "libx264", "-bf", "0", "-movflags", "+frag_keyframe+empty_moov"},
		"H.264, fragments of no said time": {"-c:v", "libx264", "-bf", "0", "-f", "ismv"},
		"H.264, sets in the units":         {"-c:v", "libx264", "-bf", "0", "-tag:v", "avc3", "-bsf:v", "dump_extra"},
		"H.265":                            {"-c:v", "libx265", "-x265-params", "log-level=none:bframes=0:pools=none"},
		"H.265, fragmented":                {"-c:v", "libx265", "-x265-params", "log-level=none:bframes=0:pools=none", "-tag:v", "hvc1", "-movflags", "+frag_keyframe+empty_moov"},
	} {
		t.Run(name, func(t *testing.T) {
			got, f := pictures(t, record(t, args...))
			if len(got) != 40 || f.Pictures() != 40 || f.Duration().Seconds() != 4 {
				t.Fatalf("got %d pictures, %d in %v, want 40 in 4 s", len(got), f.Pictures(), f.Duration())
			}
			seen := map[video.Ticks90k]bool{}
			for _, p := range got {
				seen[p.pts] = true
			}
			for i := range 40 {
				if !seen[video.Ticks90k(i)*9000] {
					t.Errorf("no picture at %d ms", 100*i)
				}
			}
			if !got[0].key || !got[20].key || got[1].key {
				t.Error("keyframes are not where the encoder put them")
			}
		})
	}
}

// A recording that was cut short plays as far as it goes, and a film is the same in any wrapping.
func TestCutShort(t *testing.T) {
	path := record(t, "-c:v", "libx264", "-bf", "0", "-movflags", "+frag_keyframe+empty_moov")
	whole, _ := pictures(t, path)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.mp4")
	if err := os.WriteFile(cut, b[:bytes.LastIndex(b, []byte("moof"))+200], 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := open(cut); err == nil && got == 0 || err != nil && !errors.Is(err, ErrFormat) {
		t.Errorf("got %d pictures, %v", got, err)
	}
	if err := os.WriteFile(cut, b[:bytes.LastIndex(b, []byte("moof"))-4], 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := open(cut); err != nil || got != 20 || len(whole) != 40 {
		t.Errorf("got %d of %d pictures, %v, want the first fragment", got, len(whole), err)
	}
}

func open(path string) (n int, err error) {
	f, err := Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	err = f.Each(func(video.AccessUnit, video.Params) error { n++; return nil })
	return n, err
}

func TestWhatIsNoFilm(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"a pipe that nobody writes to": pipe,

		"nothing":       write("empty", ""),
		"text":          write("text", strings.Repeat("this is no film ", 50)),
		"a folder":      dir,
		"another codec": record(t, "-c:v", "mpeg4"),
	} {
		if _, err := open(path); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: got %v, want ErrFormat", name, err)
		}
	}
	if _, err := open(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: got %v", err)
	}
}

// Times are those that a player shows, also where a film was cut without coding it again, or its sound begins first.
func TestFilmsThatDoNotBeginWithTheirFirstPicture(t *testing.T) {
	whole := record(t, "-c:v", "libx264", "-bf", "2")
	for name, c := range map[string]struct {
		args []string
		want time.Duration
	}{
		"whole":              {[]string{"-i", whole, "-c", "copy"}, 0},
		"cut":                {[]string{"-ss", "3.1", "-i", whole, "-c", "copy"}, -1100 * time.Millisecond},
		"sound begins first": {[]string{"-itsoffset", "1.5", "-i", whole, "-f", "lavfi", "-i", "sine=duration=5", "-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac"}, 1500 * time.Millisecond},
	} {
		path := filepath.Join(t.TempDir(), "film.mp4")
		if out, err := exec.Command("ffmpeg", append(append([]string{"-v", "error"}, c.args...), path)...).CombinedOutput(); err != nil {
			t.Fatalf("%s: ffmpeg: %v\n%s", name, err, out)
		}
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if got := f.Start(); got < c.want-time.Millisecond || got > c.want+time.Millisecond {
			t.Errorf("%s: the first picture is at %v, want %v", name, got, c.want)
		}
	}
}

func TestBrokenEditLists(t *testing.T) {
	stsz := make([]byte, 12)
	stsz[11] = 1
	for _, elst := range []string{"", "\x01", "\x00\x00\x00\x00\x00\x00\x00\x09", "\x01\x00\x00\x00\x00\x00\x00\x01" + strings.Repeat("\x7F", 20)} {
		v := tables{elst: []byte(elst), stsz: stsz}
		if err := v.edit(1000); err != nil && !errors.Is(err, ErrFormat) || v.edited {
			t.Errorf("%q: got %v, edited %v", elst, err, v.edited)
		}
	}
}

func TestBrokenFilms(t *testing.T) {
	for _, flags := range []string{"+faststart", "+frag_keyframe+empty_moov"} {
		b, err := os.ReadFile(record(t, "-c:v", "libx264", "-bf", "2", "-movflags", flags))
		if err != nil {
			t.Fatal(err)
		}
		rnd := rand.New(rand.NewPCG(3, 4))
		path := filepath.Join(t.TempDir(), "broken.mp4")
		good := 0
		for range 400 {
			c := bytes.Clone(b[:len(b)-rnd.IntN(2)*rnd.IntN(len(b))])
			for range 1 + rnd.IntN(8) {
				c[rnd.IntN(min(len(c), 3000))] = byte(rnd.Uint32())
			}
			if err := os.WriteFile(path, c, 0o600); err != nil {
				t.Fatal(err)
			}
			if n, err := open(path); err == nil && n > 0 {
				good++
			}
		}
		if good == 0 {
			t.Errorf("%s: none of the slightly broken films could be read: the test tests nothing", flags)
		}
	}
}
