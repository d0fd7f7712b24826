package osdp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
)

// Key is an AES-128 key of a device: its SCBK. It prints as nothing.
type Key [16]byte

// Format keeps a key out of logs, whatever prints it.
func (Key) Format(s fmt.State, _ rune) { io.WriteString(s, "(a key)") }

// defaultKey is SCBK-D, which every device has from the factory and everybody knows.
var defaultKey = Key{0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3A, 0x3B, 0x3C, 0x3D, 0x3E, 0x3F}

// Which key a handshake is about, in the third byte of its security block.
const (
	keyDefault = 0x00
	keyOwn     = 0x01
)

// Errors of unwrap: the frame is not from the device, or not the answer to our last command.
var (
	errClear   = errors.New("an answer without the secure channel")
	errMAC     = errors.New("an answer whose authentication code is wrong")
	errPadding = errors.New("an answer whose padding is wrong")
)

// channel is a secure channel: its session keys and the two ends of the chain of authentication codes. wrap and unwrap may be
// repeated for the same bytes: a command changes sent only, an answer heard only.
type channel struct {
	enc, mac1, mac2 cipher.Block
	server          [16]byte // cryptogram
	client          [16]byte
	sent, heard     [16]byte // the last full code of each direction
	acc, tmp, fresh [16]byte // scratch: nothing is allocated per frame
	plain           [maxFrame]byte
}

// newChannel derives the session keys and cryptograms. Before the answer to the challenge rndB is unknown: it is needed here.
func newChannel(scbk Key, rndA, rndB [8]byte) *channel {
	root, _ := aes.NewCipher(scbk[:]) // 16 bytes are always a key
	derive := func(a, b byte) cipher.Block {
		k := [16]byte{a, b}
		copy(k[2:], rndA[:6])
		root.Encrypt(k[:], k[:])
		c, _ := aes.NewCipher(k[:]) // so are these
		return c
	}
	c := &channel{enc: derive(0x01, 0x82), mac1: derive(0x01, 0x01), mac2: derive(0x01, 0x02)}
	copy(c.client[:], rndA[:])
	copy(c.client[8:], rndB[:])
	copy(c.server[:], rndB[:])
	copy(c.server[8:], rndA[:])
	c.enc.Encrypt(c.client[:], c.client[:])
	c.enc.Encrypt(c.server[:], c.server[:])
	c.mac1.Encrypt(c.heard[:], c.server[:])
	c.mac2.Encrypt(c.heard[:], c.heard[:]) // R-MAC-I: the first command chains to it
	return c
}

// initial is R-MAC-I, as long as no answer has been unwrapped.
func (c *channel) initial() []byte { return c.heard[:] }

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// code computes the authentication code of b, chained to iv, into out.
func (c *channel) code(out *[16]byte, iv *[16]byte, b []byte) {
	c.acc = *iv
	for len(b) > 16 {
		subtle.XORBytes(c.acc[:], c.acc[:], b[:16])
		c.mac1.Encrypt(c.acc[:], c.acc[:])
		b = b[16:]
	}
	c.tmp = [16]byte{}
	if copy(c.tmp[:], b) < 16 {
		c.tmp[len(b)] = 0x80
	}
	subtle.XORBytes(c.acc[:], c.acc[:], c.tmp[:])
	c.mac2.Encrypt(out[:], c.acc[:])
}

// wrap appends the command as a frame of the channel to b: authenticated, its data encrypted. f has no SCB and no MAC.
func (c *channel) wrap(b []byte, f Frame) ([]byte, error) {
	return c.seal(b, f, &c.heard, &c.sent, scbMACCmd, scbEncCmd)
}

func (c *channel) seal(b []byte, f Frame, last, next *[16]byte, bare, full byte) ([]byte, error) {
	f.SCB, f.MAC = []byte{2, bare}, make([]byte, macBytes)
	f.Ctrl |= hasCRC
	if len(f.Data) > 0 {
		f.SCB[1] = full
		f.Data = c.encrypt(last, f.Data)
	}
	start := len(b)
	b, err := f.AppendBinary(b)
	if err != nil {
		return b, err
	}
	end := len(b) - 2 - macBytes
	c.code(next, last, b[start:end])
	return appendCheck(append(b[:end], next[:macBytes]...), start, f.Ctrl), nil
}

func (c *channel) encrypt(last *[16]byte, data []byte) []byte {
	out := append([]byte{}, data...)
	out = append(out, 0x80)
	for len(out)%16 != 0 {
		out = append(out, 0)
	}
	iv := invert(last)
	cipher.NewCBCEncrypter(c.enc, iv[:]).CryptBlocks(out, out)
	return out
}

// unwrap proves that the frame, whose bytes are raw, is the device's answer to our last command, and returns it with its data
// in clear. The data are good until the next call.
func (c *channel) unwrap(f Frame, raw []byte) (Frame, error) {
	return c.openSeal(f, raw, &c.sent, &c.heard, scbMACReply, scbEncReply)
}

func (c *channel) openSeal(f Frame, raw []byte, last, next *[16]byte, bare, full byte) (Frame, error) {
	t := f.blockType()
	if t != bare && t != full || len(f.MAC) != macBytes {
		return Frame{}, errClear
	}
	c.code(&c.fresh, last, raw[:len(raw)-checkBytes(f.Ctrl)-macBytes])
	if !equal(c.fresh[:macBytes], f.MAC) {
		return Frame{}, errMAC
	}
	if t == full {
		plain, ok := c.decrypt(last, f.Data)
		if !ok {
			return Frame{}, errPadding
		}
		f.Data = plain
	}
	*next = c.fresh
	return f, nil
}

func (c *channel) decrypt(last *[16]byte, data []byte) ([]byte, bool) {
	if len(data) == 0 || len(data)%16 != 0 || len(data) > len(c.plain) {
		return nil, false
	}
	prev := invert(last)
	for i := 0; i < len(data); i += 16 {
		c.enc.Decrypt(c.tmp[:], data[i:i+16])
		subtle.XORBytes(c.plain[i:i+16], c.tmp[:], prev[:])
		copy(prev[:], data[i:])
	}
	n := len(data) - 1
	for n > 0 && c.plain[n] == 0 {
		n--
	}
	return c.plain[:n], c.plain[n] == 0x80
}

func invert(b *[16]byte) (out [16]byte) {
	for i, x := range b {
		out[i] = ^x
	}
	return out
}
