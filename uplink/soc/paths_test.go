package soc

import (
	"bytes"
	"crypto/sha256"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

// by says hello by a path, as the same box as other when that is not nil.
func (l *rawLink) by(path string, other *rawLink) *wire.Welcome {
	l.t.Helper()
	if other != nil {
		l.journal = other.journal
	}
	l.hello(func(h *wire.Hello) { h.Path = path })
	m, err := l.next()
	if err != nil || m.GetWelcome() == nil {
		l.t.Fatalf("got %v, %v, want a Welcome", m, err)
	}
	return m.GetWelcome()
}

func TestTwinsAreAckedOnBothPathsAndStoredOnce(t *testing.T) {
	c := newCentre(t)
	cert := c.enrol("1")
	a, b := c.link("1", cert), c.link("1", cert)
	a.by("broadband", nil)
	b.by("mobile", a)
	recs := []*wire.Record{a.event(1, edge.KindFire, nil), a.event(2, edge.KindFire, nil), a.event(3, edge.KindFire, nil)}
	a.send(wire.Lane_LANE_URGENT, recs[0])
	a.ack(1)
	b.send(wire.Lane_LANE_URGENT, recs...)
	b.ack(3)
	a.send(wire.Lane_LANE_URGENT, recs[1])
	a.ack(2) // and not 3, which this stream has never seen
	a.send(wire.Lane_LANE_ROUTINE, a.event(4, edge.KindSet, nil))
	a.ack(4)
	b.send(wire.Lane_LANE_URGENT, a.event(5, edge.KindFire, nil))
	b.ack(5) // of its own lane
	if evs := c.events(); len(evs) != 5 {
		t.Errorf("%d events, want 5", len(evs))
	}
	if got := count(t, c.s.metrics.odd.WithLabelValues("duplicate")); got != 2 {
		t.Errorf("%v duplicates are counted, want 2", got)
	}
	if got := count(t, c.s.metrics.odd.WithLabelValues("conflict")); got != 0 {
		t.Errorf("%v conflicts are counted", got)
	}
}

func TestAJournalThatLostItsEndIsAckedAsItComes(t *testing.T) {
	c := newCentre(t)
	cert := c.enrol("1")
	l := c.link("1", cert)
	l.welcome()
	l.send(wire.Lane_LANE_URGENT, l.event(9, edge.KindFire, nil))
	l.ack(9)
	l.s.CloseSend()
	if _, err := l.next(); err == nil {
		t.Fatal("the stream goes on")
	}
	until(t, "the receiver has seen it, too", func() bool { _, up := c.s.Online("1"); return !up })
	again := c.link("1", cert)
	w := again.by("", l)
	if got := w.GetWatermarks()[0].GetThrough(); got != 9 {
		t.Fatalf("the watermark is %d", got)
	}
	again.send(wire.Lane_LANE_URGENT, again.event(5, edge.KindTamper, nil))
	again.ack(5) // an ack of 9 would be of what the box has never sent
}

func TestAPathHasOneLink(t *testing.T) {
	c := newCentre(t)
	cert := c.enrol("1")
	links := map[string]*rawLink{}
	for _, p := range []string{"a", "b", "c", "d"} {
		links[p] = c.link("1", cert)
		links[p].by(p, links["a"])
	}
	fifth := c.link("1", cert)
	fifth.hello(func(h *wire.Hello) { h.Path, h.Journal = "e", string(links["a"].journal) })
	fifth.ends(codes.ResourceExhausted)
	newer := c.link("1", cert)
	newer.by("b", links["a"])
	links["b"].ends(codes.Aborted)
	if paths := c.s.Paths("1"); len(paths) != 4 {
		t.Errorf("paths are %+v", paths)
	}
	for _, p := range []string{"../x", "a b", "-", string(make([]byte, 33)), "ü"} {
		l := c.link("1", cert)
		l.hello(func(h *wire.Hello) { h.Path, h.Journal = p, string(links["a"].journal) })
		l.ends(codes.InvalidArgument)
	}
	for _, l := range []*rawLink{links["a"], newer, links["c"], links["d"]} {
		l.send(wire.Lane_LANE_URGENT, links["a"].event(1, edge.KindFire, nil))
		l.ack(1)
	}
	// One that has gone makes room for another.
	links["d"].s.CloseSend()
	until(t, "a path that has gone leaves its place to another", func() bool {
		l := c.link("1", cert)
		l.hello(func(h *wire.Hello) { h.Path, h.Journal = "e", string(links["a"].journal) })
		m, err := l.next()
		return err == nil && m.GetWelcome() != nil
	})
	if paths := c.s.Paths("1"); len(paths) != 4 {
		t.Errorf("paths are %+v", paths)
	}
}

func TestACommandGoesOncePerLinkAndItsFirstOutcomeStays(t *testing.T) {
	c := newCentre(t)
	cert := c.enrol("1")
	a, b := c.link("1", cert), c.link("1", cert)
	a.by("broadband", nil)
	b.by("mobile", a)
	cmd := edge.Command{ID: edge.CommandID(edge.NewID()), Kind: "clip", Camera: "door", From: time.Now(), To: time.Now().Add(time.Second), Expires: time.Now().Add(time.Minute)}
	if err := c.led.PutCommand(t.Context(), "1", cmd); err != nil {
		t.Fatal(err)
	}
	c.s.Nudge("1")
	c.s.Nudge("1")
	for _, l := range []*rawLink{a, b} {
		if m, err := l.next(); err != nil || m.GetCommand().GetId() != string(cmd.ID) {
			t.Fatalf("got %v, %v", m, err)
		}
	}
	for i, l := range []*rawLink{b, a} {
		l.s.Send(&wire.BoxMessage{Message: &wire.BoxMessage_Outcome{Outcome: &wire.CommandOutcome{Id: string(cmd.ID), State: []string{"done", "failed"}[i]}}})
		l.send(wire.Lane_LANE_URGENT, a.event(1, edge.KindFire, nil))
		l.ack(1) // and not the command a second time
	}
	if got, err := c.led.Command(t.Context(), cmd.ID, time.Now()); err != nil || got.State != edge.CommandDone {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestEveryHeartbeatIsAnsweredAtOnce(t *testing.T) {
	c := newCentre(t)
	l := c.link("1", c.enrol("1"))
	beat := func(mono int64, last uint64) {
		l.s.Send(&wire.BoxMessage{Message: &wire.BoxMessage_Heartbeat{Heartbeat: &wire.Heartbeat{MonoNs: mono, LastSeq: last}}})
	}
	l.hello(nil)
	if m, err := l.s.Recv(); err != nil || m.GetWelcome() == nil {
		t.Fatalf("got %v, %v, want a Welcome before anything else", m, err)
	}
	for i := range int64(20) {
		beat(i+1, 3)
		for {
			m, err := l.s.Recv()
			if err != nil {
				t.Fatal(err)
			}
			h := m.GetHeartbeat()
			if h == nil {
				t.Fatalf("got %v", m)
			}
			if h.GetEchoMonoNs() == 0 {
				continue // of the SOC's own rhythm
			}
			if h.GetEchoMonoNs() != i+1 || h.GetMonoNs() == 0 || h.GetTimeUnixMs() == 0 {
				t.Errorf("got %v, want an answer to %d", h, i+1)
			}
			break
		}
	}
	beat(99, 1<<63) // and one that no ledger can hold
	l.send(wire.Lane_LANE_URGENT, l.event(1, edge.KindFire, nil))
	l.ack(1)
	list, _, err := c.led.Gaps(t.Context(), "1", 0, 10)
	if err != nil || list[0].Last != 3 || len(list[0].Missing) != 1 || !list[0].Missing[0].Pending {
		t.Errorf("got %+v, %v: the box has told of 3", list, err)
	}
}

func TestAFloodOfHeartbeatsHoldsUpNoAlarm(t *testing.T) {
	c := newCentre(t)
	l := c.link("1", c.enrol("1"))
	l.welcome()
	for i := range int64(5_000) { // and the box reads nothing meanwhile
		if err := l.s.Send(&wire.BoxMessage{Message: &wire.BoxMessage_Heartbeat{Heartbeat: &wire.Heartbeat{MonoNs: i + 1}}}); err != nil {
			t.Fatal(err)
		}
	}
	l.send(wire.Lane_LANE_URGENT, l.event(1, edge.KindFire, nil))
	l.ack(1)
}

func TestWelcomeHasTheHashOfTheWatermark(t *testing.T) {
	c := newCentre(t)
	cert := c.enrol("1")
	l := c.link("1", cert)
	for _, m := range l.welcome().GetWatermarks() {
		if m.GetThrough() != 0 || len(m.GetHash()) != 0 {
			t.Errorf("a new journal begins at %v", m)
		}
	}
	rec := l.event(1, edge.KindFire, nil)
	l.send(wire.Lane_LANE_URGENT, rec)
	l.ack(1)
	want := sha256.Sum256(append(bytes.Clone(rec.GetPrev()), rec.GetBody()...))
	got := c.link("1", cert).by("", l).GetWatermarks()
	if got[0].GetThrough() != 1 || !bytes.Equal(got[0].GetHash(), want[:]) || len(got[1].GetHash()) != 0 {
		t.Errorf("got %v", got)
	}
}
