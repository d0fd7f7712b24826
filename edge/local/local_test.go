package local

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
)

func TestMain(m *testing.M) { edgetest.Main(m) }

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func status() Status {
	return Status{
		Site: "0417", SiteName: "Demo <High> Street", Version: "v1", Started: now.Add(-3 * time.Hour),
		Clock:   Clock{Now: now, State: edge.ClockSynced, Boot: "b"},
		Panels:  []Panel{{ID: "intruder", Driver: "galaxy-sia", Port: "/dev/x", State: StateLost, Reason: "unplugged", Frames: 7, Rejects: 1, Noise: 2048, Faulty: true, History: []Minute{{Good: 3, Bad: 1}}, LastFrame: now.Add(-5 * time.Minute)}},
		Cameras: []Camera{{ID: "door", Name: "Door", State: StateConnected, Codec: "H264", LastPicture: now.Add(-time.Second), RingBytes: 3 << 20, RingSeconds: 12.3}},
		Uplink: Uplink{SOC: "soc:7443", State: StateStarting, Paths: []Path{
			{Name: "broadband", Interface: "eth0", SOC: "soc:7443", State: StateLost, Reason: "no route"},
			{Name: "mobile", SOC: "soc-2:7443", State: StateConnected, RTT: 81.6, Events: true}}},
		Journal: Journal{ID: "j", LastSeq: 42, Bytes: 4096, LimitBytes: 1 << 30, Watermarks: map[string]edge.Seq{"urgent": 40}, Waiting: map[string]uint64{"urgent": 1}},
		Disk:    Disk{Path: "/data", FreeBytes: 5 << 30, TotalBytes: 10 << 30},
	}
}

// serve runs a server for the length of the test and returns its address.
func serve(t *testing.T, change func(*Options)) string {
	t.Helper()
	reg := prometheus.NewRegistry()
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "sitewatch_test_total", Help: "A test."})
	c.Add(3)
	reg.MustRegister(c)
	addr := make(chan string, 1)
	o := Options{
		Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler), Metrics: reg,
		Status:    func(context.Context) (Status, error) { return status(), nil },
		Health:    func(context.Context) []string { return nil },
		Motions:   func(context.Context, MotionQuery) ([]Motion, error) { return nil, nil },
		Listening: func(a net.Addr) { addr <- a.String() },
	}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(time.Minute):
			t.Error("Run did not return")
		}
	})
	select {
	case a := <-addr:
		return a
	case err := <-done:
		done <- nil
		t.Fatalf("Run: %v", err)
	}
	return ""
}

// get asks on a connection of its own; host "" is the address.
func get(t *testing.T, method, addr, path, host string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		req.Host = host
	}
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: tr, Timeout: time.Minute}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

func TestStatusIsJSON(t *testing.T) {
	addr := serve(t, nil)
	code, h, body := get(t, "GET", addr, "/api/v1/status", "")
	if code != 200 || h.Get("Content-Type") != "application/json" {
		t.Errorf("got %d, %q", code, h.Get("Content-Type"))
	}
	var got Status
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := status()
	want.tidy()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("status (-want +got):\n%s", d)
	}
	for _, part := range []string{`"last_frame_at": "2026-11-23T11:55:00.000Z"`, `"tasks": []`, `"clips": {}`, `"watermarks": {`, `"free_bytes": 5368709120`, `"version": "v1"`} {
		if !strings.Contains(body, part) {
			t.Errorf("status lacks %s:\n%s", part, body)
		}
	}
}

