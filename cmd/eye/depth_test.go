package main

import (
	"bytes"
	"image/jpeg"
	"testing"

	"sitewatch/video/motion"
)

// A camera that codes ten bits (HEVC Main 10 is a usual choice of an encoder) is seen like one that codes eight, and is not silently blind.
func TestMoreThanEightBits(t *testing.T) {
	first := func(args ...string) ([]uint16, coded) {
		u := read(t, encode(t, args...))[0]
		dec, err := newDecoder(u.params, true)
		if err != nil {
			t.Fatal(err)
		}
		defer dec.close()
		g, err := dec.Key(&motion.Unit{Data: u.unit.Data, Keyframe: true})
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		if g.Sharp == 0 {
			t.Errorf("%v: nothing is known of how sharp it is", args)
		}
		return append([]uint16(nil), g.Cells...), u
	}
	want, _ := first("-c:v", "libx264", "-crf", "20")
	for name, args := range map[string][]string{
		"H.265, 10 bits":        {"-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-crf", "20", "-x265-params", "log-level=none:pools=none"},
		"H.265, 12 bits, 4:2:2": {"-c:v", "libx265", "-pix_fmt", "yuv422p12le", "-crf", "20", "-x265-params", "log-level=none:pools=none"},
		"H.264, 10 bits":        {"-c:v", "libx264", "-pix_fmt", "yuv420p10le", "-crf", "20"},
		"H.264, 10 bits, 4:4:4": {"-c:v", "libx264", "-pix_fmt", "yuv444p10le", "-crf", "20"},
	} {
		t.Run(name, func(t *testing.T) {
			got, u := first(args...)
			if len(got) != len(want) {
				t.Fatalf("got %d cells, want %d", len(got), len(want))
			}
			for i := range got {
				if d := int(got[i]) - int(want[i]); d < -4*16 || d > 4*16 {
					t.Fatalf("cell %d: got %d, want about %d", i, got[i]/16, want[i]/16)
				}
			}
			b, err := still(u.params, u.unit.Data)
			if err != nil {
				t.Fatal(err)
			}
			if img, err := jpeg.Decode(bytes.NewReader(b)); err != nil || img.Bounds().Dx() != 320 || img.Bounds().Dy() != 180 {
				t.Errorf("still: got %v, %v", img, err)
			}
		})
	}
}
