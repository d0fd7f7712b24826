// Package ring keeps the last few GOPs of one stream in memory: the pictures before an alarm.
//
// A Ring always starts at an IDR, because eviction drops whole GOPs, so what a reader gets is decodable from its first
// unit on; sound lies between the pictures with which it came. Push never blocks and readers cannot slow it down: a reader that falls behind what the ring holds is told so
// and continues at the oldest GOP. Units are shared, not copied, and a reader pins none of them.
// All methods may be called from any goroutine; Push from one at a time.
package ring

import (
	"sync"
	"time"

	"sitewatch/video"
)

// Options bound a Ring.
type Options struct {
	// Keep is how far back the ring reaches at least: the pre-alarm time and a margin for the journal and the disk.
	// One GOP more is held, because the first picture wanted may be in the middle of one.
	Keep time.Duration
	// LimitBytes bounds the memory, also when Keep is not reached by it. A GOP that alone is larger is dropped.
	LimitBytes int64
}

// unitOverhead is what a unit costs beside its Data, so that a stream of empty pictures is bounded as well.
const unitOverhead = 160

type gop struct {
	params video.Params
	units  []video.AccessUnit
	first  uint64 // index of units[0] in the life of the ring
	bytes  int64
}

// Ring is made by New.
type Ring struct {
	opt Options

	mu      sync.Mutex
	gops    []*gop // oldest first
	spare   *gop   // an evicted GOP whose slice is used again
	bytes   int64
	next    uint64 // index of the next unit
	dropped uint64 // units that were refused
	waiting bool   // the newest GOP was dropped for its size, or none has begun: nothing is taken before an IDR
	changed chan struct{}
}

// New returns an empty ring.
func New(opt Options) *Ring { return &Ring{opt: opt, waiting: true} }

// LimitBytes returns what bounds the memory: a GOP that is larger is dropped.
func (r *Ring) LimitBytes() int64 { return r.opt.LimitBytes }

// Push adds u, which belongs to p. A unit before the first keyframe, or one of a GOP that was too large, is dropped. Sound comes with
// the p of the pictures.
func (r *Ring) Push(u video.AccessUnit, p video.Params) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting && !u.Keyframe {
		r.dropped++
		return
	}
	size := int64(len(u.Data)) + unitOverhead
	if u.Keyframe {
		r.waiting = false
		r.gops = append(r.gops, r.newGOP(p))
	}
	g := r.gops[len(r.gops)-1]
	g.units = append(g.units, u)
	g.bytes += size
	r.bytes += size
	r.next++
	r.evict(u.Arrival.Mono)
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

func (r *Ring) newGOP(p video.Params) *gop {
	if g := r.spare; g != nil {
		r.spare = nil
		*g = gop{params: p, units: g.units[:0], first: r.next}
		return g
	}
	return &gop{params: p, first: r.next}
}

// evict drops the oldest GOPs that neither Keep nor LimitBytes allows.
func (r *Ring) evict(now time.Duration) {
	for len(r.gops) > 1 && (r.bytes > r.opt.LimitBytes || r.gops[1].units[0].Arrival.Mono <= now-r.opt.Keep) {
		r.drop()
	}
	if r.bytes > r.opt.LimitBytes {
		r.dropped += uint64(len(r.gops[0].units))
		r.drop()
		r.waiting = true
	}
}

func (r *Ring) drop() {
	g := r.gops[0]
	r.gops[0] = nil
	r.gops = r.gops[1:]
	if len(r.gops) == 0 {
		r.gops = nil
	}
	r.bytes -= g.bytes
	clear(g.units) // the pictures go, the slice stays
	r.spare = g
}

// Keyframe returns the newest IDR that had arrived at mono, or the oldest one when all are later; ok is false while the
// ring is empty.
func (r *Ring) Keyframe(mono time.Duration) (u video.AccessUnit, p video.Params, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.gops) == 0 {
		return u, p, false
	}
	g := r.gops[r.at(mono)]
	return g.units[0], g.params, true
}

// at returns the index of the newest GOP that began at or before mono, 0 when all began later.
func (r *Ring) at(mono time.Duration) int {
	for i := len(r.gops) - 1; i > 0; i-- {
		if r.gops[i].units[0].Arrival.Mono <= mono {
			return i
		}
	}
	return 0
}

// Stats is a snapshot for a status page.
type Stats struct {
	Bytes   int64
	Units   int
	GOPs    int
	Span    time.Duration // from the oldest unit to the newest
	Dropped uint64        // units refused: before the first IDR, or of a GOP over the limit
}

// Stats returns what the ring holds.
func (r *Ring) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Stats{Bytes: r.bytes, GOPs: len(r.gops), Dropped: r.dropped}
	for _, g := range r.gops {
		s.Units += len(g.units)
	}
	if s.Units > 0 {
		last := r.gops[len(r.gops)-1].units
		s.Span = last[len(last)-1].Arrival.Mono - r.gops[0].units[0].Arrival.Mono
	}
	return s
}
