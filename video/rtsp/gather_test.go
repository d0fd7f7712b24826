package rtsp

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/pion/rtp"

	"sitewatch/edge"
	"sitewatch/video"
)

func TestGather(t *testing.T) {
	idr, p := []byte{0x65, 0x88, 0x84, 1, 2, 3}, []byte{0x41, 0x9A, 4, 5}
	idr265 := []byte{0x28, 0x01, 0xAF, 1, 2, 3}
	for name, c := range map[string]struct {
		codec    video.Codec
		payloads [][]byte
		want     [][]byte
		err      error
	}{
		"single":                       {video.H264, [][]byte{idr}, [][]byte{idr}, nil},
		"aggregate":                    {video.H264, [][]byte{{24, 0, 4, 0x41, 0x9A, 4, 5, 0, 2, 6, 7}}, [][]byte{p, {6, 7}}, nil},
		"aggregate with padding":       {video.H264, [][]byte{{24, 0, 4, 0x41, 0x9A, 4, 5, 0, 0, 0, 0}}, [][]byte{p}, nil},
		"aggregate cut short":          {video.H264, [][]byte{{24, 0, 9, 0x41, 0x9A, 4, 5}}, nil, errPacket},
		"fragments":                    {video.H264, [][]byte{{0x7C, 0x85, 0x88, 0x84}, {0x7C, 0x05, 1, 2}, {0x7C, 0x45, 3}}, [][]byte{idr}, nil},
		"first and last fragment":      {video.H264, [][]byte{{0x7C, 0xC5, 0x88, 0x84, 1, 2, 3}}, [][]byte{idr}, nil},
		"no first fragment":            {video.H264, [][]byte{{0x7C, 0x05, 1, 2}}, nil, errPacket},
		"no last fragment":             {video.H264, [][]byte{{0x7C, 0x85, 0x88, 0x84}, p}, nil, errPacket},
		"byte stream":                  {video.H264, [][]byte{slices.Concat([]byte{0, 0, 0, 1}, idr, []byte{0, 0, 0, 1}, p)}, [][]byte{idr, p}, nil},
		"interleaved":                  {video.H264, [][]byte{{25, 0, 0, 0, 4, 0x41, 0x9A, 4, 5}}, nil, errPacket},
		"H.265, single":                {video.H265, [][]byte{idr265}, [][]byte{idr265}, nil},
		"H.265, aggregate":             {video.H265, [][]byte{{0x60, 1, 0, 6, 0x28, 0x01, 0xAF, 1, 2, 3, 0, 3, 0x4E, 1, 9}}, [][]byte{idr265, {0x4E, 1, 9}}, nil},
		"H.265, fragments":             {video.H265, [][]byte{{0x62, 1, 0x94, 0xAF}, {0x62, 1, 0x14, 1}, {0x62, 1, 0x54, 2, 3}}, [][]byte{idr265}, nil},
		"H.265, no last fragment":      {video.H265, [][]byte{{0x62, 1, 0x94, 0xAF}, idr265}, nil, errPacket},
		"H.265, with extension (PACI)": {video.H265, [][]byte{{0x64, 1, 0x94, 0xAF}}, nil, errPacket},
	} {
		g := gatherer{codec: c.codec, open: -1}
		var err error
		for _, b := range c.payloads {
			if err = g.add(b); err != nil {
				break
			}
		}
		if !errors.Is(err, c.err) {
			t.Errorf("%s: got error %v, want %v", name, err, c.err)
		}
		if got := g.units(); c.err == nil && !slices.EqualFunc(got, c.want, bytes.Equal) {
			t.Errorf("%s: got %x, want %x", name, got, c.want)
		}
	}
}

// feed gives packets to a new assembler, as they come off the wire.
func feed(codec video.Codec, ps []*rtp.Packet) *taken {
	var got taken
	a := newAssembler(codec, nil, nil, nil, got.emit)
	var seq sequence
	for _, p := range ps {
		q := *p
		if lost, _ := seq.take(q.SequenceNumber); lost > 0 {
			a.loss(lost)
		}
		a.packet(&q, edge.Stamp{})
	}
	return &got
}

