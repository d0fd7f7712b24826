package panel

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Transcript is a parsed .wire file: what went over the line between the box and a panel, and what the panel said by it.
// It is golden test, fuzz seed, simulator script and documentation at once. drivers/README.md defines the format.
type Transcript struct {
	Steps []Step
}

// Op is what a line of a transcript is.
type Op byte

const (
	Comment Op = '#' // text only
	Send    Op = '>' // the box to the panel
	Receive Op = '<' // the panel to the box
	Expect  Op = '=' // what the sink gets, or that nothing is sent
	Fault   Op = '!' // what breaks from here on
	Setting Op = '@' // of the driver, before the first byte
)

// Step is one line. Which fields are used depends on Op.
type Step struct {
	Line  int // in the file, from 1
	Op    Op
	Wait  time.Duration // Send, Receive: after the step before
	Bytes []byte        // Send, Receive
	Word  string        // Expect, Fault: the first word
	Facts []Fact        // Expect, Fault: the others; Setting: its one
	Note  string        // the text after #
}

// Fact is key=value; a bare word has no value and Bare set.
type Fact struct {
	Key, Value string
	Bare       bool
}

// Bounds of a transcript, so that no file can make the parser grow.
const (
	MaxTranscriptBytes = 1 << 20
	maxStepBytes       = 4096
	maxWait            = 7 * 24 * time.Hour
)

// TranscriptError names the line that is wrong.
type TranscriptError struct {
	Line   int
	Reason string
}

func (e *TranscriptError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// ParseTranscript reads a .wire file.
func ParseTranscript(b []byte) (Transcript, error) {
	var t Transcript
	if len(b) > MaxTranscriptBytes {
		return t, &TranscriptError{1, fmt.Sprintf("the file is over %d bytes", MaxTranscriptBytes)}
	}
	for i, line := range bytes.Split(b, []byte("\n")) {
		step, ok, err := parseStep(strings.TrimSpace(string(line)))
		if err != "" {
			return t, &TranscriptError{i + 1, err}
		}
		if ok {
			step.Line = i + 1
			t.Steps = append(t.Steps, step)
		}
	}
	return t, nil
}

func parseStep(line string) (s Step, ok bool, reason string) {
	if line == "" {
		return s, false, ""
	}
	s.Op = Op(line[0])
	rest := line[1:]
	if s.Op == Comment {
		s.Note = strings.TrimSpace(rest)
		return s, true, ""
	}
	words, note, reason := splitWords(rest)
	if reason != "" {
		return s, false, reason
	}
	s.Note = note
	switch s.Op {
	case Send, Receive:
		reason = s.parseBytes(words)
	case Expect, Fault:
		if len(words) == 0 || words[0] == "" || !isName(words[0]) {
			return s, false, "a word must follow " + string(s.Op)
		}
		s.Word = words[0]
		for _, w := range words[1:] {
			s.Facts = append(s.Facts, parseFact(w))
		}
	case Setting:
		if len(words) != 1 || parseFact(words[0]).Bare {
			return s, false, "@ takes one key=value"
		}
		s.Facts = []Fact{parseFact(words[0])}
	default:
		return s, false, fmt.Sprintf("a line begins with one of # > < = ! @, not %q", line[0])
	}
	for _, f := range s.Facts {
		if !isName(f.Key) {
			return s, false, fmt.Sprintf("%q is not a name: letters, digits, - and _", f.Key)
		}
	}
	return s, reason == "", reason
}

func (s *Step) parseBytes(words []string) (reason string) {
	if len(words) > 0 && strings.HasPrefix(words[0], "+") {
		d, err := time.ParseDuration(words[0][1:])
		if err != nil || d < 0 || d > maxWait {
			return fmt.Sprintf("%q is not a wait such as +35ms", words[0])
		}
		s.Wait, words = d, words[1:]
	}
	for _, w := range words {
		b, err := hex.DecodeString(w)
		if err != nil {
			return fmt.Sprintf("%q is not bytes in hex", w)
		}
		if s.Bytes = append(s.Bytes, b...); len(s.Bytes) > maxStepBytes {
			return fmt.Sprintf("over %d bytes in one line", maxStepBytes)
		}
	}
	if len(s.Bytes) == 0 {
		return "no bytes"
	}
	return ""
}

// splitWords cuts at spaces that are not inside a quoted value, and cuts off the note.
func splitWords(s string) (words []string, note, reason string) {
	for {
		s = strings.TrimLeft(s, " \t")
		switch {
		case s == "":
			return words, "", ""
		case s[0] == '#':
			return words, strings.TrimSpace(s[1:]), ""
		}
		end := strings.IndexAny(s, " \t")
		if end < 0 {
			end = len(s)
		}
		if eq := strings.IndexByte(s[:end], '='); eq >= 0 && strings.HasPrefix(s[eq+1:], `"`) {
			q, err := strconv.QuotedPrefix(s[eq+1:])
			if err != nil {
				return nil, "", "a quoted value does not end"
			}
			if end = eq + 1 + len(q); end < len(s) && s[end] != ' ' && s[end] != '\t' {
				return nil, "", "a space must follow a quoted value"
			}
		}
		words = append(words, s[:end])
		s = s[end:]
	}
}

// parseFact reads key=value, key="quoted value" or a bare word; the quotes have been checked by splitWords.
func parseFact(w string) Fact {
	k, v, ok := strings.Cut(w, "=")
	if !ok {
		return Fact{Key: w, Bare: true}
	}
	if strings.HasPrefix(v, `"`) {
		if u, err := strconv.Unquote(v); err == nil {
			v = u
		}
	}
	return Fact{Key: k, Value: v}
}

func isName(s string) bool {
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return s != ""
}
