package soc

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
	"sitewatch/uplink/wire"
)

// lateAfter is when an event counts as late (P9).
const lateAfter = 30 * time.Second

// events commits a batch and acks it. The ack is pushed only after the ledger has it durably. It goes up to the last record of
// the batch, new or not: a box sends a lane without leaving out what has not been acked, whatever its other paths carry, so that
// everything before is here; and it counts on acks to tell of this stream only.
func (x *session) events(ctx context.Context, m *wire.Events) error {
	lane, ok := wire.LaneOf(m.GetLane())
	if !ok {
		return status.Error(codes.InvalidArgument, "events travel in the lanes urgent and routine")
	}
	if n := len(m.GetRecords()); n == 0 || n > wire.MaxBatch {
		return status.Errorf(codes.InvalidArgument, "%d records in one message", n)
	}
	b := ledger.Batch{Site: x.site, Journal: x.journal, Entries: make([]ledger.Entry, 0, len(m.GetRecords()))}
	var through edge.Seq
	now := x.o.Clock.Now()
	for _, r := range m.GetRecords() {
		e, err := x.entry(lane, r, now)
		if err != nil {
			return err
		}
		if n := len(b.Entries); n > 0 && len(r.GetPrev()) == 0 && b.Entries[n-1].Seq+1 == e.Seq {
			e.Prev = edge.ChainHash(b.Entries[n-1].Prev, b.Entries[n-1].Body)
		}
		b.Entries = append(b.Entries, e)
		through = max(through, e.Seq)
	}
	out, err := x.o.Ledger.Append(ctx, b)
	if err != nil {
		return x.broke(ctx, err)
	}
	edge.Crash("soc committed before ack")
	x.count(lane, out)
	x.last = max(x.last, through)
	return x.push(ctx, &wire.SocMessage{Message: &wire.SocMessage_Ack{Ack: &wire.Ack{Lane: m.GetLane(), Through: uint64(through)}}})
}

func (x *session) count(lane edge.Lane, out ledger.Outcome) {
	x.metrics.events.WithLabelValues(lane.String()).Add(float64(out.New))
	x.metrics.odd.WithLabelValues("duplicate").Add(float64(out.Duplicate))
	if n := len(out.Conflicts); n > 0 {
		x.metrics.odd.WithLabelValues("conflict").Add(float64(n))
		x.repeats.say(x.o.Log.Error, "conflict "+string(x.site), "a box sent other events under numbers that are taken; the first ones stay", "site", x.site,
			"journal", x.journal, "lane", lane.String(), "seq", out.Conflicts[0], "count", n)
	}
	if n := len(out.Unchained); n > 0 {
		x.metrics.odd.WithLabelValues("unchained").Add(float64(n))
		x.repeats.say(x.o.Log.Error, "unchained "+string(x.site), "events do not fit the hash chain of their journal", "site", x.site,
			"journal", x.journal, "lane", lane.String(), "seq", out.Unchained[0], "count", n)
	}
}

// entry checks one record. A body that cannot be read does not hold up its lane for ever: it is kept as it came, under
// the kind unknown. A body that speaks for another site or journal ends the stream.
func (x *session) entry(lane edge.Lane, r *wire.Record, now edge.Stamp) (ledger.Entry, error) {
	e := ledger.Entry{Seq: edge.Seq(r.GetSeq()), Lane: lane, Body: r.GetBody(), Received: now.Wall}
	if e.Seq == 0 || e.Seq > maxSeq {
		return e, status.Errorf(codes.InvalidArgument, "seq %d is out of range", e.Seq)
	}
	if n := copy(e.Prev[:], r.GetPrev()); n != len(r.GetPrev()) || n != 0 && n != len(e.Prev) {
		return e, status.Errorf(codes.InvalidArgument, "seq %d: prev is not 32 bytes", e.Seq)
	}
	ev, err := edge.DecodeEvent(e.Body)
	switch {
	case err == nil && ev.Site != x.site:
		x.metrics.refused.WithLabelValues("foreign").Inc()
		return e, status.Errorf(codes.PermissionDenied, "seq %d speaks for another site", e.Seq)
	case err == nil && ev.Journal != x.journal:
		x.metrics.refused.WithLabelValues("foreign").Inc()
		return e, status.Errorf(codes.PermissionDenied, "seq %d speaks for another journal", e.Seq)
	case err == nil && ev.Seq != e.Seq:
		err = fmt.Errorf("it says that its seq is %d", ev.Seq)
	case err == nil && ev.Lane != lane:
		err = fmt.Errorf("it came in the lane %s and says %s", lane, ev.Lane)
	case err == nil && ev.Amends >= e.Seq:
		err = fmt.Errorf("it amends %d, which is not before it", ev.Amends)
	}
	if err != nil {
		x.metrics.odd.WithLabelValues("malformed").Inc()
		x.repeats.say(x.o.Log.Warn, "malformed "+string(x.site), "a box sent an event that cannot be read; it is kept as unknown", "site", x.site,
			"journal", x.journal, "lane", lane.String(), "seq", e.Seq, "err", err)
		ev = edge.Event{V: 1, Site: x.site, Journal: x.journal, Seq: e.Seq, Lane: lane, Kind: edge.KindUnknown,
			Occurred: now.Wall, Clock: edge.ClockUnset, Recorded: edge.Stamp{Wall: now.Wall},
			Why: "The box sent an event that the SOC cannot read: " + wire.Text(err.Error()),
			Raw: e.Body[:min(len(e.Body), edge.MaxEventBytes)]}
		e.Event = ev
		return e, nil
	}
	x.tidy(&ev)
	e.Event = ev
	e.Late = x.age(&ev, now) > lateAfter
	return e, nil
}

