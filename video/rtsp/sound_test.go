package rtsp

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/pion/rtp"

	"sitewatch/video"
	"sitewatch/video/rtsptest"
)

var aacLC = &mpeg4audio.AudioSpecificConfig{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 16000, ChannelConfig: 1}

func muxConfig() *mpeg4audio.StreamMuxConfig {
	return &mpeg4audio.StreamMuxConfig{Programs: []*mpeg4audio.StreamMuxConfigProgram{{Layers: []*mpeg4audio.StreamMuxConfigLayer{
		{AudioSpecificConfig: aacLC, LatmBufferFullness: 255}}}}}
}

// sounds are cameras' microphones: what they describe, and the n-th packet.
func sounds(t *testing.T) map[string]struct {
	format format.Format
	packet func(n int) *rtp.Packet
	want   video.AudioParams
	pieces int
	step   time.Duration
} {
	t.Helper()
	config, err := aacLC.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	au := bytes.Repeat([]byte{0x21, 0x1A}, 50)
	element, err := mpeg4audio.AudioMuxElement{StreamMuxConfig: muxConfig(), Payloads: [][][][]byte{{{au}}}}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	inBand, err := mpeg4audio.AudioMuxElement{MuxConfigPresent: true, StreamMuxConfig: muxConfig(), Payloads: [][][][]byte{{{au}}}}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	two := append([]byte{0, 32, 0x03, 0x20, 0x03, 0x20}, append(au, au...)...) // sizes of 13 bits, 100 each
	plain := func(step int, payload []byte, kind uint8) func(int) *rtp.Packet {
		return func(n int) *rtp.Packet {
			return &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: kind, Marker: true, SequenceNumber: uint16(n), Timestamp: uint32(n * step), SSRC: 7},
				Payload: payload}
		}
	}
	type microphone = struct {
		format format.Format
		packet func(n int) *rtp.Packet
		want   video.AudioParams
		pieces int
		step   time.Duration
	}
	aac := video.AudioParams{Codec: video.AAC, Rate: 16000, Channels: 1, Config: config}
	return map[string]microphone{
		"AAC, two in a packet":                 {&format.MPEG4Audio{PayloadTyp: 97, Config: aacLC, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3}, plain(2048, two, 97), aac, 2, 128 * time.Millisecond},
		"AAC in LATM":                          {&format.MPEG4AudioLATM{PayloadTyp: 97, StreamMuxConfig: muxConfig()}, plain(1024, element, 97), aac, 1, 64 * time.Millisecond},
		"AAC in LATM, configured in the sound": {&format.MPEG4AudioLATM{PayloadTyp: 97, CPresent: true}, plain(64*90, inBand, 97), aac, 1, 64 * time.Millisecond},
		"PCMU":                                 {&format.G711{PayloadTyp: 0, MULaw: true, SampleRate: 8000, ChannelCount: 1}, plain(320, make([]byte, 320), 0), video.AudioParams{Codec: video.PCMU, Rate: 8000, Channels: 1}, 1, 40 * time.Millisecond},
		"PCMA":                                 {&format.G711{PayloadTyp: 8, SampleRate: 8000, ChannelCount: 1}, plain(320, make([]byte, 320), 8), video.AudioParams{Codec: video.PCMA, Rate: 8000, Channels: 1}, 1, 40 * time.Millisecond},
		"Opus":                                 {&format.Opus{PayloadTyp: 97, ChannelCount: 2}, plain(960, []byte{0xFC, 0xFF, 0xFE}, 97), video.AudioParams{Codec: video.Opus, Rate: 48000, Channels: 2}, 1, 20 * time.Millisecond},
		"16 bits":                              {&format.LPCM{PayloadTyp: 97, BitDepth: 16, SampleRate: 16000, ChannelCount: 1}, plain(320, make([]byte, 640), 97), video.AudioParams{Codec: video.LPCM, Rate: 16000, Channels: 1}, 1, 20 * time.Millisecond},
	}
}

