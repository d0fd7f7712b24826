package panel

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const acme = `# Acme 48, firmware 4.02, line noise on the 2nd poll. Manual rev C §6.3.
@ ack_form=plain

>        0A 11 05 E2            # poll address 10
< +35ms  0A91 04 02 01 5C      # zone 4, alarm
= signal zone=4 kind=intruder text="STOCK # ROOM \"3\"" old
! sink fails
>        0A 12 E1               # ack, only now
`

func TestParseTranscript(t *testing.T) {
	got, err := ParseTranscript([]byte(acme))
	if err != nil {
		t.Fatal(err)
	}
	want := Transcript{Steps: []Step{
		{Line: 1, Op: Comment, Note: "Acme 48, firmware 4.02, line noise on the 2nd poll. Manual rev C §6.3."},
		{Line: 2, Op: Setting, Facts: []Fact{{Key: "ack_form", Value: "plain"}}},
		{Line: 4, Op: Send, Bytes: []byte{0x0A, 0x11, 0x05, 0xE2}, Note: "poll address 10"},
		{Line: 5, Op: Receive, Wait: 35 * time.Millisecond, Bytes: []byte{0x0A, 0x91, 0x04, 0x02, 0x01, 0x5C}, Note: "zone 4, alarm"},
		{Line: 6, Op: Expect, Word: "signal", Facts: []Fact{{Key: "zone", Value: "4"}, {Key: "kind", Value: "intruder"},
			{Key: "text", Value: `STOCK # ROOM "3"`}, {Key: "old", Bare: true}}},
		{Line: 7, Op: Fault, Word: "sink", Facts: []Fact{{Key: "fails", Bare: true}}},
		{Line: 8, Op: Send, Bytes: []byte{0x0A, 0x12, 0xE1}, Note: "ack, only now"},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("parsed (-want +got):\n%s", d)
	}
}

func TestParseTranscriptNamesTheLine(t *testing.T) {
	for name, tt := range map[string]struct {
		in   string
		line int
		want string
	}{
		"odd hex":         {"# x\n> 0A 1", 2, "not bytes in hex"},
		"not hex":         {"< zz", 1, "not bytes in hex"},
		"no bytes":        {">   # poll", 1, "no bytes"},
		"bad wait":        {"< +35 0A", 1, "not a wait"},
		"negative wait":   {"< +-3s 0A", 1, "not a wait"},
		"unknown line":    {"\n\nhello", 3, "begins with one of"},
		"open quote":      {`= signal text="abc`, 1, "does not end"},
		"glued to quote":  {`= signal text="abc"x`, 1, "space must follow"},
		"no word":         {"=", 1, "a word must follow"},
		"setting is bare": {"@ plain", 1, "key=value"},
		"bad name":        {"= signal a/b=1", 1, "not a name"},
		"long line":       {"> " + strings.Repeat("00", maxStepBytes+1), 1, "bytes in one line"},
		"long file":       {strings.Repeat("#\n", MaxTranscriptBytes), 1, "the file is over"},
	} {
		_, err := ParseTranscript([]byte(tt.in))
		var te *TranscriptError
		if !errors.As(err, &te) || te.Line != tt.line || !strings.Contains(te.Reason, tt.want) {
			t.Errorf("%s: got %v, want line %d: ...%s...", name, err, tt.line, tt.want)
		}
	}
}

// FuzzTranscript: no input panics the parser, and what it reads it writes so that it reads the same again.
func FuzzTranscript(f *testing.F) {
	f.Add([]byte(acme))
	files, _ := filepath.Glob("../*/testdata/*.wire")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		first, err := ParseTranscript(b)
		if err != nil {
			return
		}
		text, err := first.AppendText(nil)
		if err != nil {
			t.Fatalf("what was parsed cannot be written: %v", err)
		}
		again, err := ParseTranscript(text)
		if err != nil {
			t.Fatalf("what was written cannot be parsed: %v\n%s", err, text)
		}
		for i := range again.Steps {
			again.Steps[i].Line = 0
		}
		for i := range first.Steps {
			first.Steps[i].Line = 0
		}
		if d := cmp.Diff(first, again); d != "" {
			t.Fatalf("read, written and read again differs:\n%s\n%s", d, text)
		}
	})
}
