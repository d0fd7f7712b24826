package modbus

import (
	"bytes"
	"errors"
)

// echoMode says whether our own bytes come back, as with adapters that do not mute their receiver while they send.
type echoMode string

const (
	echoAuto echoMode = "auto" // they are dropped when they come
	echoOn   echoMode = "on"   // they come always: others in their place are a collision
	echoOff  echoMode = "off"  // they never come
)

// verdict is what the bytes that came after a request are so far.
type verdict int8

const (
	waiting   verdict = iota // more may come
	answered                 // the answer is there
	damaged                  // the answer is there, and its checksum is wrong
	collided                 // our own bytes came back changed
	flooded                  // more than any answer has
	misframed                // Modbus TCP: the stream cannot be followed any more
)

// collector finds the answer to one request among the bytes that come after it: our own echo, stray bytes of a transceiver
// that switches, late answers of others. It is pure and never holds more than two frames.
type collector struct {
	mode echoMode
	tcp  bool
	tid  uint16
	req  Request

	sent   []byte // the request
	buf    []byte
	echoed bool // our own bytes have come back
	echo   bool // and do so on this line, as learnt from earlier requests
	noise  int  // bytes that belonged to no answer of ours
	frame  Frame
	raw    []byte // of frame; aliases buf
}

// begin starts anew for a request, and appends the bytes to be sent to b.
func (c *collector) begin(req Request) {
	c.req, c.buf, c.echoed, c.noise, c.raw = req, c.buf[:0], false, 0, nil
	if c.tcp {
		c.tid++
		c.sent = req.AppendTCP(c.sent[:0], c.tid)
	} else {
		c.sent = req.AppendRTU(c.sent[:0])
	}
}

// push takes bytes; bad says that the last one was damaged on the line: no frame goes across it.
func (c *collector) push(b []byte, bad bool) verdict {
	if len(c.buf)+len(b) > 2*maxFrame+requestLen {
		c.noise += len(c.buf) + len(b)
		c.buf = c.buf[:0]
		return flooded
	}
	c.buf = append(c.buf, b...)
	if bad {
		c.noise += len(c.buf)
		c.buf = c.buf[:0]
		return waiting
	}
	if c.tcp {
		return c.findTCP()
	}
	if v := c.dropEcho(); v != waiting {
		return v
	}
	return c.find()
}

// ambiguous says that the request could itself be an answer to it: 17 to 24 inputs from 0x0300.
func (c *collector) ambiguous() bool {
	f, n, err := Decode(c.sent)
	return err == nil && n == len(c.sent) && c.req.answers(f)
}

func (c *collector) dropEcho() verdict {
	if c.mode == echoOff || c.echoed {
		return waiting
	}
	if len(c.buf) < len(c.sent) {
		return waiting
	}
	if !bytes.HasPrefix(c.buf, c.sent) {
		if c.mode == echoOn {
			c.noise += len(c.buf)
			return collided
		}
		return waiting
	}
	if c.mode == echoAuto && !c.echo && c.ambiguous() {
		return waiting
	}
	c.echoed, c.echo = true, true
	c.buf = append(c.buf[:0], c.buf[len(c.sent):]...)
	return waiting
}

// find looks for the answer at every place: what comes before it is noise.
func (c *collector) find() verdict {
	if c.mode == echoOn && !c.echoed {
		return waiting
	}
	v := waiting
	for i := range c.buf {
		b := c.buf[i:]
		if !c.mayAnswer(b) {
			continue
		}
		f, n, err := Decode(b)
		switch {
		case err == nil && c.req.answers(f):
			c.noise += i + len(b) - n
			c.frame, c.raw = f, b[:n]
			return answered
		case errors.Is(err, ErrCRC):
			v = damaged
		}
	}
	return v
}

// mayAnswer says whether b begins as the answer does.
func (c *collector) mayAnswer(b []byte) bool {
	if b[0] != c.req.Addr || len(b) < 3 {
		return false
	}
	return b[1] == byte(c.req.FC) && int(b[2]) == c.req.size() || b[1] == byte(c.req.FC|exceptional)
}

// findTCP skips the answers to earlier requests.
func (c *collector) findTCP() verdict {
	for {
		f, tid, n, err := DecodeTCP(c.buf)
		switch {
		case errors.Is(err, ErrShort):
			return waiting
		case n == 0:
			c.noise += len(c.buf)
			return misframed
		case err == nil && tid == c.tid && c.req.answers(f):
			c.frame, c.raw = f, c.buf[:n]
			return answered
		case tid == c.tid:
			c.noise += len(c.buf)
			return damaged
		}
		c.noise += n
		c.buf = append(c.buf[:0], c.buf[n:]...)
	}
}

// rest says what has come instead of the answer, for people: "" when nothing has. refused says that it was a frame, or the
// answer with a wrong checksum.
func (c *collector) rest() (what string, refused bool) {
	if c.tcp || len(c.buf) == 0 {
		return "", false
	}
	for i := range c.buf {
		f, n, err := Decode(c.buf[i:])
		switch {
		case err == nil && f.Addr != c.req.Addr:
			return "another slave answers", true
		case err == nil && n > 0:
			return "the answer is not what was asked for", true
		case errors.Is(err, ErrCRC) && c.mayAnswer(c.buf[i:]):
			return "the answer's checksum is wrong", true
		}
	}
	return "bytes come, but no frame: is the baud rate or the format another, or are A and B swapped?", false
}