func TestHolesAreNeverShown(t *testing.T) {
	for name, codec := range map[string]video.Codec{"H.264": video.H264, "H.265": video.H265} {
		ps := packets(t)
		if codec == video.H265 {
			ps = packets265(t)
		}
		whole := feed(codec, ps)
		good := map[int64][]byte{}
		for i, u := range whole.units {
			good[whole.raw[i]] = u.Data
		}
		for drop := range ps {
			got := feed(codec, slices.Delete(slices.Clone(ps), drop, drop+1))
			hole := int64(ps[drop].Timestamp)
			lost := uint32(0)
			for i, u := range got.units {
				at := got.raw[i]
				lost += u.Lost
				if !bytes.Equal(u.Data, good[at]) {
					t.Fatalf("%s, packet %d missing: the picture at %d is not whole", name, drop, at)
				}
				if at > hole && at < hole/45000*45000+45000 {
					t.Fatalf("%s, packet %d missing at %d: the picture at %d of the same GOP was handed on", name, drop, hole, at)
				}
			}
			if drop > 0 && hole < 3*45000 && lost != 1 {
				t.Errorf("%s, packet %d missing: %d are said to be lost", name, drop, lost)
			}
		}
	}
}

func TestPicturesThatReferToWhatIsNotThereAreLeftOut(t *testing.T) {
	units, err := footage265Open()
	if err != nil {
		t.Fatal(err)
	}
	rasl := func(nalus [][]byte) bool {
		return slices.ContainsFunc(nalus, func(n []byte) bool { return n[0]>>1&0x3F == 8 || n[0]>>1&0x3F == 9 })
	}
	cra := func(nalus [][]byte) bool {
		return slices.ContainsFunc(nalus, func(n []byte) bool { return n[0]>>1&0x3F == 21 })
	}
	first := slices.IndexFunc(units, cra)
	if first < 0 || !slices.ContainsFunc(units[first:], rasl) {
		t.Fatal("the film has no CRA picture with RASL pictures: it shows nothing")
	}
	var got taken
	a := newAssembler(video.H265, nil, nil, nil, got.emit)
	want, keys := 0, 0
	for n, u := range units[first:] {
		if cra(u) {
			keys++
		}
		if keys > 1 || !rasl(u) {
			want++
		}
		for i, nalu := range u {
			a.packet(&rtp.Packet{Header: rtp.Header{Timestamp: uint32(n * 4500), Marker: i == len(u)-1}, Payload: nalu}, edge.Stamp{})
		}
	}
	if keys < 2 || len(got.units) != want {
		t.Errorf("got %d pictures after %d CRA pictures, want %d: RASL pictures of the first left out, of the others not", len(got.units), keys, want)
	}
}

func TestMarkerAtEachSlice(t *testing.T) {
	units, err := footageSlices()
	if err != nil {
		t.Fatal(err)
	}
	var got taken
	a := newAssembler(video.H264, nil, nil, nil, got.emit)
	for n, u := range units {
		for _, nalu := range u {
			a.packet(&rtp.Packet{Header: rtp.Header{Timestamp: uint32(n * 4500), Marker: true}, Payload: nalu}, edge.Stamp{})
		}
	}
	if len(got.units) < 20 {
		t.Fatalf("got %d pictures of %d", len(got.units), len(units))
	}
	for i, u := range got.units[1:] {
		slices := 0
		for n := range u.NALUs() {
			if n[0]&0x1F == 1 || n[0]&0x1F == 5 {
				slices++
			}
		}
		if slices != 4 {
			t.Errorf("picture %d has %d slices, want 4", i+1, slices)
		}
	}
}

func TestSequence(t *testing.T) {
	for name, c := range map[string]struct {
		in   []uint16
		lost []uint32
	}{
		"in order":     {[]uint16{65534, 65535, 0, 1}, []uint32{0, 0, 0, 0}},
		"a gap":        {[]uint16{1, 2, 5, 6}, []uint32{0, 0, 2, 0}},
		"sent twice":   {[]uint16{1, 1, 2, 2, 3}, []uint32{0, 0, 0, 0, 0}},
		"out of order": {[]uint16{1, 3, 2, 4}, []uint32{0, 1, 0, 0}},
	} {
		var s sequence
		for i, n := range c.in {
			if lost, _ := s.take(n); lost != c.lost[i] {
				t.Errorf("%s: %d lost before number %d, want %d", name, lost, n, c.lost[i])
			}
		}
	}
	var s sequence
	s.take(40000)
	taken := 0
	for n := range uint16(40) { // another numbering, further back
		if _, repeated := s.take(20000 + n); !repeated {
			taken++
		}
	}
	if taken != 40-maxBackward {
		t.Errorf("%d of 40 were taken, want all but %d", taken, maxBackward)
	}
}
