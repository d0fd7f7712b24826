package galaxy

import (
	"bytes"
	"testing"
)

func TestMaskHidesTheCode(t *testing.T) {
	login, event := unhex(t, "48 3F 35 34 33 32 31 30 2A 31 92"), unhex(t, worked[3].hex)
	b := append(append([]byte{0x00}, login...), event...)
	got := mask(b)
	f, n, err := Decode(got[1:])
	if err != nil || string(f.Data) != "000000*0" || !bytes.Equal(got[1+n:], event) || got[0] != 0 {
		t.Errorf("% X became % X (%q, %v)", b, got, f.Data, err)
	}
	if !bytes.Equal(b[1:12], login) {
		t.Error("it was masked in place")
	}
}
