package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/drivers/galaxy"
	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

// desk keeps what the gateway's side of the line was told; it knows a repeat as the journal does, by the key.
type desk struct {
	mu     sync.Mutex
	events []string
	texts  []string
	keys   map[string]bool
	refuse int // so many signals are refused first
}

func (d *desk) Signal(_ context.Context, sigs ...edge.Signal) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refuse > 0 {
		d.refuse--
		return errors.New("the disk is full")
	}
	for _, s := range sigs {
		switch {
		case s.Kind == edge.KindAmended:
			d.texts = append(d.texts, s.Text)
		case !d.keys[string(s.Key)]:
			d.keys[string(s.Key)] = true
			d.events = append(d.events, fmt.Sprintf("%s %s", s.Code, s.Zone))
		}
	}
	return nil
}

func (d *desk) Settle(context.Context) error { return nil }

func (d *desk) seen() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.events)
}

// receiver is a gateway's line to the fake panel; stop it with the returned function, as a kill would.
func receiver(t *testing.T, link string, d *desk) (line *panel.Line, stop func()) {
	t.Helper()
	line, err := panel.NewLine(panel.LineOptions{
		Panel: "intruder", Driver: galaxy.Driver, Port: link, Sink: d, Clock: edge.NewSystemClock(), Location: time.UTC,
		Log: slog.New(slog.DiscardHandler), Report: func(context.Context, edge.Event) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error { return line.Run(ctx) })
	stop = sync.OnceFunc(func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Errorf("line: %v", err)
		}
	})
	t.Cleanup(stop)
	return line, stop
}

func startPanel(t *testing.T, o panelOptions) (p *galaxyPanel, stop func()) {
	t.Helper()
	o.Clock, o.Log, o.Baud, o.Level = edge.NewSystemClock(), slog.New(slog.DiscardHandler), 57600, 3
	p, err := newGalaxyPanel(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error { return p.Run(ctx) })
	stop = sync.OnceFunc(func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Errorf("panel: %v", err)
		}
	})
	t.Cleanup(stop)
	return p, stop
}

func raise(t *testing.T, p *galaxyPanel, code, zone, text string) {
	t.Helper()
	if err := p.Raise(code, zone, "1", "", text); err != nil {
		t.Fatal(err)
	}
}

