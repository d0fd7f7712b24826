package uplink

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

// upload is one session on the files' connection.
type upload struct {
	*Client
	path    *path
	line    *line // of path
	stream  grpc.BidiStreamingClient[wire.UploadRequest, wire.UploadReply]
	replies chan *wire.UploadReply  // unbuffered: read between chunks
	refused map[edge.ClipID]refusal // clips that the SOC wants later
	grown   map[edge.ClipID]growth  // clips that are being cut, or were
	turns   []*turn                 // offers, as far as the SOC has something to say of them
}

// refusal is a clip that this session was told to come again with.
type refusal struct {
	seq   edge.Seq // of its event
	times int
	until time.Duration // Mono
}

const (
	replyTimeout = 60 * time.Second // the SOC may have to hash what it has of a large clip
	againAfter   = 5 * time.Second  // and longer with every time
	againMost    = 12               // times againAfter
	laterMost    = 16               // clips that stand back before only newer alarms' files are offered
)

// runUpload connects and uploads what waits until the connection breaks.
func (c *Client) runUpload(ctx context.Context) error {
	// Without anything to send there is no second connection: thousands of boxes are idle most of the time.
	p, err := c.waitForFile(ctx)
	if p == nil || err != nil {
		return err
	}
	c.lanes.takes(p)
	var dialed atomic.Pointer[error]
	cc, err := dial(p.address(), c.credentials(), p.dialer(c.o, tosBulk, &dialed))
	if err != nil {
		return err
	}
	defer cc.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	stream, err := wire.NewUplinkClient(cc).Upload(ctx)
	if err != nil {
		if why := dialed.Load(); why != nil {
			err = *why
		}
		return err
	}
	u := &upload{Client: c, path: p, line: p.line, stream: stream, replies: make(chan *wire.UploadReply), refused: map[edge.ClipID]refusal{}, grown: map[edge.ClipID]growth{}}
	g.Go(edge.Guard(func() error {
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
	}))
	u.line.begin()
	g.Go(edge.Guard(func() error { return u.run(ctx) }))
	g.Go(edge.Guard(func() error { return u.runRoute(ctx) }))
	defer c.status.uploading("")
	return g.Wait()
}

func (u *upload) run(ctx context.Context) error {
	for {
		changed, grew := u.o.Files.UploadsChanged(), u.o.Cuts.changed()
		if err := u.tellCutting(); err != nil {
			return err
		}
		f, ok, err := u.next(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return local("read what to upload", err)
		case ok:
			if err := u.file(ctx, f, changed, grew); err != nil {
				return err
			}
			continue
		}
		u.status.uploading("")
		again := time.NewTimer(u.soonest())
		select {
		case <-changed:
		case <-grew:
		case <-again.C:
		case s := <-u.cutting:
			if err := u.sendState(s); err != nil {
				return err
			}
		case m := <-u.replies: // of clips that grow
			if _, err := u.reply(ctx, m); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
		again.Stop()
	}
}

// later are the clips that it is too soon for, and the newest of their events.
func (u *upload) later() (ids []edge.ClipID, newest edge.Seq) {
	now := u.o.Clock.Now().Mono
	for id, r := range u.refused {
		if r.until > now {
			ids, newest = append(ids, id), max(newest, r.seq)
		}
	}
	return ids, newest
}

// soonest is how long it is until the first of them may come again.
func (u *upload) soonest() time.Duration {
	wait, now := forever, u.o.Clock.Now().Mono
	for _, r := range u.refused {
		if r.until > now {
			wait = min(wait, r.until-now)
		}
	}
	return wait
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
