package osdp

import (
	"bytes"
	"testing"
)

// worked are frames of a session between other implementations (libosdp on both ends of a line), and of SIA OSDP Annex E.
var worked = []struct {
	name, hex string
	frame     Frame
	data      string // hex
}{
	{"poll", "53 01 08 00 04 60 BA 00", Frame{Addr: 1, Ctrl: 4, Code: cmdPoll}, ""},
	{"ack", "53 81 08 00 04 40 08 06", Frame{Addr: 0x81, Ctrl: 4, Code: repAck}, ""},
	{"identify", "53 01 09 00 05 61 00 50 14", Frame{Addr: 1, Ctrl: 5, Code: cmdID}, "00"},
	{"identity", "53 81 14 00 05 45 CC BB AA 99 01 04 03 02 01 01 02 03 DD 91", Frame{Addr: 0x81, Ctrl: 5, Code: repID}, "CCBBAA990104030201010203"},
	{"abilities?", "53 01 09 00 06 62 00 53 18", Frame{Addr: 1, Ctrl: 6, Code: cmdCap}, "00"},
	{"abilities", "53 81 1D 00 06 46 01 01 08 02 01 04 04 01 01 08 01 00 09 01 00 0A 00 01 10 02 00 48 A9", Frame{Addr: 0x81, Ctrl: 6, Code: repCap}, "010108020104040101080100090100" + "0A0001100200"},
	{"local?", "53 01 08 00 07 64 6D 15", Frame{Addr: 1, Ctrl: 7, Code: cmdLocal}, ""},
	{"tamper", "53 81 0A 00 07 48 01 00 A2 A1", Frame{Addr: 0x81, Ctrl: 7, Code: repLocal}, "0100"},
	{"inputs?", "53 01 08 00 05 65 2E 63", Frame{Addr: 1, Ctrl: 5, Code: cmdInput}, ""},
	{"input 3", "53 81 10 00 05 49 00 00 01 00 00 00 00 00 A7 D7", Frame{Addr: 0x81, Ctrl: 5, Code: repInput}, "0000010000000000"},
	{"outputs?", "53 01 08 00 06 66 1E 06", Frame{Addr: 1, Ctrl: 6, Code: 0x66}, ""},
	{"length refused", "53 81 09 00 06 41 02 84 BF", Frame{Addr: 0x81, Ctrl: 6, Code: repNak}, "02"},
	{"poll 3", "53 01 08 00 07 60 E9 55", Frame{Addr: 1, Ctrl: 7, Code: cmdPoll}, ""},
	{"poll 1", "53 01 08 00 05 60 8B 33", Frame{Addr: 1, Ctrl: 5, Code: cmdPoll}, ""},
	{"poll with checksum", "53 01 07 00 03 60 42", Frame{Addr: 1, Ctrl: 3, Code: cmdPoll}, ""},
	{"ack 3", "53 81 08 00 07 40 5B 53", Frame{Addr: 0x81, Ctrl: 7, Code: repAck}, ""},
	{"no command", "53 01 08 00 05 99 BD 4D", Frame{Addr: 1, Ctrl: 5, Code: 0x99}, ""},
	{"unknown command", "53 81 09 00 05 41 03 F5 F6", Frame{Addr: 0x81, Ctrl: 5, Code: repNak}, "03"},
	{"Annex E, new address", "53 7F 0D 00 04 6E 00 80 25 00 00 6E 38", Frame{Addr: 0x7F, Ctrl: 4, Code: 0x6E}, "0080250000"},
	{"Annex E, new address, checksum", "53 7F 0C 00 00 6E 00 80 25 00 00 0F", Frame{Addr: 0x7F, Ctrl: 0, Code: 0x6E}, "0080250000"},
	{"Annex E, identify", "53 00 09 00 04 61 00 C0 66", Frame{Addr: 0, Ctrl: 4, Code: cmdID}, "00"},
	{"Annex E, identify, checksum", "53 00 08 00 00 61 00 44", Frame{Addr: 0, Ctrl: 0, Code: cmdID}, "00"},
	{"challenge", "53 01 13 00 0C 03 11 01 76 53 41 80 D2 E7 01 96 96 DB 8B", Frame{Addr: 1, Ctrl: 0x0C, SCB: []byte{3, 0x11, 1}, Code: cmdChallenge}, "534180D2E7019696"},
	{"cryptogram", "53 81 2B 00 0C 03 12 01 76 CC BB 99 00 04 03 02 01 7F 4C 76 34 EF AB 75 A7 BB B0 63 6D 16 8B 97 EB C0 89 45 99 9A F7 10 21 6B 3A", Frame{Addr: 0x81, Ctrl: 0x0C, SCB: []byte{3, 0x12, 1}, Code: repCCrypt},
		"CCBB9900040302017F4C7634EFAB75A7BBB0636D168B97EBC08945999AF71021"},
	{"secure poll", "53 01 0E 00 0E 02 15 60 E1 CF 11 46 2B F9", Frame{Addr: 1, Ctrl: 0x0E, SCB: []byte{2, 0x15}, Code: cmdPoll, MAC: []byte{0xE1, 0xCF, 0x11, 0x46}}, ""},
	{"secure tamper", "53 81 1E 00 0D 02 18 48 5E F2 C3 D6 52 46 19 A3 9D 29 47 64 29 27 63 4D A0 8E C6 8F 65 9D", Frame{Addr: 0x81, Ctrl: 0x0D, SCB: []byte{2, 0x18}, Code: repLocal, MAC: []byte{0xA0, 0x8E, 0xC6, 0x8F}},
		"5EF2C3D6524619A39D2947642927634D"},
}

