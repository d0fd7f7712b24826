package rtsp

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph264"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph265"
	"github.com/pion/rtp"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
	"sitewatch/video"
)

// packets of the footage, as a camera sends them.
func packets(t testing.TB) (out []*rtp.Packet) {
	t.Helper()
	units, err := footage()
	if err != nil {
		t.Fatal(err)
	}
	enc := &rtph264.Encoder{PayloadType: 96, PacketizationMode: 1}
	if err := enc.Init(); err != nil {
		t.Fatal(err)
	}
	for n, u := range units {
		ps, err := enc.Encode(u)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range ps {
			p.Timestamp = uint32(n * 4500)
			out = append(out, p)
		}
	}
	return out
}

// packets265 are those of the H.265 footage.
func packets265(t testing.TB) (out []*rtp.Packet) {
	t.Helper()
	units, err := footage265()
	if err != nil {
		t.Fatal(err)
	}
	enc := &rtph265.Encoder{PayloadType: 96}
	if err := enc.Init(); err != nil {
		t.Fatal(err)
	}
	for n, u := range units {
		ps, err := enc.Encode(u)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range ps {
			p.Timestamp = uint32(n * 4500)
			out = append(out, p)
		}
	}
	return out
}

// taken collects what an assembler emits.
type taken struct {
	units []video.AccessUnit
	raw   []int64
}

func (t *taken) emit(u video.AccessUnit, raw int64) {
	t.units, t.raw = append(t.units, u), append(t.raw, raw)
}

func TestCamerasWithoutMarkers(t *testing.T) {
	var got taken
	a := newAssembler(video.H264, nil, nil, nil, got.emit)
	for _, p := range packets(t) {
		p.Marker = false
		a.packet(p, edge.Stamp{})
	}
	if len(got.raw) != 39 { // the last one is not ended by another
		t.Errorf("got %d pictures, want 39", len(got.raw))
	}
	for i, raw := range got.raw {
		if want := int64(i) * 4500; raw != want {
			t.Errorf("picture %d is at %d, want %d", i, raw, want)
		}
	}
}

func TestFragmentsWithoutEndAreBounded(t *testing.T) {
	a := newAssembler(video.H264, nil, nil, nil, func(video.AccessUnit, int64) {})
	p := &rtp.Packet{Payload: append([]byte{0x7C, 0x85}, make([]byte, 1400)...)}
	for n := 0; a.fatal == nil; n++ {
		a.packet(p, edge.Stamp{})
		p.Payload[1] = 5 // neither first nor last
		if held := len(a.gather.buf); held > video.MaxUnitBytes {
			t.Fatalf("%d bytes are held", held)
		}
		if n > video.MaxUnitBytes/1000 {
			t.Fatal("nothing was refused")
		}
	}
	if !errors.Is(a.fatal, ErrLimit) {
		t.Errorf("got %v, want ErrLimit", a.fatal)
	}
}

func TestTimeline(t *testing.T) {
	for name, c := range map[string]struct {
		raw  []int64 // RTP time; minRaw: another connection
		mono []time.Duration
		want []video.Ticks90k
	}{
		"from any beginning": {[]int64{7000, 16000, 25000}, []time.Duration{0, 100, 200}, []video.Ticks90k{0, 9000, 18000}},
		"another connection goes on where the arrivals are": {[]int64{0, 9000, minRaw, 555000, 564000}, []time.Duration{0, 100, 100, 1100, 1200},
			[]video.Ticks90k{0, 9000, 99000, 108000}},
		"a clock that jumps ahead":     {[]int64{0, 9000, 900000, 909000}, []time.Duration{0, 100, 200, 300}, []video.Ticks90k{0, 9000, 18000, 27000}},
		"a clock that jumps back":      {[]int64{900000, 909000, 0, 9000}, []time.Duration{0, 100, 200, 300}, []video.Ticks90k{0, 9000, 18000, 27000}},
		"a network that holds up":      {[]int64{0, 9000, 18000, 27000}, []time.Duration{0, 3100, 3101, 3102}, []video.Ticks90k{0, 9000, 18000, 27000}},
		"B-pictures":                   {[]int64{0, 27000, 9000, 18000}, []time.Duration{0, 100, 200, 300}, []video.Ticks90k{0, 27000, 9000, 18000}},
		"a clock that has stood still": {[]int64{0, 9000, 9001}, []time.Duration{0, 100, 60000}, []video.Ticks90k{0, 9000, 5400000}},
	} {
		var line timeline
		line.connect()
		var got []video.Ticks90k
		for i, raw := range c.raw {
			if raw == minRaw {
				line.connect()
				continue
			}
			got = append(got, line.next(raw, c.mono[i]*time.Millisecond))
		}
		for i := range c.want {
			if got[i] != c.want[i] {
				t.Errorf("%s: got %v, want %v", name, got, c.want)
				break
			}
		}
	}
}

// Whatever comes, there is no panic, and what is handed on begins with a keyframe and is bounded.
func FuzzAssembler(f *testing.F) {
	edgetest.Fuzz(f)
	for _, ps := range [][]*rtp.Packet{packets(f)[:4], packets265(f)[:4]} {
		var seed []byte
		for _, p := range ps {
			p.Payload = p.Payload[:min(60, len(p.Payload))] // small seeds are varied sooner
			seed = append(binary.BigEndian.AppendUint16(append(seed, byte(p.Timestamp>>8)), uint16(len(p.Payload))), p.Payload...)
		}
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Add([]byte{1, 0, 3, 0x7C, 0x85, 1, 1, 0, 3, 0x7C, 0x45, 1}, false)
	f.Add([]byte{1, 0, 5, 0x62, 1, 0x93, 1, 1, 1, 0, 4, 0x62, 1, 0x53, 1}, true)
	f.Fuzz(func(t *testing.T, b []byte, h265 bool) {
		codec := video.H264
		if h265 {
			codec = video.H265
		}
		fresh := true
		var a *assembler
		a = newAssembler(codec, nil, nil, nil, func(u video.AccessUnit, _ int64) {
			if fresh && !u.Keyframe {
				t.Fatal("the first picture after a loss is no keyframe")
			}
			if fresh = false; len(u.Data) > video.MaxUnitBytes || !a.params.Valid() || a.params.Codec != codec {
				t.Fatalf("got %d bytes, parameters %+v", len(u.Data), a.params)
			}
		})
		for len(b) >= 3 {
			n := min(int(binary.BigEndian.Uint16(b[1:])), len(b)-3)
			p := &rtp.Packet{Header: rtp.Header{Timestamp: uint32(b[0]&0x3F) << 8, Marker: b[0]&0x80 == 0}, Payload: b[3 : 3+n]}
			if b[0]&0x40 != 0 {
				a.loss(1)
				fresh = true
			}
			b = b[3+n:]
			a.packet(p, edge.Stamp{})
		}
	})
}

func BenchmarkAssembler(b *testing.B) {
	for name, ps := range map[string][]*rtp.Packet{"H264": packets(b), "H265": packets265(b)} {
		b.Run(name, func(b *testing.B) {
			codec := video.H264
			if name == "H265" {
				codec = video.H265
			}
			a := newAssembler(codec, nil, nil, nil, func(video.AccessUnit, int64) {})
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				a.packet(ps[n%len(ps)], edge.Stamp{})
			}
		})
	}
}
