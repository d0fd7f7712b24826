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
func (u *upload) file(ctx context.Context, f edge.ClipFile, changed <-chan struct{}) error {
	u.status.uploading(f.ID)
	file, err := os.Open(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return u.giveUp(ctx, f, "the file is gone: "+err.Error())
	}
	if err != nil {
		return err // too many open files, a disk that hesitates: the evidence is still there
	}
	defer file.Close()
	if err := u.offer(f); err != nil {
		return err
	}
	finished := false
	now := make(chan time.Time)
	close(now)
	due := time.NewTimer(replyTimeout)
	defer due.Stop()
	for {
		var order <-chan struct{} // only while pieces go the order of the files matters
		size, wait, ok := 0, replyTimeout, false
		if u.taken >= 0 && !finished {
			if u.sent == f.SizeBytes {
				if err := u.finish(ctx, f); err != nil {
					return err
				}
				finished = true
				continue
			}
			order = changed
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
			if done, err := u.reply(ctx, f, m); done || err != nil {
				return err
			}
		case <-order:
			if again, err := u.overtaken(ctx, f); again || err != nil {
				return err // the SOC keeps what it has; the offer comes again later
			}
			changed = u.o.Files.UploadsChanged()
		case <-at:
			if !ok {
				return errSilent
			}
			if u.line.yield(ctx) != nil {
				return nil
			}
			if err := u.chunk(file, f, size); errors.Is(err, errShort) {
				return u.giveUp(ctx, f, err.Error())
			} else if err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (u *upload) offer(f edge.ClipFile) error {
	u.line.forget()
	u.sent, u.taken = -1, -1 // until Resume says from where
	return u.send(&wire.UploadRequest{Message: &wire.UploadRequest_Offer{Offer: &wire.Offer{
		Clip: string(f.ID), Part: wire.Part(f.Part), Camera: string(f.Camera), Journal: string(u.o.Outbox.ID()),
		Seq: uint64(f.Seq), Size: f.SizeBytes, Sha256: f.SHA256[:],
		Signed: u.o.Evidence != nil && f.Part == edge.PartClip,
	}}})
}

// overtaken says whether another file has become more urgent than f.
func (u *upload) overtaken(ctx context.Context, f edge.ClipFile) (bool, error) {
	next, ok, err := u.next(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return true, nil
		}
		return false, local("read what to upload", err)
	}
	return !ok || next.ID != f.ID || next.Part != f.Part, nil
}

var errShort = errors.New("the file is shorter than the journal says")

// chunk sends the next piece of the file.
func (u *upload) chunk(file *os.File, f edge.ClipFile, size int) error {
	b := make([]byte, min(int64(size), f.SizeBytes-u.sent))
	n, err := file.ReadAt(b, u.sent)
	if n < len(b) {
		if err == io.EOF {
			return errShort
		}
		return fmt.Errorf("read a file for the SOC: %w", err)
	}
	u.line.sent(n) // before it is sent: the SOC's word of it may be faster than our return
	if err := u.send(&wire.UploadRequest{Message: &wire.UploadRequest_Chunk{Chunk: &wire.Chunk{Offset: u.sent, Data: b}}}); err != nil {
		return err
	}
	u.sent += int64(n)
	u.status.uploaded(n)
	return nil
}

// reply handles one answer of the SOC; done ends the file.
func (u *upload) reply(ctx context.Context, f edge.ClipFile, m *wire.UploadReply) (done bool, err error) {
	switch v := m.GetMessage().(type) {
	case *wire.UploadReply_Resume:
		if !u.about(f, v.Resume.GetClip(), v.Resume.GetPart()) || u.taken >= 0 || v.Resume.GetOffset() < 0 || v.Resume.GetOffset() > f.SizeBytes {
			u.status.ignored()
			return false, nil
		}
		u.sent, u.taken = v.Resume.GetOffset(), v.Resume.GetOffset()
	case *wire.UploadReply_Progress:
		if o := v.Progress.GetOffset(); u.taken >= 0 && o > u.taken && o <= u.sent {
			u.line.taken(o-u.taken, time.Duration(v.Progress.GetMonoNs()))
			u.taken = o
		}
	case *wire.UploadReply_Stored:
		if !u.about(f, v.Stored.GetClip(), v.Stored.GetPart()) {
			u.status.ignored()
			return false, nil
		}
		edge.Crash("upload stored before row")
		if err := u.o.Files.UploadDone(ctx, f.ID, f.Part); err != nil {
			return true, local("keep that a file is stored", err)
		}
		delete(u.refused, f.ID)
		u.status.stored()
		return true, nil
	case *wire.UploadReply_Refused:
		if !u.about(f, v.Refused.GetClip(), v.Refused.GetPart()) {
			u.status.ignored()
			return false, nil
		}
		return true, u.refuse(ctx, f, v.Refused)
	}
	return false, nil
}

// about says whether an answer is for the open offer: one for an earlier offer may still be on its way.
func (u *upload) about(f edge.ClipFile, id string, part wire.Part) bool {
	return id == string(f.ID) && part == wire.Part(f.Part)
}

// refuse takes a refusal, for good or for now: a file that the SOC has no room for comes again after a while, and does not keep
// the others meanwhile.
func (u *upload) refuse(ctx context.Context, f edge.ClipFile, r *wire.Refused) error {
	if !r.GetAgain() {
		delete(u.refused, f.ID)
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

func (u *upload) giveUp(ctx context.Context, f edge.ClipFile, reason string) error {
	u.o.Log.Warn("a file does not reach the SOC", "clip", f.ID, "camera", f.Camera, "err", reason)
	if err := u.o.Files.UploadRefused(ctx, f.ID, f.Part, reason); err != nil {
		return local("keep that a file is refused", err)
	}
	return nil
}
