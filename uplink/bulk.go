package uplink

import (
	"context"
	"errors"
	"time"

	"sitewatch/edge"
)

// errMoved ends a session of files: they go by another path now.
var errMoved = errors.New("files go by another path now")

// route is the path by which a file goes now: the best one whose policy carries it, nil when there is none. After wake it may
// be another.
func (c *Client) route(part edge.FilePart) (p *path, wake time.Duration) {
	i, wake := c.lanes.route(c.o.Clock.Now().Mono, func(i int) bool { return c.paths[i].Bulk.carries(part) })
	if i == nowhere {
		return nil, wake
	}
	return c.paths[i], wake
}

func (s *lanes) route(now time.Duration, may func(i int) bool) (int, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return pick(now, s.bulk, s.vitals(now), may)
}

// takes notes on which path the files are, so that they stay there while it is as good as another.
func (s *lanes) takes(p *path) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bulk = p.index
}

// waitForFile waits until there is something for the files' connection and a path that carries it. nil when ctx ends.
func (c *Client) waitForFile(ctx context.Context) (*path, error) {
	for {
		changed, grew, paths := c.o.Files.UploadsChanged(), c.o.Cuts.changed(), c.lanes.watch()
		f, ok, err := c.waiting(ctx)
		if ctx.Err() != nil {
			return nil, nil
		}
		if err != nil {
			return nil, local("read what to upload", err)
		}
		cutting := c.cutting
		if !ok && len(cutting) > 0 {
			f.Part, ok = edge.PartStill, true // what a path that carries anything at all may carry
		}
		if ok {
			if p, _ := c.route(f.Part); p != nil {
				return p, nil
			}
			cutting = nil // it waits for a path
		}
		select {
		case <-changed:
		case <-grew:
		case <-paths:
		case s := <-cutting:
			select {
			case c.cutting <- s: // back: the session sends it
			default:
			}
		case <-ctx.Done():
			return nil, nil
		}
	}
}

// next is the next file that the session's path may carry. Files that the SOC wants later stand back for the others; when many do,
// it wants none: then only what is newer is offered, so that a full SOC is not asked for all that waits again and again.
func (u *upload) next(ctx context.Context) (f edge.ClipFile, ok bool, err error) {
	later, newest := u.later()
	f, ok, err = u.o.Files.NextUpload(ctx, later...)
	ok = ok && (len(later) < laterMost || f.Seq > newest)
	if g, grows := u.nextGrowing(later, newest); grows && err == nil && (!ok || f.Part == edge.PartClip && g.Seq > f.Seq) {
		f, ok = g, true
	}
	return f, ok && u.path.Bulk.carries(f.Part), err
}

// runRoute ends the session when its files are to go by another path. What has been sent of a file stays at the SOC.
func (u *upload) runRoute(ctx context.Context) error {
	if len(u.paths) == 1 {
		return nil
	}
	t := time.NewTimer(forever)
	defer t.Stop()
	for {
		changed, grew, paths := u.o.Files.UploadsChanged(), u.o.Cuts.changed(), u.lanes.watch()
		f, ok, err := u.waiting(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return local("read what to upload", err)
		}
		wake := forever
		if ok {
			var p *path
			if p, wake = u.route(f.Part); p != nil && p != u.path {
				return errMoved
			}
		}
		t.Reset(wake)
		select {
		case <-changed:
		case <-grew:
		case <-paths:
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}
