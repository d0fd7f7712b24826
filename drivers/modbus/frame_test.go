package modbus

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// worked are requests and answers that an implementation that is not ours computed: pymodbus 3.0 on a pty, with mbpoll and a Go
// module as further witnesses.
var worked = []struct {
	name, ask, answer string
	req               Request
	want              Frame
}{
	{"inputs 1 and 3 are on", "01 02 00 00 00 08 79 CC", "01 02 01 05 61 8B", Request{1, ReadDiscreteInputs, 0, 8}, Frame{Addr: 1, FC: 2, Data: []byte{5}}},
	{"alarmline, zone 2 has a fault", "03 04 00 00 00 04 F0 2B", "03 04 08 00 00 FF FF 00 01 00 03 3E 6F", Request{3, ReadInput, 0, 4},
		Frame{Addr: 3, FC: 4, Data: []byte{0, 0, 0xFF, 0xFF, 0, 1, 0, 3}}},
	{"holding registers", "01 03 00 64 00 03 44 14", "01 03 06 00 64 00 65 00 66 C0 88", Request{1, ReadHolding, 100, 3},
		Frame{Addr: 1, FC: 3, Data: []byte{0, 0x64, 0, 0x65, 0, 0x66}}},
	{"no such address", "03 04 01 00 00 04 F1 D7", "03 84 02 63 01", Request{3, ReadInput, 0x100, 4}, Frame{Addr: 3, FC: 4, Exception: IllegalAddress}},
	{"somebody absent", "09 02 00 00 00 08 78 84", "", Request{9, ReadDiscreteInputs, 0, 8}, Frame{}},
	{"coils", "01 01 00 00 00 08 3D CC", "", Request{1, ReadCoils, 0, 8}, Frame{}},
}

func TestWorkedBytes(t *testing.T) {
	if got := CRC([]byte("123456789")); got != 0x4B37 {
		t.Errorf("CRC %04X, want 4B37", got)
	}
	for _, tt := range worked {
		if got := tt.req.AppendRTU([]byte{7}); !bytes.Equal(got[1:], unhex(t, tt.ask)) {
			t.Errorf("%s: asks % X, want %s", tt.name, got[1:], tt.ask)
		}
		if tt.answer == "" {
			continue
		}
		b := unhex(t, tt.answer)
		f, n, err := Decode(append(bytes.Clone(b), 0x11))
		if err != nil || n != len(b) || f.Addr != tt.want.Addr || f.FC != tt.want.FC || f.Exception != tt.want.Exception || !bytes.Equal(f.Data, tt.want.Data) {
			t.Errorf("%s: decoded %+v, %d, %v", tt.name, f, n, err)
		}
		if !tt.req.answers(f) {
			t.Errorf("%s: is not taken for the answer", tt.name)
		}
		if got := tt.want.AppendRTU(nil); !bytes.Equal(got, b) {
			t.Errorf("%s: encoded % X", tt.name, got)
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
				if f, _, err := Decode(bad); err == nil && tt.req.answers(f) {
					t.Errorf("%s with bit %d of byte %d flipped was accepted", tt.name, bit, i)
				}
			}
		}
	}
	swapped := unhex(t, "01 02 01 05 8B 61")
	if _, n, err := Decode(swapped); err != ErrCRC || n != 1 {
		t.Errorf("CRC swapped: %d, %v", n, err)
	}
	for _, b := range []string{"01 08 00 00 12 34 ED 7C", "01 06 00 00 00 01 48 0A", "01 82 00 81 60", "01 03 03 00 00 00 00 00", "01 02 00 00 00 08 79 CC"} {
		if _, n, err := Decode(unhex(t, b)); err != ErrFunction || n != 1 {
			t.Errorf("%s: %d, %v, want ErrFunction", b, n, err)
		}
	}
}