func TestWorkedBytes(t *testing.T) {
	if got := crc16([]byte("123456789")); got != 0xE5CC {
		t.Errorf("CRC of 123456789 is %04X, want E5CC", got)
	}
	for _, tt := range worked {
		b, want := unhex(t, tt.hex), tt.frame
		want.Data = unhex(t, tt.data)
		f, n, err := Decode(append(bytes.Clone(b), 0x53, 0x22))
		if err != nil || n != len(b) || f.Addr != want.Addr || f.Ctrl != want.Ctrl || f.Code != want.Code ||
			!bytes.Equal(f.SCB, want.SCB) || !bytes.Equal(f.Data, want.Data) || !bytes.Equal(f.MAC, want.MAC) {
			t.Errorf("%s: decoded %+v, %d, %v, want %+v", tt.name, f, n, err, want)
		}
		got, err := want.AppendBinary([]byte{7})
		if err != nil || !bytes.Equal(got, append([]byte{7}, b...)) {
			t.Errorf("%s: encoded % X, %v, want 07 % X", tt.name, got, err, b)
		}
		for cut := range b {
			if _, n, err := Decode(b[:cut]); err != ErrShort || n != 0 {
				t.Errorf("%s cut at %d: %d, %v, want ErrShort", tt.name, cut, n, err)
			}
		}
		for i := range b {
			for bit := range 8 {
				bad := bytes.Clone(b)
				bad[i] ^= 1 << bit
				if i == 4 && 1<<bit == hasCRC {
					continue // another kind of check, which may fit by chance
				}
				if f, _, err := Decode(bad); err == nil {
					t.Errorf("%s with bit %d of byte %d flipped was accepted: %+v", tt.name, bit, i, f)
				}
			}
		}
	}
}

func TestImpossibleFrames(t *testing.T) {
	for _, tt := range []struct {
		name, hex string
		n         int
		want      error
	}{
		{"rubbish before a start", "00 FF 12 53 01", 3, ErrStart},
		{"rubbish alone", "00 FF 12", 3, ErrStart},
		{"length 7 with CRC", "53 01 07 00 04 60 BA 00", 1, ErrLength},
		{"length 6", "53 01 06 00 00 60", 1, ErrLength},
		{"length 513", "53 01 01 02 04 60", 1, ErrLength},
		{"security block of 1 byte", "53 01 0A 00 0C 01 11 60 00 00", 1, ErrBlock},
		{"security block longer than the frame", "53 01 0A 00 0C 05 11 60 00 00", 1, ErrBlock},
		{"no room for the authentication code", "53 01 0C 00 0C 02 15 60 00 00 00 00", 1, ErrBlock},
		{"wrong CRC", "53 01 08 00 04 60 BA 01", 1, ErrCheck},
		{"wrong checksum", "53 01 07 00 03 60 43", 1, ErrCheck},
	} {
		if _, n, err := Decode(unhex(t, tt.hex)); n != tt.n || err != tt.want {
			t.Errorf("%s: %d, %v, want %d, %v", tt.name, n, err, tt.n, tt.want)
		}
	}
	for name, f := range map[string]Frame{
		"too long":                        {Data: make([]byte, maxFrame)},
		"block with a wrong length":       {SCB: []byte{3, 0x11}},
		"no code where one must be":       {SCB: []byte{2, 0x15}},
		"a code where there must be none": {MAC: make([]byte, 4)},
	} {
		if b, err := f.AppendBinary([]byte{1}); err == nil || len(b) != 1 {
			t.Errorf("%s: % X, %v, want an error and nothing appended", name, b, err)
		}
	}
}

