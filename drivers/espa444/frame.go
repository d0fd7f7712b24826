package espa444

import (
	"errors"
	"math/bits"
)

// Control characters of ISO 646 as the standard uses them.
const (
	SOH = 0x01
	STX = 0x02
	ETX = 0x03
	EOT = 0x04
	ENQ = 0x05
	ACK = 0x06
	NAK = 0x15
	RS  = 0x1E
	US  = 0x1F
)

// maxBlock bounds a block from SOH to BCC. The longest that the standard allows has about 200 characters.
const maxBlock = 2048

// Errors of Decode. They say what to do next, so they carry no text for people.
var (
	ErrShort = errors.New("espa444: the block is not complete")
	ErrStart = errors.New("espa444: a block begins with SOH and has only one")
	ErrCheck = errors.New("espa444: wrong block check character")
	ErrLong  = errors.New("espa444: the block is too long")
	ErrData  = errors.New("espa444: the data has a character that ends or begins a block")
)

// Frame is one block: SOH data ETX BCC. Data aliases what it was decoded from.
type Frame struct {
	Data []byte // header, STX, and records with RS between them
}

// Decode reads the block at the start of b, parity bits taken off. n is how many bytes it took, with an error how many to
// drop before trying again; with ErrShort it is 0: more bytes may complete the block.
//
// BCC is the XOR of everything after SOH up to and including ETX. It may be any character, EOT and SOH included: what
// follows ETX is always BCC. It has 7 bits; of senders with 8 bits, some let the eighth take part and some do not.
func Decode(b []byte) (f Frame, n int, err error) {
	if len(b) == 0 {
		return Frame{}, 0, ErrShort
	}
	if b[0] != SOH {
		return Frame{}, 1, ErrStart
	}
	x := byte(0)
	for i, c := range b[1:] {
		at := 1 + i
		switch {
		case c == SOH:
			return Frame{}, at, ErrStart
		case at+1 >= maxBlock:
			return Frame{}, at, ErrLong
		}
		x ^= c
		if c != ETX {
			continue
		}
		if at+1 == len(b) {
			return Frame{}, 0, ErrShort
		}
		if (x^b[at+1])&0x7F != 0 {
			return Frame{}, at + 2, ErrCheck
		}
		return Frame{Data: b[1:at]}, at + 2, nil
	}
	return Frame{}, 0, ErrShort
}

// AppendBinary appends the block to b.
func (f Frame) AppendBinary(b []byte) ([]byte, error) {
	if len(f.Data)+3 > maxBlock {
		return b, ErrLong
	}
	x := byte(ETX)
	for _, c := range f.Data {
		if c == SOH || c == ETX {
			return b, ErrData
		}
		x ^= c
	}
	b = append(b, SOH)
	b = append(b, f.Data...)
	return append(b, ETX, x&0x7F), nil
}

// evenParity is the 7-bit character c with the bit that makes its ones even.
func evenParity(c byte) byte {
	c &= 0x7F
	return c | byte(bits.OnesCount8(c)&1)<<7
}
