package rtsp

import (
	"bytes"
	"context"
	"hash/maphash"
	"math/bits"
	"time"

	"sitewatch/video"
)

const (
	// A sensor has noise: it never gives two keyframes with the same bytes. A scene in which nothing moves has small pictures
	// between keyframes, which may well be the same and say nothing.
	frozenKeys   = 5
	frozenAfter  = 10 * time.Second
	frozenBytes  = 256         // smaller pictures between keyframes do not count
	movingAfter  = time.Minute // pictures without a sign of repetition are taken for moving after so long
	noNewPicture = 8 * time.Second
	flowing      = 2 * time.Second // RTP flows when a packet came within it
)

// repeats finds out whether a camera shows the same picture again and again.
type repeats struct {
	seed maphash.Seed

	key, even, unit   uint64 // hashes of the last keyframe, and of the last picture
	keys, units       int    // in a row that are the same, the first not counted
	keyFrom, unitFrom time.Duration
	begun             bool
	from              time.Duration
	repeating, moving bool
	buf               []byte // for one slice
}

// see takes the next picture. After it repeating and moving say what is known; both are false when nothing is.
func (r *repeats) see(u video.AccessUnit, codec video.Codec) {
	now := u.Arrival.Mono
	if !r.begun {
		*r = repeats{seed: maphash.MakeSeed(), begun: true, from: now, keyFrom: now, unitFrom: now, buf: r.buf}
	}
	h, even := r.hash(u, codec)
	if u.Keyframe {
		if h == r.key || even == r.even {
			r.keys++
		} else {
			r.moving = r.key != 0
			r.keys, r.keyFrom = 0, now
		}
		r.key, r.even = h, even
	}
	if h == r.unit && (u.Keyframe || len(u.Data) >= frozenBytes) {
		r.units++
	} else {
		r.moving = r.moving || r.units >= frozenKeys // what repeated between keyframes has ended
		r.unit, r.units, r.unitFrom = h, 0, now
	}
	r.repeating = r.keys >= frozenKeys && now-r.keyFrom >= frozenAfter || r.units >= frozenKeys && now-r.unitFrom >= frozenAfter
	r.moving = !r.repeating && (r.moving || now-r.from >= movingAfter && r.keys == 0)
}

// hash is of the ends of the slices: their heads have numbers that change, and SEI may have the time. whole is of all bytes of a picture
// between keyframes, and of what is moved to its last bit of a keyframe; even is of a keyframe as its bytes lie.
func (r *repeats) hash(u video.AccessUnit, codec video.Codec) (whole, even uint64) {
	var w, e maphash.Hash
	w.SetSeed(r.seed)
	e.SetSeed(r.seed)
	for n := range u.NALUs() {
		if len(n) < 2 || codec == video.H264 && n[0]&0x1F > 5 || codec == video.H265 && n[0]>>1&0x3F > 31 {
			continue
		}
		if u.Keyframe {
			n = r.end(n)
			e.Write(n[:max(len(n)-flushed, 0)])
			n = toLastBit(n)
		}
		w.Write(n)
	}
	return w.Sum64(), e.Sum64()
}

// flushed is how many bytes at its end an encoder of CABAC may fill as it likes: x264 writes other bits with each picture.
const flushed = 2

var emulation = []byte{0, 0, 3}

// mostHashed bounds what is looked at of a slice.
const mostHashed = 64 << 10

// end is the second half of a slice, as a copy; all of one that is hardly more than its head.
func (r *repeats) end(n []byte) []byte {
	b := r.buf[:0]
	n = n[max(len(n)-2*mostHashed, 0):]
	for { // the bytes that keep a start code out of a slice come where its bits happen to lie (H.264 §7.4.1)
		i := bytes.Index(n, emulation)
		if i < 0 {
			break
		}
		b, n = append(b, n[:i+2]...), n[i+3:]
	}
	b = append(b, n...)
	r.buf = b
	b = bytes.TrimRight(b, "\x00")
	size := len(b) / 2
	switch { // of slices whose heads are a byte longer or shorter the same
	case size > 64:
		size &^= 63
	case size >= 8:
		size &^= 7
	default:
		size = len(b)
	}
	return b[len(b)-size:]
}

// toLastBit moves b so that its last bit, which is 1 (H.264 §7.3.2.11), ends a byte: the numbers in a slice's head (idr_pic_id, §7.4.3) have codes
// of many lengths, and in CAVLC all bits behind them move along.
func toLastBit(b []byte) []byte {
	if len(b) == 0 {
		return b
	}
	shift := bits.TrailingZeros8(b[len(b)-1])
	for i := len(b) - 1; i > 0; i-- {
		b[i] = b[i]>>shift | b[i-1]<<(8-shift)
	}
	return b[1:]
}

// Why a camera is frozen.
const (
	sameAgain  = "the same picture comes again and again"
	timeStands = "pictures come, and their time stands still"
	noPicture  = "RTP comes, and no picture is in it"
)

// judge says what the newest picture tells of the camera's being frozen, and whether that is new. c.mu is held.
func (c *intake) judge(now time.Duration) (changed bool) {
	was := c.still
	switch stood := c.course.line.still; {
	case c.repeats.repeating:
		c.still = sameAgain
	case stood >= 0 && now-stood >= frozenAfter:
		c.still = timeStands
	case was != sameAgain || c.repeats.moving:
		c.still = ""
	}
	return was != c.still
}

// runFrozen tells the sink.
func (c *Camera) runFrozen(ctx context.Context) error {
	known := c.opt.Frozen
	t := time.NewTicker(flowing)
	defer t.Stop()
	for {
		now := c.opt.Clock.Now().Mono
		since := func(at time.Duration) time.Duration { return now - at }
		c.mu.Lock()
		if c.still == "" && since(time.Duration(c.course.picture.Load())) > noNewPicture && since(time.Duration(c.course.packet.Load())) < flowing {
			c.still = noPicture
		}
		why := c.still
		c.mu.Unlock()
		switch {
		case why != "" && !known:
			c.opt.Sink.Frozen(ctx, why)
		case why == "" && known:
			c.opt.Sink.Thawed(ctx)
		}
		known = why != ""
		select {
		case <-c.turn:
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// gopLength measures how far keyframes are apart.
type gopLength struct {
	begun     bool
	from      time.Duration
	bytes     int64
	last      time.Duration // the last whole one, or the running one when it is longer
	lastBytes int64
}

func (g *gopLength) see(u video.AccessUnit) {
	if u.Keyframe {
		if g.begun {
			g.last, g.lastBytes = u.Arrival.Mono-g.from, g.bytes
		}
		g.begun, g.from, g.bytes = true, u.Arrival.Mono, 0
	}
	g.bytes += int64(len(u.Data))
	g.last, g.lastBytes = max(g.last, u.Arrival.Mono-g.from), max(g.lastBytes, g.bytes)
}
