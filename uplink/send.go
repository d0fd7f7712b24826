package uplink

import (
	"context"
	"errors"
	"io"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

const (
	batchRecords = 64       // in one message
	batchBytes   = 16 << 10 // likewise
	maxFlights   = 16       // messages of a lane that may be under way
	urgentBytes  = 256 << 10
	routineBytes = 32 << 10 // likewise: what of routine may stand before an urgent event (P3)
	urgentTurns  = 9        // of ten messages, so that routine gets a tenth of the link whatever happens
)

// runSend is the only writer of the stream. It looks at the urgent lane again before every single message.
func (l *link) runSend(ctx context.Context) error {
	beat := time.NewTicker(l.beat)
	defer beat.Stop()
	turns := 0
	for {
		edge.Beat(ctx)
		// The channels are taken before the lanes are read: a commit in between is not missed.
		urgent, routine, told := l.o.Outbox.Changed(edge.Urgent), l.o.Outbox.Changed(edge.Routine), l.outcomes.changed()
		order := edge.EventLanes
		if turns >= urgentTurns {
			order[0], order[1] = order[1], order[0]
		}
		sent := edge.Lane(0)
		for _, lane := range order {
			ok, err := l.batch(ctx, lane)
			if err != nil {
				return err
			}
			if ok {
				sent = lane
				break
			}
		}
		switch sent {
		case edge.Urgent:
			turns++
		default:
			turns = 0
		}
		l.line.busy.set(sent != 0 || l.underWay())
		if err := l.tell(); err != nil {
			return err
		}
		if sent != 0 {
			select {
			case <-beat.C:
				if err := l.heartbeat(); err != nil {
					return err
				}
			case <-ctx.Done():
				return nil
			default:
			}
			continue
		}
		select {
		case <-urgent:
		case <-routine:
		case <-told:
		case <-l.moved:
		case <-beat.C:
			if err := l.heartbeat(); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// batch sends the next events of a lane; false when there are none or enough are under way.
func (l *link) batch(ctx context.Context, lane edge.Lane) (bool, error) {
	after, room := l.room(lane)
	if !room {
		return false, nil
	}
	recs, err := l.o.Outbox.Read(ctx, lane, after, batchRecords)
	if err != nil {
		if ctx.Err() != nil {
			return false, nil
		}
		return false, local("read the journal", err)
	}
	m := &wire.Events{Lane: wire.WireLane(lane), MonoNs: int64(l.o.Clock.Now().Mono)}
	bytes := 0
	for i := range recs {
		r := &recs[i]
		if i > 0 && bytes+len(r.Body) > batchBytes {
			break
		}
		bytes += len(r.Body)
		m.Records = append(m.Records, &wire.Record{Seq: uint64(r.Seq), Body: r.Body, Prev: r.Prev[:]})
	}
	if len(m.Records) == 0 {
		return false, nil
	}
	through := edge.Seq(m.Records[len(m.Records)-1].Seq)
	l.fly(lane, flight{through, bytes}) // before it is sent: its ack may be faster than our return
	if err := l.stream.Send(&wire.BoxMessage{Message: &wire.BoxMessage_Events{Events: m}}); err != nil {
		return false, l.sendError(err)
	}
	edge.Crash("uplink sent before ack")
	l.status.sent(len(m.Records), bytes)
	return true, nil
}

func (l *link) room(lane edge.Lane) (after edge.Seq, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	cur := l.lanes[lane]
	bytes := 0
	for _, f := range cur.flying {
		bytes += f.bytes
	}
	most := routineBytes
	if lane == edge.Urgent {
		most = urgentBytes
	}
	return cur.sent, len(cur.flying) < maxFlights && bytes < most
}

func (l *link) fly(lane edge.Lane, f flight) {
	l.mu.Lock()
	defer l.mu.Unlock()
	cur := l.lanes[lane]
	cur.sent = f.through
	cur.flying = append(cur.flying, f)
}

func (l *link) underWay() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, cur := range l.lanes {
		if len(cur.flying) > 0 {
			return true
		}
	}
	return false
}

func (l *link) heartbeat() error {
	now := l.o.Clock.Now()
	return l.sendError(l.stream.Send(&wire.BoxMessage{Message: &wire.BoxMessage_Heartbeat{Heartbeat: &wire.Heartbeat{
		TimeUnixMs: now.Wall.UnixMilli(), MonoNs: int64(now.Mono), LastSeq: uint64(l.o.Outbox.Last()), Clock: string(now.ClockState()),
	}}}))
}

// tell sends the outcomes of commands that the SOC has not heard yet.
func (l *link) tell() error {
	for {
		o, ok := l.outcomes.next()
		if !ok {
			return nil
		}
		if err := l.stream.Send(&wire.BoxMessage{Message: &wire.BoxMessage_Outcome{Outcome: o}}); err != nil {
			l.outcomes.again(o)
			return l.sendError(err)
		}
	}
}

// sendError hides the io.EOF with which gRPC says "ask Recv": runReceive has the reason and ends the session with it.
func (l *link) sendError(err error) error {
	if errors.Is(err, io.EOF) {
		<-l.stream.Context().Done()
		return nil
	}
	return err
}

var errClosed = errors.New("the SOC closed the stream")

func orClosed(err error) error {
	if errors.Is(err, io.EOF) {
		return errClosed
	}
	return err
}
