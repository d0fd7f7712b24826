package uplink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

// file uploads f, or as much of it as comes before something more urgent changes the order.
func (u *upload) file(ctx context.Context, f edge.ClipFile, changed, grew <-chan struct{}) error {
	u.status.uploading(f.ID)
	file, err := os.Open(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return u.giveUp(ctx, f, "the file is gone: "+err.Error())
	}
	if err != nil {
		return err // too many open files, a disk that hesitates: the evidence is still there
	}
	defer file.Close()
	// What grows needs no new offer while it is the open one.
	t := u.open()
	offered := t != nil && growing(f) && growing(t.file) && t.file.ID == f.ID && t.sent <= f.SizeBytes
	now := make(chan time.Time)
	close(now)
	due := time.NewTimer(replyTimeout)
	defer due.Stop()
	for {
		if !offered && len(u.turns) < turnsMost {
			if err := u.offer(f, false); err != nil {
				return err
			}
			offered = true
		}
		t := u.open()
		var order, more <-chan struct{} // only while pieces go the order of the files matters
		size, wait, ok := 0, replyTimeout, false
		if offered && t.sent >= 0 && !t.finished {
			t.file = f
			if t.sent == f.SizeBytes {
				if growing(f) {
					return nil
				}
				if err := u.finish(ctx, f); err != nil {
					return err
				}
				t.finished = true
				continue
			}
			order, more = changed, grew
			if n, w, may := u.line.next(); may {
				size, wait, ok = n, w, true
			}
		}
		at := (<-chan time.Time)(now)
		if wait > 0 {
			due.Reset(wait)
			at = due.C
		}
		select {
		case m := <-u.replies:
			if done, err := u.reply(ctx, m); offered && done || err != nil {
				return err
			}
		case <-order:
			changed = u.o.Files.UploadsChanged()
			if f, ok, err = u.goesOn(ctx, f); !ok || err != nil {
				return err // the SOC keeps what it has; the offer comes again later
			}
		case <-more:
			grew = u.o.Cuts.changed()
			if f, ok, err = u.goesOn(ctx, f); !ok || err != nil {
				return err
			}
		case <-at:
			if !ok {
				return errSilent
			}
			if u.line.yield(ctx) != nil {
				return nil
			}
			if err := u.chunk(file, t, size); errors.Is(err, errShort) {
				return u.giveUp(ctx, f, err.Error())
			} else if err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// goesOn says whether f is still the most urgent file, and, of a clip that grows, how long it is by now.
func (u *upload) goesOn(ctx context.Context, f edge.ClipFile) (edge.ClipFile, bool, error) {
	next, ok, err := u.next(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return f, false, nil
		}
		return f, false, local("read what to upload", err)
	}
	return next, ok && next.ID == f.ID && next.Part == f.Part && growing(next) == growing(f) && next.SizeBytes >= f.SizeBytes, nil
}

var errShort = errors.New("the file is shorter than the journal says")

// chunk sends the next piece of the open file.
func (u *upload) chunk(file *os.File, t *turn, size int) error {
	b := make([]byte, min(int64(size), t.file.SizeBytes-t.sent))
	n, err := file.ReadAt(b, t.sent)
	if n < len(b) {
		if err == io.EOF {
			return errShort
		}
		return fmt.Errorf("read a file for the SOC: %w", err)
	}
	u.line.sent(n) // before it is sent: the SOC's word of it may be faster than our return
	if err := u.send(&wire.UploadRequest{Message: &wire.UploadRequest_Chunk{Chunk: &wire.Chunk{Offset: t.sent, Data: b}}}); err != nil {
		return err
	}
	t.sent += int64(n)
	if growing(t.file) {
		u.grow(t.file.ID, func(g *growth) { g.sent = t.sent })
	}
	u.status.uploaded(n)
	return nil
}

// refuse takes a refusal, for good or for now: a file that the SOC has no room for comes again after a while, and does not keep
// the others meanwhile.
func (u *upload) refuse(ctx context.Context, f edge.ClipFile, r *wire.Refused) error {
	if !r.GetAgain() {
		delete(u.refused, f.ID)
		if growing(f) {
			u.grow(f.ID, func(g *growth) { g.refused = true })
			return nil
		}
		return u.giveUp(ctx, f, "the SOC refused it: "+wire.Text(r.GetReason()))
	}
	// A SOC that is full for a day gets the file the day after: it is never given up while the SOC would take it.
	times := u.refused[f.ID].times + 1
	delete(u.refused, f.ID)
	if len(u.refused) >= laterMost { // the one that would come first makes room
		first, until := f.ID, forever
		for id, r := range u.refused {
			if r.until < until {
				first, until = id, r.until
			}
		}
		delete(u.refused, first)
	}
	u.refused[f.ID] = refusal{f.Seq, times, u.o.Clock.Now().Mono + time.Duration(min(times, againMost))*againAfter}
	return nil
}

// giveUp is for a file that cannot be read. A clip that grows may just have been completed: it comes again.
func (u *upload) giveUp(ctx context.Context, f edge.ClipFile, reason string) error {
	if growing(f) {
		u.o.Cuts.gone(f.ID)
		return nil
	}
	u.o.Log.Warn("a file does not reach the SOC", "clip", f.ID, "camera", f.Camera, "err", reason)
	if err := u.o.Files.UploadRefused(ctx, f.ID, f.Part, reason); err != nil {
		return local("keep that a file is refused", err)
	}
	return nil
}
