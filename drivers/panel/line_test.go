package panel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sync/errgroup"

	"sitewatch/edge"
)

// echo is a driver that answers each chunk with the same bytes and counts it as a frame; "quit" ends the session, "what"
// is not understood.
var echo = Driver{
	Name: "echo", Title: "Echo", Ports: []PortKind{Serial, TCPListen, TCPDial}, Line: LineFormat{Baud: 9600, Format: "8N1"},
	New: func(s *Settings, o SessionOptions) Session {
		s.Choice("mood", "good", "bad")
		return echoSession{o}
	},
}

type echoSession struct{ o SessionOptions }

func (e echoSession) Run(ctx context.Context, port Port, sink Sink) error {
	return RunPump(ctx, port, e.o.Clock, func(ctx context.Context, in <-chan Chunk) error {
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case c, ok := <-in:
				if !ok {
					return nil
				}
				switch string(c.Bytes()) {
				case "quit":
					return errors.New("told to quit")
				case "what":
					return fmt.Errorf("what: %w", ErrNotUnderstood)
				}
				e.o.Meter.Frame(c.At)
				if _, err := port.Write(c.Bytes()); err != nil {
					return err
				}
			}
		}
	})
}

type noSink struct{}

func (noSink) Signal(context.Context, ...edge.Signal) error { return nil }
func (noSink) Settle(context.Context) error                 { return nil }

// reports keeps what a line reports; refuse makes the journal fail first.
type reports struct {
	mu     sync.Mutex
	refuse int
	kinds  []edge.Kind
	whys   []string
}

func (r *reports) report(_ context.Context, ev edge.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse > 0 {
		r.refuse--
		return errors.New("the disk is full")
	}
	if ev.Panel != "p" || ev.Occurred.IsZero() || ev.Why == "" {
		return fmt.Errorf("incomplete event %+v", ev)
	}
	r.kinds, r.whys = append(r.kinds, ev.Kind), append(r.whys, ev.Why)
	return nil
}

func (r *reports) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprint(r.kinds)
}

func startLine(t *testing.T, port string, settings map[string]any, r *reports, wasLost bool) *Line {
	t.Helper()
	l, err := NewLine(LineOptions{
		Panel: "p", Driver: echo, Port: port, Settings: settings, Sink: noSink{}, Report: r.report, Lost: wasLost,
		Clock: edge.NewSystemClock(), Log: slog.New(slog.DiscardHandler), Location: time.UTC,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error { return l.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Errorf("line: %v", err)
		}
	})
	return l
}

