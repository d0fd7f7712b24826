package galaxy

import "strings"

// charset is what the bytes 80 to 9F of a text are. They are private to the panel's language, and nothing in the protocol says
// which: without a table each is a question mark.
type charset string

const (
	charsetNone    charset = "none"
	charsetSwedish charset = "swedish"
)

// swedish has the letters that are known of Swedish firmware; all others stay question marks. Only 99 was seen in the protocol's
// sources; the others follow the code page of which 99 is the O-umlaut (IBM 437 and 850).
var swedish = map[byte]rune{0x84: 'ä', 0x86: 'å', 0x8E: 'Ä', 0x8F: 'Å', 0x94: 'ö', 0x99: 'Ö', 0x82: 'é', 0x90: 'É', 0x81: 'ü', 0x9A: 'Ü'}

// text makes text of a block's bytes.
func (c charset) text(b []byte) string {
	if c != charsetSwedish {
		return clean(b)
	}
	var out strings.Builder
	for _, x := range b {
		switch r := swedish[x]; {
		case r != 0:
			out.WriteRune(r)
		case x < 0x20 || x > 0x7E:
			out.WriteByte('?')
		default:
			out.WriteByte(x)
		}
	}
	return out.String()
}