func TestSound(t *testing.T) {
	for name, m := range sounds(t) {
		s, err := newSound(m.format)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var prev video.Ticks90k
		for n := range 200 {
			pieces, raw := s.packet(m.packet(n))
			if len(pieces) != m.pieces || s.params == nil || !s.params.Equal(&m.want) {
				t.Fatalf("%s: got %d pieces of %+v, want %d of %+v", name, len(pieces), s.params, m.pieces, m.want)
			}
			for i := range pieces {
				// The line of the pictures is at 10 s when the sound begins; it comes late by up to 100 ms.
				now := 10*video.Second + video.TicksOf(time.Duration(n)*m.step) + video.TicksOf(time.Duration(n%5)*25*time.Millisecond)
				pts, ok := s.place(raw+int64(i)*s.step, now, now, 1)
				if want := m.step / time.Duration(m.pieces); n+i > 0 && (!ok || (pts-prev-video.TicksOf(want))/90 != 0) {
					t.Fatalf("%s: piece %d of packet %d is %v after the one before, want %v", name, i, n, (pts - prev).Duration(), want)
				}
				if n == 0 && i == 0 && pts != 10*video.Second {
					t.Errorf("%s: begins at %v, want 10 s", name, pts.Duration())
				}
				prev = pts
			}
		}
	}
}

func TestSoundFollowsThePictures(t *testing.T) {
	s, err := newSound(&format.G711{SampleRate: 8000, ChannelCount: 1})
	if err != nil {
		t.Fatal(err)
	}
	at := func(raw int64, now time.Duration, turn uint64) time.Duration {
		pts, _ := s.place(raw, video.TicksOf(now), video.TicksOf(now), turn)
		return pts.Duration().Round(time.Millisecond)
	}
	if got := at(0, 10*time.Second, 1); got != 10*time.Second {
		t.Errorf("at first: got %v, want its arrival", got)
	}
	// A report says that it was made 300 ms before its arrival, and pictures are not: it goes back, and what was heard is left out.
	s.align(8000, video.TicksOf(10700*time.Millisecond))
	if got := at(16000, 12*time.Second, 1); got != 11700*time.Millisecond {
		t.Errorf("after a report: got %v, want 11.7 s", got)
	}
	s.align(16000, video.TicksOf(time.Hour)) // a clock that somebody has set in between
	if got := at(24000, 13*time.Second, 1); got != 12700*time.Millisecond {
		t.Errorf("after a report that cannot be: got %v, want 12.7 s", got)
	}
	if got := at(32000, 20*time.Second, 2); got != 20*time.Second {
		t.Errorf("after the line of the pictures began anew: got %v, want 20 s", got)
	}
	if got := at(40000, 30*time.Second, 2); got != 30*time.Second {
		t.Errorf("far from its arrival: got %v, want 30 s", got)
	}
}

// A network that holds everything back for 4 s and then lets it go at once moves sound from its pictures by nothing, and loses none.
func TestSoundThatCameLateStaysWithItsPictures(t *testing.T) {
	s, err := newSound(&format.G711{SampleRate: 8000, ChannelCount: 1})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 10 * 25 { // a packet and a picture each 40 ms
		made := time.Duration(n) * 40 * time.Millisecond
		now := made
		if made > 4*time.Second && made < 8*time.Second {
			now = 8 * time.Second
		}
		pts, ok := s.place(int64(n)*320, video.TicksOf(now), video.TicksOf(made), 1)
		if !ok || pts != video.TicksOf(made) {
			t.Fatalf("sound of %v is placed at %v, %v", made, pts.Duration(), ok)
		}
	}
}

