package wire

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTokenSurvivesCopying(t *testing.T) {
	want := NewToken([32]byte{1, 2, 3}, "0417")
	got, err := ParseToken("  " + want.String() + "\r\n")
	if err != nil || got != want {
		t.Fatalf("got %v, %v, want %v", got, err, want)
	}
	if strings.ContainsAny(want.String(), " \n+/=") {
		t.Errorf("token %q is not one word", want)
	}
	if NewToken(want.CA, "0417").Secret == want.Secret {
		t.Error("two tokens have the same secret")
	}
}

func TestTokenDamaged(t *testing.T) {
	good := NewToken([32]byte{9}, "0417").String()
	flip := func(i int) string {
		b := []byte(good)
		if b[i] == 'A' {
			b[i] = 'B'
		} else {
			b[i] = 'A'
		}
		return string(b)
	}
	for name, in := range map[string]string{
		"empty":               "",
		"no prefix":           good[4:],
		"cut short":           good[:len(good)-5],
		"one letter wrong":    flip(20),
		"site letter wrong":   flip(len(good) - 8),
		"not base64":          good[:10] + "!" + good[11:],
		"site is not a site":  Token{Site: "../x"}.String(),
		"two tokens in a row": good + good,
	} {
		if _, err := ParseToken(in); !errors.Is(err, ErrToken) {
			t.Errorf("%s: got %v, want ErrToken", name, err)
		}
	}
}

func TestTextIsFitForTheWire(t *testing.T) {
	got := Text(strings.Repeat("é", MaxTextBytes))
	if len(got) > MaxTextBytes+2 || !utf8.ValidString(got) {
		t.Errorf("got %d bytes, valid %v", len(got), utf8.ValidString(got))
	}
	if Text("a\xffb") != "a?b" {
		t.Errorf("got %q", Text("a\xffb"))
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(NewToken([32]byte{1}, "0417").String())
	f.Add("sw1-")
	f.Fuzz(func(t *testing.T, s string) {
		if tok, err := ParseToken(s); err == nil && strings.TrimSpace(s) != tok.String() {
			t.Errorf("%q parses but prints as %q", s, tok)
		}
	})
}
