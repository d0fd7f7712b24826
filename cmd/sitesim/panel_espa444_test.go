package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/drivers/espa444"
	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

// espaSink keeps what the driver brings, once each, as the desk does.
type espaSink struct {
	mu      sync.Mutex
	refuse  bool
	sigs    []edge.Signal
	last    []byte
	settled bool
}

func (s *espaSink) Signal(_ context.Context, sigs ...edge.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse {
		return errors.New("the disk is full")
	}
	for _, sig := range sigs {
		if s.settled || string(sig.Key) != string(s.last) {
			s.sigs = append(s.sigs, sig)
		}
		s.last, s.settled = sig.Key, false
	}
	return nil
}

func (s *espaSink) Settle(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled = true
	return nil
}

func (s *espaSink) said() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sig := range s.sigs {
		out = append(out, fmt.Sprintf("%s zone %s: %s", sig.Kind, sig.Zone, sig.Text))
	}
	return out
}

// espaBench is a panel and the real driver on one line.
type espaBench struct {
	*espaPeer
	sink *espaSink
	stop context.CancelFunc
	g    errgroup.Group
}

func newEspaBench(t *testing.T, o espaOptions, settings map[string]any, line func(net.Conn) io.ReadWriteCloser) *espaBench {
	ours, theirs := net.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	b := &espaBench{espaPeer: newEspaPeer(o), sink: &espaSink{}, stop: stop}
	s := espa444.Driver.New(panel.NewSettings(settings), panel.SessionOptions{
		Panel: "fire", Clock: edge.NewSystemClock(), Location: time.UTC, Log: slog.New(slog.DiscardHandler)})
	b.g.Go(func() error { s.Run(ctx, ours, b.sink); return nil })
	b.g.Go(func() error { b.Run(ctx, line(theirs)); return nil })
	return b
}

func (b *espaBench) end() {
	b.stop()
	b.g.Wait()
}

func asItIs(c net.Conn) io.ReadWriteCloser { return c }

func (b *espaBench) do(t *testing.T, line string) {
	t.Helper()
	if err := b.Do(strings.Fields(line)); err != nil {
		t.Errorf("%s: %v", line, err)
	}
}

func TestEspaPeerAndDriver(t *testing.T) {
	var _ peer = newEspaPeer(espaOptions{})
	synctest.Test(t, func(t *testing.T) {
		b := newEspaBench(t, espaOptions{}, map[string]any{"rules": []any{map[string]any{"match": "^HEAT (?P<zone>[0-9]+)", "kind": "fire"}}}, asItIs)
		time.Sleep(10*time.Second + time.Millisecond)
		if c := b.Counts(); c.Polls < 10 || c.Answered != c.Polls {
			t.Errorf("in 10 s %d polls, %d answered", c.Polls, c.Answered)
		}
		for _, line := range []string{"call 3 1 FIRE ZONE 03 STOCKROOM", "to 77 3 3 HEAT 12", "call 3 2 FAULT ZONE 02 LOOP 1", "call 1 1 FIRE ZONE 03 STOCKROOM", "call 3 3"} {
			b.do(t, line)
		}
		time.Sleep(2 * time.Second)
		want := []string{"fire zone 03: FIRE ZONE 03 STOCKROOM", "fire zone 12: HEAT 12", "fire-fault zone 02: FAULT ZONE 02 LOOP 1",
			"fire-restored zone 03: FIRE ZONE 03 STOCKROOM", "unknown zone : call to 1"}
		if got := b.sink.said(); !slices.Equal(got, want) {
			t.Errorf("said %q, want %q", got, want)
		}
		if c := b.Counts(); c.Raised != 5 || c.Acked != 5 || c.Waiting != 0 || len(c.Refused) != 0 || c.Unanswered != 0 {
			t.Errorf("counts %+v", c)
		}
		b.do(t, "call 3 1 FIRE ZONE 03 STOCKROOM")
		b.do(t, "mute on")
		time.Sleep(time.Minute)
		before := b.Counts()
		if before.Waiting != 0 && before.Acked != 5 {
			t.Errorf("a muted panel spoke: %+v", before)
		}
		b.do(t, "mute off")
		time.Sleep(2 * time.Second)
		if got := b.sink.said(); len(got) != 6 {
			t.Errorf("the same alarm again, much later: %q", got)
		}
		b.end()
	})
}

