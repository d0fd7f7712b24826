package clip

import (
	"context"
	"time"

	"sitewatch/edge"
	"sitewatch/video"
	"sitewatch/video/ring"
)

// reader gives a camera's units in their order, from a keyframe on.
type reader interface {
	Next(ctx context.Context) (video.AccessUnit, video.Params, error)
	Close() error
}

// from is where the camera's pictures come from. Of one that is not configured any more, as when its id was changed, there may still be
// what was recorded: nothing comes into its ring.
func (j *cutting) from() (Camera, bool) {
	if c, ok := j.opt.Cameras[j.job.Camera]; ok || j.opt.Store == nil {
		return c, ok
	}
	_, _, ok := j.opt.Store.Span(j.job.Camera)
	return Camera{Ring: ring.New(ring.Options{})}, ok
}

// fromRing reads what is in memory and what comes, for as long as patience says, as a segment.Follower.
type fromRing struct {
	*ring.Reader
	patience func() time.Duration
}

func (r fromRing) Next(ctx context.Context) (video.AccessUnit, video.Params, error) {
	if r.patience != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.patience())
		defer cancel()
	}
	return r.Reader.Next(ctx)
}

// Close has nothing to give back.
func (fromRing) Close() error { return nil }

// reader begins at the keyframe at or before at: on disk when the camera is recorded and the ring does not reach back so far.
// It waits for a picture to come as long as patience says, and reads from disk as long as that takes.
func (j *cutting) reader(c Camera, at edge.Stamp, patience func() time.Duration) reader {
	if j.opt.Store != nil {
		if f, err := j.opt.Store.Follow(j.job.Camera, at, c.Ring, patience); err == nil { // else it is not recorded
			return f
		}
	}
	return fromRing{c.Ring.From(monoOf(at, j.opt.Clock.Now())), patience}
}

// recorded says whether the camera's pictures are on disk.
func (j *cutting) recorded() bool {
	return j.opt.Store != nil && j.opt.Store.Writer(j.job.Camera) != nil
}

// again says whether what an earlier run has begun is on disk at least as far as it came, so that it can be cut anew and whole.
// What is in between shows when it is cut: what was there is kept until then.
func (j *cutting) again(s salvaged) bool {
	if !j.recorded() {
		return false
	}
	oldest, newest, ok := j.opt.Store.Span(j.job.Camera)
	return ok && !oldest.After(s.note.First) && !newest.Before(s.note.First.Add(s.end.Duration()-holeFrom))
}

// Oldest is when the oldest picture of a camera that is still there came in; ok is false when there is none.
func (c *Cutter) Oldest(id edge.CameraID) (at time.Time, ok bool) {
	if camera, known := c.opt.Cameras[id]; known {
		u, _, there := camera.Ring.Keyframe(0)
		at, ok = u.Arrival.Wall, there
	}
	if c.opt.Store != nil {
		if oldest, _, there := c.opt.Store.Span(id); there && (!ok || oldest.Before(at)) {
			at, ok = oldest, true
		}
	}
	return at, ok
}