func TestWorkedBytesTCP(t *testing.T) {
	ask := Request{1, ReadDiscreteInputs, 0, 8}.AppendTCP(nil, 0x1234)
	if want := unhex(t, "12 34 00 00 00 06 01 02 00 00 00 08"); !bytes.Equal(ask, want) {
		t.Errorf("asks % X, want % X", ask, want)
	}
	b := unhex(t, "12 34 00 00 00 04 01 02 01 05")
	f, tid, n, err := DecodeTCP(append(bytes.Clone(b), 9))
	if err != nil || tid != 0x1234 || n != len(b) || f.Addr != 1 || f.FC != 2 || !bytes.Equal(f.Data, []byte{5}) {
		t.Errorf("decoded %+v, %04X, %d, %v", f, tid, n, err)
	}
	for cut := range b {
		if _, _, n, err := DecodeTCP(b[:cut]); err != ErrShort || n != 0 {
			t.Errorf("cut at %d: %d, %v, want ErrShort", cut, n, err)
		}
	}
	for name, tt := range map[string]struct {
		hex string
		n   int
	}{
		"another protocol":    {"12 34 00 01 00 04 01 02 01 05", 0},
		"no length":           {"12 34 00 00 00 01 01 02 01 05", 0},
		"too long":            {"12 34 00 00 01 00 01 02 01 05", 0},
		"byte count is a lie": {"12 34 00 00 00 04 01 02 02 05", 10},
		"a write":             {"12 34 00 00 00 04 01 06 01 05", 10},
	} {
		if _, _, n, err := DecodeTCP(unhex(t, tt.hex)); err != ErrFunction || n != tt.n {
			t.Errorf("%s: %d, %v, want ErrFunction and %d", name, n, err, tt.n)
		}
	}
}

// TestNothingWrites: whatever a request is made of, it only reads (P11).
func TestNothingWrites(t *testing.T) {
	for fc := range 256 {
		if fc >= 1 && fc <= 4 {
			continue
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("function %d was encoded", fc)
				}
			}()
			Request{1, FC(fc), 0, 1}.AppendRTU(nil)
		}()
	}
}

// FuzzDecode: no bytes panic, and what decodes is what encodes.
func FuzzDecode(f *testing.F) {
	for _, tt := range worked {
		f.Add(unhex(f, tt.ask))
		f.Add(unhex(f, tt.answer))
	}
	f.Add(unhex(f, "12 34 00 00 00 04 01 02 01 05"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, n, err := Decode(b)
		switch {
		case err == nil:
			if n < 5 || n > maxFrame || n > len(b) {
				t.Fatalf("took %d of %d bytes", n, len(b))
			}
			if again := fr.AppendRTU(nil); !bytes.Equal(again, b[:n]) {
				t.Fatalf("% X encodes as % X", b[:n], again)
			}
		case errors.Is(err, ErrShort) != (n == 0) || n > 1:
			t.Fatalf("%v took %d bytes", err, n)
		}
		if _, _, n, err := DecodeTCP(b); n > len(b) && err == nil || n > maxFrame+mbapLen {
			t.Fatalf("TCP: took %d of %d bytes", n, len(b))
		}
	})
}

func TestDecodeAllocatesNothing(t *testing.T) {
	b := unhex(t, worked[1].answer)
	tcp := unhex(t, "12 34 00 00 00 04 01 02 01 05")
	buf := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() {
		if _, _, err := Decode(b); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := DecodeTCP(tcp); err != nil {
			t.Fatal(err)
		}
		buf = worked[1].req.AppendRTU(buf[:0])
	}); n != 0 {
		t.Errorf("%v allocations per frame, want none", n)
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, s := range map[string]string{"8 inputs": worked[0].answer, "4 registers": worked[1].answer} {
		frame := unhex(b, s)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := Decode(frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAnswer is a whole exchange without the line: request, search for the answer, reading of all points.
func BenchmarkAnswer(b *testing.B) {
	s := settingsOf(b, `[{"address":1,"profile":"waveshare-8di"}]`)
	bl := s.slaves[0].blocks[0]
	answer := unhex(b, worked[0].answer)
	var c collector
	out := make([]tri, 4)
	b.ReportAllocs()
	for b.Loop() {
		c.begin(bl.req)
		if c.push(answer, false) != answered {
			b.Fatal("no answer")
		}
		for _, p := range bl.points {
			p.source.read(c.frame.Data, out[:len(p.conds)])
		}
	}
}
