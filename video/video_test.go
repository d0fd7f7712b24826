package video

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"sitewatch/edge"
)

// Of libx264, 640x360 and 1920x1080, High profile.
var (
	sps1080 = []byte{0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x44, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc6, 0x58}
	pps     = []byte{0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0}
)

func TestNewH264Unit(t *testing.T) {
	idr, sei := []byte{0x65, 1, 2, 3}, []byte{0x06, 5, 1, 9, 0x80}
	at := edge.Stamp{Mono: time.Second}
	u, gotSPS, gotPPS, err := NewH264Unit([][]byte{{0x09, 0xf0}, sps1080, pps, sei, {}, idr, {0x0c, 0xff}}, 42, at)
	if err != nil {
		t.Fatal(err)
	}
	if !u.Keyframe || u.PTS != 42 || u.Arrival != at {
		t.Errorf("got key %v, pts %d, arrival %v", u.Keyframe, u.PTS, u.Arrival)
	}
	if !bytes.Equal(gotSPS, sps1080) || !bytes.Equal(gotPPS, pps) {
		t.Errorf("got parameter sets %x and %x", gotSPS, gotPPS)
	}
	var got [][]byte
	for n := range u.NALUs() {
		got = append(got, n)
	}
	if len(got) != 2 || !bytes.Equal(got[0], sei) || !bytes.Equal(got[1], idr) {
		t.Errorf("got NAL units %x, want SEI and IDR only", got)
	}
	if _, s, _, err := NewH264Unit([][]byte{sps1080, pps, sei}, 0, at); !errors.Is(err, ErrNoPicture) || s == nil {
		t.Errorf("got %v, want ErrNoPicture and the SPS nevertheless", err)
	}
	if _, _, _, err := NewH264Unit([][]byte{make([]byte, MaxUnitBytes), idr}, 0, at); err != nil {
		t.Errorf("a huge NAL unit of no known type: got %v", err)
	}
	big := make([]byte, MaxUnitBytes)
	big[0] = 0x65
	if _, _, _, err := NewH264Unit([][]byte{big}, 0, at); err == nil {
		t.Error("an access unit over the limit was taken")
	}
	if _, _, _, err := NewH264Unit(make([][]byte, maxNALUs+1), 0, at); err == nil {
		t.Error("too many NAL units were taken")
	}
}

func TestNALUsOfBrokenData(t *testing.T) {
	for _, data := range [][]byte{nil, {0}, {0, 0, 0, 9, 1}, {0xff, 0xff, 0xff, 0xff, 1}} {
		for n := range (AccessUnit{Data: data}).NALUs() {
			t.Errorf("got a NAL unit %x of %x", n, data)
		}
	}
}

func TestParams(t *testing.T) {
	p, err := NewH264Params(sps1080, pps)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Size{1920, 1080}); p.Size != want {
		t.Errorf("got size %v, want %v", p.Size, want)
	}
	if !p.Valid() || !p.Equal(p) || p.Equal(Params{}) {
		t.Error("Valid or Equal is wrong")
	}
	for name, c := range map[string]struct{ sps, pps []byte }{
		"none":            {nil, nil},
		"swapped":         {pps, sps1080},
		"cut short":       {sps1080[:6], pps},
		"no PPS":          {sps1080, nil},
		"rubbish":         {[]byte{0x67, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, pps},
		"far too long":    {append(bytes.Clone(sps1080), make([]byte, maxParamBytes)...), pps},
		"a giant picture": {[]byte{0x67, 0x42, 0x00, 0x28, 0xf4, 0x00, 0x00, 0x40, 0x00, 0x00, 0x10, 0x00, 0x0f, 0xff}, pps},
	} {
		if _, err := NewH264Params(c.sps, c.pps); !errors.Is(err, ErrBadParams) {
			t.Errorf("%s: got %v, want ErrBadParams", name, err)
		}
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		ticks Ticks90k
		d     time.Duration
	}{{0, 0}, {90000, time.Second}, {-45000, -500 * time.Millisecond}, {9, 100 * time.Microsecond},
		{90000 * 3600 * 24 * 3650, 3650 * 24 * time.Hour}} {
		if got := c.ticks.Duration(); got != c.d {
			t.Errorf("%d ticks: got %v, want %v", c.ticks, got, c.d)
		}
		if got := TicksOf(c.d); got != c.ticks {
			t.Errorf("%v: got %d ticks, want %d", c.d, got, c.ticks)
		}
	}
}

func TestAnchor(t *testing.T) {
	wall := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	a := Anchor{PTS: 900000, At: edge.Stamp{Wall: wall, Mono: time.Minute, Boot: "b", Synced: true}}
	want := edge.Stamp{Wall: wall.Add(-2 * time.Second), Mono: 58 * time.Second, Boot: "b", Synced: true}
	if got := a.StampOf(720000); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func FuzzNewH264Params(f *testing.F) {
	f.Add(sps1080, pps)
	f.Add([]byte{0x67, 0x64, 0, 0x28, 0xff, 0xff}, []byte{0x68, 0})
	f.Fuzz(func(t *testing.T, sps, pps []byte) {
		p, err := NewH264Params(sps, pps)
		if err == nil && (!p.Valid() || p.Size.Width > MaxSide || p.Size.Height > MaxSide || len(p.Config()) < 11) {
			t.Errorf("accepted %x: %+v", sps, p)
		}
	})
}
