package uplink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

// upload is one session on the files' connection.
type upload struct {
	*Client
	line    *line // of the path that this session takes
	stream  grpc.BidiStreamingClient[wire.UploadRequest, wire.UploadReply]
	replies chan *wire.UploadReply // unbuffered: read between chunks
	pace    pace
	refused map[fileKey]int // how often this session was told to come again
}

type fileKey struct {
	id   edge.ClipID
	part edge.FilePart
}

const (
	replyTimeout = 60 * time.Second // the SOC may have to hash what it has of a large clip
	againAfter   = 5 * time.Second  // and longer with every time
	againMost    = 12               // times againAfter
)

// runUpload connects and uploads what waits until the connection breaks.
func (c *Client) runUpload(ctx context.Context) error {
	// Without anything to send there is no second connection: thousands of boxes are idle most of the time.
	if err := c.waitForFile(ctx); err != nil {
		return err
	}
	p := c.paths[0]
	cc, err := dial(p.SOC[0], c.credentials(), c.o.Dial)
	if err != nil {
		return err
	}
	defer cc.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	stream, err := wire.NewUplinkClient(cc).Upload(ctx)
	if err != nil {
		return err
	}
	u := &upload{Client: c, line: p.line, stream: stream, replies: make(chan *wire.UploadReply), pace: pace{gate: &p.line.busy}, refused: map[fileKey]int{}}
	g.Go(func() error {
		for {
			m, err := stream.Recv()
			if err != nil {
				return orClosed(err)
			}
			select {
			case u.replies <- m:
			case <-ctx.Done():
				return nil
			}
		}
	})
	g.Go(func() error { return u.run(ctx) })
	defer c.status.uploading("")
	return g.Wait()
}