// tidy takes out of a decoded event what nothing downstream could use; its stored bytes stay as they came.
func (x *session) tidy(ev *edge.Event) {
	bad := func(id edge.ClipID) bool { return !wire.ValidID(string(id)) }
	ev.Clips = slices.DeleteFunc(ev.Clips, func(c edge.ClipRef) bool { return bad(c.ID) })
	if ev.Clip != nil && bad(ev.Clip.ID) {
		ev.Clip = nil
	}
	switch ev.Clock {
	case edge.ClockSynced, edge.ClockDrifting, edge.ClockUnset:
	default:
		ev.Clock = edge.ClockUnset
	}
}

// age is how long ago the event was recorded. Events of the box's present boot are measured by its monotonic clock,
// which no wrong or stepped wall clock can spoil; older ones only have the wall clock.
func (x *session) age(ev *edge.Event, now edge.Stamp) time.Duration {
	if ev.Recorded.Boot == x.boot && x.boot != "" {
		return now.Mono - (x.base.at() + ev.Recorded.Mono)
	}
	return now.Wall.Sub(ev.Recorded.Wall)
}

// maxUnanswered bounds the commands that a Link has sent and has no outcome of. A box does one after the other and drops what
// its queue of 16 does not hold.
const maxUnanswered = 8

// commands sends what is new. The box does a command once, whichever path it comes by, and the ledger keeps the first outcome.
func (x *session) commands(ctx context.Context) error {
	now := x.o.Clock.Now().Wall
	open, err := x.o.Ledger.OpenCommands(ctx, x.site, now)
	if err != nil {
		return x.broke(ctx, err)
	}
	sent := make(map[edge.CommandID]bool, maxUnanswered) // those that have an outcome are forgotten
	for _, c := range open {
		if x.sent[c.ID] {
			sent[c.ID] = true
		}
	}
	x.sent, x.more = sent, false
	for _, c := range open {
		if sent[c.ID] {
			continue
		}
		if x.more = len(sent) >= maxUnanswered; x.more {
			break
		}
		sent[c.ID] = true
		if err := x.push(ctx, &wire.SocMessage{Message: &wire.SocMessage_Command{Command: &wire.Command{
			Id: string(c.ID), Kind: c.Kind, Camera: string(c.Camera), Signer: c.Signer,
			FromUnixMs: c.From.UnixMilli(), ToUnixMs: c.To.UnixMilli(), ExpiresUnixMs: c.Expires.UnixMilli(),
		}}}); err != nil {
			return err
		}
	}
	return nil
}

func (x *session) outcome(ctx context.Context, o *wire.CommandOutcome) error {
	state := edge.CommandState(o.GetState())
	switch state {
	case edge.CommandDone, edge.CommandFailed, edge.CommandExpired, edge.CommandUnknown:
	default:
		state = edge.CommandUnknown
	}
	err := x.o.Ledger.CommandOutcome(ctx, x.site, edge.CommandID(o.GetId()), state, wire.Text(o.GetOutcome()))
	if err == ledger.ErrNotFound || err == ledger.ErrForeign {
		x.metrics.refused.WithLabelValues("outcome").Inc()
		return nil
	}
	if err != nil {
		return x.broke(ctx, err)
	}
	x.Nudge(x.site) // all of its links: there is room for another command, on the path by which this one came as well
	return nil
}
