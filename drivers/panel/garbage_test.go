package panel_test

import (
	"bytes"
	"context"
	"encoding/hex"
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

	"sitewatch/drivers/galaxy"
	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

// box is a line of a Galaxy in a bubble: what it reports, journals and logs, and the panel's end of its cable.
type box struct {
	mu      sync.Mutex
	reports []string
	sigs    int
	logged  bytes.Buffer

	line  *panel.Line
	cable net.Conn
	said  []byte // what the box sent
}

func (b *box) Signal(context.Context, ...edge.Signal) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sigs++
	return nil
}

func (b *box) Settle(context.Context) error { return nil }

func (b *box) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.logged.Write(p)
}

// kinds is what was reported so far.
func (b *box) kinds() string {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	kinds := make([]string, len(b.reports))
	for i, r := range b.reports {
		kinds[i], _, _ = strings.Cut(r, ":")
	}
	return fmt.Sprint(kinds)
}

func (b *box) send(p []byte) { b.cable.Write(p) }

// run starts the line on one end of a pipe; end it before the bubble ends.
func run(t *testing.T, settings map[string]any) (b *box, end func()) {
	b = &box{}
	ours, theirs := net.Pipe()
	ports := []panel.Port{ours}
	line, err := panel.NewLine(panel.LineOptions{
		Panel: "p", Driver: galaxy.Driver, Port: "/dev/none", Settings: settings, Sink: b, Clock: edge.NewSystemClock(), Location: time.UTC,
		Log: slog.New(slog.NewTextHandler(b, nil)),
		Report: func(_ context.Context, ev edge.Event) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.reports = append(b.reports, string(ev.Kind)+": "+ev.Why)
			return nil
		},
		Open: func(context.Context) (panel.Port, error) {
			if len(ports) == 0 {
				return nil, errors.New("unplugged")
			}
			p := ports[0]
			ports = nil
			return p, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.line, b.cable = line, theirs
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error { return line.Run(ctx) })
	g.Go(func() error {
		p := make([]byte, 256)
		for {
			n, err := theirs.Read(p)
			b.mu.Lock()
			b.said = append(b.said, p[:n]...)
			b.mu.Unlock()
			if err != nil {
				if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
					return nil
				}
				return err
			}
		}
	})
	return b, func() {
		cancel()
		theirs.Close()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	}
}

func block(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const alarm = "54 4E 74 69 31 31 3A 34 36 2F 72 69 30 30 31 2F 42 41 31 30 31 31 E8"

// TestAnHourOfGarbage: a panel that sends garbage at line rate for an hour costs one event, a few lines of log and a second of
// the processor, and the first good block after it is heard.
func TestAnHourOfGarbage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, end := run(t, nil)
		defer end()
		rnd := rand.New(rand.NewPCG(4, 4))
		chunk := make([]byte, 96)
		for range time.Hour / (100 * time.Millisecond) { // 960 bytes a second
			for i := range chunk {
				chunk[i] = byte(rnd.Uint32())
			}
			b.send(chunk)
			time.Sleep(100 * time.Millisecond)
		}
		if got := b.kinds(); got != "[panel-lost]" {
			t.Fatalf("reports after the hour: %v, want one", got)
		}
		if why := b.reports[0]; !strings.Contains(why, "no frame checks: baud or A/B swapped?") || !strings.Contains(why, "expected Honeywell Galaxy") || !strings.Contains(why, "9600 baud, 8N1") {
			t.Errorf("it says %q, want what arrives and what was expected", why)
		}
		if b.sigs > 0 || len(b.said) > 0 {
			t.Errorf("garbage made %d signals and % X was answered", b.sigs, b.said)
		}
		if n := bytes.Count(b.logged.Bytes(), []byte("\n")); n > 5 {
			t.Errorf("%d lines of log:\n%s", n, b.logged.String())
		}
		if s := b.line.Stats(); s.State != panel.Lost || s.Noise < 3_400_000 || s.History[30].Bytes < 57_000 || s.History[30].Bad < 1000 {
			t.Errorf("line: state %s, %d noise, minute %+v", s.State, s.Noise, s.History[30])
		}
		time.Sleep(2 * time.Second)
		b.send(block(t, alarm))
		time.Sleep(time.Second)
		if got := b.kinds(); got != "[panel-lost panel-lost-restored]" || b.sigs != 1 || !bytes.Equal(b.said, []byte{0x00, 0x38, 0xC7}) {
			t.Errorf("after one good block: %v, %d signals, answered % X", got, b.sigs, b.said)
		}
		time.Sleep(time.Hour)
		if got := b.kinds(); got != "[panel-lost panel-lost-restored]" {
			t.Errorf("an hour later: %v", got)
		}
	})
}

// TestBadLineIsOneFault: a fifth of the blocks damaged for an hour is one event, and its end another.
func TestBadLineIsOneFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, end := run(t, nil)
		defer end()
		good := block(t, "46 23 30 31 32 33 34 35 9B")
		bad := slices.Clone(good)
		bad[4] ^= 1
		for i := range 600 {
			if i%5 == 0 {
				b.send(bad)
				time.Sleep(3 * time.Second)
			}
			b.send(good)
			time.Sleep(3 * time.Second)
		}
		if got := b.kinds(); got != "[line-fault]" || !b.line.Stats().Faulty || b.line.Stats().State != panel.Connected {
			t.Fatalf("reports %v, line %+v, want one fault of a line that is connected", got, b.line.Stats())
		}
		for range 200 {
			b.send(good)
			time.Sleep(3 * time.Second)
		}
		if got := b.kinds(); got != "[line-fault line-fault-restored]" || b.line.Stats().Faulty {
			t.Errorf("after ten good minutes: %v", got)
		}
	})
}
