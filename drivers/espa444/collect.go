package espa444

import "bytes"

// token is what a byte completes.
type token struct {
	kind  tokenKind
	addr  byte   // of tokenENQ
	frame Frame  // of tokenBlock; aliases the collector until the next byte
	raw   []byte // of tokenBlock, as on the wire; aliases too
}

type tokenKind byte

const (
	tokenNone  tokenKind = iota
	tokenEOT             // the line is given back
	tokenENQ             // address and ENQ: a poll or a selection
	tokenACK             // of another station, or our own come back
	tokenBlock           // a good block
)

// collector makes tokens of bytes. Pure: it is told what has come and whether the line is quiet.
//
// Inside a block only ETX and what follows it count, for BCC may look like any control character. A block that fails, or that
// has no records, is ended only by the silence of the line: a damaged character can look like ETX and the next one even like
// its BCC, and an answer would run into the rest. A block that stops in its middle was cut off; if it has EOT or ENQ in it, what begins there was meant for the line.
type collector struct {
	buf   [maxBlock]byte // of a block, without parity bits
	wire  [maxBlock]byte // the same as it came
	n     int
	state state
	bad   bool // a character of the block was damaged, or its parity is wrong
	hurt  bool // the line itself has said so
	etx   bool // the next character is BCC
	// parity: the sender's eighth bit is even parity, which a line of 8 bits hands on. SOH has it set then, and never else.
	parity bool
	ctl    int  // where EOT or ENQ stands in the block; 0 nowhere
	prev   byte // the address before ENQ; 0 none
	noise  int  // bytes that belong to nothing, since it was last read
}

type state byte

const (
	outside state = iota
	inside        // after SOH
	failed        // after a block that was wrong, until the line is quiet
	odd           // after a block with a good BCC and no good grammar, until the line is quiet
)

// push takes one byte.
func (c *collector) push(b byte, damaged bool) token {
	if c.state == inside {
		return c.inside(b, damaged)
	}
	v := b & 0x7F
	if c.state == odd && b != 0x00 && b != 0xFF {
		c.state = failed // the block goes on; a byte without any edge in it comes from a sender that lets go of the wires
	}
	if damaged || b != v && b != evenParity(v) {
		c.noise, c.prev = c.noise+1, 0
		return token{}
	}
	if v == SOH {
		c.begin(b)
		return token{}
	}
	if c.state == failed || c.state == odd {
		c.noise++
		return token{}
	}
	prev := c.prev
	c.prev = 0
	switch {
	case v == EOT:
		c.parity = b != v // the sender's habit
		return token{kind: tokenEOT}
	case v == ENQ && prev != 0:
		return token{kind: tokenENQ, addr: prev}
	case v >= '0' && v <= '9':
		c.prev = v
		if b != v {
			c.parity = true
		} else if b != evenParity(v) {
			c.parity = false
		}
	case v == ACK:
		return token{kind: tokenACK}
	case v == NAK: // as ACK
	default:
		c.noise++
	}
	return token{}
}

func (c *collector) begin(b byte) {
	c.buf[0], c.wire[0], c.n = SOH, b, 1
	c.state, c.parity = inside, b != SOH
	c.bad, c.hurt, c.etx, c.ctl, c.prev = false, false, false, 0, 0
}

func (c *collector) inside(b byte, damaged bool) token {
	v := b
	c.hurt = c.hurt || damaged
	if c.parity {
		v = b & 0x7F
		damaged = damaged || b != evenParity(v)
	}
	if v == SOH && !damaged && !c.etx {
		c.noise += c.n // the block before was cut off
		c.begin(b)
		return token{}
	}
	if c.n == maxBlock {
		c.noise += c.n
		c.state = failed
		return token{}
	}
	c.buf[c.n], c.wire[c.n] = v, b
	c.n++
	c.bad = c.bad || damaged
	if !c.etx {
		c.etx = v == ETX
		if (v == EOT || v == ENQ) && c.ctl == 0 {
			c.ctl = c.n - 1
		}
		return token{}
	}
	f, n, err := Decode(c.buf[:c.n])
	if err != nil || n != c.n || c.bad {
		c.state = failed
		return token{}
	}
	if c.state = outside; !sound(f.Data) {
		c.state = odd
		return token{}
	}
	return token{kind: tokenBlock, frame: f, raw: c.wire[:n]}
}

// sound says whether data is a header and records.
func sound(data []byte) bool {
	if len(data) < 4 || data[0] < headCall || data[0] > headOther || data[1] != STX {
		return false
	}
	for rec := range bytes.SplitSeq(data[2:], []byte{RS}) {
		if len(rec) > 0 && (len(rec) < 2 || rec[1] != US) {
			return false
		}
	}
	return true
}

// quiet ends what the silence of the line ends. t is a block that is whole after all; rest is what must be pushed again and
// aliases the collector: copy it.
func (c *collector) quiet() (e end, t token, rest []byte) {
	was := c.state
	c.state, c.prev = outside, 0
	switch {
	case was == failed, was == inside && c.etx:
		return wrong, token{}, nil
	case was == odd:
		f, n, _ := Decode(c.buf[:c.n])
		return none, token{kind: tokenBlock, frame: f, raw: c.wire[:n]}, nil
	case was == outside:
		return none, token{}, nil
	case c.ctl == 0 || c.hurt:
		c.noise += c.n
		return torn, token{}, nil
	}
	from := c.ctl
	if c.buf[from] == ENQ && from > 1 {
		from-- // its address
	}
	c.noise += from
	return none, token{}, c.wire[from:c.n]
}

// end is what the silence of the line has ended.
type end byte

const (
	none  end = iota
	wrong     // a block that is complete, and damaged
	torn      // a block that stopped in its middle
)

// drained returns the noise since the last call.
func (c *collector) drained() int {
	n := c.noise
	c.noise = 0
	return n
}
