package modbus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

func settingsOf(t testing.TB, slaves string) setting {
	t.Helper()
	s := panel.NewSettings(map[string]any{"slaves": jsonOf(t, slaves)})
	set := readSettings(s)
	for _, p := range s.Problems() {
		t.Errorf("%s: %s", p.Path, p.What)
	}
	return set
}

func jsonOf(t testing.TB, s string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}

// sink keeps signals as short texts: "+1-3" is active, "-1-3" inactive, "+1/fire" of a kind of its own; "!" is no state.
type sink struct {
	mu    sync.Mutex
	err   error
	said  []string
	sigs  []edge.Signal
	calls int
}

func (s *sink) Signal(_ context.Context, sigs ...edge.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.err != nil {
		return s.err
	}
	for _, sig := range sigs {
		s.said = append(s.said, short(sig))
		s.sigs = append(s.sigs, sig)
	}
	return nil
}

func short(sig edge.Signal) string {
	out := "-"
	if sig.Active || sig.Kind != "" && !sig.Kind.IsRestored() {
		out = "+"
	}
	if !sig.State {
		out = "!" + out
	}
	out += string(sig.Zone)
	if sig.Kind != "" {
		out += "/" + string(sig.Kind.Base())
	}
	if sig.Text != "" {
		out += ":" + sig.Text
	}
	return out
}

func (s *sink) Settle(context.Context) error { return nil }

func (s *sink) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *sink) tried() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// take returns what has come since the last call.
func (s *sink) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := strings.Join(s.said, " ")
	s.said = nil
	return out
}

// rig is a session on one end of a pipe.
type rig struct {
	t    testing.TB
	line net.Conn
	sink *sink
	g    errgroup.Group
	stop context.CancelFunc
	tcp  bool
	opt  panel.SessionOptions
}

func newRig(t testing.TB, kind panel.PortKind, settings string) *rig {
	t.Helper()
	s := &sink{}
	r := newRigWith(t, kind, settings, s)
	r.sink = s
	return r
}

func newRigWith(t testing.TB, kind panel.PortKind, settings string, to panel.Sink) *rig {
	t.Helper()
	m, _ := jsonOf(t, settings).(map[string]any)
	s := panel.NewSettings(m)
	opt := panel.SessionOptions{Panel: "p", Clock: edge.NewSystemClock(), Location: time.UTC, Log: slog.New(slog.DiscardHandler),
		Meter: &panel.Meter{}, Port: kind, Baud: 9600}
	n := newSession(s, opt)
	for _, p := range s.Problems() {
		if p.Path != "settings.baud" {
			t.Errorf("%s: %s", p.Path, p.What)
		}
	}
	ours, theirs := net.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	r := &rig{t: t, line: theirs, stop: stop, tcp: kind == panel.ModbusTCP, opt: opt}
	r.g.Go(func() error { return n.Run(ctx, ours, to) })
	return r
}

func (r *rig) close() error {
	r.stop()
	r.line.Close()
	return r.g.Wait()
}

// request waits for the next request and returns it in hex, without what differs from one to the next over TCP.
func (r *rig) request() string {
	r.t.Helper()
	b := make([]byte, requestLen)
	if r.tcp {
		b = make([]byte, mbapLen+5)
	}
	if _, err := io.ReadFull(r.line, b); err != nil {
		r.t.Errorf("no request: %v", err)
	}
	return fmt.Sprintf("% X", b)
}

func (r *rig) say(hex string) {
	r.t.Helper()
	if _, err := r.line.Write(unhex(r.t, hex)); err != nil {
		r.t.Errorf("the session does not listen: %v", err)
	}
}

// serve answers all requests with what f returns of them, until the line is closed; nil is no answer.
func (r *rig) serve(f func(req []byte) []byte) (wait func()) {
	var g errgroup.Group
	g.Go(func() error {
		b := make([]byte, requestLen)
		if r.tcp {
			b = make([]byte, mbapLen+5)
		}
		for {
			if _, err := io.ReadFull(r.line, b); err != nil {
				return nil
			}
			if a := f(b); a != nil {
				if _, err := r.line.Write(a); err != nil {
					return nil
				}
			}
		}
	})
	return func() { g.Wait() }
}

// modules are contact modules by address: which inputs are on. It may be changed at any time.
type modules struct {
	mu sync.Mutex
	on map[byte]byte
	// asked counts the requests of each.
	asked map[byte]int
}

func (m *modules) set(addr, on byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.on[addr] = on
}

func (m *modules) remove(addr byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.on, addr)
}

func (m *modules) answer(req []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asked == nil {
		m.asked = map[byte]int{}
	}
	m.asked[req[0]]++
	on, there := m.on[req[0]]
	if !there {
		return nil
	}
	return Frame{Addr: req[0], FC: ReadDiscreteInputs, Data: []byte{on}}.AppendRTU(nil)
}

func (m *modules) count(addr byte) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked[addr]
}

var errFull = errors.New("the disk is full")
