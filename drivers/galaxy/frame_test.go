package galaxy

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sitewatch/drivers/panel"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// worked are the blocks of the protocol note, each computed there by implementations that are not ours.
var worked = []struct {
	name, hex string
	header    byte
	fc        FC
	data      string
}{
	{"account 012345", "46 23 30 31 32 33 34 35 9B", 0x46, FCAccount, "012345"},
	{"account 987654", "46 23 39 38 37 36 35 34 9B", 0x46, FCAccount, "987654"},
	{"alarm", "4E 4E 74 69 31 31 3A 34 36 2F 42 41 31 30 31 31 F7", 0x4E, FCEvent, "ti11:46/BA1011"},
	{"alarm with group", "54 4E 74 69 31 31 3A 34 36 2F 72 69 30 30 31 2F 42 41 31 30 31 31 E8", 0x54, FCEvent, "ti11:46/ri001/BA1011"},
	{"set", "56 4E 74 69 31 31 3A 34 35 2F 69 64 30 30 31 2F 70 69 30 31 30 2F 43 4C F5", 0x56, FCEvent, "ti11:45/id001/pi010/CL"},
	{"alarm with date", "5F 4E 64 61 31 31 2D 32 33 2D 32 36 2F 74 69 31 31 3A 34 36 2F 72 69 30 30 31 2F 42 41 31 30 31 31 CC", 0x5F, FCEvent, "da11-23-26/ti11:46/ri001/BA1011"},
	{"restore", "4E 4E 74 69 31 31 3A 34 37 2F 42 52 31 30 31 31 E5", 0x4E, FCEvent, "ti11:47/BR1011"},
	{"text", "58 41 20 49 4E 54 52 55 44 45 52 20 20 20 20 20 53 48 4F 50 20 46 4C 4F 4F 52 9D", 0x58, FCText, " INTRUDER     SHOP FLOOR"},
	{"end of data", "40 30 8F", 0x40, FCEnd, ""},
	{"ack plain", "00 38 C7", 0x00, FCAck, ""},
	{"ack that wants an ack", "40 38 87", 0x40, FCAck, ""},
	{"ack with reverse channel", "80 38 47", 0x80, FCAck, ""},
	{"reject plain", "00 39 C6", 0x00, FCReject, ""},
	{"reject that wants an ack", "40 39 86", 0x40, FCReject, ""},
	{"login", "46 3F 35 34 33 32 31 30 87", 0x46, FCLogin, "543210"},
	{"login keep-alive", "48 3F 35 34 33 32 31 30 2A 31 92", 0x48, FCLogin, "543210*1"},
	{"configuration", "45 40 41 4C 34 42 31 B0", 0x45, FCConfig, "AL4B1"},
	{"read group", "43 43 53 41 31 DC", 0x43, FCControl, "SA1"},
	{"ready bitmap", "43 58 5A 53 31 DC", 0x43, FCExtended, "ZS1"},
}

func TestWorkedBytes(t *testing.T) {
	for _, tt := range worked {
		b := unhex(t, tt.hex)
		f, n, err := Decode(append(b, 0x11, 0x22))
		if err != nil || n != len(b) || f.Header != tt.header || f.FC != tt.fc || string(f.Data) != tt.data {
			t.Errorf("%s: decoded %+v, %d, %v", tt.name, f, n, err)
		}
		got, err := Frame{Header: tt.header &^ lengthBits, FC: tt.fc, Data: []byte(tt.data)}.AppendBinary([]byte{7})
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
				if _, _, err := Decode(bad); err == nil {
					t.Errorf("%s with bit %d of byte %d flipped was accepted", tt.name, bit, i)
				}
			}
		}
	}
	if _, n, err := Decode(unhex(t, "4E 4E 74 69 31 31 3A 34 37 2F 42 52 31 30 31 31 E4")); err != ErrParity || n != 1 {
		t.Errorf("parity E4: %d, %v, want a shift by 1 and ErrParity", n, err)
	}
	if _, n, err := Decode([]byte{0x40, 'z', 1}); err != ErrFunction || n != 1 {
		t.Errorf("unknown function code: %d, %v", n, err)
	}
	if _, err := (Frame{Data: make([]byte, 64)}).AppendBinary(nil); err != ErrTooLong {
		t.Errorf("64 data bytes: %v, want ErrTooLong", err)
	}
}

// FuzzDecode: no bytes panic, and what decodes is what encodes.
func FuzzDecode(f *testing.F) {
	for _, tt := range worked {
		f.Add(unhex(f, tt.hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, n, err := Decode(b)
		if err != nil {
			if n != 0 && n != 1 {
				t.Fatalf("an error took %d bytes", n)
			}
			return
		}
		if n < 3 || n > maxBlock || n > len(b) {
			t.Fatalf("took %d of %d bytes", n, len(b))
		}
		again, err := fr.AppendBinary(nil)
		if err != nil || !bytes.Equal(again, b[:n]) {
			t.Fatalf("% X encodes as % X, %v", b[:n], again, err)
		}
		parse(fr.Data)
		level(fr.Data)
		zoneSaid(fr.Data)
		if sigs, ok := groupsSaid(fr.Data); len(sigs) > maxGroups || ok != (len(sigs) > 0) {
			t.Fatalf("%q says %d groups", fr.Data, len(sigs))
		}
	})
}

func TestDecodeAllocatesNothing(t *testing.T) {
	b := unhex(t, worked[5].hex)
	buf := make([]byte, 0, 128)
	if n := testing.AllocsPerRun(100, func() {
		f, _, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		buf, _ = f.AppendBinary(buf[:0])
	}); n != 0 {
		t.Errorf("%v allocations per block, want none", n)
	}
}

func BenchmarkDecode(b *testing.B) {
	block := unhex(b, worked[5].hex)
	b.SetBytes(int64(len(block)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Decode(block); err != nil {
			b.Fatal(err)
		}
	}
}

// received returns what the panel sends in all transcripts, as seeds.
func received(t testing.TB) (all [][]byte) {
	t.Helper()
	files, _ := filepath.Glob("testdata/*.wire")
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tr, err := panel.ParseTranscript(text)
		if err != nil {
			t.Fatal(err)
		}
		var b []byte
		for _, s := range tr.Steps {
			if s.Op == panel.Receive {
				b = append(b, s.Bytes...)
			}
		}
		all = append(all, b)
	}
	return all
}
