package osdp

import "bytes"

// mask puts zeros in the place of what must not leave the box: a key, also an encrypted one (under the factory's key everybody can
// read it), and what a card or a keypad says. The check of such a frame no longer fits.
func mask(b []byte) []byte {
	b = bytes.Clone(b)
	for at := 0; at < len(b); {
		f, n, err := Decode(b[at:])
		if err != nil || n <= 0 {
			at++
			continue
		}
		switch reply := f.Addr&isReply != 0; {
		case !reply && f.Code == cmdKeySet, reply && (f.Code == repRaw || f.Code == repKeypad):
			clear(f.Data) // aliases b
		}
		at += n
	}
	return b
}

// Replies that tell of people.
const (
	repRaw    = 0x50
	repKeypad = 0x53
)