// A reader of the JSON finds every time where it belongs, in one form, whatever the box's zone is.
func TestTimesOfStatus(t *testing.T) {
	at := time.Date(2026, 11, 23, 14, 0, 0, 7_999_999, time.FixedZone("", 2*3600))
	full := Status{Started: at, Clock: Clock{Now: at}, Panels: []Panel{{ID: "p", LastFrame: at}}, Cameras: []Camera{{ID: "c", LastPicture: at, Recording: Recording{Oldest: at, Newest: at, Synced: at}}}, Uplink: Uplink{SOC: "s:1", Since: at, CertificateEnds: at}}
	unset := Status{Panels: []Panel{{ID: "p"}}, Cameras: []Camera{{ID: "c"}}, Uplink: Uplink{SOC: "s:1"}}
	for _, tt := range []struct {
		name string
		give Status
		text string
		back time.Time
	}{
		{"known", full, "2026-11-23T12:00:00.007Z", at.Truncate(time.Millisecond)},
		{"not known yet", unset, "", time.Time{}},
	} {
		addr := serve(t, func(o *Options) { o.Status = func(context.Context) (Status, error) { return tt.give, nil } })
		_, _, body := get(t, "GET", addr, "/api/v1/status", "")
		for _, key := range []string{"started_at", "now", "last_frame_at", "last_picture_at", "oldest_at", "newest_at", "synced_at", "since", "certificate_ends_at"} {
			if want := fmt.Sprintf("%q: %q", key, tt.text); strings.Count(body, fmt.Sprintf("%q:", key)) != 1 || !strings.Contains(body, want) {
				t.Errorf("%s: want %s once in\n%s", tt.name, want, body)
			}
		}
		var got Status
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		want := tt.give
		want.tidy()
		want.Started, want.Clock.Now, want.Uplink.Since, want.Uplink.CertificateEnds = tt.back, tt.back, tt.back, tt.back
		want.Panels, want.Cameras = []Panel{{ID: "p", LastFrame: tt.back, History: []Minute{}}}, []Camera{{ID: "c", Advice: []string{}, LastPicture: tt.back, Recording: Recording{Oldest: tt.back, Newest: tt.back, Synced: tt.back}}}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: read again (-want +got):\n%s", tt.name, d)
		}
	}
	// An older box leaves out what it does not know, and gives other fractions of a second.
	var old Status
	if err := json.Unmarshal([]byte(`{"panels":[{"id":"p"}],"uplink":{"since":"2026-11-23T12:00:00Z"}}`), &old); err != nil || !old.Uplink.Since.Equal(now) || !old.Panels[0].LastFrame.IsZero() {
		t.Errorf("an older box's: %+v, %v", old, err)
	}
	if err := json.Unmarshal([]byte(`{"uplink":{"since":"yesterday"}}`), &old); err == nil {
		t.Error("yesterday was read as a time")
	}
}

func TestPageForTheInstaller(t *testing.T) {
	addr := serve(t, func(o *Options) {
		o.Health = func(context.Context) []string { return []string{"panel intruder is lost"} }
	})
	code, h, body := get(t, "GET", addr, "/", "")
	if code != 200 || !strings.HasPrefix(h.Get("Content-Type"), "text/html") {
		t.Errorf("got %d, %q", code, h.Get("Content-Type"))
	}
	for _, part := range []string{"Demo &lt;High&gt; Street (0417)", "panel intruder is lost", "lost: unplugged", "5 min ago", "<td>2 KiB</td>", `<svg class="line"`, "0 min ago: 3 good, 1 bad", "bad line: 25.0 % bad", "12.3 s, 3 MiB", "not enrolled", ">lost</span>: no route, by eth0, to soc:7443", "to soc-2:7443, 82 ms, carries events<", "5 GiB free of 10 GiB", "since never"} {
		if !strings.Contains(body, part) {
			t.Errorf("page lacks %q:\n%s", part, body)
		}
	}
	if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("Content-Security-Policy: got %q", csp)
	}
}

func TestHealth(t *testing.T) {
	var ill atomic.Bool
	addr := serve(t, func(o *Options) {
		o.Health = func(context.Context) []string {
			if ill.Load() {
				return []string{"journal: disk full", "clock is not set"}
			}
			return nil
		}
	})
	if code, _, body := get(t, "GET", addr, "/healthz", ""); code != 200 || body != "ok\n" {
		t.Errorf("well: got %d, %q", code, body)
	}
	ill.Store(true)
	if code, _, body := get(t, "GET", addr, "/healthz", ""); code != 503 || body != "journal: disk full\nclock is not set\n" {
		t.Errorf("ill: got %d, %q", code, body)
	}
}

func TestMetrics(t *testing.T) {
	addr := serve(t, nil)
	if code, _, body := get(t, "GET", addr, "/metrics", ""); code != 200 || !strings.Contains(body, "sitewatch_test_total 3\n") {
		t.Errorf("got %d, %q", code, body)
	}
}

