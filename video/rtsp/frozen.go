package rtsp

import (
	"context"
	"hash/maphash"
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

	key, unit         uint64 // hashes of the last keyframe, and of the last picture
	keys, units       int    // in a row that are the same, the first not counted
	keyFrom, unitFrom time.Duration
	begun             bool
	from              time.Duration
	repeating, moving bool
}

// see takes the next picture. After it repeating and moving say what is known; both are false when nothing is.
func (r *repeats) see(u video.AccessUnit, codec video.Codec) {
	now := u.Arrival.Mono
	if !r.begun {
		*r = repeats{seed: maphash.MakeSeed(), begun: true, from: now, keyFrom: now, unitFrom: now}
	}
	h := r.hash(u, codec)
	if u.Keyframe {
		if h == r.key {
			r.keys++
		} else {
			r.moving = r.key != 0
			r.key, r.keys, r.keyFrom = h, 0, now
		}
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

// hash is of the ends of the slices: their heads have numbers that change (idr_pic_id, H.264 §7.4.3), and SEI may have the time.
func (r *repeats) hash(u video.AccessUnit, codec video.Codec) uint64 {
	var h maphash.Hash
	h.SetSeed(r.seed)
	for n := range u.NALUs() {
		if len(n) < 2 || codec == video.H264 && n[0]&0x1F > 5 || codec == video.H265 && n[0]>>1&0x3F > 31 {
			continue
		}
		if tail := len(n) / 2 &^ 63; u.Keyframe && tail > 0 {
			n = n[len(n)-tail:]
		}
		h.Write(n)
	}
	return h.Sum64()
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
