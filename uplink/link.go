package uplink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

// missed is how many heartbeats may fail to come before the SOC is taken for dead.
const missed = 3

// errSilent ends a session whose SOC has stopped to answer.
var errSilent = errors.New("the SOC has gone silent")

type linkStream = grpc.BidiStreamingClient[wire.BoxMessage, wire.SocMessage]

// link is one session on the events' connection.
type link struct {
	*Client
	path   *path
	line   *line // of path
	stream linkStream
	beat   time.Duration

	mu    sync.Mutex
	lanes map[edge.Lane]*cursor
	moved chan struct{} // capacity 1: an ack has made room
}

// cursor is how far a lane is in this session: sent may be ahead of acked by as much as may be under way.
type cursor struct {
	sent, acked edge.Seq
	flying      []flight // what has been sent and not acked, oldest first
}

type flight struct {
	through edge.Seq
	bytes   int
	at      time.Duration // Mono of its sending
}

// runLink connects, says hello and delivers events until the connection breaks.
func (c *Client) runLink(ctx context.Context, p *path) error {
	cc, err := dial(p.SOC[0], c.credentials(), c.o.Dial)
	if err != nil {
		return err
	}
	defer cc.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream, whatever Send or Recv is doing
	g, ctx := errgroup.WithContext(ctx)
	stream, err := wire.NewUplinkClient(cc).Link(ctx)
	if err != nil {
		return err
	}
	l := &link{Client: c, path: p, line: p.line, stream: stream, moved: make(chan struct{}, 1)}
	if err := l.greet(ctx, cancel); err != nil {
		return err
	}
	c.o.Log.Info("connected to the SOC", "soc", p.SOC[0])
	c.status.connected(true, c.o.Clock.Now())
	c.signalPath(true)
	defer func() {
		c.status.connected(false, c.o.Clock.Now())
		c.signalPath(false)
		p.line.busy.set(false) // nothing can be sent: bulk need not stand back
	}()
	heard := make(chan struct{}, 1) // capacity 1: one is enough to know that the SOC lives
	g.Go(func() error { return l.runReceive(ctx, heard) })
	g.Go(func() error { return l.runSend(ctx) })
	g.Go(func() error { return l.runWatch(ctx, heard) })
	return g.Wait()
}

// greet says Hello and takes the Welcome.
func (l *link) greet(ctx context.Context, cancel context.CancelFunc) error {
	now := l.o.Clock.Now()
	err := l.stream.Send(&wire.BoxMessage{Message: &wire.BoxMessage_Hello{Hello: &wire.Hello{
		Protocol: wire.Protocol, Site: string(l.o.Identity.Site), Kind: wire.Text(l.o.Kind), Name: wire.Text(l.o.Name),
		Journal: string(l.o.Outbox.ID()), LastSeq: uint64(l.o.Outbox.Last()), Version: wire.Text(l.o.Version),
		Boot: string(now.Boot), MonoNs: int64(now.Mono),
	}}})
	if err != nil {
		_, rerr := l.stream.Recv() // the stream's own error says why
		return errors.Join(rerr, err)
	}
	t := time.AfterFunc(connectTimeout, cancel)
	m, err := l.stream.Recv()
	if !t.Stop() && err != nil {
		return errSilent
	}
	if err != nil {
		return err
	}
	w := m.GetWelcome()
	if w == nil {
		return errors.New("the SOC did not say welcome")
	}
	if w.GetProtocol() != wire.Protocol {
		return fmt.Errorf("the SOC speaks protocol %d, this box %d", w.GetProtocol(), wire.Protocol)
	}
	l.beat = min(max(time.Duration(w.GetHeartbeatMs())*time.Millisecond, time.Second), time.Minute)
	return l.settle(ctx, w.GetWatermarks())
}

// settle brings the journal's cursors to what the SOC says that it has. A SOC restored from a backup knows less than it
// once acked: what is still here goes again. One that knows more had its last ack lost.
func (l *link) settle(ctx context.Context, marks []*wire.Watermark) error {
	l.lanes = map[edge.Lane]*cursor{}
	for _, lane := range edge.EventLanes {
		at, err := l.o.Outbox.Watermark(ctx, lane)
		if err != nil {
			return local("read the watermark", err)
		}
		l.lanes[lane] = &cursor{sent: at, acked: at}
	}
	for _, m := range marks {
		lane, ok := wire.LaneOf(m.GetLane())
		if !ok {
			continue
		}
		cur := l.lanes[lane]
		to := edge.Seq(m.GetThrough())
		if last := l.o.Outbox.Last(); to > last {
			// The disk lost the end of the journal. What comes now under those numbers is news, and the SOC shows it as such.
			l.o.Log.Error("the SOC has more of this journal than the box: the disk has lost its end", "lane", lane.String(), "seq", to, "last", last)
			continue
		}
		switch {
		case to > cur.acked:
			if err := l.o.Outbox.Acked(ctx, lane, to); err != nil {
				return local("keep the watermark", err)
			}
		case to < cur.acked:
			l.o.Log.Warn("the SOC has less than it acked; sending again what is still here", "lane", lane.String(), "seq", to)
			if err := l.o.Outbox.Rewind(ctx, lane, to); err != nil {
				return local("rewind", err)
			}
		}
		cur.sent, cur.acked = to, to
	}
	return nil
}

// runReceive takes what the SOC sends. It is the only reader of the stream.
func (l *link) runReceive(ctx context.Context, heard chan<- struct{}) error {
	for {
		m, err := l.stream.Recv()
		if err != nil {
			return orClosed(err)
		}
		select {
		case heard <- struct{}{}:
		default:
		}
		if err := l.take(ctx, m); err != nil {
			return err
		}
	}
}

// take handles one message. Whatever it says, it can only move a cursor inside what has been sent.
func (l *link) take(ctx context.Context, m *wire.SocMessage) error {
	switch v := m.GetMessage().(type) {
	case *wire.SocMessage_Ack:
		return l.ack(ctx, v.Ack)
	case *wire.SocMessage_Command:
		l.command(v.Command)
	}
	return nil // heartbeats have been heard; a newer SOC may say more than we know
}

func (l *link) ack(ctx context.Context, a *wire.Ack) error {
	lane, ok := wire.LaneOf(a.GetLane())
	through := edge.Seq(a.GetThrough())
	if ok {
		ok = l.land(lane, through)
	}
	if !ok {
		l.status.ignored()
		return nil
	}
	edge.Crash("uplink acked before cursor")
	if err := l.o.Outbox.Acked(ctx, lane, through); err != nil {
		return local("keep an ack", err)
	}
	l.status.acked(l.o.Clock.Now())
	select {
	case l.moved <- struct{}{}:
	default:
	}
	return nil
}

// land takes what is acked out of what is under way; false for an ack that is repeated or from the future.
func (l *link) land(lane edge.Lane, through edge.Seq) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	cur := l.lanes[lane]
	if through <= cur.acked || through > cur.sent {
		return false
	}
	cur.acked = through
	for len(cur.flying) > 0 && cur.flying[0].through <= through {
		if lane == edge.Routine && cur.flying[0].through == through {
			l.line.routineAcked(cur.flying[0].at)
		}
		cur.flying = cur.flying[1:]
	}
	return true
}

// runWatch ends the session when the SOC is not heard for so long that it must be gone.
func (l *link) runWatch(ctx context.Context, heard <-chan struct{}) error {
	t := time.NewTimer(missed * l.beat)
	defer t.Stop()
	for {
		select {
		case <-heard:
			t.Reset(missed * l.beat)
		case <-t.C:
			return errSilent
		case <-ctx.Done():
			return nil
		}
	}
}
