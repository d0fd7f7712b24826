package ring

import (
	"context"
	"errors"
	"time"

	"sitewatch/video"
)

// ErrOverrun says that the ring has evicted what the reader had not read yet. The next call of Next continues with the
// oldest GOP that there is.
var ErrOverrun = errors.New("ring: reader was overrun")

// endedAfter is the longest pause inside a GOP: rtsp gives up a connection that is silent for so long, and the next one begins
// with an IDR.
const endedAfter = 5 * time.Second

// Reader follows a ring from an IDR on. It is used by one goroutine at a time.
type Reader struct {
	ring    *Ring
	mono    time.Duration
	next    uint64
	started bool
}

// From returns a reader that starts at the IDR at or before mono (which may lie in the past as far as the ring reaches),
// or at the first IDR after it when there is none, and then follows what is pushed. It holds no memory of the ring. A GOP that
// ended more than endedAfter before mono does not count: it is what a camera sent before it died, an hour ago perhaps.
func (r *Ring) From(mono time.Duration) *Reader { return &Reader{ring: r, mono: mono} }

// Next returns the next unit and its parameters, waiting for it. Errors are ErrOverrun and those of ctx.
func (rd *Reader) Next(ctx context.Context) (video.AccessUnit, video.Params, error) {
	for {
		u, p, ok, wait, err := rd.try()
		if ok || err != nil {
			return u, p, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return u, p, ctx.Err()
		}
	}
}

func (rd *Reader) try() (u video.AccessUnit, p video.Params, ok bool, wait <-chan struct{}, err error) {
	r := rd.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.gops); n > 0 {
		if !rd.started {
			i := r.at(rd.mono)
			if units := r.gops[i].units; units[len(units)-1].Arrival.Mono < rd.mono-endedAfter {
				i++
			}
			if i < n {
				rd.next, rd.started = r.gops[i].first, true
			}
		}
		if rd.started && rd.next < r.gops[0].first {
			rd.next = r.gops[0].first
			return u, p, false, nil, ErrOverrun
		}
		for i := n - 1; rd.started && i >= 0; i-- {
			if g := r.gops[i]; g.first <= rd.next {
				if k := rd.next - g.first; k < uint64(len(g.units)) {
					rd.next++
					return g.units[k], g.params, true, nil, nil
				}
				break
			}
		}
	}
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return u, p, false, r.changed, nil
}
