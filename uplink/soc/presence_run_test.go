package soc

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
)

// bubbleClock is the bubble's time.
type bubbleClock struct{ start time.Time }

func (c bubbleClock) Now() edge.Stamp {
	return edge.Stamp{Wall: time.Now().UTC(), Mono: time.Since(c.start) + time.Hour, Boot: "b", Synced: true}
}

// fullDisk is a ledger that takes nothing raised while it is full.
type fullDisk struct {
	ledger.Ledger
	full  atomic.Bool
	tries atomic.Int32
}

func (f *fullDisk) Raise(ctx context.Context, r ledger.Raising) ([]edge.Seq, error) {
	if f.full.Load() {
		f.tries.Add(1)
		return nil, errors.New("disk full")
	}
	return f.Ledger.Raise(ctx, r)
}

// estate is a receiver without its network in a bubble, on a real ledger.
type estate struct {
	t    *testing.T
	led  *ledger.SQLite
	disk *fullDisk
	s    *Server
	stop func() // of the receiver
	end  func() // of the ledger
}

func newEstate(t *testing.T) *estate {
	e := &estate{t: t}
	var err error
	if e.led, err = ledger.Open(t.Context(), ledger.Options{Path: filepath.Join(t.TempDir(), "ledger.db")}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { e.led.Run(ctx) })
	e.disk = &fullDisk{Ledger: e.led}
	e.end = func() { cancel(); wg.Wait(); e.led.Close() }
	e.start()
	return e
}

func (e *estate) start() {
	e.s = &Server{o: Options{Ledger: e.disk, Clock: bubbleClock{time.Now()}, Log: slog.New(slog.DiscardHandler), Heartbeat: 10 * time.Second}, hub: newHub(), metrics: newMetrics()}
	ctx, cancel := context.WithCancel(e.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := e.s.RunPresence(ctx); err != nil {
			e.t.Errorf("presence: %v", err)
		}
	})
	e.stop = func() { cancel(); wg.Wait() }
}

// connect is a box that beats until off is called.
func (e *estate) connect(site edge.SiteID, path string) (off func()) {
	e.t.Helper()
	now := e.s.o.Clock.Now()
	if _, err := e.led.Hello(e.t.Context(), ledger.Hello{Site: site, Name: "Shop", Journal: "j", At: now.Wall}); err != nil {
		e.t.Fatal(err)
	}
	s := e.s
	l := s.hub.join(site, "Shop", path, now)
	ctx, cancel := context.WithCancel(e.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		defer s.hub.part(l)
		for {
			select {
			case <-time.After(10 * time.Second):
				l.touch(s.o.Clock.Now())
			case <-ctx.Done():
				return
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

func (e *estate) wants(want ...string) {
	e.t.Helper()
	synctest.Wait()
	evs, err := e.led.Events(e.t.Context(), ledger.Query{Max: 1000})
	if err != nil {
		e.t.Fatal(err)
	}
	var got []string
	for _, x := range evs {
		got = append(got, strings.TrimSpace(string(x.Event.Site)+" "+string(x.Event.Kind)))
		if x.Event.Journal != ledger.JournalSOC || x.Late || x.Event.Clock != edge.ClockDrifting && x.Event.Clock != edge.ClockUnset && x.Event.Clock != edge.ClockSynced {
			e.t.Errorf("got %+v", x)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		e.t.Error(diff)
	}
}

func TestPresenceIsToldAndSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEstate(t)
		off := e.connect("0417", "broadband")
		mobile := e.connect("0417", "mobile")
		time.Sleep(time.Hour)
		e.wants()
		if paths := e.s.Paths("0417"); len(paths) != 2 || paths[0].Lost || paths[1].Lost {
			t.Errorf("paths are %+v", paths)
		}
		off()
		time.Sleep(31 * time.Second)
		want := []string{"0417 path-lost"}
		e.wants(want...)
		mobile()
		time.Sleep(31 * time.Second)
		want = append(want, "0417 site-lost", "0417 path-lost")
		e.wants(want...)
		e.stop()
		e.start()
		time.Sleep(time.Hour)
		e.wants(want...)
		if paths := e.s.Paths("0417"); len(paths) != 2 || !paths[0].Lost || !paths[1].Lost {
			t.Errorf("paths are %+v", paths)
		}
		off = e.connect("0417", "mobile")
		time.Sleep(time.Second)
		want = append(want, "0417 site-lost-restored", "0417 path-lost-restored")
		e.wants(want...)
		off()
		e.stop()
		e.end()
	})
}

func TestALossThatTheLedgerDoesNotTakeIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEstate(t)
		off := e.connect("0417", "")
		time.Sleep(time.Minute)
		off()
		e.disk.full.Store(true)
		time.Sleep(2 * time.Minute)
		e.wants()
		if n := e.disk.tries.Load(); n < 60 || n > 130 {
			t.Errorf("tried %d times", n)
		}
		e.disk.full.Store(false)
		time.Sleep(2 * time.Second)
		e.wants("0417 site-lost", "0417 path-lost")
		// Full again, and stopped before it is taken: the next run tells it.
		off = e.connect("0417", "")
		time.Sleep(time.Second)
		e.disk.full.Store(true)
		off()
		time.Sleep(time.Minute)
		e.stop()
		e.disk.full.Store(false)
		e.start()
		time.Sleep(2 * time.Minute)
		want := []string{"0417 site-lost", "0417 path-lost", "0417 site-lost-restored", "0417 path-lost-restored", "0417 site-lost", "0417 path-lost"}
		e.wants(want...)
		e.stop()
		e.end()
	})
}

func TestASiteThatNeverConnectedIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEstate(t)
		time.Sleep(time.Hour)
		e.wants()
		// One that a former program knew, without its paths.
		if _, err := e.led.Hello(t.Context(), ledger.Hello{Site: "0417", Journal: "j", At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		e.stop()
		e.start()
		time.Sleep(time.Hour)
		e.wants("0417 site-lost", "0417 path-lost")
		off := e.connect("0417", "broadband")
		time.Sleep(time.Hour)
		e.wants("0417 site-lost", "0417 path-lost", "0417 site-lost-restored", "0417 path-lost-restored")
		off()
		e.stop()
		e.end()
	})
}

func TestAnOutageIsOneEventInTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEstate(t)
		var off []func()
		for i := range 20 {
			off = append(off, e.connect(edge.SiteID("04"+string(rune('a'+i))), ""))
			time.Sleep(400 * time.Millisecond)
		}
		for _, f := range off {
			f()
		}
		time.Sleep(time.Minute)
		evs, err := e.led.Events(t.Context(), ledger.Query{Kind: edge.KindOutage, Max: 10})
		if err != nil || len(evs) != 1 {
			t.Fatal(evs, err)
		}
		// The amendments are folded into it.
		if x := evs[0].Event; x.Site != "" || !strings.Contains(x.Why, "20 of 20") || strings.Count(x.Text, "Shop") != 20 {
			t.Errorf("got %+v", x)
		}
		for i := range 20 {
			off[i] = e.connect(edge.SiteID("04"+string(rune('a'+i))), "")
		}
		time.Sleep(time.Minute)
		if evs, err := e.led.Events(t.Context(), ledger.Query{Lane: edge.Urgent, Max: 10}); err != nil || len(evs) != 0 {
			t.Errorf("urgent events are %+v, %v", evs, err)
		}
		if evs, err := e.led.Events(t.Context(), ledger.Query{Kind: edge.KindOutage.Restored(), Max: 10}); err != nil || len(evs) != 1 {
			t.Errorf("got %+v, %v", evs, err)
		}
		for _, f := range off {
			f()
		}
		e.stop()
		e.end()
	})
}
