package rtsp

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph264"
	"github.com/pion/rtp"

	"sitewatch/edge"
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

func TestCamerasWithoutMarkers(t *testing.T) {
	a, err := newAssembler(1, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var times []int64
	for _, p := range packets(t) {
		p.Marker = false
		if _, raw, _, ok := a.packet(p, edge.Stamp{}); ok {
			times = append(times, raw)
		}
	}
	if len(times) != 39 { // the last one is not ended by another
		t.Errorf("got %d pictures, want 39", len(times))
	}
	for i, raw := range times {
		if want := int64(i) * 4500; raw != want {
			t.Errorf("picture %d is at %d, want %d", i, raw, want)
		}
	}
}

func TestFragmentsWithoutEndAreBounded(t *testing.T) {
	a, err := newAssembler(1, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 5 * maxFragments {
		p := &rtp.Packet{Header: rtp.Header{SequenceNumber: uint16(n)}, Payload: []byte{0x7C, 0x05, 1}}
		if n == 0 {
			p.Payload[1] |= 0x80 // start
		}
		a.packet(p, edge.Stamp{})
		if a.fragments > maxFragments {
			t.Fatalf("%d fragments are held", a.fragments)
		}
	}
	if a.bad == 0 {
		t.Error("nothing was refused")
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

// Whatever comes, there is no panic, and what is handed on begins with an IDR and is bounded.
func FuzzAssembler(f *testing.F) {
	var seed []byte
	for _, p := range packets(f)[:4] {
		p.Payload = p.Payload[:min(60, len(p.Payload))] // small seeds are varied sooner
		seed = append(binary.BigEndian.AppendUint16(append(seed, byte(p.Timestamp>>8)), uint16(len(p.Payload))), p.Payload...)
	}
	f.Add(seed)
	f.Add([]byte{1, 0, 3, 0x7C, 0x85, 1, 1, 0, 3, 0x7C, 0x45, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := newAssembler(1, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		fresh := true
		for seq := uint16(0); len(b) >= 3; seq++ {
			n := min(int(binary.BigEndian.Uint16(b[1:])), len(b)-3)
			p := &rtp.Packet{Header: rtp.Header{SequenceNumber: seq, Timestamp: uint32(b[0]&0x3F) << 8, Marker: b[0]&0x80 == 0}, Payload: b[3 : 3+n]}
			if b[0]&0x40 != 0 {
				a.loss()
				fresh = true
			}
			b = b[3+n:]
			u, _, _, ok := a.packet(p, edge.Stamp{})
			if !ok {
				continue
			}
			if fresh && !u.Keyframe {
				t.Fatal("the first picture after a loss is no IDR")
			}
			fresh = false
			if len(u.Data) > video.MaxUnitBytes || !a.params.Valid() {
				t.Fatalf("got %d bytes, parameters %+v", len(u.Data), a.params)
			}
		}
	})
}

func BenchmarkAssembler(b *testing.B) {
	ps := packets(b)
	a, err := newAssembler(1, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		a.packet(ps[n%len(ps)], edge.Stamp{})
	}
}
