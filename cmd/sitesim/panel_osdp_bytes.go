package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
)

// The bytes of OSDP v2 as a device sees them. They are written anew here, not taken from the gateway's driver, so that the two do
// not share a mistake; the tests hold them against the values of SIA OSDP Annex E and a captured session.

// osdpMax is the longest command that a device takes.
const osdpMax = 1440

// osdpFrame is one frame.
type osdpFrame struct {
	addr, ctrl byte
	scb        []byte // security block with its length
	code       byte
	data       []byte
	mac        []byte
	raw        []byte // as received
}

const (
	osdpSeq      = 0x03 // of ctrl
	osdpCRC      = 0x04
	osdpSecurity = 0x08
)

// nextOSDP takes the first whole frame out of buf. ok is false when there is none; rest is what to keep.
func nextOSDP(buf []byte) (f osdpFrame, rest []byte, ok bool) {
	for {
		i := bytes.IndexByte(buf, 0x53)
		if i < 0 {
			return f, nil, false
		}
		if buf = buf[i:]; len(buf) < 5 {
			return f, buf, false
		}
		n := int(buf[2]) | int(buf[3])<<8
		if n < 7 || n > osdpMax {
			buf = buf[1:]
			continue
		}
		if len(buf) < n {
			return f, buf, false
		}
		if f, ok = parseOSDP(buf[:n]); ok {
			return f, buf[n:], true
		}
		buf = buf[1:]
	}
}

func parseOSDP(b []byte) (f osdpFrame, ok bool) {
	f = osdpFrame{addr: b[1], ctrl: b[4], raw: bytes.Clone(b)}
	body := b[5:]
	if f.ctrl&osdpCRC != 0 {
		n := len(b) - 2
		if crc := crcOSDP(b[:n]); b[n] != byte(crc) || b[n+1] != byte(crc>>8) {
			return f, false
		}
		body = b[5:n]
	} else {
		sum := byte(0)
		for _, x := range b {
			sum += x
		}
		if sum != 0 {
			return f, false
		}
		body = body[:len(body)-1]
	}
	if f.ctrl&osdpSecurity != 0 {
		if len(body) < 2 || int(body[0]) < 2 || int(body[0]) > len(body) {
			return f, false
		}
		f.scb, body = body[:body[0]], body[body[0]:]
		if t := f.scb[1]; t >= 0x15 && t <= 0x18 {
			if len(body) < 4 {
				return f, false
			}
			f.mac, body = body[len(body)-4:], body[:len(body)-4]
		}
	}
	if len(body) == 0 {
		return f, false
	}
	f.code, f.data = body[0], body[1:]
	return f, true
}

// bytes encodes the frame.
func (f osdpFrame) bytes() []byte {
	body := append(append(append(bytes.Clone(f.scb), f.code), f.data...), f.mac...)
	n := 5 + len(body) + 1
	if f.ctrl &^= osdpSecurity; len(f.scb) > 0 {
		f.ctrl |= osdpSecurity
	}
	if f.ctrl&osdpCRC != 0 {
		n++
	}
	return checkedOSDP(append([]byte{0x53, f.addr, byte(n), byte(n >> 8), f.ctrl}, body...))
}

// checkedOSDP appends the CRC or the checksum that the frame's control byte asks for.
func checkedOSDP(b []byte) []byte {
	if b[4]&osdpCRC != 0 {
		crc := crcOSDP(b)
		return append(b, byte(crc), byte(crc>>8))
	}
	sum := byte(0)
	for _, x := range b {
		sum += x
	}
	return append(b, -sum)
}

func crcOSDP(b []byte) uint16 {
	crc := uint16(0x1D0F)
	for _, x := range b {
		crc ^= uint16(x) << 8
		for range 8 {
			carry := crc&0x8000 != 0
			if crc <<= 1; carry {
				crc ^= 0x1021
			}
		}
	}
	return crc
}

// osdpChannel is the device's end of a secure channel.
type osdpChannel struct {
	enc, mac1, mac2       cipher.Block
	client, server, rmacI []byte
	command, reply        []byte // the last full authentication code of each direction
}

