package osdp

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"sitewatch/edge"
)

var base = edge.Signal{At: edge.Stamp{Mono: 1}}

// live is the channel of a captured session between other implementations, before its first command.
func live(t testing.TB) *channel {
	challenge, _, _ := Decode(unhex(t, "53 01 13 00 0C 03 11 01 76 53 41 80 D2 E7 01 96 96 DB 8B"))
	cryptogram, _, err := Decode(unhex(t, "53 81 2B 00 0C 03 12 01 76 CC BB 99 00 04 03 02 01 7F 4C 76 34 EF AB 75 A7 BB B0 63 6D 16 8B 97 EB C0 89 45 99 9A F7 10 21 6B 3A"))
	if err != nil {
		t.Fatal(err)
	}
	c := newChannel(Key(unhex(t, testKey)), [8]byte(challenge.Data), [8]byte(cryptogram.Data[8:]))
	if !bytes.Equal(c.client[:], cryptogram.Data[16:]) {
		t.Fatalf("client cryptogram % X, want % X", c.client, cryptogram.Data[16:])
	}
	return c
}

const livePoll, liveAck = "53 01 0E 00 0E 02 15 60 E1 CF 11 46 2B F9", "53 81 0E 00 0E 02 16 40 EA 85 E3 D6 BC 84"

func TestCapturedSession(t *testing.T) {
	c := live(t)
	scrypt, _ := Frame{Addr: 1, Ctrl: 5, SCB: []byte{3, scbSCrypt, 1}, Code: cmdSCrypt, Data: c.server[:]}.AppendBinary(nil)
	if want := unhex(t, "53 01 1B 00 0D 03 13 01 77 62 A9 92 50 EF F0 42 31 6C 82 1F 98 21 96 12 72 5F BD"); !bytes.Equal(scrypt, want) {
		t.Errorf("our proof is % X, want % X", scrypt, want)
	}
	rmac, _, _ := Decode(unhex(t, "53 81 1B 00 0D 03 14 01 78 68 9B F2 7E F5 15 DE EC C5 51 96 DB 3E E4 93 B1 16 A3"))
	if !bytes.Equal(rmac.Data, c.initial()) {
		t.Errorf("R-MAC-I is % X, want % X", c.initial(), rmac.Data)
	}
	for range 2 { // a command that is said again has the same bytes, and so has its answer
		poll, err := c.wrap(nil, Frame{Addr: 1, Ctrl: 6, Code: cmdPoll})
		if err != nil || !bytes.Equal(poll, unhex(t, livePoll)) {
			t.Fatalf("poll is % X, %v, want %s", poll, err, livePoll)
		}
		raw := unhex(t, liveAck)
		f, _, _ := Decode(raw)
		start := c.heard
		for range 2 {
			if got, err := c.unwrap(f, raw); err != nil || got.Code != repAck || len(got.Data) != 0 {
				t.Fatalf("ack: %+v, %v", got, err)
			}
		}
		c.heard = start
	}
	// 68 polls and acks later the device says in the same chain that its case is open.
	theirs := deviceEnd{live(t)}
	for i := range 68 {
		seq := byte(1+i)%3 + 1
		poll, _ := c.wrap(nil, Frame{Addr: 1, Ctrl: seq, Code: cmdPoll})
		f, _, _ := Decode(poll)
		if _, err := theirs.take(f, poll); err != nil {
			t.Fatal(err)
		}
		ack, _ := theirs.answer(nil, Frame{Addr: 0x81, Ctrl: seq, Code: repAck})
		f, _, _ = Decode(ack)
		if _, err := c.unwrap(f, ack); err != nil {
			t.Fatal(err)
		}
	}
	c.wrap(nil, Frame{Addr: 1, Ctrl: 1, Code: cmdPoll})
	raw := unhex(t, worked[len(worked)-1].hex)
	f, _, _ := Decode(raw)
	if got, err := c.unwrap(f, raw); err != nil || got.Code != repLocal || !bytes.Equal(got.Data, []byte{1, 0}) {
		t.Errorf("the captured local status: %+v, %v, want 01 00", got, err)
	}
}

func TestAnnexE(t *testing.T) {
	seq := func(from byte) (b [8]byte) {
		for i := range b {
			b[i] = from + byte(i)
		}
		return b
	}
	c := newChannel(defaultKey, seq(0xB0), seq(0xA0))
	for name, tt := range map[string]struct {
		got  []byte
		want string
	}{
		"client":  {c.client[:], "FDE5D2F428EC16312471EA3C02BD7796"},
		"server":  {c.server[:], "26D3356E07762D262801FC8E6665A891"},
		"R-MAC-I": {c.initial(), "B2A30057EB98BA2229EC1F875662B524"},
	} {
		if !bytes.Equal(tt.got, unhex(t, tt.want)) {
			t.Errorf("%s is %X, want %s", name, tt.got, tt.want)
		}
	}
	// The session keys are inside their ciphers: the same plain block must come out of both.
	for name, tt := range map[string]struct {
		got  interface{ Encrypt(dst, src []byte) }
		want string
	}{
		"S-ENC":  {c.enc, "BF8DC2A8329ACB8C67C6D0CD9A451682"},
		"S-MAC1": {c.mac1, "5E86C676603BDEE2D8BEAFE178637332"},
		"S-MAC2": {c.mac2, "6FDA86E857777E81132035758239172E"},
	} {
		a, b := make([]byte, 16), make([]byte, 16)
		tt.got.Encrypt(a, a)
		aesOf(t, tt.want).Encrypt(b, b)
		if !bytes.Equal(a, b) {
			t.Errorf("%s is not %s", name, tt.want)
		}
	}
}

