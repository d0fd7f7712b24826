package soc

import (
	"context"
	"errors"
	"io"
	"math"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
	"sitewatch/uplink/wire"
)

type linkStream = grpc.BidiStreamingServer[wire.BoxMessage, wire.SocMessage]

// maxSeq is the highest number that an event may have: the ledger counts in 63 bits and looks at the one after.
const maxSeq = math.MaxInt64 - 1

// missed is how many heartbeats may fail to come before the other side is taken for dead.
const missed = 3

// Link carries one box's events.
func (s *Server) Link(stream linkStream) error {
	site := siteOf(stream.Context())
	if !s.hub.enter(site) {
		s.metrics.refused.WithLabelValues("streams").Inc()
		return status.Error(codes.ResourceExhausted, "too many streams of this site")
	}
	defer s.hub.leave(site)
	return s.runLink(stream, site)
}

// session is one Link while its handler runs.
type session struct {
	*Server
	site    edge.SiteID
	journal edge.JournalID
	boot    edge.BootID
	base    base // dates events of this boot, however wrong the box's wall clock is
	link    *link
	last    edge.Seq                // newest event of the journal that the ledger has been told of on this stream
	out     chan *wire.SocMessage   // read by the stream's writer; as many as fit between two looks at a slow box
	sent    map[edge.CommandID]bool // commands without outcome
	more    bool                    // others wait for these
	greeted atomic.Bool             // the writer has the Welcome: what is pushed from here on follows it
}

