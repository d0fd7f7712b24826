package rtsptest

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Dialogue is what a client and a camera said to each other on one connection; README.md has its format.
type Dialogue struct {
	Notes []string
	Turns []Turn
	End   string // EndCloses, EndSilent or EndGoesOn
}

// Turn is a request and all that the camera sent until the next one.
type Turn struct {
	Request string
	Said    []Said
}

// Said is a piece of what the camera sent: a line of text, an interleaved packet, or some bytes.
type Said struct {
	Data  []byte
	Times int // it was sent so often; the sequence number of an RTP packet counts on
}

// How a dialogue ends.
const (
	EndCloses = "closes"  // the camera hung up
	EndSilent = "silent"  // the camera said nothing more
	EndGoesOn = "goes on" // the camera went on like that; the rest was left out
)

// step is what the i-th repeat of s sends.
func (s Said) step(i int) []byte {
	if i == 0 || !isRTP(s.Data) {
		return s.Data
	}
	b := bytes.Clone(s.Data)
	seq := uint16(b[6])<<8 | uint16(b[7])
	seq += uint16(i)
	b[6], b[7] = byte(seq>>8), byte(seq)
	return b
}

// isRTP says whether b is an interleaved RTP packet.
func isRTP(b []byte) bool { return len(b) >= 16 && b[0] == '$' && b[1]%2 == 0 && b[4]>>6 == 2 }

// isLine says whether b can be written as a line of text.
func isLine(b []byte) bool {
	text, ok := bytes.CutSuffix(b, []byte("\r\n"))
	return ok && !bytes.HasPrefix(text, []byte{'$'}) && isPrintable(text) && len(text) <= maxLine
}

func isPrintable(b []byte) bool {
	return !bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' || r > '~' })
}

// String is the dialogue as it stands in a file.
func (d *Dialogue) String() string {
	var s strings.Builder
	for _, n := range d.Notes {
		fmt.Fprintf(&s, "# %s\n", n)
	}
	for _, t := range d.Turns {
		for _, l := range strings.Split(strings.TrimSuffix(t.Request, "\r\n"), "\r\n") {
			s.WriteString(strings.TrimRight("> "+l, " ") + "\n")
		}
		for _, x := range t.Said {
			if x.Times > 1 {
				fmt.Fprintf(&s, "*%d ", x.Times)
			}
			switch {
			case isLine(x.Data):
				s.WriteString(strings.TrimRight("< "+string(x.Data[:len(x.Data)-2]), " ") + "\n")
			default:
				s.WriteString("<x " + hexRuns(x.Data) + "\n")
			}
		}
	}
	fmt.Fprintf(&s, "= %s\n", d.End)
	return s.String()
}

// hexRuns is b in hex, with runs of the same byte, or of the same four, written once: 00*12 is twelve zeros.
func hexRuns(b []byte) string {
	var words []string
	plain := 0
	flush := func(end int) {
		if plain < end {
			words = append(words, hex.EncodeToString(b[plain:end]))
		}
	}
	for i := 0; i < len(b); {
		found := false
		for _, period := range []int{1, 4} {
			n := 1
			for i+(n+1)*period <= len(b) && bytes.Equal(b[i:i+period], b[i+n*period:i+(n+1)*period]) {
				n++
			}
			if n*period >= 16 {
				flush(i)
				words = append(words, fmt.Sprintf("%x*%d", b[i:i+period], n))
				i += n * period
				plain, found = i, true
				break
			}
		}
		if !found {
			i++
		}
	}
	flush(len(b))
	return strings.Join(words, " ")
}

const maxSaid = 1 << 20 // bytes of one piece

func parseHexRuns(s string) (b []byte, err error) {
	for _, w := range strings.Fields(s) {
		w, times, repeated := strings.Cut(w, "*")
		n := 1
		if repeated {
			if n, err = strconv.Atoi(times); err != nil {
				return nil, err
			}
		}
		piece, err := hex.DecodeString(w)
		if err != nil {
			return nil, err
		}
		if n < 1 || n > maxSaid || len(b)+n*len(piece) > maxSaid {
			return nil, fmt.Errorf("more than %d bytes", maxSaid)
		}
		b = append(b, bytes.Repeat(piece, n)...)
	}
	return b, nil
}

// ParseDialogue reads a dialogue file.
func ParseDialogue(text string) (*Dialogue, error) {
	d := &Dialogue{}
	asking := false
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		bad := func(err error) error { return fmt.Errorf("dialogue line %d: %w", i+1, err) }
		times := 1
		if rest, ok := strings.CutPrefix(line, "*"); ok {
			n, after, _ := strings.Cut(rest, " ")
			var err error
			if times, err = strconv.Atoi(n); err != nil || times < 1 {
				return nil, bad(errors.New("a number of times above 0 stands after *"))
			}
			line = after
		}
		kind, rest, _ := strings.Cut(line, " ")
		switch {
		case kind == "#" && len(d.Turns) == 0:
			d.Notes = append(d.Notes, rest)
		case kind == "#":
		case kind == ">":
			if !asking {
				d.Turns = append(d.Turns, Turn{})
			}
			asking = rest != ""
			d.Turns[len(d.Turns)-1].Request += rest + "\r\n"
		case kind == "<" || kind == "<x":
			if len(d.Turns) == 0 || asking {
				return nil, bad(errors.New("the camera speaks before the request has ended"))
			}
			data := []byte(rest + "\r\n")
			if kind == "<x" {
				var err error
				if data, err = parseHexRuns(rest); err != nil {
					return nil, bad(err)
				}
			}
			t := &d.Turns[len(d.Turns)-1]
			t.Said = append(t.Said, Said{Data: data, Times: times})
		case kind == "=" && (rest == EndCloses || rest == EndSilent || rest == EndGoesOn):
			d.End = rest
		default:
			return nil, bad(fmt.Errorf("%q begins no line of a dialogue", kind))
		}
	}
	if d.End == "" {
		return nil, errors.New("dialogue: the line that says how it ends is missing")
	}
	return d, nil
}
