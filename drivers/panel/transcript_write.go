package panel

import (
	"fmt"
	"strconv"
	"strings"
)

// AppendText writes t as a .wire file; ParseTranscript reads it back.
func (t Transcript) AppendText(b []byte) ([]byte, error) {
	for _, s := range t.Steps {
		line := s.String()
		if strings.ContainsAny(line, "\n") {
			return nil, fmt.Errorf("a note in a transcript is over one line: %q", s.Note)
		}
		b = append(append(b, line...), '\n')
	}
	return b, nil
}

// noteColumn is where the note of a line with bytes begins, so that the notes of short blocks stand below each other.
const noteColumn = 60

// String returns the line of s.
func (s Step) String() string {
	var w strings.Builder
	w.WriteByte(byte(s.Op))
	if s.Op == Comment {
		if s.Note != "" {
			w.WriteString(" " + s.Note)
		}
		return w.String()
	}
	switch s.Op {
	case Send, Receive:
		if s.Wait > 0 {
			fmt.Fprintf(&w, " +%v", s.Wait)
		}
		fmt.Fprintf(&w, " % X", s.Bytes)
	default:
		if s.Word != "" {
			w.WriteString(" " + s.Word)
		}
		for _, f := range s.Facts {
			w.WriteString(" " + f.String())
		}
	}
	if s.Note != "" {
		if s.Op == Send || s.Op == Receive {
			w.WriteString(strings.Repeat(" ", max(0, noteColumn-w.Len())))
		}
		w.WriteString("  # " + s.Note)
	}
	return w.String()
}

// String returns key=value, quoted where it must be.
func (f Fact) String() string {
	switch {
	case f.Bare:
		return f.Key
	case f.Value == "" || strconv.Quote(f.Value) != `"`+f.Value+`"` || strings.ContainsAny(f.Value, " \t#"):
		return f.Key + "=" + strconv.Quote(f.Value)
	}
	return f.Key + "=" + f.Value
}