func TestSoundComesWithThePictures(t *testing.T) {
	units, err := footage()
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range sounds(t) {
		for _, udp := range []bool{false, true} {
			t.Run(map[bool]string{false: name, true: name + ", over UDP"}[udp], func(t *testing.T) {
				s, err := rtsptest.Listen(rtsptest.Options{Addr: "127.0.0.1:0", UDP: udp})
				if err != nil {
					t.Fatal(err)
				}
				cam := s.Camera("stockroom/main")
				cam.Sound(m.format)
				var mu sync.Mutex
				sent := 0
				play(t, s, func(n int, _ bool) [][]byte {
					mu.Lock()
					defer mu.Unlock()
					if err := cam.WriteSound(m.packet(sent)); err != nil {
						t.Log(err)
					}
					sent++
					return units[n%len(units)]
				}, cam, nil)
				c, sink := start(t, Options{URL: s.URL("stockroom/main"), UDP: udp, Audio: true})
				heard := func() (sound, pictures int) {
					sink.mu.Lock()
					defer sink.mu.Unlock()
					for _, u := range sink.units {
						if u.Audio == nil {
							pictures++
						} else if sound++; !u.Audio.Equal(&m.want) {
							t.Fatalf("got %+v, want %+v", u.Audio, m.want)
						}
					}
					return sound, pictures
				}
				waitFor(t, "sound and pictures", func() bool { a, b := heard(); return a >= 20 && b >= 20 })
				if got := c.Status().Sound; got != m.want.Codec.String() {
					t.Errorf("the status says %q", got)
				}
				if u := sink.units[0]; u.Audio != nil || !u.Keyframe {
					t.Error("the first unit is no keyframe")
				}
			})
		}
	}
}

func TestBrokenSoundCostsNoPicture(t *testing.T) {
	s, err := newSound(&format.MPEG4Audio{Config: aacLC, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3})
	if err != nil {
		t.Fatal(err)
	}
	for n := range maxBadSound {
		s.packet(&rtp.Packet{Header: rtp.Header{SequenceNumber: uint16(n), Marker: true}, Payload: []byte{0, 16, 1}})
	}
	if s.failed == nil {
		t.Error("sound that cannot be read is read on")
	}
	for name, f := range map[string]format.Format{
		"24 bits":             &format.LPCM{BitDepth: 24, SampleRate: 48000, ChannelCount: 2},
		"G.726":               &format.G726{BitRate: 32},
		"eight channels":      &format.Opus{ChannelCount: 8},
		"many times too fast": &format.G711{SampleRate: 1 << 30, ChannelCount: 1},
	} {
		if _, err := newSound(f); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	units, err := footage()
	if err != nil {
		t.Fatal(err)
	}
	srv, err := rtsptest.Listen(rtsptest.Options{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	cam := srv.Camera("stockroom/main")
	cam.Sound(&format.G726{PayloadTyp: 98, BitRate: 32})
	play(t, srv, func(n int, _ bool) [][]byte { return units[n%len(units)] }, cam, nil)
	c, sink := start(t, Options{URL: srv.URL("stockroom/main"), Audio: true})
	waitFor(t, "pictures", func() bool { return sink.count() >= 20 })
	if st := c.Status(); len(st.Advice) != 1 || st.Sound != "" {
		t.Errorf("got advice %q, sound %q, want that there is none", st.Advice, st.Sound)
	}
}

// Whatever comes as sound, there is no panic, and pieces are bounded.
func FuzzSound(f *testing.F) {
	f.Add(byte(0), []byte{0, 16, 1, 0x90, 1, 2, 3}, true)
	f.Add(byte(1), []byte{0x10, 1, 2}, false)
	f.Add(byte(2), []byte{0x40, 1, 2, 3, 4}, true)
	f.Fuzz(func(t *testing.T, kind byte, b []byte, marker bool) {
		formats := []format.Format{
			&format.MPEG4Audio{Config: aacLC, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3},
			&format.MPEG4AudioLATM{StreamMuxConfig: muxConfig()}, &format.MPEG4AudioLATM{CPresent: true},
			&format.Opus{ChannelCount: 2}, &format.LPCM{BitDepth: 16, SampleRate: 8000, ChannelCount: 1},
		}
		s, err := newSound(formats[int(kind)%len(formats)])
		if err != nil {
			t.Fatal(err)
		}
		for seq := uint16(0); len(b) > 0; seq++ {
			n := min(len(b), 1+int(b[0]))
			pieces, _ := s.packet(&rtp.Packet{Header: rtp.Header{SequenceNumber: seq, Marker: marker}, Payload: b[:n]})
			for _, p := range pieces {
				if len(p) == 0 || len(p) > video.MaxAudioBytes {
					t.Fatalf("a piece has %d bytes", len(p))
				}
			}
			b = b[n:]
		}
	})
}
