package espa444

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

// worked are blocks that implementations that are not ours have made or accepted.
var worked = []struct {
	name, hex, data string
}{
	{"fire", "01 31 02 31 1F 31 1E 32 1F 46 49 52 45 20 5A 4F 4E 45 20 30 33 20 53 54 4F 43 4B 52 4F 4F 4D 1E 33 1F 39 1E 34 1F 33 1E 35 1F 31 1E 36 1F 31 03 68",
		"1\x021\x1f1\x1e2\x1fFIRE ZONE 03 STOCKROOM\x1e3\x1f9\x1e4\x1f3\x1e5\x1f1\x1e6\x1f1"},
	{"fault", "01 31 02 31 1F 31 1E 32 1F 46 41 55 4C 54 20 5A 4F 4E 45 20 30 32 20 4C 4F 4F 50 20 31 1E 33 1F 32 1E 34 1F 33 1E 35 1F 31 1E 36 1F 32 03 61",
		"1\x021\x1f1\x1e2\x1fFAULT ZONE 02 LOOP 1\x1e3\x1f2\x1e4\x1f3\x1e5\x1f1\x1e6\x1f2"},
	{"reset", "01 31 02 31 1F 31 1E 32 1F 46 49 52 45 20 5A 4F 4E 45 20 30 33 20 53 54 4F 43 4B 52 4F 4F 4D 1E 34 1F 31 1E 36 1F 31 03 64",
		"1\x021\x1f1\x1e2\x1fFIRE ZONE 03 STOCKROOM\x1e4\x1f1\x1e6\x1f1"},
	{"minimal", "01 31 02 31 1F 41 03 5F", "1\x021\x1fA"},
	{"123 three times", "01 31 02 31 1F 31 32 33 1E 35 1F 33 1E 36 1F 33 03 2D", "1\x021\x1f123\x1e5\x1f3\x1e6\x1f3"},
	{"status paged", "01 32 02 31 1F 31 32 33 1E 33 1F 31 1E 32 1F 34 35 36 37 1E 37 1F 33 03 18", "2\x021\x1f123\x1e3\x1f1\x1e2\x1f4567\x1e7\x1f3"},
	{"status request", "01 33 02 31 1F 31 32 33 1E 35 1F 33 1E 36 1F 33 03 2F", "3\x021\x1f123\x1e5\x1f3\x1e6\x1f3"},
	{"call me", "01 31 02 31 1F 35 35 30 1E 32 1F 43 41 4C 4C 20 4D 45 20 31 30 31 1E 33 1F 33 1E 34 1F 33 1E 35 1F 33 1E 36 1F 33 03 23",
		"1\x021\x1f550\x1e2\x1fCALL ME 101\x1e3\x1f3\x1e4\x1f3\x1e5\x1f3\x1e6\x1f3"},
}

func TestWorkedBytes(t *testing.T) {
	for _, tt := range worked {
		b := unhex(t, tt.hex)
		f, n, err := Decode(append(bytes.Clone(b), EOT, '2', ENQ))
		if err != nil || n != len(b) || string(f.Data) != tt.data {
			t.Errorf("%s: decoded %q, %d, %v", tt.name, f.Data, n, err)
		}
		got, err := Frame{Data: []byte(tt.data)}.AppendBinary([]byte{7})
		if err != nil || !bytes.Equal(got, append([]byte{7}, b...)) {
			t.Errorf("%s: encoded % X, %v, want 07 % X", tt.name, got, err, b)
		}
		for cut := range b {
			if _, n, err := Decode(b[:cut]); err != ErrShort || n != 0 {
				t.Errorf("%s cut at %d: %d, %v, want ErrShort", tt.name, cut, n, err)
			}
		}
		for i := range b {
			for bit := range 7 {
				bad := bytes.Clone(b)
				bad[i] ^= 1 << bit
				// A damaged character can look like ETX, and what follows like its BCC: what is in front is no whole message then.
				if f, n, err := Decode(bad); err == nil && (n == len(b) || sound(f.Data)) {
					t.Errorf("%s with bit %d of byte %d flipped was taken as %q, %d", tt.name, bit, i, f.Data, n)
				}
			}
		}
	}
}

