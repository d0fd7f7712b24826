package rtsp

import (
	"bytes"
	"errors"

	"sitewatch/video"
)

// maxGathered bounds the NAL units of one access unit, parameter sets and fillers included.
const maxGathered = 512

// gatherer collects the NAL units of one access unit out of RTP payloads: RFC 6184 §5.6-5.8 of H.264 without interleaving, RFC 7798
// §4.4 of H.265 without decoding order numbers. It copies what it takes into one buffer that is used again and again, so that a
// camera which splits a picture into single bytes costs what these say and no more.
type gatherer struct {
	codec video.Codec
	buf   []byte
	spans [][2]int // of whole NAL units in buf
	open  int      // where a fragmented one begins that has not ended, or -1
	out   [][]byte // what units returns; used again
}

var (
	errPacket   = errors.New("rtsp: packet that cannot be read")
	errTooLarge = errors.New("rtsp: access unit beyond the limit")
)

// keepBytes is up to where the buffer is kept for the next unit.
const keepBytes = 1 << 20

func (g *gatherer) reset() {
	if cap(g.buf) > keepBytes {
		g.buf = nil
	}
	g.buf, g.spans, g.open = g.buf[:0], g.spans[:0], -1
}

// empty says that nothing of a unit is there yet.
func (g *gatherer) empty() bool { return len(g.buf) == 0 }

// units returns the whole NAL units; they are valid until the next add.
func (g *gatherer) units() [][]byte {
	g.out = g.out[:0]
	for _, s := range g.spans {
		g.out = append(g.out, g.buf[s[0]:s[1]])
	}
	return g.out
}

// add takes one payload. After an error what was collected is of no use.
func (g *gatherer) add(payload []byte) error {
	if g.codec == video.H265 {
		return g.add265(payload)
	}
	if len(payload) < 1 {
		return errPacket
	}
	switch t := payload[0] & 0x1F; {
	case t == 24: // STAP-A
		return g.aggregate(payload[1:])
	case t == 28: // FU-A
		if len(payload) < 3 {
			return errPacket
		}
		return g.fragment(payload[1], []byte{payload[0]&0xE0 | payload[1]&0x1F}, payload[2:])
	case t > 24 && t < 30: // interleaved mode, or aggregates with times of their own
		return errPacket
	}
	return g.single(payload)
}

func (g *gatherer) add265(payload []byte) error {
	if len(payload) < 3 {
		return errPacket
	}
	switch payload[0] >> 1 & 0x3F {
	case 48: // AP
		return g.aggregate(payload[2:])
	case 49: // FU
		if len(payload) < 4 {
			return errPacket
		}
		return g.fragment(payload[2], []byte{payload[0]&0x81 | payload[2]&0x3F<<1, payload[1]}, payload[3:])
	case 50: // PACI
		return errPacket
	}
	return g.single(payload)
}

func (g *gatherer) single(n []byte) error {
	if g.open >= 0 {
		return errPacket // a fragmented one has no end
	}
	if err := g.grow(n); err != nil {
		return err
	}
	return g.end(len(g.buf) - len(n))
}

// aggregate takes NAL units behind their sizes in two bytes. Padding of zeros at the end is a habit of some cameras.
func (g *gatherer) aggregate(b []byte) error {
	if len(b) < 3 {
		return errPacket
	}
	for len(b) >= 2 {
		n := int(b[0])<<8 | int(b[1])
		b = b[2:]
		if n == 0 && len(bytes.Trim(b, "\x00")) == 0 {
			return nil
		}
		if n == 0 || n > len(b) {
			return errPacket
		}
		if err := g.single(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	if len(b) > 0 {
		return errPacket
	}
	return nil
}

// fragment takes a piece of a NAL unit; fu is its header with the bits for the first and the last one. Both at once are forbidden,
// and cameras send it.
func (g *gatherer) fragment(fu byte, head, b []byte) error {
	switch first := fu&0x80 != 0; {
	case first && g.open >= 0, !first && g.open < 0:
		return errPacket
	case first:
		g.open = len(g.buf)
		if err := g.grow(head); err != nil {
			return err
		}
	}
	if err := g.grow(b); err != nil {
		return err
	}
	if fu&0x40 == 0 {
		return nil
	}
	from := g.open
	g.open = -1
	return g.end(from)
}

func (g *gatherer) grow(b []byte) error {
	if len(g.buf)+len(b) > video.MaxUnitBytes {
		return errTooLarge
	}
	g.buf = append(g.buf, b...)
	return nil
}

var startCode = []byte{0, 0, 1}

// end notes that what lies in buf from there on is whole. Some cameras put a byte stream (Annex B) into it: no NAL unit contains a
// start code, so that one is always the border of two.
func (g *gatherer) end(from int) error {
	for from < len(g.buf) {
		to, next := len(g.buf), len(g.buf)
		if i := bytes.Index(g.buf[from:], startCode); i >= 0 {
			to, next = from+i, from+i+len(startCode)
			for to > from && g.buf[to-1] == 0 {
				to--
			}
		}
		if to > from {
			if len(g.spans) == maxGathered {
				return errTooLarge
			}
			g.spans = append(g.spans, [2]int{from, to})
		}
		from = next
	}
	return nil
}
