package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"testing"

	"sitewatch/edge"
	"sitewatch/video"
	"sitewatch/video/film"
	"sitewatch/video/motion"
)

var (
	seeds = flag.Int("seeds", 20, "how many times each film is spoilt")
	films = flag.String("films", "../../../shared/footage", "a folder of MP4 files to spoil as well")
)

// encode films a room that nobody is in, with noise, ten pictures a second, as a camera would code it.
func encode(t testing.TB, args ...string) string {
	t.Helper()
	const w, h = 320, 180
	var raw bytes.Buffer
	for n := range 60 {
		for i := range w * h {
			x, y := i%w, i/w
			raw.WriteByte(byte(60 + 40*((x/20+y/20)%2) + (x*7+y*13+n*31)%5))
		}
		raw.Write(bytes.Repeat([]byte{128}, w*h/2))
	}
	path := filepath.Join(t.TempDir(), "room.mp4")
	cmd := exec.Command("ffmpeg", append(append([]string{"-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", "320x180", "-r", "10", "-i", "pipe:0",
		"-threads", "1"}, args...), path)...)
	cmd.Stdin = &raw
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	return path
}

type coded struct {
	unit   video.AccessUnit
	params video.Params
}

func read(t testing.TB, path string) (out []coded) {
	t.Helper()
	f, err := film.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Each(func(u video.AccessUnit, p video.Params) error { out = append(out, coded{u, p}); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// spoil flips bits and cuts units, as seed says; the first two seconds stay whole.
func spoil(us []coded, seed uint64) []coded {
	rnd := rand.New(rand.NewPCG(seed, 7))
	out := append([]coded(nil), us...)
	for range 1 + rnd.IntN(6) {
		i := min(20, len(us)/2) + rnd.IntN(len(us)-min(20, len(us)/2))
		b := bytes.Clone(out[i].unit.Data)
		switch rnd.IntN(4) {
		case 0:
			b = b[:1+rnd.IntN(len(b))]
		case 1: // half of it is from another picture
			o := us[rnd.IntN(len(us))].unit.Data
			at := rnd.IntN(min(len(b), len(o)))
			copy(b[at:], o[at:])
		default:
			for range 1 + rnd.IntN(30) {
				b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
			}
		}
		out[i].unit.Data = b
	}
	return out
}

// see gives an eye the units and returns what it says moved.
func see(t testing.TB, us []coded, grade motion.Grade) (starts []string) {
	t.Helper()
	var out bytes.Buffer
	e := &eye{out: bufio.NewWriter(&out), cameras: map[edge.CameraID]*watched{}}
	defer e.close()
	_ = e.handle(&motion.Setup{Camera: "a", Grade: grade})
	var open video.Params
	for i, u := range us {
		if !u.params.Equal(open) {
			open = u.params
			if err := e.handle(&motion.OpenCamera{Camera: "a", Params: open}); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.handle(&motion.Unit{Camera: "a", Number: uint32(i), PTS: u.unit.PTS, Keyframe: u.unit.Keyframe, Data: u.unit.Data}); err != nil {
			t.Fatal(err)
		}
	}
	for {
		m, err := motion.ReadMessage(&out)
		if err == io.EOF {
			return starts
		}
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := m.(*motion.Motion); ok && m.State == motion.Start {
			starts = append(starts, fmt.Sprintf("%.1f s: %s", m.PTS.Duration().Seconds(), m.Why))
		}
	}
}

// Nothing moves in these films. Whatever is done to their bytes, nothing may be seen to move, and a decoder that dies fails the test.
func TestDamageInventsNothing(t *testing.T) {
	paths := map[string]string{
		"H.264":           encode(t, "-c:v", "libx264", "-bf", "0", "-g", "20", "-crf", "26"),
		"H.264, baseline": encode(t, "-c:v", "libx264", "-profile:v", "baseline", "-g", "20", "-crf", "26"),
		"H.264, B-frames": encode(t, "-c:v", "libx264", "-bf", "2", "-g", "20", "-crf", "26", "-x264-params", "slices=4"),
		"H.265":           encode(t, "-c:v", "libx265", "-crf", "28", "-x265-params", "log-level=none:keyint=20:bframes=0:pools=none"),
		"all keyframes":   encode(t, "-c:v", "libx264", "-g", "1", "-crf", "26"),
		"no colour":       encode(t, "-c:v", "libx264", "-pix_fmt", "gray", "-g", "20", "-crf", "26"),
	}
	for name, path := range paths {
		t.Run(name, func(t *testing.T) {
			us := read(t, path)
			invented := 0
			for _, grade := range []motion.Grade{motion.Alert, motion.Watching} {
				if s := see(t, us, grade); len(s) > 0 {
					t.Fatalf("grade %d: moves without damage: %v", grade, s)
				}
			}
			for seed := range *seeds {
				for _, grade := range []motion.Grade{motion.Alert, motion.Watching} {
					if s := see(t, spoil(us, uint64(seed)), grade); len(s) > 0 {
						invented++
						if invented < 5 {
							t.Logf("seed %d, grade %d: %v", seed, grade, s)
						}
					}
				}
			}
			allowed := 0
			if name == "H.265" {
				// Its decoder draws what flipped bits say and does not complain. On a real line they do not come through: packets have
				// checksums, and a packet that is missing is known from RTP.
				allowed = *seeds / 2
			}
			if invented > allowed {
				t.Errorf("%d of %d spoilt films move", invented, 2**seeds)
			}
		})
	}
}

// Real footage moves; here only survival counts.
func TestDamagedFootage(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(*films, "*.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Skipf("no footage in %s: only drawn films are spoilt", *films)
	}
	rnd := rand.New(rand.NewPCG(5, 6))
	for _, path := range paths {
		us := read(t, path)
		var keys []int
		for i, u := range us {
			if u.unit.Keyframe && i+30 < len(us) {
				keys = append(keys, i)
			}
		}
		for seed := range *seeds {
			from := keys[rnd.IntN(len(keys))]
			see(t, spoil(us[from:min(len(us), from+45)], uint64(seed)), motion.Grade(1+seed%2))
		}
	}
}
