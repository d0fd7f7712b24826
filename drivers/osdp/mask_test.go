package osdp

import (
	"bytes"
	"testing"
)

// TestMaskHidesKeys: no byte of a key or a card is left, however the frame is wrapped, and everything else stays as it is.
func TestMaskHidesKeys(t *testing.T) {
	secret := bytes.Repeat([]byte{0xA5}, 16)
	frame := func(f Frame) []byte {
		b, err := f.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	key := frame(Frame{Addr: 1, Ctrl: hasCRC, Code: cmdKeySet, Data: append([]byte{1, 16}, secret...)})
	sealed := frame(Frame{Addr: 1, Ctrl: hasCRC | hasSCB, SCB: []byte{2, scbEncCmd}, Code: cmdKeySet, Data: append([]byte{}, secret...), MAC: []byte{1, 2, 3, 4}})
	card := frame(Frame{Addr: 1 | isReply, Ctrl: hasCRC, Code: repRaw, Data: secret})
	poll := frame(Frame{Addr: 1, Ctrl: hasCRC, Code: cmdPoll})
	for name, b := range map[string][]byte{"key": key, "encrypted key": sealed, "card": card, "behind others": append(append([]byte{0xFF, 0x53}, poll...), key...)} {
		got := mask(b)
		if bytes.Contains(got, secret[:2]) || len(got) != len(b) {
			t.Errorf("%s: % X is left of % X", name, got, b)
		}
		if &got[0] == &b[0] {
			t.Errorf("%s was masked in place", name)
		}
	}
	if got := mask(poll); !bytes.Equal(got, poll) {
		t.Errorf("a poll became % X", got)
	}
}
