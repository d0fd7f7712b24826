package video

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"sitewatch/edge"
)

// Of libx265, 1920x1080, Main profile.
var (
	vps265 = unhex("40010c01ffff016000000300900000030000030078959009")
	sps265 = unhex("420101016000000300900000030000030078a003c08010e596564924caf0168080000003008000000784")
	pps265 = unhex("4401c172b46240")
	idr265 = unhex("2801af19088e19844f40cb84e010742b")
	cra265 = unhex("2a01ac104d2711088e160c2c41250553")
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func TestH265Params(t *testing.T) {
	p, err := NewH265Params(vps265, sps265, pps265)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Size{1920, 1080}); p.Size != want || !p.Valid() || !p.Equal(p) || len(p.Sets()) != 3 {
		t.Errorf("got %+v, want size %v", p, want)
	}
	// The record as ffmpeg writes it for the same stream; ISO/IEC 14496-15 §8.3.3.1.2.
	if want := unhex("01016000000090000000000078f000fcfdf8f800000f03"); !bytes.HasPrefix(p.Config(), want) {
		t.Errorf("got configuration\n%x, want it to begin\n%x", p.Config(), want)
	}
	if n, want := len(p.Config()), 23+3*5+len(vps265)+len(sps265)+len(pps265); n != want {
		t.Errorf("got a configuration of %d bytes, want %d", n, want)
	}
	for name, c := range map[string][3][]byte{
		"none":          {nil, nil, nil},
		"no VPS":        {nil, sps265, pps265},
		"swapped":       {vps265, pps265, sps265},
		"cut short":     {vps265, sps265[:20], pps265},
		"of H.264":      {vps265, sps1080, pps},
		"rubbish":       {vps265, append(bytes.Clone(sps265[:15]), bytes.Repeat([]byte{0xff}, 20)...), pps265},
		"far too long":  {vps265, append(bytes.Clone(sps265), make([]byte, maxParamBytes)...), pps265},
		"PPS cut short": {vps265, sps265, pps265[:2]},
	} {
		if _, err := NewH265Params(c[0], c[1], c[2]); !errors.Is(err, ErrBadParams) {
			t.Errorf("%s: got %v, want ErrBadParams", name, err)
		}
	}
}

func TestNewH265Unit(t *testing.T) {
	sei := unhex("4e010501ff80")
	u, v, s, p, err := NewH265Unit([][]byte{unhex("460150"), vps265, sps265, pps265, sei, {}, idr265}, 42, edge.Stamp{Mono: 1})
	if err != nil {
		t.Fatal(err)
	}
	if !u.Keyframe || u.PTS != 42 || !bytes.Equal(v, vps265) || !bytes.Equal(s, sps265) || !bytes.Equal(p, pps265) {
		t.Errorf("got %+v with %x %x %x", u, v, s, p)
	}
	var got [][]byte
	for n := range u.NALUs() {
		got = append(got, n)
	}
	if len(got) != 2 || !bytes.Equal(got[1], idr265) {
		t.Errorf("got NAL units %x, want SEI and IDR only", got)
	}
	if u, _, _, _, err := NewH265Unit([][]byte{cra265}, 0, edge.Stamp{}); err != nil || !u.Keyframe {
		t.Errorf("CRA: got key %v, %v, want a keyframe", u.Keyframe, err)
	}
	if _, v, _, _, err := NewH265Unit([][]byte{vps265, sei, {1}}, 0, edge.Stamp{}); !errors.Is(err, ErrNoPicture) || v == nil {
		t.Errorf("got %v, want ErrNoPicture and the VPS nevertheless", err)
	}
}

func TestSlicesOfH265(t *testing.T) {
	params, err := NewH265Params(vps265, sps265, pps265)
	if err != nil {
		t.Fatal(err)
	}
	unit := func(n []byte) AccessUnit { return AccessUnit{Data: AppendNALU(nil, n)} }
	trail, rasl := unhex("0201d0115784318c04468ab06f864015"), unhex("1201d0115784318c04468ab06f864015")
	for name, c := range map[string]struct {
		nalu               []byte
		plausible, skipped bool
	}{
		"IDR_N_LP":             {idr265, true, false},
		"CRA":                  {cra265, true, false},
		"TRAIL_R":              {trail, true, false},
		"RASL_R":               {rasl, true, true},
		"another PPS":          {unhex("2801a119088e19844f40cb84e010742b"), false, false},
		"a second slice first": {unhex("28012f19088e19844f40cb84e010742b"), false, false},
		"an IDR with P slices": {unhex("2801b119088e19844f40cb84e010742b"), false, false},
		"cut short":            {[]byte{0x28, 1}, false, false},
	} {
		if got := params.Plausible(unit(c.nalu)); got != c.plausible {
			t.Errorf("%s: plausible is %v, want %v", name, got, c.plausible)
		}
		if got := params.Skipped(unit(c.nalu)); got != c.skipped {
			t.Errorf("%s: skipped is %v, want %v", name, got, c.skipped)
		}
	}
}

func FuzzNewH265Params(f *testing.F) {
	f.Add(vps265, sps265, pps265)
	f.Add(vps265, sps265[:30], pps265[:4])
	f.Fuzz(func(t *testing.T, vps, sps, pps []byte) {
		p, err := NewH265Params(vps, sps, pps)
		if err == nil && (!p.Valid() || p.Size.Width > MaxSide || p.Size.Height > MaxSide || len(p.Config()) < 23) {
			t.Errorf("accepted %x: %+v", sps, p)
		}
		if err == nil {
			p.Plausible(AccessUnit{Data: AppendNALU(nil, vps)})
		}
	})
}
