package galaxy

import "bytes"

// collector finds blocks in what arrives. Pure: it is told what has come and whether the line is quiet.
//
// A block has no start byte, so a stray byte can claim up to 63 data bytes that never come, and the block behind it would
// wait for them. The rules, which never take a block out of the inside of another one that may still be true:
//   - The earliest offset wins. A complete block at a boundary (after a block, after a flush, after stray 00) is taken.
//   - Behind bytes that are ruled out (no function code, wrong parity) only a block is taken whose content is sound too:
//     parity is 8 bits of XOR, and what we acknowledge the panel deletes.
//   - Behind a start that may still become a block, such a one is taken only when the line has gone quiet: the panel
//     sends a block in one go, then waits for us.
type collector struct {
	buf  []byte // begins at a boundary
	bad  []bool // parallel to buf: damaged on the line
	skip int    // bytes at the start of buf that are ruled out
	lost int    // ruled-out bytes that are no longer in buf and not yet told of
	fail int    // end of the failed block (complete, known function code, wrong parity) that a reject is owed for; 0 none
	prim bool   // that block began at the boundary
}

// maxCollect bounds buf: ruled-out bytes are dropped long before, so it is never reached.
const maxCollect = 4 * maxBlock

func (c *collector) push(b []byte, lastBad bool) {
	if len(c.buf)+len(b) > maxCollect {
		c.reset()
	}
	c.buf = append(c.buf, b...)
	for range b {
		c.bad = append(c.bad, false)
	}
	if lastBad && len(b) > 0 {
		c.bad[len(c.bad)-1] = true
	}
}

func (c *collector) reset() {
	c.buf, c.bad, c.skip, c.fail = c.buf[:0], c.bad[:0], 0, 0
}

func (c *collector) empty() bool { return len(c.buf) == 0 }

// cut drops the first n bytes; a boundary follows.
func (c *collector) cut(n int) {
	c.buf = c.buf[:copy(c.buf, c.buf[n:])]
	c.bad = c.bad[:copy(c.bad, c.bad[n:])]
	c.skip, c.fail = 0, 0
}

// found is a block with the bytes before it that belong to none.
type found struct {
	frame  Frame // Data aliases raw
	raw    []byte
	noise  int
	reject bool // a failed block ended exactly where this one begins
}

// next takes the next block out of the buffer. raw is appended to into, so that it outlives the buffer.
func (c *collector) next(quiet bool, into []byte) (found, bool) {
	for c.skip < len(c.buf) {
		f, n, err := c.decode(c.skip)
		if err == nil && (c.skip == 0 || sound(f)) {
			return c.take(c.skip, n, into), true
		}
		if err == ErrShort {
			break
		}
		if c.skip == 0 && c.buf[0] == 0x00 && err != nil {
			c.cut(1) // idle filler between blocks: what follows is at a boundary
			c.lost++
			continue
		}
		if err == ErrParity && !answers(FC(c.buf[c.skip+1])) {
			c.failed(c.skip)
		}
		c.skip++
		c.trim()
	}
	if quiet {
		for at := c.skip + 1; at < len(c.buf); at++ {
			if f, n, err := c.decode(at); err == nil && sound(f) {
				return c.take(at, n, into), true
			}
		}
	}
	return found{}, false
}

// decode is Decode at an offset; a damaged byte inside the block is as bad as wrong parity.
func (c *collector) decode(at int) (Frame, int, error) {
	f, n, err := Decode(c.buf[at:])
	if err == nil {
		for _, bad := range c.bad[at : at+n] {
			if bad {
				return Frame{}, 1, ErrParity
			}
		}
	}
	return f, n, err
}

func (c *collector) take(at, n int, into []byte) found {
	raw := append(into, c.buf[at:at+n]...)
	r := found{raw: raw, noise: at, reject: c.fail == at && c.prim && at > 0}
	r.frame = Frame{Header: raw[0], FC: FC(raw[1]), Data: raw[2 : n-1]}
	c.cut(at + n)
	return r
}

// failed notes a block that is complete but wrong. One that begins at the boundary is more likely the panel's than one
// that begins inside what another already failed on.
func (c *collector) failed(at int) {
	end := at + int(c.buf[at]&lengthBits) + 3
	if at == 0 {
		c.fail, c.prim = end, true
	} else if !(c.prim && c.fail > 0) {
		c.fail, c.prim = end, false
	}
}

// trim drops ruled-out bytes that nothing needs any more.
func (c *collector) trim() {
	if c.skip < maxBlock+1 {
		return
	}
	c.buf = c.buf[:copy(c.buf, c.buf[1:])]
	c.bad = c.bad[:copy(c.bad, c.bad[1:])]
	c.skip--
	c.lost++
	c.fail = max(0, c.fail-1)
}

// noise returns how many bytes have been dropped since the last call.
func (c *collector) noise() (n int) {
	n, c.lost = c.lost, 0
	return n
}

// quiet says whether the panel is owed a reject now that the line has gone quiet and next has found no block. A failed
// block that ends the burst, or began it, was the panel's; anything else is noise, which gets no answer.
func (c *collector) quiet() (reject bool) {
	if c.fail == 0 {
		return false
	}
	ends := c.fail == len(c.buf)
	reject = ends || c.prim
	c.fail = 0
	if ends {
		c.reset() // the panel sends the whole block again; its remains must not hide the start of that
	}
	return reject
}

// answers says whether fc is itself an answer: those are never answered.
func answers(fc FC) bool {
	switch fc {
	case FCAck, FCReject, FCAltAck, FCAltReject, FCStandby, FCHangUp:
		return true
	}
	return false
}

// sound says whether the content of a block vouches for it where its place does not. An hour of rubbish at 9600 baud has 3.4
// million places where a block may seem to begin, so what three or four bytes can fulfil is not enough: an end of data, and an
// event without a modifier before it (level 0). The panel repeats those, and then they stand at a boundary.
func sound(f Frame) bool {
	switch f.FC {
	case FCAccount:
		return accountOK(f.Data)
	case FCEvent, FCOldEvent:
		_, suspect := parse(f.Data)
		return suspect == "" && len(f.Data) > 2 && lower(f.Data[0])
	case FCConfig:
		return bytes.HasPrefix(f.Data, []byte("AL"))
	case FCText:
		return len(f.Data) >= 8 && textOK(f.Data)
	}
	return false
}

// textOK: printable ASCII with a few bytes of the private character set.
func textOK(d []byte) bool {
	private := 0
	for _, c := range d {
		if c >= 0x80 && c <= 0x9F {
			private++
		} else if c < 0x20 || c > 0x7E {
			return false
		}
	}
	return private <= len(d)/4
}

func accountOK(d []byte) bool {
	if len(d) < 3 || len(d) > 8 {
		return false
	}
	for _, c := range d {
		if (c < '0' || c > '9') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}
