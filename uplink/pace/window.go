package pace

import "time"

// recent is the least of what has been seen in the last ten seconds or so. When nothing has been seen for longer, the
// old least stays until there is something new: a line that rested has not changed for certain.
type recent struct {
	at    time.Duration // beginning of the newest bucket
	least [recentBuckets]time.Duration
	n     int // buckets in use, the newest first
}

const (
	recentBuckets = 10
	recentEach    = time.Second
)

func (w *recent) add(now, v time.Duration) {
	if w.n == 0 {
		w.at, w.least[0], w.n = now, v, 1
		return
	}
	steps := (now - w.at) / recentEach
	if steps >= recentBuckets || steps < 0 {
		w.at, w.least[0], w.n = now, v, 1
		return
	}
	for range steps {
		copy(w.least[1:], w.least[:])
		w.least[0] = v
		w.n = min(w.n+1, recentBuckets)
		w.at += recentEach
	}
	w.least[0] = min(w.least[0], v)
}

func (w *recent) min() (time.Duration, bool) {
	if w.n == 0 {
		return 0, false
	}
	m := w.least[0]
	for _, v := range w.least[1:w.n] {
		m = min(m, v)
	}
	return m, true
}

func (w *recent) reset() { w.n = 0 }
