package soc

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
	"sitewatch/uplink/wire"
)

// bubbleLink is a Link without a network, for a bubble.
type bubbleLink struct {
	grpc.ServerStream
	ctx context.Context
	in  chan *wire.BoxMessage // capacity for all that a test's box says at once
	out chan *wire.SocMessage
}

func (l *bubbleLink) Context() context.Context { return l.ctx }

func (l *bubbleLink) Recv() (*wire.BoxMessage, error) {
	select {
	case m := <-l.in:
		return m, nil
	case <-l.ctx.Done():
		return nil, l.ctx.Err()
	}
}

func (l *bubbleLink) Send(m *wire.SocMessage) error {
	select {
	case l.out <- m:
		return nil
	case <-l.ctx.Done():
		return l.ctx.Err()
	}
}

// box connects a box of the site; ended has how its Link ends.
func (e *estate) box(site edge.SiteID) (l *bubbleLink, ended <-chan error) {
	e.t.Helper()
	ctx, cancel := context.WithCancel(e.t.Context())
	l = &bubbleLink{ctx: ctx, in: make(chan *wire.BoxMessage, 10), out: make(chan *wire.SocMessage)}
	end := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer cancel() // as gRPC does
		end <- e.s.runLink(l, site)
	})
	e.t.Cleanup(func() { cancel(); wg.Wait(); e.s.streams.Wait() })
	return l, end
}

func (l *bubbleLink) hello(site edge.SiteID, journal string) {
	l.in <- &wire.BoxMessage{Message: &wire.BoxMessage_Hello{Hello: &wire.Hello{Protocol: 1, Site: string(site), Kind: "shop", Journal: journal, Boot: "b", MonoNs: int64(time.Hour)}}}
}

// authority gives the receiver what it says in its heartbeats.
func (e *estate) authority() {
	e.t.Helper()
	var err error
	if e.s.ca, err = OpenCA(e.t.TempDir(), e.s.o.Clock); err != nil {
		e.t.Fatal(err)
	}
}

func TestSilentBoxIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEstate(t)
		t.Cleanup(e.end)
		t.Cleanup(e.stop)
		e.authority()
		began := time.Now()
		l, ended := e.box("1")
		_, mute := e.box("2")
		time.Sleep(20 * time.Second)
		l.hello("1", string(edge.NewID()))
		beats := 0
		var err error
		for err == nil {
			select {
			case m := <-l.out:
				if beats == 0 && m.GetWelcome() == nil {
					t.Errorf("got %v, want a Welcome", m)
				}
				beats++
			case err = <-ended:
			}
		}
		if status.Code(err) != codes.DeadlineExceeded || time.Since(began) != 50*time.Second || beats < 3 {
			t.Errorf("after its Welcome: %v after %v and %d messages", err, time.Since(began), beats)
		}
		if err := <-mute; status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("before its Hello: %v", err)
		}
		if _, up := e.s.Online("1"); up {
			t.Error("a silent box is shown as connected")
		}
	})
}

// stalled is a ledger that takes long for each batch.
type stalled struct {
	ledger.Ledger
	long time.Duration
}

func (s stalled) Append(ctx context.Context, b ledger.Batch) (ledger.Outcome, error) {
	select {
	case <-time.After(s.long):
	case <-ctx.Done():
	}
	return s.Ledger.Append(ctx, b)
}

func TestALedgerThatStallsDropsNoLivingBox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEstate(t)
		t.Cleanup(e.end)
		e.stop()
		e.disk.Ledger = stalled{e.led, (missed + 1) * e.s.o.Heartbeat}
		e.start()
		t.Cleanup(e.stop)
		e.authority()
		var wg sync.WaitGroup
		for i := range 12 { // each would be dropped with even odds
			site := edge.SiteID(fmt.Sprint(i + 1))
			l, ended := e.box(site)
			wg.Go(func() {
				says := &rawLink{t: t, site: site, journal: edge.JournalID(edge.NewID())}
				alive := func(mono int64) {
					l.in <- &wire.BoxMessage{Message: &wire.BoxMessage_Heartbeat{Heartbeat: &wire.Heartbeat{MonoNs: mono}}}
				}
				l.hello(site, string(says.journal))
				l.in <- &wire.BoxMessage{Message: &wire.BoxMessage_Events{Events: &wire.Events{Lane: wire.Lane_LANE_URGENT, MonoNs: int64(time.Hour),
					Records: []*wire.Record{says.event(1, edge.KindFire, nil)}}}}
				for range 2 { // they wait while the ledger stalls
					alive(1)
				}
				acked := false
				for after := 0; after < 2; { // two of the SOC's: the link goes on
					select {
					case m := <-l.out:
						if acked {
							after++
						} else if acked = m.GetAck() != nil; acked {
							alive(2)
						}
					case err := <-ended:
						t.Errorf("site %s, acked %v: %v", site, acked, err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}
