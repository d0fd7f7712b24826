package segment

import (
	"context"
	"errors"
	"time"

	"sitewatch/edge"
	"sitewatch/video"
	"sitewatch/video/ring"
)

// Follower reads from disk and goes on in the ring without a hole and without a repeat. It has the shape of ring.Reader, is used by one
// goroutine at a time and must be closed.
type Follower struct {
	disk   *Reader
	ring   *ring.Ring
	live   *ring.Reader // nil: on disk
	passed mark         // what the disk gave last, where the ring begins

	patience func() time.Duration
}

// Follow returns a Follower of camera c, whose ring is r, from the keyframe at or before at on, as From. What the ring still has is not read
// from disk. Next waits for pictures once it is in the ring: as long as patience says, which is asked each time, or for as long as its
// ctx when patience is nil. Reading from disk may take longer. A Follower that the ring overruns goes on from disk by itself, so it
// never returns ring.ErrOverrun.
func (s *Store) Follow(c edge.CameraID, at edge.Stamp, r *ring.Ring, patience func() time.Duration) (*Follower, error) {
	now := s.opt.Clock.Now()
	if at.Boot != now.Boot { // by the wall clock: the ring knows Mono only
		at.Mono, at.Boot = now.Mono+at.Wall.Sub(now.Wall), ""
	}
	d, err := s.From(c, at)
	if err != nil {
		return nil, err
	}
	f := &Follower{disk: d, ring: r, patience: patience}
	if u, _, ok := r.Keyframe(at.Mono); ok && u.Arrival.Mono <= at.Mono {
		f.live = r.From(at.Mono)
	}
	return f, nil
}

// Close lets go of the file.
func (f *Follower) Close() error { return f.disk.Close() }

// Next returns the next unit and its parameters, waiting for it. The only errors are those of ctx, and context.DeadlineExceeded when
// patience is over.
func (f *Follower) Next(ctx context.Context) (video.AccessUnit, video.Params, error) {
	for {
		if f.live == nil {
			u, p, err := f.disk.Next(ctx)
			if !errors.Is(err, ErrEnd) {
				return u, p, err
			}
			f.enter()
		}
		u, p, err := f.wait(ctx)
		if errors.Is(err, ring.ErrOverrun) {
			f.live = nil
			f.disk.resume()
			continue
		}
		if err != nil {
			return u, p, err
		}
		met := f.passed.set
		if f.passed.repeats(u, u.Audio != nil) {
			continue
		}
		if met && !f.passed.found {
			u.Lost = add32(u.Lost, 1) // the ring does not reach back to what is on disk
		}
		return f.disk.give(u, f.disk.shelf.store.line), p, nil
	}
}

func (f *Follower) wait(ctx context.Context) (video.AccessUnit, video.Params, error) {
	if f.patience != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.patience())
		defer cancel()
	}
	return f.live.Next(ctx)
}

// enter goes on in the ring. When the disk has given nothing the ring begins where it was asked to.
func (f *Follower) enter() {
	f.disk.Close()
	f.disk.book = nil
	from := f.disk.at.Mono
	if last := f.disk.last; !last.Arrival.Wall.IsZero() {
		from, f.passed = last.Arrival.Mono, mark{u: last, set: true}
		if last.Arrival.Boot != f.disk.boot {
			from = 0 // the ring is of this boot, so all of it came later, whatever Mono says
		}
	}
	f.live = f.ring.From(from)
}