// waitForFile waits until there is something for the files' connection.
func (c *Client) waitForFile(ctx context.Context) error {
	for {
		changed := c.o.Files.UploadsChanged()
		_, ok, err := c.o.Files.NextUpload(ctx)
		if err != nil && ctx.Err() == nil {
			return local("read what to upload", err)
		}
		if ok || len(c.cutting) > 0 || ctx.Err() != nil {
			return nil
		}
		select {
		case <-changed:
		case s := <-c.cutting:
			select {
			case c.cutting <- s: // back: run sends it
			default:
			}
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

func (u *upload) run(ctx context.Context) error {
	for {
		changed := u.o.Files.UploadsChanged()
		if err := u.tellCutting(); err != nil {
			return err
		}
		f, ok, err := u.o.Files.NextUpload(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return local("read what to upload", err)
		case ok:
			if err := u.file(ctx, f, changed); err != nil {
				return err
			}
			continue
		}
		u.status.uploading("")
		select {
		case <-changed:
		case s := <-u.cutting:
			if err := u.sendState(s); err != nil {
				return err
			}
		case <-u.replies: // nothing is open: the SOC has nothing to say
			u.status.ignored()
		case <-ctx.Done():
			return nil
		}
	}
}

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
	for {
		for !finished && u.pace.sent < f.SizeBytes {
			if u.pace.taken < 0 || u.pace.chunk() == 0 {
				break
			}
			if err := u.pace.yield(ctx); err != nil {
				return nil
			}
			select {
			case <-changed:
				if again, err := u.overtaken(ctx, f); again || err != nil {
					return err // the SOC keeps what it has; the offer comes again later
				}
				changed = u.o.Files.UploadsChanged()
			case m := <-u.replies:
				if done, err := u.reply(ctx, f, m, changed); done || err != nil {
					return err
				}
				continue
			default:
			}
			if err := u.chunk(file, f); err != nil {
				if errors.Is(err, errShort) {
					return u.giveUp(ctx, f, err.Error())
				}
				return err
			}
		}
		if !finished && u.pace.taken >= 0 && u.pace.sent == f.SizeBytes {
			if err := u.send(&wire.UploadRequest{Message: &wire.UploadRequest_Finish{Finish: &wire.Finish{}}}); err != nil {
				return err
			}
			finished = true
		}
		t := time.NewTimer(replyTimeout)
		select {
		case m := <-u.replies:
			t.Stop()
			if done, err := u.reply(ctx, f, m, changed); done || err != nil {
				return err
			}
		case <-t.C:
			return errSilent
		case <-ctx.Done():
			t.Stop()
			return nil
		}
	}
}

func (u *upload) offer(f edge.ClipFile) error {
	u.pace.begin(-1) // until Resume says from where
	return u.send(&wire.UploadRequest{Message: &wire.UploadRequest_Offer{Offer: &wire.Offer{
		Clip: string(f.ID), Part: wire.Part(f.Part), Camera: string(f.Camera), Journal: string(u.o.Outbox.ID()),
		Seq: uint64(f.Seq), Size: f.SizeBytes, Sha256: f.SHA256[:],
	}}})
}

// overtaken says whether another file has become more urgent than f.
func (u *upload) overtaken(ctx context.Context, f edge.ClipFile) (bool, error) {
	next, ok, err := u.o.Files.NextUpload(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return true, nil
		}
		return false, local("read what to upload", err)
	}
	return !ok || next.ID != f.ID || next.Part != f.Part, nil
}

var errShort = errors.New("the file is shorter than the journal says")

func (u *upload) chunk(file *os.File, f edge.ClipFile) error {
	b := make([]byte, min(int64(u.pace.chunk()), f.SizeBytes-u.pace.sent))
	n, err := file.ReadAt(b, u.pace.sent)
	if n < len(b) {
		if err == io.EOF {
			return errShort
		}
		return fmt.Errorf("read a file for the SOC: %w", err)
	}
	if err := u.send(&wire.UploadRequest{Message: &wire.UploadRequest_Chunk{Chunk: &wire.Chunk{Offset: u.pace.sent, Data: b}}}); err != nil {
		return err
	}
	u.pace.sent += int64(n)
	u.status.uploaded(n)
	return nil
}

// reply handles one answer of the SOC; done ends the file.
func (u *upload) reply(ctx context.Context, f edge.ClipFile, m *wire.UploadReply, changed <-chan struct{}) (done bool, err error) {
	switch v := m.GetMessage().(type) {
	case *wire.UploadReply_Resume:
		if !u.about(f, v.Resume.GetClip(), v.Resume.GetPart()) || u.pace.taken >= 0 || v.Resume.GetOffset() < 0 || v.Resume.GetOffset() > f.SizeBytes {
			u.status.ignored()
			return false, nil
		}
		u.pace.begin(v.Resume.GetOffset())
	case *wire.UploadReply_Progress:
		if o := v.Progress.GetOffset(); u.pace.taken >= 0 && o > u.pace.taken && o <= u.pace.sent {
			u.pace.taken = o
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
		u.status.stored()
		return true, nil
	case *wire.UploadReply_Refused:
		if !u.about(f, v.Refused.GetClip(), v.Refused.GetPart()) {
			u.status.ignored()
			return false, nil
		}
		return true, u.refusal(ctx, f, v.Refused, changed)
	}
	return false, nil
}

// about says whether an answer is for the open offer: one for an earlier offer may still be on its way.
func (u *upload) about(f edge.ClipFile, id string, part wire.Part) bool {
	return id == string(f.ID) && part == wire.Part(f.Part)
}

// refusal waits before the file is offered again, but not while something newer has come: a fire's still does not wait
// for a clip that the SOC has no room for.
func (u *upload) refusal(ctx context.Context, f edge.ClipFile, r *wire.Refused, changed <-chan struct{}) error {
	key := fileKey{f.ID, f.Part}
	u.refused[key]++
	if !r.GetAgain() {
		delete(u.refused, key)
		return u.giveUp(ctx, f, "the SOC refused it: "+wire.Text(r.GetReason()))
	}
	// A SOC that is full for a day gets the file the day after: it is never given up while the SOC would take it.
	t := time.NewTimer(time.Duration(min(u.refused[key], againMost)) * againAfter)
	defer t.Stop()
	select {
	case <-t.C:
	case <-changed:
	case <-ctx.Done():
	}
	return nil
}

func (u *upload) giveUp(ctx context.Context, f edge.ClipFile, reason string) error {
	u.o.Log.Warn("a file does not reach the SOC", "clip", f.ID, "camera", f.Camera, "err", reason)
	if err := u.o.Files.UploadRefused(ctx, f.ID, f.Part, reason); err != nil {
		return local("keep that a file is refused", err)
	}
	return nil
}

func (u *upload) tellCutting() error {
	for {
		select {
		case s := <-u.cutting:
			if err := u.sendState(s); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

func (u *upload) sendState(c edge.ClipRef) error {
	return u.send(&wire.UploadRequest{Message: &wire.UploadRequest_ClipState{ClipState: &wire.ClipState{
		Clip: string(c.ID), Camera: string(c.Camera), Cutting: true}}})
}

// send hides the io.EOF with which gRPC says "ask Recv": the reader has the reason and ends the session with it.
func (u *upload) send(m *wire.UploadRequest) error {
	err := u.stream.Send(m)
	if errors.Is(err, io.EOF) {
		for { // the reader may be handing over a reply; it must get to the reason
			select {
			case <-u.replies:
			case <-u.stream.Context().Done():
				return errClosed
			}
		}
	}
	return err
}
