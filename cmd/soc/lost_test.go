package main

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/test/bufconn"

	"sitewatch/edge"
	"sitewatch/edge/journal"
	"sitewatch/uplink"
	"sitewatch/uplink/soc"
	"sitewatch/uplink/soc/ledger"
)

// bubbleClock is the bubble's time, moved to where certificates and events make sense.
type bubbleClock struct{ start time.Time }

func (c bubbleClock) Now() edge.Stamp {
	since := time.Since(c.start)
	return edge.Stamp{Wall: time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC).Add(since), Mono: time.Hour + since, Boot: "b", Synced: true}
}

// cable is a path that can be cut in silence: nothing is refused, nothing arrives.
type cable struct {
	ln  *bufconn.Listener
	cut atomic.Bool
}

func (c *cable) dial(ctx context.Context) (net.Conn, error) {
	if c.cut.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	conn, err := c.ln.DialContext(ctx)
	if err != nil {
		return nil, err
	}
	return &strand{Conn: conn, cable: c}, nil
}

// strand is one connection over a cable. One that was cut never works again: its bytes are gone.
type strand struct {
	net.Conn
	cable *cable
	dead  atomic.Bool
}

func (s *strand) Write(b []byte) (int, error) {
	if s.cable.cut.Load() || s.dead.Load() {
		s.dead.Store(true)
		return len(b), nil
	}
	return s.Conn.Write(b)
}

func (s *strand) Read(b []byte) (int, error) {
	for {
		n, err := s.Conn.Read(b)
		if err != nil || !s.cable.cut.Load() && !s.dead.Load() {
			return n, err
		}
		s.dead.Store(true)
	}
}

// TestABoxWithTwoPathsFallsSilent has a real box, with its journal and two paths, and a real receiver in simulated time.
func TestABoxWithTwoPathsFallsSilent(t *testing.T) {
	for name, beat := range map[string]time.Duration{"every 2 s": 2 * time.Second, "every 10 s": 10 * time.Second, "every minute": time.Minute} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { fallSilent(t, beat) }) })
	}
}

func fallSilent(t *testing.T, beat time.Duration) {
	log, clock := slog.New(slog.DiscardHandler), bubbleClock{time.Now()}
	data := t.TempDir()
	led, err := ledger.Open(t.Context(), ledger.Options{Path: filepath.Join(data, "ledger.db"), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := soc.New(soc.Options{Data: data, Clips: filepath.Join(data, "clips"), Ledger: led, Clock: clock, Log: log,
		Registry: prometheus.NewRegistry(), Heartbeat: beat, MinFreeBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	ln := bufconn.Listen(64 << 10)
	paths := map[string]*cable{"broadband": {ln: ln}, "mobile": {ln: ln}}
	ctx, cancel := context.WithCancel(context.Background())
	lctx, lcancel := context.WithCancel(context.Background())
	var wg, writer sync.WaitGroup
	writer.Go(func() { led.Run(lctx) })
	wg.Go(func() { srv.Run(ctx, ln) })
	wg.Go(func() { srv.RunPresence(ctx) })
	tok, err := soc.Claim(data, "0417", clock)
	if err != nil {
		t.Fatal(err)
	}
	id, err := uplink.Enrol(t.Context(), uplink.EnrolOptions{Dir: t.TempDir(), SOC: "soc:1", Token: tok.String(), Site: "0417", Clock: clock,
		Dial: func(ctx context.Context, _ string) (net.Conn, error) { return ln.DialContext(ctx) }})
	if err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(t.Context(), journal.Options{Dir: t.TempDir(), Site: "0417", Clock: clock, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	client := uplink.New(uplink.Options{Outbox: j, Files: j, Identity: id, Clock: clock, Log: log, Kind: "shop", PathLostAfter: 1000 * time.Hour,
		Paths: []uplink.Path{{Name: "broadband", SOC: []string{"broadband:1"}}, {Name: "mobile", SOC: []string{"mobile:1"}}},
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			name, _, _ := strings.Cut(addr, ":")
			return paths[name].dial(ctx)
		}})
	wg.Go(func() { j.Run(ctx) })
	wg.Go(func() { client.Run(ctx) })
	defer func() {
		cancel()
		wg.Wait()
		j.Close()
		lcancel()
		writer.Wait()
		led.Close()
	}()

	said := func() (out []string) {
		t.Helper()
		evs, err := led.Events(t.Context(), ledger.Query{Max: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range evs {
			if e.Event.Journal != ledger.JournalSOC {
				continue
			}
			out = append(out, string(e.Event.Kind))
			if e.Event.Kind == edge.KindSiteLost && e.Event.Lane != edge.Urgent {
				t.Errorf("%+v is not urgent", e.Event)
			}
		}
		return out
	}
	var want []string
	wants := func(within time.Duration, more ...string) {
		t.Helper()
		want = append(want, more...)
		began := time.Now()
		for !slices.Equal(said(), want) {
			if time.Since(began) > within {
				t.Fatalf("after %v the SOC says %v, want %v", within, said(), want)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	silence := 3 * beat
	back := 30*time.Second + beat // the box tries again every 15 s, and a try may take 10 s
	alarm := func() {
		t.Helper()
		seq, err := j.Append(t.Context(), edge.Event{Kind: edge.KindFire})
		if err != nil {
			t.Fatal(err)
		}
		for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			if u, err := j.Watermark(t.Context(), edge.Urgent); err == nil && u >= seq {
				return
			}
			if time.Since(began) > 5*time.Second {
				t.Fatal("an alarm is not acked while a path is up")
			}
		}
	}
	time.Sleep(10 * beat)
	alarm()
	wants(0)
	for _, p := range srv.Paths("0417") {
		if p.Lost {
			t.Errorf("the path %s is not connected", p.Name)
		}
	}
	paths["broadband"].cut.Store(true)
	alarm()
	wants(silence, "path-lost")
	alarm()
	paths["broadband"].cut.Store(false)
	wants(back+silence, "path-lost-restored")
	time.Sleep(10 * beat)
	wants(0)
	paths["broadband"].cut.Store(true)
	paths["mobile"].cut.Store(true)
	wants(silence+beat, "site-lost", "path-lost", "path-lost")
	time.Sleep(time.Hour)
	wants(0)
	paths["mobile"].cut.Store(false)
	wants(back, "site-lost-restored", "path-lost-restored")
	alarm()
	paths["broadband"].cut.Store(false)
	wants(back+silence, "path-lost-restored")
}
