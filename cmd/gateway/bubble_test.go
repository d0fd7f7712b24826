package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/test/bufconn"

	"sitewatch/edge"
	"sitewatch/edge/config"
	"sitewatch/uplink"
	"sitewatch/uplink/soc"
	"sitewatch/uplink/soc/ledger"
)

// steppedClock is a clock for a synctest bubble, which begins in the year 2000: its wall clock goes on from the moment at which
// it was made outside, and may be stepped.
type steppedClock struct {
	base  time.Time
	mu    sync.Mutex
	begin time.Time // of the bubble; zero outside of it
	step  time.Duration
}

func (c *steppedClock) Now() edge.Stamp {
	c.mu.Lock()
	defer c.mu.Unlock()
	var since time.Duration
	if !c.begin.IsZero() {
		since = time.Since(c.begin)
	}
	return edge.Stamp{Wall: c.base.Add(since + c.step).UTC(), Mono: time.Hour + since, Boot: "boot-1", Synced: c.step == 0}
}

func (c *steppedClock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.step += d
}

// wireLine is the line between box and SOC, in memory, with what can be done to it.
type wireLine struct {
	mu   sync.Mutex
	ln   *bufconn.Listener // nil: nobody is there
	deaf bool              // nothing that the SOC says arrives
	mute bool              // nothing that the box says arrives
	left int64             // bytes until the line breaks, both ways counted; 0: it holds
	open map[*lineConn]bool
}

type lineConn struct {
	net.Conn
	w *wireLine
}

func (w *wireLine) dial(ctx context.Context, _ string) (net.Conn, error) {
	w.mu.Lock()
	ln := w.ln
	w.mu.Unlock()
	if ln == nil {
		return nil, errors.New("no route to host")
	}
	c, err := ln.DialContext(ctx)
	if err != nil {
		return nil, err
	}
	lc := &lineConn{c, w}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[lc] = true
	return lc, nil
}

// cut breaks every connection.
func (w *wireLine) cut() {
	w.mu.Lock()
	all := w.open
	w.open = map[*lineConn]bool{}
	w.deaf, w.mute = false, false
	w.mu.Unlock()
	for c := range all {
		c.Conn.Close()
	}
}

func (w *wireLine) set(f func(w *wireLine)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w)
}

// pass says what becomes of n bytes in one direction.
func (w *wireLine) pass(n int, out bool) (drop, broken bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left > 0 {
		if w.left -= int64(n); w.left <= 0 {
			w.left = 0
			return true, true
		}
	}
	return out && w.mute || !out && w.deaf, false
}

func (c *lineConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil {
			return n, err
		}
		drop, broken := c.w.pass(n, false)
		if broken {
			c.Conn.Close()
			return 0, io.ErrUnexpectedEOF
		}
		if !drop {
			return n, nil
		}
	}
}

func (c *lineConn) Write(b []byte) (int, error) {
	drop, broken := c.w.pass(len(b), true)
	if broken {
		c.Conn.Close()
		return 0, io.ErrClosedPipe
	}
	if drop {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *lineConn) Close() error {
	c.w.set(func(w *wireLine) { delete(w.open, c) })
	return c.Conn.Close()
}

// rig is a whole box and a whole SOC in one process: journal, desk, uplink, receiver and ledger are the real ones; the panel is
// the test, the line is in memory.
type rig struct {
	t     *testing.T
	dir   string
	cfg   *config.Gateway
	id    *uplink.Identity
	clock *steppedClock
	line  *wireLine

	box     *box
	stopBox func()
	led     *ledger.SQLite
	srv     *soc.Server
	stopSOC func()

	said  int
	acked []edge.Signal
}

// newRig makes the files and the box's identity, outside of the bubble: enrolment needs a socket.
func newRig(t *testing.T, more string) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), clock: &steppedClock{base: time.Now()}, line: &wireLine{open: map[*lineConn]bool{}}}
	path := filepath.Join(r.dir, "gateway.yaml")
	yaml := fmt.Sprintf(`site: {id: "0417", name: Test Street, kind: shop, timezone: Europe/London}
data: "%s/gateway"
listen: 127.0.0.1:8480
panels:
  - {id: intruder, driver: galaxy-sia, port: "%s/panel", settings: {baud: 9600, format: 8N1, rs485: auto, ack_form: plain},
     zones: {"1011": {name: Stock room, kind: intruder, partition: "1", route: interior}}}
uplink: {soc: "soc.test:7443"}
%s`, r.dir, r.dir, more)
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, problems := config.LoadGateway(path)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	r.cfg = cfg
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.startSOC(ln)
	defer func() { r.stopSOC() }()
	token, err := soc.Claim(filepath.Join(r.dir, "soc"), "0417", r.clock)
	if err != nil {
		t.Fatal(err)
	}
	if r.id, err = uplink.Enrol(t.Context(), uplink.EnrolOptions{Dir: identityDir(cfg), SOC: ln.Addr().String(), Token: token.String(), Site: "0417", Clock: r.clock}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) log() *slog.Logger {
	if testing.Verbose() && os.Getenv("SITEWATCH_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(r.t.Output(), nil))
	}
	return slog.New(slog.DiscardHandler)
}