func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for range 12000 {
		if cond() {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Fatalf("two minutes and not yet: %s", what)
}

func TestUnpluggedIsReportedAndSoIsItsReturn(t *testing.T) {
	link := filepath.Join(t.TempDir(), "panel")
	plug := func() (master *os.File) {
		m, s, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		os.Remove(link)
		if err := os.Symlink(s.Name(), link); err != nil {
			t.Fatal(err)
		}
		return m
	}
	var r reports
	m := plug()
	l := startLine(t, link, nil, &r, false)
	until(t, "connected", func() bool { return l.Stats().State == Connected })
	m.Write([]byte("hello"))
	b := make([]byte, 5)
	if _, err := m.Read(b); err != nil || string(b) != "hello" {
		t.Fatalf("read %q, %v", b, err)
	}
	m.Close()
	os.Remove(link)
	until(t, "lost", func() bool { return r.text() == "[panel-lost]" })
	if s := l.Stats(); s.State != Lost || s.Reason == "" || s.Frames != 1 {
		t.Errorf("stats %+v", s)
	}
	m = plug()
	defer m.Close()
	until(t, "back", func() bool { return r.text() == "[panel-lost panel-lost-restored]" })
	if !strings.Contains(r.whys[0], "unplugged") {
		t.Errorf("why: %q, want that the adapter is unplugged", r.whys[0])
	}
}

func TestAbsentFromTheStart(t *testing.T) {
	r := reports{refuse: 2} // the journal's trouble delays the report and does not lose it
	startLine(t, filepath.Join(t.TempDir(), "none"), nil, &r, false)
	until(t, "lost", func() bool { return r.text() == "[panel-lost]" })
	if !strings.Contains(r.whys[0], "plug the adapter in") {
		t.Errorf("why: %q, want what to do", r.whys[0])
	}
}

func TestLostInAnEarlierRun(t *testing.T) {
	m, s, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	defer s.Close()
	var r reports
	startLine(t, s.Name(), nil, &r, true)
	until(t, "back", func() bool { return r.text() == "[panel-lost-restored]" })
}

func TestSilenceIsReported(t *testing.T) {
	m, s, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	defer s.Close()
	var r reports
	startLine(t, s.Name(), map[string]any{"silence": "300ms"}, &r, false)
	until(t, "lost", func() bool { return r.text() == "[panel-lost]" })
	m.Write([]byte("hello"))
	until(t, "back", func() bool { return strings.HasPrefix(r.text(), "[panel-lost panel-lost-restored") })
}

func dialLine(t *testing.T, l *Line) net.Conn {
	t.Helper()
	until(t, "listening", func() bool { return l.Stats().Address != "" })
	c, err := net.Dial("tcp", l.Stats().Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func ask(t *testing.T, c net.Conn, say string) error {
	t.Helper()
	stop := time.AfterFunc(time.Minute, func() { c.Close() })
	defer stop.Stop()
	if _, err := c.Write([]byte(say)); err != nil {
		return err
	}
	b := make([]byte, 64)
	n, err := c.Read(b)
	if err == nil && string(b[:n]) != say {
		t.Errorf("said %q, heard %q", say, b[:n])
	}
	return err
}

func TestListen(t *testing.T) {
	var r reports
	l := startLine(t, "tcp-listen://127.0.0.1:0", nil, &r, false)
	// Idle and dead connections never keep a delivering panel out.
	var idle []net.Conn
	for range 3 * maxConnections {
		idle = append(idle, dialLine(t, l))
	}
	c := dialLine(t, l)
	if err := ask(t, c, "hello"); err != nil {
		t.Fatalf("the newest of many connections: %v", err)
	}
	until(t, "at most four", func() bool { return l.Stats().Connections <= maxConnections })
	if err := ask(t, idle[0], "x"); err == nil {
		t.Error("the quietest connection is still served")
	}
	// The panel goes, and comes back to deliver: no loss.
	c.Close()
	c = dialLine(t, l)
	if err := ask(t, c, "again"); err != nil {
		t.Fatal(err)
	}
	if err := ask(t, c, "quit"); err == nil {
		t.Error("a session that has ended left its connection open")
	}
	if got := r.text(); got != "[]" {
		t.Errorf("reports %s: a panel that only connects to deliver is not lost", got)
	}
	// One that speaks and is not understood is lost until a good frame comes, not until it connects again.
	ask(t, dialLine(t, l), "what")
	until(t, "lost", func() bool { return r.text() == "[panel-lost]" })
	c = dialLine(t, l)
	until(t, "served", func() bool { return l.Stats().Connections > 0 })
	if got := r.text(); got != "[panel-lost]" {
		t.Errorf("reports %s after a mere connection", got)
	}
	if err := ask(t, c, "hello"); err != nil {
		t.Fatal(err)
	}
	until(t, "back", func() bool { return r.text() == "[panel-lost panel-lost-restored]" })
}

func TestListenWhereAnotherListens(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var r reports
	l := startLine(t, "tcp-listen://"+lis.Addr().String(), nil, &r, false)
	until(t, "lost", func() bool { return r.text() == "[panel-lost]" })
	lis.Close()
	until(t, "back", func() bool { return r.text() == "[panel-lost panel-lost-restored]" })
	if err := ask(t, dialLine(t, l), "hello"); err != nil {
		t.Error(err)
	}
}

func TestDial(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := lis.Addr().String()
	var r reports
	l := startLine(t, "tcp://"+addr, nil, &r, false)
	c, err := lis.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := ask(t, c, "hello"); err != nil {
		t.Fatal(err)
	}
	lis.Close()
	c.Close()
	until(t, "lost", func() bool { return r.text() == "[panel-lost]" })
	if lis, err = net.Listen("tcp", addr); err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	until(t, "back", func() bool { return r.text() == "[panel-lost panel-lost-restored]" })
	if s := l.Stats(); s.State != Connected || s.Reason != "" {
		t.Errorf("stats %+v", s)
	}
}

func TestCheck(t *testing.T) {
	ok := map[string]any{"baud": 9600, "format": "8N1", "rs485": "auto", "mood": "bad", "silence": "25h"}
	for name, tt := range map[string]struct {
		port     string
		settings map[string]any
		want     []string // paths
	}{
		"all good":            {"/dev/ttyUSB0", ok, nil},
		"listen":              {"tcp-listen://0.0.0.0:10002", nil, nil},
		"listen on all":       {"tcp-listen://:10002", nil, nil},
		"dial":                {"tcp://moxa.example:4001", nil, nil},
		"IPv6":                {"tcp://[::1]:4001", nil, nil},
		"relative path":       {"ttyUSB0", nil, []string{"port"}},
		"nothing":             {"", nil, []string{"port"}},
		"other scheme":        {"http://x:1", nil, []string{"port"}},
		"no port":             {"tcp://host", nil, []string{"port"}},
		"port too big":        {"tcp-listen://0.0.0.0:65536", nil, []string{"port"}},
		"port 0":              {"tcp-listen://0.0.0.0:0", nil, []string{"port"}},
		"dial without a host": {"tcp://:1", nil, []string{"port"}},
		"NUL in the path":     {"/dev/\x00", nil, []string{"port"}},
		"everything is wrong": {"x", map[string]any{"baud": 1, "format": "9X9", "rs485": "maybe", "mood": "sad", "silence": "long", "zzz": 1, "aaa": nil},
			[]string{"port", "settings.silence", "settings.baud", "settings.format", "settings.rs485", "settings.mood", "settings.aaa", "settings.zzz"}},
		"wrong types":    {"/dev/x", map[string]any{"baud": "9600", "format": 81, "silence": 5}, []string{"settings.baud", "settings.format", "settings.silence"}},
		"YAML's numbers": {"/dev/x", map[string]any{"baud": uint64(9600), "rs485": true}, nil},
	} {
		got := Check(echo, tt.port, tt.settings)
		paths := map[string]bool{}
		for _, p := range got {
			paths[p.Path] = true
			if p.What == "" || p.Hint == "" {
				t.Errorf("%s: %+v lacks what is wrong or what to do", name, p)
			}
		}
		for _, w := range tt.want {
			if !paths[w] {
				t.Errorf("%s: no problem with %s in %+v", name, w, got)
			}
		}
		if len(got) != len(tt.want) {
			t.Errorf("%s: %d problems, want %d: %+v", name, len(got), len(tt.want), got)
		}
	}
}

func TestRegistry(t *testing.T) {
	var r Registry
	r.Register(echo)
	if d, ok := r.Driver("echo"); !ok || d.Title != "Echo" {
		t.Errorf("got %+v, %v", d, ok)
	}
	if _, ok := r.Driver("none"); ok || len(r.Names()) != 1 {
		t.Errorf("names %v", r.Names())
	}
	defer func() {
		if recover() == nil {
			t.Error("a second driver of the same name was taken")
		}
	}()
	r.Register(echo)
}