// TestForgeries: nothing but the device's answer to our last command passes.
func TestForgeries(t *testing.T) {
	ours, theirs := pair()
	command, _ := ours.wrap(nil, Frame{Addr: 1, Ctrl: 5, Code: cmdInput})
	f, _, _ := Decode(command)
	if _, err := theirs.take(f, command); err != nil {
		t.Fatal(err)
	}
	answer, err := theirs.answer(nil, Frame{Addr: 0x81, Ctrl: 5, Code: repInput, Data: []byte{0, 0, 1}})
	if err != nil {
		t.Fatal(err)
	}
	try := func(b []byte) error {
		f, _, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		c := *ours
		_, err = c.unwrap(f, b)
		if (err == nil) == (c.heard == ours.heard) {
			t.Error("the chain goes on with what was refused, or not with what was accepted")
		}
		return err
	}
	if err := try(answer); err != nil {
		t.Fatalf("the answer itself: %v", err)
	}
	for i := range len(answer) - 2 {
		if i == 0 || i == 2 || i == 3 || i == 4 || i == 5 {
			continue // no frame any more
		}
		bad := bytes.Clone(answer)
		bad[i] ^= 0x40
		bad = appendCheck(bad[:len(bad)-2], 0, hasCRC)
		if err := try(bad); err == nil {
			t.Errorf("byte %d changed, and accepted", i)
		}
	}
	clear, _ := Frame{Addr: 0x81, Ctrl: 5, Code: repInput, Data: []byte{0, 0, 1}}.AppendBinary(nil)
	if err := try(clear); err != errClear {
		t.Errorf("an answer in clear: %v, want errClear", err)
	}
	if err := try(command); err != errClear {
		t.Errorf("our own command: %v, want errClear", err)
	}
	ours.wrap(nil, Frame{Addr: 1, Ctrl: 6, Code: cmdPoll})
	if err := try(answer); err != errMAC {
		t.Errorf("the answer to the command before: %v, want errMAC", err)
	}
}

// TestEncryption goes through all lengths of data and a long chain.
func TestEncryption(t *testing.T) {
	ours, theirs := pair()
	for n := range 100 {
		data := bytes.Repeat([]byte{0x80}, n/2)
		data = append(data, make([]byte, n-n/2)...)
		c, err := ours.wrap(nil, Frame{Addr: 1, Ctrl: 4, Code: cmdPoll, Data: data})
		if err != nil {
			t.Fatal(err)
		}
		f, _, _ := Decode(c)
		got, err := theirs.take(f, c)
		if err != nil || !bytes.Equal(got.Data, data) {
			t.Fatalf("command with %d bytes: % X, %v", n, got.Data, err)
		}
		a, _ := theirs.answer(nil, Frame{Addr: 0x81, Ctrl: 4, Code: repAck, Data: data})
		if n >= 16 && bytes.Contains(a, data[:16]) {
			t.Errorf("%d bytes are sent in clear", n)
		}
		f, _, _ = Decode(a)
		got, err = ours.unwrap(f, a)
		if err != nil || !bytes.Equal(got.Data, data) {
			t.Fatalf("answer with %d bytes: % X, %v", n, got.Data, err)
		}
	}
}

func TestUnwrapAllocatesNothing(t *testing.T) {
	ours, answer := answered()
	if n := testing.AllocsPerRun(100, func() {
		f, _, _ := Decode(answer)
		if _, err := ours.unwrap(f, answer); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per frame, want none", n)
	}
}

func TestKeysPrintAsNothing(t *testing.T) {
	k := Key(unhex(t, testKey))
	d := deviceConfig{key: &k}
	for _, s := range []string{fmt.Sprint(k), fmt.Sprintf("%+v %#v %s %q", k, k, k, k), fmt.Sprintf("%v", &k), fmt.Sprintf("%x %X %d", k, k, k), fmt.Sprintf("%+v", d)} {
		if s := strings.ToUpper(s); strings.Contains(s, "33 44") || strings.Contains(s, "3344") || strings.Contains(s, "51 68") {
			t.Errorf("a key is printed: %s", s)
		}
	}
}

// FuzzUnwrap: no bytes panic, and none that the device did not send are accepted.
func FuzzUnwrap(f *testing.F) {
	_, answer := answered()
	f.Add(answer)
	f.Add(unhex(f, liveAck))
	f.Add(unhex(f, worked[len(worked)-1].hex))
	f.Fuzz(func(t *testing.T, b []byte) {
		ours, answer := answered()
		if len(b) > 2 {
			b = appendCheck(bytes.Clone(b[:len(b)-2]), 0, hasCRC) // so that more get as far as the code
		}
		fr, n, err := Decode(b)
		if err != nil {
			return
		}
		if _, err := ours.unwrap(fr, b[:n]); err == nil && !bytes.Equal(b[:n], answer) {
			t.Fatalf("% X was accepted", b[:n])
		}
	})
}

func BenchmarkUnwrap(b *testing.B) {
	ours, answer := answered()
	b.ReportAllocs()
	for b.Loop() {
		f, _, _ := Decode(answer)
		if _, err := ours.unwrap(f, answer); err != nil {
			b.Fatal(err)
		}
	}
}
