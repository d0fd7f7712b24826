package rtsp

import (
	"errors"
	"testing"
	"time"

	"github.com/pion/rtp"

	"sitewatch/edge"
	"sitewatch/video"
)

func TestLoad(t *testing.T) {
	for name, c := range map[string]struct {
		every    time.Duration
		bytes    int
		pictures int64
		refused  bool
	}{
		"60 pictures a second, 8 Mbit/s": {time.Second / 60, 1_000_000 / 60, 1, false},
		"200 pictures a second":          {time.Second / 200, 1000, 1, false},
		"1000 pictures a second":         {time.Millisecond, 1000, 1, true},
		"80 Mbit/s":                      {10 * time.Millisecond, 100_000, 0, false},
		"200 Mbit/s":                     {10 * time.Millisecond, 250_000, 0, true},
		"packets without pictures, 1/ms": {time.Millisecond, 1400, 0, false},
	} {
		var l load
		var err error
		for at := time.Duration(0); at < 12*time.Second && err == nil; at += c.every {
			err = l.packet(c.bytes, c.pictures, at)
		}
		if errors.Is(err, ErrLimit) != c.refused {
			t.Errorf("%s: got %v, refused %v", name, err, c.refused)
		}
	}
	var l load // five seconds of 60 pictures a second at once, after the network stood still, and on
	for n := range 420 {
		if err := l.packet(20000, 1, max(0, time.Duration(n-300))*time.Second/60); err != nil {
			t.Fatalf("a burst after a stall: %v", err)
		}
	}
}

// giantSPS is of Baseline, level 6.2: 1024 by 1024 macroblocks.
var giantSPS = []byte{0x67, 0x42, 0x00, 0x3E, 0xDA, 0x00, 0x10, 0x00, 0x00, 0x80, 0x19}

func TestGiantPicturesAreRefused(t *testing.T) {
	units, err := footage()
	if err != nil {
		t.Fatal(err)
	}
	for name, describedGiant := range map[string]bool{"in the description": true, "in the pictures": false} {
		var got taken
		var sps []byte
		if describedGiant {
			sps = giantSPS
		}
		a := newAssembler(video.H264, nil, sps, []byte{0x68, 0xCE, 0x3C, 0x80}, got.emit)
		for n, u := range units[:12] {
			for i, nalu := range u {
				if nalu[0]&0x1F == 7 {
					if nalu = giantSPS; describedGiant {
						continue
					}
				}
				a.packet(&rtp.Packet{Header: rtp.Header{Timestamp: uint32(n * 4500), Marker: i == len(u)-1}, Payload: nalu}, edge.Stamp{})
			}
		}
		if !errors.Is(a.fatal, ErrLimit) || !errors.Is(a.fatal, video.ErrSize) || len(got.units) > 0 {
			t.Errorf("%s: got %v and %d pictures, want ErrLimit and none", name, a.fatal, len(got.units))
		}
	}
}