// TestEspaPeerIsTold: what cannot be stored is refused as busy, stays with the panel, and is one event in the end.
func TestEspaPeerIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		acked := 0
		b := newEspaBench(t, espaOptions{Acked: func(espaCall) { acked++ }}, nil, asItIs)
		b.sink.refuse = true
		b.do(t, "call 3 1 FIRE ZONE 4")
		time.Sleep(20 * time.Second)
		c := b.Counts()
		if c.Refused['2'] < 3 || c.Acked != 0 || c.Waiting != 1 || len(b.sink.said()) != 0 {
			t.Errorf("while nothing can be stored: %+v, said %q", c, b.sink.said())
		}
		b.sink.mu.Lock()
		b.sink.refuse = false
		b.sink.mu.Unlock()
		time.Sleep(20 * time.Second)
		if c = b.Counts(); c.Waiting != 0 || acked != 1 || len(b.sink.said()) != 1 {
			t.Errorf("then: %+v, %d told, said %q", c, acked, b.sink.said())
		}
		b.end()
	})
}

func TestEspaPeerRefusesWhatItCannotSay(t *testing.T) {
	p := newEspaPeer(espaOptions{})
	for _, line := range []string{"", "help", "call", "call 3", "call 4 1 X", "call 3 9 X", "call 31 1 X", "mute", "mute up", "to", "to 5", "call 3 1 Ä", "to 12345678901234567 3 1 X", "call 3 1 " + strings.Repeat("X", 129)} {
		if err := p.Do(strings.Fields(line)); err == nil {
			t.Errorf("%q was taken", line)
		}
	}
	for range espaQueue {
		if err := p.Do([]string{"call", "3", "1", "X"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Do([]string{"call", "3", "1", "X"}); err == nil {
		t.Error("the queue has no end")
	}
}

// mangler is a line that damages what the panel sends: splits, merges, delays, flips a bit, drops or inserts a character.
type mangler struct {
	net.Conn
	rnd  *rand.Rand
	kept []byte
}

func (m *mangler) Write(b []byte) (int, error) {
	n := len(b)
	b = slices.Concat(m.kept, b)
	m.kept = nil
	switch i := m.rnd.IntN(len(b)); m.rnd.IntN(12) {
	case 0:
		b[i] ^= 1 << m.rnd.IntN(7)
	case 1:
		b = slices.Delete(b, i, i+1)
	case 2:
		b = slices.Insert(b, i, byte(1+m.rnd.IntN(127)))
	case 3: // kept, and sent with the next
		m.kept = append(m.kept, b...)
		return n, nil
	case 4:
		for _, v := range b {
			if _, err := m.Conn.Write([]byte{v}); err != nil {
				return 0, err
			}
			time.Sleep(time.Duration(m.rnd.IntN(30)) * time.Millisecond)
		}
		return n, nil
	}
	for len(b) > 0 {
		k := 1 + m.rnd.IntN(len(b))
		if _, err := m.Conn.Write(b[:k]); err != nil {
			return 0, err
		}
		b = b[k:]
	}
	return n, nil
}

// TestEspaMangled: over a thousand bad lines every call that the driver has acknowledged is stored, and no alarm is invented.
func TestEspaMangled(t *testing.T) {
	runs := uint64(1000)
	if testing.Short() {
		runs = 50
	}
	calls := []string{"call 3 1 FIRE ZONE 1 HALL", "call 3 2 FAULT ZONE 2 LOOP 1", "call 3 3 COFFEE IS OUT", "call 3 1 FIRE ZONE 3 STORE", "call 1 1 FIRE ZONE 1 HALL"}
	whole := map[string]bool{"fire zone 1: FIRE ZONE 1 HALL": true, "fire-fault zone 2: FAULT ZONE 2 LOOP 1": true, "unknown zone : COFFEE IS OUT": true,
		"fire zone 3: FIRE ZONE 3 STORE": true, "fire-restored zone 1: FIRE ZONE 1 HALL": true}
	for seed := range runs {
		synctest.Test(t, func(t *testing.T) {
			var acked []string
			b := newEspaBench(t, espaOptions{Acked: func(c espaCall) { acked = append(acked, c.Text) }}, nil,
				func(c net.Conn) io.ReadWriteCloser { return &mangler{Conn: c, rnd: rand.New(rand.NewPCG(seed, 4))} })
			for _, line := range calls {
				b.do(t, line)
				time.Sleep(3 * time.Second)
			}
			time.Sleep(2 * time.Minute)
			b.end()
			got := b.sink.said()
			seen := map[string]bool{}
			for _, s := range got {
				seen[s] = true
				if !whole[s] {
					t.Errorf("seed %d: %q was never said", seed, s)
				}
			}
			if len(acked) != len(calls) || len(seen) != len(whole) {
				t.Errorf("seed %d: %d of %d calls acknowledged, stored %q", seed, len(acked), len(calls), got)
			}
		})
	}
}