func TestDecodeSaysHowMuchToDrop(t *testing.T) {
	for name, tt := range map[string]struct {
		in  string
		n   int
		err error
	}{
		"no start":      {"1\x02", 1, ErrStart},
		"starts again":  {"\x011\x021\x1f\x011\x02", 5, ErrStart},
		"wrong check":   {"\x011\x02\x03Z", 5, ErrCheck},
		"too long":      {"\x01" + strings.Repeat("A", maxBlock+10), maxBlock - 1, ErrLong},
		"nothing":       {"", 0, ErrShort},
		"eighth bit":    {"\x011\x02\xc9\x03\x79", 6, nil},
		"eighth in BCC": {"\x011\x02\xc9\x03\xf9", 6, nil},
	} {
		if _, n, err := Decode([]byte(tt.in)); n != tt.n || err != tt.err {
			t.Errorf("%s: %d, %v, want %d, %v", name, n, err, tt.n, tt.err)
		}
	}
	for _, data := range []string{"1\x03", "\x01", strings.Repeat("A", maxBlock-2)} {
		if b, err := (Frame{Data: []byte(data)}).AppendBinary(nil); err == nil {
			t.Errorf("%.10q was encoded as %.20q", data, b)
		}
	}
	long := Frame{Data: bytes.Repeat([]byte{'A'}, maxBlock-3)}
	b, err := long.AppendBinary(nil)
	if err != nil || len(b) != maxBlock {
		t.Fatalf("the longest block: %d bytes, %v", len(b), err)
	}
	if f, n, err := Decode(b); err != nil || n != len(b) || len(f.Data) != len(long.Data) {
		t.Errorf("the longest block decodes as %d bytes, %v", n, err)
	}
}

func TestEvenParity(t *testing.T) {
	for c, want := range map[byte]byte{SOH: 0x81, STX: 0x82, ETX: 0x03, EOT: 0x84, ENQ: 0x05, ACK: 0x06, NAK: 0x95, '1': 0xB1, '2': 0xB2, '3': 0x33, 0x84: 0x84} {
		if got := evenParity(c); got != want {
			t.Errorf("%02X with parity is %02X, want %02X", c, got, want)
		}
	}
}

// FuzzDecode: no bytes panic, what decodes is what encodes, and its meaning can be asked for.
func FuzzDecode(f *testing.F) {
	for _, tt := range worked {
		f.Add(unhex(f, tt.hex))
	}
	for _, b := range received(f) {
		f.Add(b)
	}
	r := newRules(nil)
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, n, err := Decode(b)
		if err != nil {
			if n < 0 || n > len(b) || n == 0 && err != ErrShort {
				t.Fatalf("%v took %d of %d bytes", err, n, len(b))
			}
			return
		}
		if n < 3 || n > maxBlock || n > len(b) {
			t.Fatalf("took %d of %d bytes", n, len(b))
		}
		again, err := fr.AppendBinary(nil)
		if err != nil || !bytes.Equal(again[:n-1], b[:n-1]) || (again[n-1]^b[n-1])&0x7F != 0 {
			t.Fatalf("% X encodes as % X, %v", b[:n], again, err)
		}
		s, _ := signalOf(r, fr, b[:n], stamp(0))
		if m := parse(fr.Data); len(m.text) > maxTextBytes || m.alarm() && s.Kind == "" {
			t.Fatalf("%q means %+v", fr.Data, m)
		}
	})
}

func TestDecodeAllocatesNothing(t *testing.T) {
	b := unhex(t, worked[0].hex)
	buf := make([]byte, 0, 128)
	var c collector
	if n := testing.AllocsPerRun(100, func() {
		f, _, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		buf, _ = f.AppendBinary(buf[:0])
		var k token
		for _, v := range b {
			k = c.push(v, false)
		}
		if k.kind != tokenBlock {
			t.Fatal("no block")
		}
	}); n != 0 {
		t.Errorf("%v allocations per block, want none", n)
	}
}

func BenchmarkDecode(b *testing.B) {
	block := unhex(b, worked[0].hex)
	b.SetBytes(int64(len(block)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Decode(block); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBlockToSignal is a block byte by byte through the collector, its meaning by the default rules included.
func BenchmarkBlockToSignal(b *testing.B) {
	block := unhex(b, worked[0].hex)
	r := newRules(nil)
	var c collector
	b.SetBytes(int64(len(block)))
	b.ReportAllocs()
	for b.Loop() {
		var t token
		for _, v := range block {
			t = c.push(v, false)
		}
		if s, _ := signalOf(r, t.frame, t.raw, stamp(0)); s.Zone != "03" {
			b.Fatal("no signal")
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
