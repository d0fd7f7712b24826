package osdp

// collector finds frames in what arrives. Pure: it is told what has come and whether the line is quiet.
//
// A frame that starts earlier wins, so that nothing is taken out of the inside of another one that may still be complete.
// When the line has gone quiet what is incomplete will stay so, and what is behind it gets its chance.
type collector struct {
	buf  []byte
	done int // bytes of the frame that next has returned
}

const maxCollect = 2 * maxFrame

// push takes what was read; what would not fit into two frames is noise.
func (c *collector) push(b []byte) (noise int) {
	c.cut()
	if len(c.buf)+len(b) > maxCollect {
		noise = len(c.buf)
		c.buf = c.buf[:0]
	}
	c.buf = append(c.buf, b...)
	return noise
}

// found is a frame and what was before it. frame and raw are good until the next call of the collector.
type found struct {
	frame   Frame
	raw     []byte
	noise   int // bytes that belong to no frame
	rejects int // frames with a wrong check
}

// next returns the next frame. Noise and rejects are told even when there is none.
func (c *collector) next(quiet bool) (r found, ok bool) {
	c.cut()
	at := 0
	for at < len(c.buf) {
		f, n, err := Decode(c.buf[at:])
		if err == nil {
			r.frame, r.raw = f, c.buf[at:at+n]
			c.done = at + n
			return r, true
		}
		if err == ErrShort {
			if !quiet {
				break
			}
			n = 1
		}
		if err == ErrCheck {
			r.rejects++
		}
		for _, x := range c.buf[at : at+n] {
			if x != mark {
				r.noise++
			}
		}
		at += n
	}
	c.done = at
	c.cut()
	return r, false
}

func (c *collector) cut() {
	c.buf = c.buf[:copy(c.buf, c.buf[c.done:])]
	c.done = 0
}

// reset drops everything and says how much that was.
func (c *collector) reset() (noise int) {
	c.cut()
	noise = len(c.buf)
	c.buf = c.buf[:0]
	return noise
}