// TestCollector: what is on the line beside a frame costs no frame.
func TestCollector(t *testing.T) {
	ack := unhex(t, "53 81 08 00 04 40 08 06")
	for _, tt := range []struct {
		name, hex      string
		quiet          bool
		frames         int
		noise, rejects int
	}{
		{"behind a mark", "FF 53 81 08 00 04 40 08 06", false, 1, 0, 0},
		{"behind rubbish", "00 53 12 53 81 08 00 04 40 08 06", false, 1, 3, 0},
		{"behind a start that may still become a frame", "00 53 12 40 00 04 53 81 08 00 04 40 08 06", false, 0, 1, 0},
		{"behind such a start, and quiet", "00 53 12 40 00 04 53 81 08 00 04 40 08 06", true, 1, 6, 0},
		{"behind a frame that fails", "53 81 08 00 04 40 08 07 53 81 08 00 04 40 08 06", false, 1, 8, 1},
		{"behind a start with a length that is never reached", "53 81 F0 01 04 53 81 08 00 04 40 08 06", true, 1, 5, 0},
		{"two", "53 81 08 00 04 40 08 06 53 81 08 00 04 40 08 06", false, 2, 0, 0},
		{"half of one, and quiet", "53 81 08 00", true, 0, 4, 0},
	} {
		for _, size := range []int{1, 5, 100} {
			var c collector
			frames, noise, rejects := 0, 0, 0
			take := func(quiet bool) {
				for {
					r, ok := c.next(quiet)
					noise, rejects = noise+r.noise, rejects+r.rejects
					if !ok {
						return
					}
					if !bytes.Equal(r.raw, ack) {
						t.Errorf("%s: found % X", tt.name, r.raw)
					}
					frames++
				}
			}
			for b := unhex(t, tt.hex); len(b) > 0; b = b[min(size, len(b)):] {
				noise += c.push(b[:min(size, len(b))])
				take(false)
			}
			if tt.quiet {
				take(true)
			}
			if frames != tt.frames || noise != tt.noise || rejects != tt.rejects {
				t.Errorf("%s by %d: %d frames, %d noise, %d rejects, want %d, %d, %d", tt.name, size, frames, noise, rejects, tt.frames, tt.noise, tt.rejects)
			}
		}
	}
	var c collector
	for range 100 {
		c.push(bytes.Repeat([]byte{0x53, 0x81, 0xFF, 0x01}, 16))
		c.next(false)
		if len(c.buf) > maxCollect {
			t.Fatalf("%d bytes are kept", len(c.buf))
		}
	}
}

// FuzzDecode: no bytes panic, and what decodes is what encodes.
func FuzzDecode(f *testing.F) {
	for _, tt := range worked {
		f.Add(unhex(f, tt.hex))
	}
	for _, b := range received(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, n, err := Decode(b)
		if err != nil {
			if n < 0 || n > len(b) || (err == ErrShort) != (n == 0) {
				t.Fatalf("%v took %d of %d bytes", err, n, len(b))
			}
			return
		}
		if n > maxFrame || n > len(b) {
			t.Fatalf("took %d of %d bytes", n, len(b))
		}
		again, err := fr.AppendBinary(nil)
		if err != nil || !bytes.Equal(again, b[:n]) {
			t.Fatalf("% X encodes as % X, %v", b[:n], again, err)
		}
		var c collector
		for rest := b; len(rest) > 0; rest = rest[min(7, len(rest)):] {
			c.push(rest[:min(7, len(rest))])
			for ok := true; ok; _, ok = c.next(false) {
			}
		}
		c.next(true)
		var p points
		cfg := deviceConfig{address: 1}
		r := reading{fr.Code, fr.Data}
		p.changes(nil, &cfg, r, base)
		p.stored(r)
		if again := p.changes(nil, &cfg, r, base); len(again) > 0 {
			t.Fatalf("news twice: %+v", again)
		}
	})
}

func TestDecodeAllocatesNothing(t *testing.T) {
	b := unhex(t, worked[len(worked)-1].hex)
	buf := make([]byte, 0, 128)
	if n := testing.AllocsPerRun(100, func() {
		f, _, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		buf, _ = f.AppendBinary(buf[:0])
	}); n != 0 {
		t.Errorf("%v allocations per frame, want none", n)
	}
}

func BenchmarkDecode(b *testing.B) {
	frame := unhex(b, "53 81 10 00 05 49 00 00 01 00 00 00 00 00 A7 D7")
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Decode(frame); err != nil {
			b.Fatal(err)
		}
	}
}