// runLink is the one place where a stream's state is changed. A reader and a writer of their own feed it, so that it can
// leave whatever the box does or fails to do; leaving ends the stream and with it those two, for which Run waits.
func (s *Server) runLink(stream linkStream, site edge.SiteID) error {
	ctx := stream.Context()
	in := make(chan *wire.BoxMessage) // unbuffered: a box is read as fast as its events are committed
	broken := make(chan error, 2)     // one from each
	x := &session{Server: s, site: site, out: make(chan *wire.SocMessage, 64), sent: map[edge.CommandID]bool{}}
	s.streams.Add(2)
	go func() {
		defer s.streams.Done()
		for {
			m, err := stream.Recv()
			if err != nil {
				broken <- err
				return
			}
			x.echo(m.GetHeartbeat())
			select {
			case in <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	go func() {
		defer s.streams.Done()
		for {
			select {
			case m := <-x.out:
				// The first is the Welcome. Said before it leaves: the box may send a heartbeat as soon as it has it.
				x.greeted.Store(true)
				if err := stream.Send(m); err != nil {
					broken <- err
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return x.run(ctx, in, broken)
}

func (x *session) run(ctx context.Context, in <-chan *wire.BoxMessage, broken <-chan error) error {
	silence := time.NewTimer(missed * x.o.Heartbeat)
	defer silence.Stop()
	select {
	case m := <-in:
		if err := x.hello(ctx, m.GetHello()); err != nil {
			return err
		}
	case err := <-broken:
		return ended(err)
	case <-silence.C:
		return status.Error(codes.DeadlineExceeded, "no Hello")
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
	l := x.link
	x.metrics.links.Inc()
	heard := x.o.Clock.Now().Wall
	defer func() {
		x.metrics.links.Dec()
		x.hub.part(l)
		// The stream's context has ended; when the site was last heard is worth a moment more.
		sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := x.o.Ledger.Seen(sctx, x.site, heard); err != nil {
			x.o.Log.Warn("when the site was last seen is not recorded", "site", x.site, "err", err)
		}
	}()
	silence.Reset(missed * x.o.Heartbeat) // its Hello may have taken long, on the line or in the ledger
	x.o.Log.Info("box connected", "site", x.site, "path", l.path, "journal", x.journal)
	select {
	case l.nudge <- struct{}{}:
	default: // somebody has nudged since join
	}
	hear := func(m *wire.BoxMessage) error {
		silence.Reset(missed * x.o.Heartbeat)
		now := x.o.Clock.Now()
		l.touch(now)
		heard = now.Wall
		return x.message(ctx, m)
	}
	beat := time.NewTicker(x.o.Heartbeat)
	defer beat.Stop()
	for {
		select {
		case m := <-in:
			if err := hear(m); err != nil {
				return err
			}
		case <-beat.C:
			now := x.o.Clock.Now()
			if err := x.push(ctx, &wire.SocMessage{Message: &wire.SocMessage_Heartbeat{Heartbeat: &wire.Heartbeat{
				TimeUnixMs: now.Wall.UnixMilli(), MonoNs: int64(now.Mono), Trust: x.ca.Digest()}}}); err != nil {
				return err
			}
			if x.more { // those before them may have expired
				if err := x.commands(ctx); err != nil {
					return err
				}
			}
		case <-l.nudge:
			if err := x.commands(ctx); err != nil {
				return err
			}
		case <-l.replaced:
			return status.Error(codes.Aborted, "a newer link of this site and path has come")
		case err := <-broken:
			return ended(err)
		case <-silence.C:
			// What kept us from listening may have been ourselves, with a ledger that stalled.
			select {
			case m := <-in:
				if err := hear(m); err != nil {
					return err
				}
			default:
				return status.Error(codes.DeadlineExceeded, "the box has gone silent")
			}
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

// echo answers a heartbeat at once, on the reader's goroutine: what the box measures by it is the line, not how long the
// ledger took for the events before it. A box that does not read has no use for an answer.
func (x *session) echo(h *wire.Heartbeat) {
	if h == nil || !x.greeted.Load() {
		return
	}
	now := x.o.Clock.Now()
	select {
	case x.out <- &wire.SocMessage{Message: &wire.SocMessage_Heartbeat{Heartbeat: &wire.Heartbeat{
		TimeUnixMs: now.Wall.UnixMilli(), MonoNs: int64(now.Mono), EchoMonoNs: h.GetMonoNs()}}}:
	default:
	}
}

func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// push hands m to the writer; a box that does not read for so long is no box.
func (x *session) push(ctx context.Context, m *wire.SocMessage) error {
	select {
	case x.out <- m:
		return nil
	default:
	}
	t := time.NewTimer(missed * x.o.Heartbeat)
	defer t.Stop()
	select {
	case x.out <- m:
		return nil
	case <-t.C:
		return status.Error(codes.DeadlineExceeded, "the box does not read")
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

func (x *session) hello(ctx context.Context, h *wire.Hello) error {
	switch {
	case h == nil:
		return status.Error(codes.InvalidArgument, "the first message is not a Hello")
	case h.GetProtocol() == 0:
		return status.Error(codes.InvalidArgument, "protocol 0 does not exist")
	case edge.SiteID(h.GetSite()) != x.site:
		x.metrics.refused.WithLabelValues("foreign").Inc()
		return status.Errorf(codes.PermissionDenied, "the certificate is of site %s, the box says it is %s", x.site, wire.Text(h.GetSite()))
	case !wire.ValidID(h.GetJournal()):
		return status.Error(codes.InvalidArgument, "the journal's id is not 32 hex digits")
	case h.GetLastSeq() > maxSeq:
		return status.Error(codes.InvalidArgument, "last_seq is out of range")
	case h.GetPath() != "" && !edge.ValidID(h.GetPath()):
		return status.Error(codes.InvalidArgument, "the path's name is not an id")
	}
	now := x.o.Clock.Now()
	x.journal, x.boot = edge.JournalID(h.GetJournal()), edge.BootID(h.GetBoot())
	x.base.take(time.Duration(h.GetMonoNs()), now.Mono)
	w, err := x.o.Ledger.Hello(ctx, ledger.Hello{
		Site: x.site, Kind: wire.Text(h.GetKind()), Name: wire.Text(h.GetName()), Version: wire.Text(h.GetVersion()),
		Journal: x.journal, LastSeq: edge.Seq(h.GetLastSeq()), At: now.Wall, Synced: now.Synced,
	})
	if err != nil {
		return x.broke(ctx, err)
	}
	x.last = edge.Seq(h.GetLastSeq())
	if x.link = x.hub.join(x.site, wire.Text(h.GetName()), h.GetPath(), now); x.link == nil {
		x.metrics.refused.WithLabelValues("paths").Inc()
		return status.Errorf(codes.ResourceExhausted, "the box is connected by %d other paths", maxPaths)
	}
	// Never blocks: nothing has been pushed yet.
	x.out <- &wire.SocMessage{Message: &wire.SocMessage_Welcome{Welcome: &wire.Welcome{
		Protocol: min(wire.Protocol, h.GetProtocol()),
		Watermarks: []*wire.Watermark{
			{Lane: wire.Lane_LANE_URGENT, Through: uint64(w.Watermarks.Urgent), Hash: w.Urgent},
			{Lane: wire.Lane_LANE_ROUTINE, Through: uint64(w.Watermarks.Routine), Hash: w.Routine},
		},
		TimeUnixMs:  now.Wall.UnixMilli(),
		HeartbeatMs: uint32(x.o.Heartbeat.Milliseconds()),
		Trust:       x.ca.Digest(),
	}}}
	return nil
}

// broke is for trouble of our own: the box hears that it may try again, the log hears what it was.
func (x *session) broke(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	x.o.Log.Error("the ledger does not take what a box sends", "site", x.site, "err", err)
	return status.Error(codes.Unavailable, "the SOC cannot store at the moment")
}

func (x *session) message(ctx context.Context, m *wire.BoxMessage) error {
	switch v := m.GetMessage().(type) {
	case *wire.BoxMessage_Events:
		x.tick(v.Events.GetMonoNs())
		return x.events(ctx, v.Events)
	case *wire.BoxMessage_Heartbeat:
		x.tick(v.Heartbeat.GetMonoNs())
		return x.told(ctx, v.Heartbeat.GetLastSeq())
	case *wire.BoxMessage_Outcome:
		return x.outcome(ctx, v.Outcome)
	case *wire.BoxMessage_Checkpoint:
		return x.checkpoint(ctx, v.Checkpoint)
	case *wire.BoxMessage_Hello:
		return status.Error(codes.InvalidArgument, "a second Hello")
	}
	return nil // a newer box may say more than we know
}

// told keeps how far the box's journal goes when events of it are still to come, so that it can be said that they are.
func (x *session) told(ctx context.Context, last uint64) error {
	if last > maxSeq || edge.Seq(last) <= x.last {
		return nil
	}
	x.last = edge.Seq(last)
	if err := x.o.Ledger.Told(ctx, x.site, x.journal, x.last); err != nil {
		return x.broke(ctx, err)
	}
	return nil
}

func (x *session) tick(mono int64) {
	if mono > 0 {
		x.base.take(time.Duration(mono), x.o.Clock.Now().Mono)
	}
}