func TestWhatIsRefused(t *testing.T) {
	addr := serve(t, nil)
	for _, tt := range []struct {
		name, method, path, host string
		want                     int
	}{
		{"another site's name that resolves to loopback", "GET", "/api/v1/status", "evil.example", 421},
		{"the same with a port", "GET", "/healthz", "evil.example:8480", 421},
		{"a name that begins like localhost", "GET", "/", "localhost.evil.example", 421},
		{"an address that is not loopback", "GET", "/", "192.168.1.5:8480", 421},
		{"localhost through ssh -L", "GET", "/", "localhost:9000", 200},
		{"IPv6 loopback", "GET", "/", "[::1]:9000", 200},
		{"IPv6 loopback without a port", "GET", "/", "[::1]", 200},
		{"HEAD", "HEAD", "/api/v1/status", "", 200},
		{"POST", "POST", "/api/v1/status", "", 405},
		{"DELETE", "DELETE", "/", "", 405},
		{"an unknown page", "GET", "/etc/passwd", "", 404},
		{"a path out of the root", "GET", "/../../etc/passwd", "", 404},
	} {
		code, _, _ := get(t, tt.method, addr, tt.path, tt.host)
		if code != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, code, tt.want)
		}
	}
}

func TestStatusFails(t *testing.T) {
	addr := serve(t, func(o *Options) {
		o.Status = func(context.Context) (Status, error) { return Status{}, errors.New("journal: database is locked") }
	})
	for _, path := range []string{"/api/v1/status", "/"} {
		if code, _, body := get(t, "GET", addr, path, ""); code != 500 || !strings.Contains(body, `"error": "journal: database is locked"`) {
			t.Errorf("%s: got %d, %q", path, code, body)
		}
	}
}

// A request that waits must not keep the box from stopping, and sees its context end.
func TestStopWhileARequestWaits(t *testing.T) {
	entered, left := make(chan struct{}), make(chan struct{})
	addr := make(chan string, 1)
	s, err := New(Options{
		Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
		Status: func(ctx context.Context) (Status, error) {
			close(entered)
			<-ctx.Done()
			close(left)
			return Status{}, ctx.Err()
		},
		Health:    func(context.Context) []string { return nil },
		Motions:   func(context.Context, MotionQuery) ([]Motion, error) { return nil, nil },
		Listening: func(a net.Addr) { addr <- a.String() },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	conn, err := net.Dial("tcp", <-addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
	<-entered
	cancel()
	<-left
	if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != 500 {
		t.Errorf("the waiting request: got %v, %v, want an answer", resp, err)
	}
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := Options{Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
		Status: func(context.Context) (Status, error) { return Status{}, nil }, Health: func(context.Context) []string { return nil },
		Motions: func(context.Context, MotionQuery) ([]Motion, error) { return nil, nil }}
	for _, listen := range []string{"0.0.0.0:8480", ":8480", "192.168.1.5:80", "localhost", "", "evil.example:80"} {
		o := good
		o.Listen = listen
		if _, err := New(o); err == nil {
			t.Errorf("listen on %q was accepted", listen)
		}
	}
	o := good
	o.Health = nil
	if _, err := New(o); err == nil {
		t.Error("options without Health were accepted")
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	o = good
	o.Listen = taken.Addr().String()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(context.Background()); err == nil || edge.HintOf(err) == "" {
		t.Errorf("an address in use: got %v, want an error with a hint", err)
	}
}

func TestWords(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0 s ago", 90 * time.Second: "90 s ago", 3 * time.Minute: "3 min ago", 5 * time.Hour: "5 h ago", 72 * time.Hour: "3 days ago", -time.Hour: "2026-11-23 13:00:00 UTC"} {
		if got := ago(now, now.Add(-d)); got != want {
			t.Errorf("ago %v: got %q, want %q", d, got, want)
		}
	}
	for v, want := range map[any]string{int64(0): "0 B", uint64(1536): "1.5 KiB", int64(20 << 30): "20 GiB", uint64(3 << 40): "3 TiB"} {
		if got := byteCount(v); got != want {
			t.Errorf("%v bytes: got %q, want %q", v, got, want)
		}
	}
}
