package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/drivers/rs485"
	"sitewatch/edge"
)

// parrot is the smallest panel: it answers each byte with "<byte>" and keeps what was typed.
type parrot struct {
	mu    sync.Mutex
	typed []string
}

func (p *parrot) Run(ctx context.Context, line io.ReadWriteCloser) error {
	b := make([]byte, 1)
	for {
		n, err := line.Read(b)
		if err != nil {
			return err
		}
		if n > 0 {
			if _, err := line.Write([]byte{'<', b[0], '>'}); err != nil {
				return err
			}
		}
	}
}

func (p *parrot) Do(words []string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.typed = append(p.typed, strings.Join(words, " "))
	if words[0] == "help" {
		return errors.New("say anything")
	}
	return nil
}

// startPeer runs a parrot with these faults; the returned line is the gateway's end.
func startPeer(t *testing.T, f panelFaults) (*rs485.Port, *badLine) {
	t.Helper()
	link := filepath.Join(t.TempDir(), "panel")
	bad := newBadLine(f)
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error { return runPeer(ctx, &parrot{}, link, 57600, bad, slog.New(slog.DiscardHandler)) })
	t.Cleanup(func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	var port *rs485.Port
	until(t, "the line can be opened", func() (ok bool) {
		p, err := rs485.Open(link, rs485.Options{Baud: 57600, Format: "8N1", Clock: edge.NewSystemClock()})
		port = p
		return err == nil
	})
	t.Cleanup(func() { port.Close() })
	return port, bad
}

// said reads until so many bytes have come, and nothing more for a while.
func said(t *testing.T, p *rs485.Port, ask string, least int) string {
	t.Helper()
	if _, err := p.Write([]byte(ask)); err != nil {
		t.Fatal(err)
	}
	in := make(chan []byte, 64)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out bytes.Buffer
	hang := time.After(time.Minute)
	go func() {
		for ctx.Err() == nil {
			b := make([]byte, 64)
			n, err := p.Read(b)
			if err != nil {
				return
			}
			in <- b[:n]
		}
	}()
	for {
		select {
		case b := <-in:
			out.Write(b)
		case <-time.After(300 * time.Millisecond):
			if out.Len() >= least {
				return out.String()
			}
		case <-hang:
			t.Errorf("%d bytes came, want %d", out.Len(), least)
			return out.String()
		}
	}
}

func TestPeerOnAPty(t *testing.T) {
	for _, tt := range []struct {
		name string
		f    panelFaults
		want string
	}{
		{"good line", panelFaults{}, "<x>"},
		{"echo", panelFaults{Echo: true}, "x<x>"},
		{"dup", panelFaults{Dup: 100}, "<x><x>"},
		{"split", panelFaults{Split: 100}, "<x>"},
		{"slow", panelFaults{Slow: 50 * time.Millisecond}, "<x>"},
		{"mute", panelFaults{Mute: 100}, ""},
	} {
		port, _ := startPeer(t, tt.f)
		if got := said(t, port, "x", len(tt.want)); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	for name, f := range map[string]panelFaults{"drop": {Drop: 100}, "parity": {Parity: 100}, "noise": {Noise: 100}, "baud": {Baud: true}} {
		port, _ := startPeer(t, f)
		if got := said(t, port, "x", 1); got == "<x>" || got == "" {
			t.Errorf("%s: got %q, want something else than the good answer", name, got)
		}
	}
}

// TestPeerWaitsForNobody: what is said while no gateway is there is gone, as on a real line, and a gateway that was killed
// with its lock on the pty keeps no other one out.
func TestPeerWaitsForNobody(t *testing.T) {
	l, err := openPanelLine("")
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	line := &peerLine{l, t.Context(), newBadLine(panelFaults{}), 115200}
	for range 100 {
		if _, err := line.Write(make([]byte, 64)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := l.unread(); err != nil || n > maxUnread+64 {
		t.Errorf("%d bytes wait (%v), want at most %d", n, err, maxUnread+64)
	}
}

func TestTypedForPeerAndLine(t *testing.T) {
	p, bad := &parrot{}, newBadLine(panelFaults{})
	typed := "input 1 on\n\nfault noise 30\nfault mute 101\nfault echo on\nfault slow 20ms\nfault nonsense 1\nfault seed 3\n"
	if err := runTypedPeer(t.Context(), strings.NewReader(typed), p, bad); err != nil {
		t.Fatal(err)
	}
	if len(p.typed) != 1 || p.typed[0] != "input 1 on" {
		t.Errorf("the peer was told %q", p.typed)
	}
	if f := bad.now(); f.Noise != 30 || f.Mute != 0 || !f.Echo || f.Slow != 20*time.Millisecond || f.Seed != 0 {
		t.Errorf("faults are %+v", f)
	}
}

// TestPanelAtAnotherSpeed: a Galaxy at the wrong speed makes bytes and no block.
func TestPanelAtAnotherSpeed(t *testing.T) {
	link := filepath.Join(t.TempDir(), "panel")
	d := &desk{keys: map[string]bool{}}
	p, _ := startPanel(t, panelOptions{Link: link, Faults: panelFaults{Baud: true}})
	line, _ := receiver(t, link, d)
	raise(t, p, "BA", "1011", "")
	until(t, "bytes that make no frame", func() bool { return line.Stats().Noise > 10 })
	if s := line.Stats(); s.Frames > 0 || len(d.seen()) > 0 {
		t.Errorf("%d frames and %v were heard", s.Frames, d.seen())
	}
	if err := raiseTyped(p, "fault baud off"); err != nil {
		t.Fatal(err)
	}
	until(t, "heard at the right speed", func() bool { return p.Counts().Acked == 1 })
}