func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for range 18000 {
		if cond() {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Fatalf("three minutes and not yet: %s", what)
}

func TestPanelIsHeard(t *testing.T) {
	link := filepath.Join(t.TempDir(), "panel")
	d := &desk{keys: map[string]bool{}}
	var acked []string
	var mu sync.Mutex
	p, _ := startPanel(t, panelOptions{Link: link, Acked: func(e panelEvent) {
		mu.Lock()
		defer mu.Unlock()
		acked = append(acked, e.Code)
	}})
	line, _ := receiver(t, link, d)
	raise(t, p, "BA", "1011", "SHOP FLOOR")
	raise(t, p, "FA", "1024", "KITCHEN")
	raise(t, p, "BR", "1011", "SHOP FLOOR")
	until(t, "all acknowledged", func() bool { c := p.Counts(); return c.Acked == 3 && c.Waiting == 0 })
	if got, want := d.seen(), []string{"BA 1011", "FA 1024", "BR 1011"}; !slices.Equal(got, want) {
		t.Errorf("the other side has %v, want %v", got, want)
	}
	until(t, "the texts", func() bool { d.mu.Lock(); defer d.mu.Unlock(); return len(d.texts) == 3 && d.texts[1] == "KITCHEN" })
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(acked, []string{"BA", "FA", "BR"}) {
		t.Errorf("told of %v", acked)
	}
	if s := line.Stats(); s.State != panel.Connected || s.Frames < 9 || s.Unacked != 0 {
		t.Errorf("line: %+v", s)
	}
}

func TestPanelRepeatsWhatIsRefused(t *testing.T) {
	link := filepath.Join(t.TempDir(), "panel")
	d := &desk{keys: map[string]bool{}, refuse: 1}
	p, _ := startPanel(t, panelOptions{Link: link})
	receiver(t, link, d)
	raise(t, p, "HA", "1013", "")
	until(t, "acknowledged", func() bool { return p.Counts().Acked == 1 })
	if got := d.seen(); !slices.Equal(got, []string{"HA 1013"}) {
		t.Errorf("the other side has %v", got)
	}
	if c := p.Counts(); c.Unanswered == 0 {
		t.Errorf("counts %+v: the refused signal was answered", c)
	}
}

func TestBadLineLosesNothing(t *testing.T) {
	link := filepath.Join(t.TempDir(), "panel")
	d := &desk{keys: map[string]bool{}}
	p, _ := startPanel(t, panelOptions{Link: link, Faults: panelFaults{Noise: 30, Split: 20, Parity: 20, Drop: 5, Dup: 5, Seed: 42}})
	receiver(t, link, d)
	var want []string
	for i := range 8 {
		raise(t, p, "BA", fmt.Sprint(1011+i), "ZONE")
		want = append(want, fmt.Sprintf("BA %d", 1011+i))
	}
	until(t, "all acknowledged", func() bool { return p.Counts().Acked == 8 })
	if got := d.seen(); !slices.Equal(got, want) {
		t.Errorf("the other side has %v, want %v", got, want)
	}
	t.Logf("%+v", p.Counts())
}

// TestPanelBuffersAndRemembers: nobody listens, the panel is killed and started again, the gateway comes and goes.
func TestPanelBuffersAndRemembers(t *testing.T) {
	dir := t.TempDir()
	o := panelOptions{Link: filepath.Join(dir, "panel"), State: filepath.Join(dir, "panel.json")}
	p, stop := startPanel(t, o)
	raise(t, p, "BA", "1011", "")
	raise(t, p, "PA", "1014", "")
	stop()
	if _, err := os.Lstat(o.Link); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("link after the panel's end: %v", err)
	}
	p, _ = startPanel(t, o)
	if n := p.Counts().Waiting; n != 2 {
		t.Fatalf("%d events wait after the restart, want 2", n)
	}
	d := &desk{keys: map[string]bool{}}
	_, kill := receiver(t, o.Link, d)
	until(t, "buffered ones acknowledged", func() bool { return p.Counts().Acked == 2 })
	kill()
	raise(t, p, "TA", "1015", "") // nobody listens now
	<-time.After(300 * time.Millisecond)
	receiver(t, o.Link, d)
	until(t, "the third acknowledged", func() bool { return p.Counts().Acked == 3 })
	if got, want := d.seen(), []string{"BA 1011", "PA 1014", "TA 1015"}; !slices.Equal(got, want) {
		t.Errorf("the other side has %v, want %v", got, want)
	}
	q, err := loadPanelQueue(o.State)
	if err != nil || len(q.Events) != 0 {
		t.Errorf("state file: %v, %v: want nothing left to say", q.Events, err)
	}
}

func TestPlayScript(t *testing.T) {
	b, err := os.ReadFile("../../drivers/galaxy/testdata/worked.wire")
	if err != nil {
		t.Fatal(err)
	}
	tr, err := panel.ParseTranscript(b)
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "panel")
	d := &desk{keys: map[string]bool{}}
	p, err := newGalaxyPanel(panelOptions{Link: link, Clock: edge.NewSystemClock(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Play(t.Context(), tr); err == nil {
		t.Error("a script was played to nobody, and its answers came")
	}
	var g errgroup.Group
	g.Go(func() error {
		until(t, "link", func() bool { _, err := os.Lstat(link); return err == nil })
		receiver(t, link, d)
		return nil
	})
	if err := p.Play(t.Context(), tr); err != nil {
		t.Error(err)
	}
	g.Wait()
	if len(d.seen()) != 5 {
		t.Errorf("the other side has %v, want 5 events", d.seen())
	}
}

func TestRaiseRefusesNonsense(t *testing.T) {
	p, err := newGalaxyPanel(panelOptions{Clock: edge.NewSystemClock(), Level: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"B 1011", "BAA 1011", "BA " + string(make([]byte, 80))} {
		if err := raiseTyped(p, line); err == nil {
			t.Errorf("%q was raised", line)
		}
	}
	if err := raiseTyped(p, "ba 1011 1 - STOCK ROOM"); err != nil {
		t.Error(err)
	}
	if ev, ok := p.queue.first(); !ok || ev.Code != "BA" || ev.Text != "STOCK ROOM" || ev.Partition != "1" || ev.User != "" {
		t.Errorf("raised %+v", ev)
	}
}
