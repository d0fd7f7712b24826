package clip

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/video"
	"sitewatch/video/ring"
	"sitewatch/video/rtsptest"
)

// Cameras hardly ever send B-pictures, but some do: then pictures come in the order of decoding, and the clip has to show them
// in the order of their PTS. The pattern is I P B P B ..., each B shown before the P that it came after.
func TestBPictures(t *testing.T) {
	r := ring.New(ring.Options{Keep: time.Hour, LimitBytes: 64 << 20})
	var params video.Params
	n := 0
	args := []string{"-f", "lavfi", "-i", "testsrc=size=320x240:rate=10", "-t", "12.1", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast",
		"-x264-params", "bframes=1:b-adapt=0:scenecut=0:keyint=11:min-keyint=11:open-gop=0"}
	shown := map[video.Ticks90k]bool{}
	err := rtsptest.Encode(t.Context(), nil, args, func(nalus [][]byte) error {
		at := time.Duration(n) * 100 * time.Millisecond
		show := n
		if k := n % 11; k > 0 { // decoding 1 2 3 4 is showing 2 1 4 3
			show += 2*(k%2) - 1
		}
		pts := video.Ticks90k(show) * 9000
		u, sps, pps, err := video.NewH264Unit(nalus, pts, edge.Stamp{Wall: wall0.Add(at), Mono: at, Boot: "b"})
		if err != nil {
			return err
		}
		if sps != nil {
			if params, err = video.NewH264Params(sps, pps); err != nil {
				return err
			}
		}
		if shown[pts] {
			t.Errorf("the test's own pattern shows %d twice", pts)
		}
		shown[pts] = true
		r.Push(u, params)
		n++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	fact, file, lost := cutOne(t, t.TempDir(), r, 30*time.Second, alarm(5*time.Second, 5*time.Second, 5100*time.Millisecond), nil) // its last picture in the order of decoding is not that which is shown last
	if lost != "" {
		t.Fatal(lost)
	}
	probed := probeAny(t, file.Path)
	if d := fact.To.Sub(fact.From); d < 10190*time.Millisecond || d > 10210*time.Millisecond {
		t.Errorf("the fact says %s, want the 10.2 s that are shown", d)
	}
	if probed.Streams[0].Frames != "102" {
		t.Errorf("%s pictures were decoded, want 102", probed.Streams[0].Frames)
	}
	first := probed.Packets[0].PTS
	for i, p := range probed.Packets {
		want := i
		if k := i % 11; k > 0 {
			want += 2*(k%2) - 1
		}
		if d := p.PTS - first - float64(want)/10; d < -0.001 || d > 0.001 {
			t.Errorf("packet %d is shown at %v, want %v", i, p.PTS-first, float64(want)/10)
		}
		if p.DTS > p.PTS {
			t.Errorf("packet %d is decoded at %v and shown at %v", i, p.DTS, p.PTS)
		}
	}
	dst := filepath.Join(t.TempDir(), "b.mp4")
	if _, err := Export(file.Path, dst); err != nil {
		t.Fatal(err)
	}
	if got := probeAny(t, dst); got.Streams[0].Frames != "102" {
		t.Errorf("exported: %s pictures were decoded, want 102", got.Streams[0].Frames)
	}
	if fi, err := os.Stat(dst); err != nil || fi.Size() < fact.SizeBytes/2 {
		t.Errorf("exported: %v, %v", fi, err)
	}
}