// startSOC starts the receiver on ln; nil: on the line.
func (r *rig) startSOC(ln net.Listener) {
	r.t.Helper()
	if ln == nil {
		b := bufconn.Listen(64 << 10)
		r.line.set(func(w *wireLine) { w.ln = b })
		ln = b
	}
	data := filepath.Join(r.dir, "soc")
	if err := os.MkdirAll(data, 0o700); err != nil {
		r.t.Fatal(err)
	}
	var err error
	if r.led, err = ledger.Open(context.Background(), ledger.Options{Path: filepath.Join(data, "ledger.db"), Log: r.log()}); err != nil {
		r.t.Fatal(err)
	}
	if r.srv, err = soc.New(soc.Options{Data: data, Clips: filepath.Join(data, "clips"), Ledger: r.led, Clock: r.clock, Log: r.log(),
		Registry: prometheus.NewRegistry(), MinFreeBytes: 1}); err != nil {
		r.t.Fatal(err)
	}
	sctx, sstop := context.WithCancel(context.Background())
	lctx, lstop := context.WithCancel(context.Background())
	var swg, lwg sync.WaitGroup
	led, srv := r.led, r.srv
	lwg.Go(func() { led.Run(lctx) })
	swg.Go(func() {
		if err := srv.Run(sctx, ln); err != nil {
			r.t.Errorf("receiver: %v", err)
		}
	})
	r.stopSOC = func() {
		r.line.set(func(w *wireLine) { w.ln = nil })
		sstop()
		swg.Wait()
		lstop()
		lwg.Wait()
		if err := led.Close(); err != nil {
			r.t.Error(err)
		}
	}
}

func (r *rig) startBox() {
	r.t.Helper()
	var err error
	if r.box, err = newBox(context.Background(), r.cfg, r.clock, r.log()); err != nil {
		r.t.Fatal(err)
	}
	b := r.box
	client := uplink.New(uplink.Options{Outbox: b.journal, Files: b.journal, Identity: r.id, Paths: b.paths(), Clock: r.clock, Log: r.log(),
		Kind: "shop", Name: "Test Street", Version: "test", Report: b.desk.Report, Command: b.command, LostPaths: b.lostPaths(), Dial: r.line.dial})
	b.client.Store(client)
	jctx, jstop := context.WithCancel(context.Background())
	cctx, cstop := context.WithCancel(context.Background())
	var jwg, cwg sync.WaitGroup
	jwg.Go(func() {
		if err := b.journal.Run(jctx); err != nil {
			r.t.Errorf("journal: %v", err)
		}
	})
	cwg.Go(func() {
		if err := client.Run(cctx); err != nil {
			r.t.Errorf("uplink: %v", err)
		}
	})
	r.stopBox = func() {
		cstop()
		cwg.Wait()
		jstop()
		jwg.Wait()
		if err := b.journal.Close(); err != nil {
			r.t.Error(err)
		}
	}
}

// signal is the next thing that the panel says: mostly an alarm, now and then a fault.
func (r *rig) signal() edge.Signal {
	r.said++
	raw := fmt.Appendf(nil, "block %d", r.said)
	s := edge.Signal{Panel: "intruder", Code: "BA", Kind: edge.KindIntruder, Zone: edge.ZoneID(fmt.Sprint(1000 + r.said)), Key: raw, Raw: raw, At: r.clock.Now()}
	if r.said%4 == 0 {
		s.Code, s.Kind = "BT", edge.Kind("zone-fault")
	}
	return s
}

func (r *rig) events() []ledger.Event {
	r.t.Helper()
	evs, err := r.led.Events(context.Background(), ledger.Query{Max: 100_000})
	if err != nil {
		r.t.Fatal(err)
	}
	return evs
}

func (r *rig) count(k edge.Kind) (n int) {
	for _, e := range r.events() {
		if e.Event.Kind == k {
			n++
		}
	}
	return n
}

// delivered says whether the SOC has everything that the box has journalled.
func (r *rig) delivered() bool {
	for _, lane := range edge.EventLanes {
		at, err := r.box.journal.Watermark(context.Background(), lane)
		if err != nil {
			r.t.Fatal(err)
		}
		more, err := r.box.journal.Read(context.Background(), lane, at, 1)
		if err != nil {
			r.t.Fatal(err)
		}
		if len(more) > 0 {
			return false
		}
	}
	return true
}
