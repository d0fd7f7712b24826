package segment

import (
	"sync"

	"sitewatch/video"
)

// Writer takes what one camera sends. Store.Writer returns it.
type Writer struct {
	limit int64 // of bytes

	mu      sync.Mutex
	pending []item // what Run has not taken yet
	spare   []item // the slice that it took before, to be used again
	bytes   int64
	taken   int64 // bytes that Run is writing: they count, too
	waiting bool  // nothing is taken before a keyframe
	down    bool  // the camera's recording has failed, or the disk is full
	missed  uint32
	stats   pushed
}

// pushed is what a Writer counts.
type pushed struct {
	units   uint64 // taken
	dropped uint64 // not recorded: the disk was too slow, or failed
	gops    uint64 // of which some or all units were dropped
}

// item is a unit that waits, and with a keyframe what a decoder must know.
type item struct {
	u      video.AccessUnit
	p      *video.Params
	missed uint32 // units before it that are not recorded
}

// itemBytes is what an item costs beside its data.
const itemBytes = 256

func newWriter(limit int64) *Writer { return &Writer{limit: limit, waiting: true} }

// Push takes u, which belongs to p, and never waits. When the disk is so slow that there is no room, the newest GOP is left out,
// or the rest of it when its beginning is on its way to the disk already.
func (w *Writer) Push(u video.AccessUnit, p video.Params) {
	w.mu.Lock()
	defer w.mu.Unlock()
	size := int64(len(u.Data)) + itemBytes
	switch {
	case w.down:
		w.leave(u.Keyframe)
		w.waiting = true
		return
	case w.waiting && !u.Keyframe:
		if w.stats.units > 0 { // before the first keyframe nothing is missing
			w.leave(false)
		}
		return
	case w.bytes+w.taken+size > w.limit:
		w.leave(true)
		if !u.Keyframe {
			w.unwind()
		}
		w.waiting = true
		return
	}
	it := item{u: u, missed: w.missed}
	if u.Keyframe {
		w.waiting = false
		it.p = &p
	}
	w.pending, w.missed = append(w.pending, it), 0
	w.bytes += size
	w.stats.units++
}

// leave counts a unit that is not recorded.
func (w *Writer) leave(gop bool) {
	w.stats.dropped++
	if w.missed++; w.missed == 0 {
		w.missed--
	}
	if gop {
		w.stats.gops++
	}
}

// unwind leaves out what waits of the newest GOP.
func (w *Writer) unwind() {
	for i := len(w.pending) - 1; i >= 0; i-- {
		if w.pending[i].p == nil {
			continue
		}
		for _, it := range w.pending[i:] {
			w.leave(false)
			w.missed += it.missed
			w.bytes -= int64(len(it.u.Data)) + itemBytes
			w.stats.units--
		}
		clear(w.pending[i:])
		w.pending = w.pending[:i]
		return
	}
}

// take hands over what waits. The slice is given back to done.
func (w *Writer) take() []item {
	w.mu.Lock()
	defer w.mu.Unlock()
	items := w.pending
	w.pending, w.spare = w.spare, nil
	w.taken, w.bytes = w.bytes, 0
	return items
}

// done gives back what was taken: lost units of it, of gops GOPs, are not on disk.
func (w *Writer) done(items []item, lost, gops int) {
	clear(items)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.taken, w.spare = 0, items[:0]
	w.stats.units -= uint64(lost)
	w.stats.dropped += uint64(lost)
	w.stats.gops += uint64(gops)
}

// fail stops or resumes the taking. What waits is left out when it stops.
func (w *Writer) fail(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if down && !w.down {
		for _, it := range w.pending {
			w.leave(it.p != nil)
			w.missed += it.missed
			w.stats.units--
		}
		clear(w.pending)
		w.pending, w.bytes, w.waiting = w.pending[:0], 0, true
	}
	w.down = down
}

func (w *Writer) counted() pushed {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stats
}
