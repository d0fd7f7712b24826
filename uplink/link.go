package uplink

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
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

// link is one session on the events' connection of a path.
type link struct {
	*Client
	path   *path
	line   *line            // of path
	conn   *grpc.ClientConn // for what else a connected box has to ask
	stream linkStream
	cancel context.CancelCauseFunc
	beat   time.Duration
	epoch  uint64        // of the lanes when the session began: see rewind
	moved  chan struct{} // capacity 1: there may be more to send

	checkpoints checkpoints // the sender's alone, but for sent

	telling sync.Mutex
	told    []told // outcomes of commands that the SOC may not have heard

	// Guarded by the mutex of lanes, since the other paths' sessions look at them.
	cursors [edge.Routine + 1]cursor
	heard   time.Duration // Mono
	rtt     time.Duration // smoothed; 0: not measured yet
	beats   []time.Duration
	echoes  bool // the SOC answers heartbeats
}

// runLink takes the path's addresses in turn, the last good one first, until a session on one of them breaks.
func (c *Client) runLink(ctx context.Context, p *path) error {
	var failed []string
	for range p.SOC {
		good, err := c.session(ctx, p, p.address())
		if good || ctx.Err() != nil || errors.As(err, new(*localError)) || len(p.SOC) == 1 {
			c.status.pathFailed(p.index, err, c.o.Clock.Now())
			return err
		}
		failed = append(failed, p.address()+": "+plain(err))
		p.nextAddress()
	}
	err := errors.New(strings.Join(failed, "; "))
	c.status.pathFailed(p.index, err, c.o.Clock.Now())
	return err
}

// session connects, says hello and delivers events until the connection breaks; good says that the SOC has said welcome.
func (c *Client) session(ctx context.Context, p *path, addr string) (good bool, err error) {
	var dialed atomic.Pointer[error]
	cc, err := dial(addr, c.credentials(), p.dialer(c.o, tosEvents, &dialed))
	if err != nil {
		return false, err
	}
	defer cc.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil) // ends the stream, whatever Send or Recv is doing
	g, gctx := errgroup.WithContext(ctx)
	stream, err := wire.NewUplinkClient(cc).Link(gctx)
	if err != nil {
		if why := dialed.Load(); why != nil {
			err = *why
		}
		return false, err
	}
	l := &link{Client: c, path: p, line: p.line, conn: cc, stream: stream, cancel: cancel, moved: make(chan struct{}, 1)}
	if err := l.greet(gctx); err != nil {
		return false, causeOf(ctx, err)
	}
	now := c.o.Clock.Now()
	if err := c.lanes.join(l, now.Mono); err != nil {
		return true, err
	}
	c.o.Log.Info("connected to the SOC", "path", p.Name, "soc", addr)
	c.status.connected(p.index, addr, now)
	p.signal(pathState{up: true, lostAfter: missed * l.beat})
	defer func() {
		now := c.o.Clock.Now()
		silent := now.Mono - c.lanes.leave(l, now.Mono)
		c.status.disconnected(p.index, now)
		p.signal(pathState{lostAfter: max(0, missed*l.beat-silent)})
		l.line.busy.set(false) // nothing can be sent: bulk need not stand back
		l.retell()
	}()
	heard := make(chan struct{}, 1) // capacity 1: one is enough to know that the SOC lives
	g.Go(edge.Guard(func() error { return l.runReceive(gctx, heard) }))
	g.Go(edge.Guard(func() error { return l.runSend(gctx) }))
	g.Go(edge.Guard(func() error { return l.runWatch(gctx, heard) }))
	g.Go(edge.Guard(func() error { return l.runRenew(gctx, addr) }))
	return true, causeOf(ctx, g.Wait())
}

// causeOf puts why a session was ended from inside the box in the place of what gRPC says about it.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) && !errors.As(err, new(*localError)) {
		return cause
	}
	return err
}

// greet says Hello and takes the Welcome.
func (l *link) greet(ctx context.Context) error {
	now := l.o.Clock.Now()
	epoch, before := l.lanes.mark()
	l.epoch = epoch
	err := l.stream.Send(&wire.BoxMessage{Message: &wire.BoxMessage_Hello{Hello: &wire.Hello{
		Protocol: wire.Protocol, Site: string(l.o.Identity.Site), Kind: wire.Text(l.o.Kind), Name: wire.Text(l.o.Name),
		Journal: string(l.o.Outbox.ID()), LastSeq: uint64(l.o.Outbox.Last()), Version: wire.Text(l.o.Version),
		Boot: string(now.Boot), MonoNs: int64(now.Mono), Path: l.path.Name,
	}}})
	if err != nil {
		_, rerr := l.stream.Recv() // the stream's own error says why
		return errors.Join(rerr, err)
	}
	t := time.AfterFunc(connectTimeout, func() { l.cancel(errSilent) })
	m, err := l.stream.Recv()
	t.Stop()
	if err != nil {
		return err
	}
	if took, ok := l.o.Clock.Now().Since(now); ok {
		l.rtt = took
	}
	w := m.GetWelcome()
	if w == nil {
		return errors.New("the SOC did not say welcome")
	}
	if w.GetProtocol() != wire.Protocol {
		return fmt.Errorf("the SOC speaks protocol %d, this box %d", w.GetProtocol(), wire.Protocol)
	}
	l.hint(now, w.GetTimeUnixMs())
	l.renewal.tell(l.o.Clock.Now(), w.GetTimeUnixMs(), w.GetTrust())
	l.beat = min(max(time.Duration(w.GetHeartbeatMs())*time.Millisecond, time.Second), time.Minute)
	return l.settle(ctx, before, w.GetWatermarks())
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
		l.take(m)
	}
}

// take handles one message. Whatever it says, it can only move a lane inside what has been sent.
func (l *link) take(m *wire.SocMessage) {
	now := l.o.Clock.Now()
	switch v := m.GetMessage().(type) {
	case *wire.SocMessage_Ack:
		lane, ok := wire.LaneOf(v.Ack.GetLane())
		var sent time.Duration
		if ok {
			sent, ok = l.lanes.land(l, lane, edge.Seq(v.Ack.GetThrough()), now.Mono)
		}
		if !ok {
			l.status.ignored()
			break
		}
		if lane == edge.Routine {
			l.line.routineAcked(sent)
		}
		l.status.acked(now)
	case *wire.SocMessage_Heartbeat:
		if e := v.Heartbeat.GetEchoMonoNs(); e != 0 && l.lanes.echoed(l, time.Duration(e), now.Mono) {
			l.heardOutcomes(time.Duration(e))
			l.hint(edge.Stamp{Mono: time.Duration(e), Boot: now.Boot}, v.Heartbeat.GetTimeUnixMs())
		}
		l.renewal.tell(now, v.Heartbeat.GetTimeUnixMs(), v.Heartbeat.GetTrust())
	case *wire.SocMessage_CheckpointStored:
		l.checkpointStored(v.CheckpointStored)
	case *wire.SocMessage_Command:
		l.command(v.Command)
	} // a newer SOC may say more than we know
	l.lanes.heard(l, now.Mono)
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
