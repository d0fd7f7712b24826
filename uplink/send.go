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
	recordBytes  = 48 // of a record beside its body: seq, hash, tags
	urgentTurns  = 9  // of ten messages, so that routine gets a tenth of the link whatever happens
)

// runSend is the only writer of the stream. It looks at the urgent lane again before every single message.
func (l *link) runSend(ctx context.Context) error {
	beat := time.NewTicker(l.beat)
	defer beat.Stop()
	again := time.NewTimer(forever) // the moment at which another path owes too much
	defer again.Stop()
	turns := 0
	for {
		edge.Beat(ctx)
		// The channels are taken before the lanes are read: a commit in between is not missed.
		urgent, routine, told := l.o.Outbox.Changed(edge.Urgent), l.o.Outbox.Changed(edge.Routine), l.outcomes.changed()
		if err := l.readCheckpoint(ctx); err != nil {
			return err
		}
		best, twin, wake := l.lanes.turn(l, l.o.Clock.Now().Mono)
		order := edge.EventLanes
		if turns >= urgentTurns {
			order[0], order[1] = order[1], order[0]
		}
		sent, wait := edge.Lane(0), false
		for _, lane := range order {
			if !best && (lane != edge.Urgent || twin == 0) {
				continue // another path carries it
			}
			ok, more, err := l.batch(ctx, lane, twin)
			if err != nil {
				return err
			}
			wait = wait || more
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
		// Bulk stands back while events wait to be sent. Those that are under way it need not fear: the line takes off its
		// pace what they take of the line.
		l.line.busy.set(wait)
		if best {
			if err := l.tell(); err != nil {
				return err
			}
			if sent == 0 && !wait {
				if err := l.sendCheckpoint(); err != nil {
					return err
				}
			}
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
		again.Reset(wake)
		select {
		case <-urgent:
		case <-routine:
		case <-told:
		case <-l.checkpoints.changed:
		case <-l.moved:
		case <-again.C:
		case <-beat.C:
			if err := l.heartbeat(); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// batch sends the next events of a lane, those up to twin if that is not 0. It reports more when events of the lane wait for
// room or for the next batch.
func (l *link) batch(ctx context.Context, lane edge.Lane, twin edge.Seq) (ok, more bool, err error) {
	after, most := l.room(lane)
	if most == 0 || twin != 0 && after >= twin {
		return false, most == 0, nil
	}
	recs, err := l.o.Outbox.Read(ctx, lane, after, batchRecords)
	if err != nil {
		if ctx.Err() != nil {
			return false, false, nil
		}
		return false, false, local("read the journal", err)
	}
	now := l.o.Clock.Now().Mono
	m := &wire.Events{Lane: wire.WireLane(lane), MonoNs: int64(now)}
	bytes := 0
	for i := range recs {
		r := &recs[i]
		if twin != 0 && r.Seq > twin {
			recs = recs[:i]
			break
		}
		if i > 0 && bytes+len(r.Body) > most {
			more = true
			break
		}
		bytes += len(r.Body)
		rec := &wire.Record{Seq: uint64(r.Seq), Body: r.Body, Prev: r.Prev[:]}
		if i > 0 && recs[i-1].Seq+1 == r.Seq && edge.ChainHash(recs[i-1].Prev, recs[i-1].Body) == r.Prev {
			rec.Prev = nil // the SOC finds it from the record before: a tenth of what a backlog weighs
		}
		m.Records = append(m.Records, rec)
	}
	if len(m.Records) == 0 {
		return false, false, nil
	}
	through := edge.Seq(m.Records[len(m.Records)-1].Seq)
	// Before it is sent: its ack may be faster than our return.
	l.lanes.fly(l, lane, flight{through: through, bytes: bytes, at: now})
	l.line.event(bytes + recordBytes*len(m.Records))
	if err := l.stream.Send(&wire.BoxMessage{Message: &wire.BoxMessage_Events{Events: m}}); err != nil {
		return false, false, l.sendError(err)
	}
	edge.Crash("uplink sent before ack")
	l.status.sent(len(m.Records), bytes, twin != 0)
	return true, more || len(recs) == batchRecords, nil
}

// room says after which event a lane goes on and how many bytes its next message may have; 0: enough are under way.
// An urgent event may find as much of the routine lane before it as the line holds, and no more (P3); a message is a
// part of that, so that acks come while the rest is still under way.
func (l *link) room(lane edge.Lane) (after edge.Seq, most int) {
	after, flights, bytes := l.lanes.after(l, lane)
	if lane == edge.Urgent {
		if flights >= maxFlights || bytes >= urgentBytes {
			return after, 0
		}
		return after, batchBytes
	}
	credit := l.line.routineCredit()
	if flights >= maxFlights || bytes >= credit {
		l.line.full()
		return after, 0
	}
	return after, min(batchBytes, credit/4)
}

func (l *link) heartbeat() error {
	now := l.o.Clock.Now()
	l.lanes.beating(l, now.Mono)
	return l.sendError(l.stream.Send(&wire.BoxMessage{Message: &wire.BoxMessage_Heartbeat{Heartbeat: &wire.Heartbeat{
		TimeUnixMs: now.Wall.UnixMilli(), MonoNs: int64(now.Mono), LastSeq: uint64(l.o.Outbox.Last()), Clock: string(now.ClockState()),
	}}}))
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
