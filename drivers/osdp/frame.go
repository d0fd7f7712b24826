package osdp

import (
	"bytes"
	"errors"
)

// A frame is 53 ADDR LENLO LENHI CTRL [SCB] CODE DATA [MAC4] CHECK; LEN counts all of it. A device may send FF before it,
// which belongs to no frame.
const (
	som         = 0x53
	mark        = 0xFF
	headerBytes = 5
	macBytes    = 4
	// maxFrame is more than any answer that we read: a device must not send over 128 bytes to whom did not offer more.
	maxFrame = 512

	isReply = 0x80 // of ADDR: from a device

	seqBits = 0x03 // of CTRL
	hasCRC  = 0x04 // CRC-16, else an 8-bit checksum
	hasSCB  = 0x08 // a security block follows
)

// Types of security blocks: the byte behind its length.
const (
	scbChallenge = 0x11
	scbCCrypt    = 0x12
	scbSCrypt    = 0x13
	scbRMAC      = 0x14
	scbMACCmd    = 0x15 // authenticated
	scbMACReply  = 0x16
	scbEncCmd    = 0x17 // authenticated, data encrypted
	scbEncReply  = 0x18
)

// Commands and replies.
const (
	cmdPoll      = 0x60
	cmdID        = 0x61
	cmdCap       = 0x62
	cmdLocal     = 0x64
	cmdInput     = 0x65
	cmdKeySet    = 0x75
	cmdChallenge = 0x76
	cmdSCrypt    = 0x77

	repAck    = 0x40
	repNak    = 0x41
	repID     = 0x45
	repCap    = 0x46
	repLocal  = 0x48
	repInput  = 0x49
	repCCrypt = 0x76
	repRMAC   = 0x78
	repBusy   = 0x79
)

// Errors of Decode. They say what to do next, so they carry no text for people.
var (
	ErrShort  = errors.New("osdp: the frame is not complete")
	ErrStart  = errors.New("osdp: no frame starts here")
	ErrLength = errors.New("osdp: the frame's length cannot be")
	ErrBlock  = errors.New("osdp: the security block does not fit into the frame")
	ErrCheck  = errors.New("osdp: wrong CRC or checksum")
)

// Frame is one frame. Its slices alias what it was decoded from.
type Frame struct {
	Addr byte // with isReply
	Ctrl byte
	SCB  []byte // with its length and type; empty without hasSCB
	Code byte
	Data []byte
	MAC  []byte // 4 bytes with the types 15 to 18, else empty
}

// blockType is the type of the security block, 0 without one.
func (f Frame) blockType() byte {
	if len(f.SCB) < 2 {
		return 0
	}
	return f.SCB[1]
}

// key is the third byte of a handshake's security block: which key, or whether the cryptogram was right.
func (f Frame) key() byte {
	if len(f.SCB) < 3 {
		return 0xFF
	}
	return f.SCB[2]
}

func (f Frame) seq() byte { return f.Ctrl & seqBits }

func checkBytes(ctrl byte) int {
	if ctrl&hasCRC != 0 {
		return 2
	}
	return 1
}

func withMAC(blockType byte) bool { return blockType >= scbMACCmd && blockType <= scbEncReply }

// Decode reads the frame at the start of b. n is how many bytes it took; with ErrShort it is 0: more bytes may complete the
// frame; with any other error it is how far to shift before trying again.
func Decode(b []byte) (f Frame, n int, err error) {
	if len(b) == 0 {
		return Frame{}, 0, ErrShort
	}
	if b[0] != som {
		n = bytes.IndexByte(b, som)
		if n < 0 {
			n = len(b)
		}
		return Frame{}, n, ErrStart
	}
	if len(b) < headerBytes {
		return Frame{}, 0, ErrShort
	}
	n = int(b[2]) | int(b[3])<<8
	ctrl := b[4]
	end := n - checkBytes(ctrl) // of what is checked
	if n > maxFrame || end < headerBytes+1 {
		return Frame{}, 1, ErrLength
	}
	f = Frame{Addr: b[1], Ctrl: ctrl}
	at := headerBytes
	if ctrl&hasSCB != 0 {
		if len(b) < headerBytes+2 {
			return Frame{}, 0, ErrShort
		}
		size := int(b[at])
		tail := 1
		if withMAC(b[at+1]) {
			tail += macBytes
		}
		if size < 2 || at+size+tail > end {
			return Frame{}, 1, ErrBlock
		}
		if len(b) >= at+size {
			f.SCB = b[at : at+size]
		}
		at += size
	}
	if len(b) < n {
		return Frame{}, 0, ErrShort
	}
	if !checks(b[:n], end) {
		return Frame{}, 1, ErrCheck
	}
	if withMAC(f.blockType()) {
		f.MAC = b[end-macBytes : end]
		end -= macBytes
	}
	f.Code, f.Data = b[at], b[at+1:end]
	return f, n, nil
}

// checks compares the check of a whole frame; end is where it begins.
func checks(b []byte, end int) bool {
	if len(b)-end == 2 {
		c := crc16(b[:end])
		return b[end] == byte(c) && b[end+1] == byte(c>>8)
	}
	return b[end] == checksum(b[:end])
}

// AppendBinary appends the frame to b. hasSCB of Ctrl follows from SCB.
func (f Frame) AppendBinary(b []byte) ([]byte, error) {
	f.Ctrl &^= hasSCB
	if len(f.SCB) > 0 {
		if len(f.SCB) < 2 || int(f.SCB[0]) != len(f.SCB) {
			return b, ErrBlock
		}
		f.Ctrl |= hasSCB
	}
	if withMAC(f.blockType()) != (len(f.MAC) == macBytes) {
		return b, ErrBlock
	}
	n := headerBytes + len(f.SCB) + 1 + len(f.Data) + len(f.MAC) + checkBytes(f.Ctrl)
	if n > maxFrame {
		return b, ErrLength
	}
	start := len(b)
	b = append(b, som, f.Addr, byte(n), byte(n>>8), f.Ctrl)
	b = append(b, f.SCB...)
	b = append(b, f.Code)
	b = append(b, f.Data...)
	b = append(b, f.MAC...)
	return appendCheck(b, start, f.Ctrl), nil
}

// appendCheck appends the check of the frame that begins at start.
func appendCheck(b []byte, start int, ctrl byte) []byte {
	if ctrl&hasCRC == 0 {
		return append(b, checksum(b[start:]))
	}
	c := crc16(b[start:])
	return append(b, byte(c), byte(c>>8))
}

// checksum is the two's complement of the sum.
func checksum(b []byte) (c byte) {
	for _, x := range b {
		c -= x
	}
	return c
}

// crcTable is of the polynomial 1021, not reflected.
var crcTable = func() (t [256]uint16) {
	for i := range t {
		c := uint16(i) << 8
		for range 8 {
			if c&0x8000 != 0 {
				c = c<<1 ^ 0x1021
			} else {
				c <<= 1
			}
		}
		t[i] = c
	}
	return t
}()

func crc16(b []byte) uint16 {
	c := uint16(0x1D0F)
	for _, x := range b {
		c = c<<8 ^ crcTable[byte(c>>8)^x]
	}
	return c
}