// osdpFactoryKey is SCBK-D.
var osdpFactoryKey = []byte("0123456789:;<=>?")

func newOSDPChannel(scbk, rndA, rndB []byte) (*osdpChannel, error) {
	root, err := aes.NewCipher(scbk)
	if err != nil {
		return nil, err
	}
	var c osdpChannel
	for _, k := range []struct {
		to   *cipher.Block
		a, b byte
	}{{&c.enc, 0x01, 0x82}, {&c.mac1, 0x01, 0x01}, {&c.mac2, 0x01, 0x02}} {
		key := encryptBlock(root, append(append([]byte{k.a, k.b}, rndA[:6]...), make([]byte, 8)...))
		if *k.to, err = aes.NewCipher(key); err != nil {
			return nil, err
		}
	}
	c.client = encryptBlock(c.enc, append(bytes.Clone(rndA), rndB...))
	c.server = encryptBlock(c.enc, append(bytes.Clone(rndB), rndA...))
	c.rmacI = encryptBlock(c.mac2, encryptBlock(c.mac1, c.server))
	c.command, c.reply = c.rmacI, c.rmacI
	return &c, nil
}

func encryptBlock(b cipher.Block, in []byte) []byte {
	out := make([]byte, 16)
	b.Encrypt(out, in)
	return out
}

// code is the full authentication code of b, chained to iv.
func (c *osdpChannel) code(iv, b []byte) []byte {
	b = bytes.Clone(b)
	if len(b)%16 != 0 {
		b = padOSDP(b)
	}
	if n := len(b) - 16; n > 0 {
		cipher.NewCBCEncrypter(c.mac1, iv).CryptBlocks(b[:n], b[:n])
		iv = b[n-16 : n]
	}
	last := make([]byte, 16)
	cipher.NewCBCEncrypter(c.mac2, iv).CryptBlocks(last, b[len(b)-16:])
	return last
}

func padOSDP(b []byte) []byte {
	b = append(b, 0x80)
	return append(b, make([]byte, (16-len(b)%16)%16)...)
}

func invertOSDP(b []byte) []byte {
	out := make([]byte, len(b))
	for i, x := range b {
		out[i] = ^x
	}
	return out
}

// open proves a command and decrypts its data.
func (c *osdpChannel) open(f osdpFrame) (osdpFrame, bool) {
	if len(f.scb) < 2 || f.scb[1] != 0x15 && f.scb[1] != 0x17 {
		return f, false
	}
	tail := 5 // 4 of the code, and the checksum
	if f.ctrl&osdpCRC != 0 {
		tail++
	}
	code := c.code(c.reply, f.raw[:len(f.raw)-tail])
	if subtle.ConstantTimeCompare(code[:4], f.mac) != 1 {
		return f, false
	}
	if f.scb[1] == 0x17 {
		if len(f.data) == 0 || len(f.data)%16 != 0 {
			return f, false
		}
		plain := make([]byte, len(f.data))
		cipher.NewCBCDecrypter(c.enc, invertOSDP(c.reply)).CryptBlocks(plain, f.data)
		plain = bytes.TrimRight(plain, "\x00")
		if len(plain) == 0 || plain[len(plain)-1] != 0x80 {
			return f, false
		}
		f.data = plain[:len(plain)-1]
	}
	c.command = code
	return f, true
}

// seal makes the bytes of an answer.
func (c *osdpChannel) seal(f osdpFrame) []byte {
	f.scb, f.mac = []byte{2, 0x16}, make([]byte, 4)
	f.ctrl |= osdpCRC
	if len(f.data) > 0 {
		f.scb[1] = 0x18
		f.data = padOSDP(bytes.Clone(f.data))
		cipher.NewCBCEncrypter(c.enc, invertOSDP(c.command)).CryptBlocks(f.data, f.data)
	}
	b := f.bytes()
	b = b[:len(b)-6]
	c.reply = c.code(c.command, b)
	return checkedOSDP(append(b, c.reply[:4]...))
}
