package paneltest

import (
	"context"
	"flag"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

var mangleRuns = flag.Int("mangle", 100, "seeded runs of each driver over a mangled line")

// Mangled is a conversation that must survive a mangled line. The driver's test gives the panel's side, with the panel's own habits:
// it repeats what is not acknowledged.
type Mangled struct {
	Driver   panel.Driver
	Settings map[string]any
	Says     []string // what the panel has to say, each under a name of its own
	// Talk says all of it on the cable, and returns the names of what was acknowledged. What it gives up on it leaves out.
	Talk func(c *Cable, says []string) (acked []string)
	// Name is which of Says a signal is; "" is one that is no event: a text, a state.
	Name func(edge.Signal) string
	// Fooled says that what came of a message has a frame in it that checks and was not in the message. No receiver can tell that
	// one from a true frame: with a checksum of 8 bits it befalls one damaged frame of 256. The mangler leaves such a message whole.
	Fooled func(sent, came []byte) bool
}

// maxMangleDelay keeps an acknowledgement within the panel's patience: later it would be taken for that of the next frame, which no
// protocol without numbers can tell apart.
const maxMangleDelay = 400 * time.Millisecond

// Mangle runs the conversation over lines that split, merge, delay, flip, drop and insert, in both directions: 100 of them, or as many
// as -mangle says. What the panel has been acknowledged for must have reached the sink, and no alarm may that the panel did not say.
func Mangle(t *testing.T, m Mangled) {
	acked := 0
	for seed := range uint64(*mangleRuns) {
		synctest.Test(t, func(t *testing.T) { acked += m.run(t, seed) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if want := *mangleRuns * len(m.Says) / 2; acked < want {
		t.Errorf("%d events were acknowledged in all runs, want %d at least: the line is so bad that it shows nothing", acked, want)
	}
	t.Logf("%d runs, %d of %d events acknowledged", *mangleRuns, acked, *mangleRuns*len(m.Says))
}

func (m *Mangled) run(t *testing.T, seed uint64) int {
	box, boxEnd := net.Pipe()
	pan, panEnd := net.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	rec := &sink{}
	session := m.Driver.New(panel.NewSettings(m.Settings), panel.SessionOptions{Panel: "p", Clock: edge.NewSystemClock(), Location: time.UTC,
		Log: slog.New(slog.DiscardHandler), Port: panel.Serial, Baud: m.Driver.Line.Baud})
	c := &Cable{line: pan, in: make(chan []byte, 4096)}
	var g errgroup.Group
	g.Go(func() error {
		session.Run(ctx, box, rec) // it ends with the line
		box.Close()
		return nil
	})
	clock := edge.NewSystemClock()
	g.Go(func() error { return m.carry(boxEnd, panEnd, clock, rand.New(rand.NewPCG(seed, 1))) })
	g.Go(func() error { return m.carry(panEnd, boxEnd, clock, rand.New(rand.NewPCG(seed, 2))) })
	g.Go(c.runReader)
	acked := m.Talk(c, m.Says)
	time.Sleep(10 * time.Second) // what is still on its way
	stop()
	for _, p := range []net.Conn{box, boxEnd, pan, panEnd} {
		p.Close()
	}
	g.Wait()
	var came []string
	for _, sig := range rec.take() {
		name := m.Name(sig)
		came = append(came, name)
		if name != "" && sig.Kind.Alarm() && !slices.Contains(m.Says, name) {
			t.Errorf("an alarm was invented: %+v", sig)
		}
	}
	for _, name := range acked {
		if !slices.Contains(came, name) {
			t.Errorf("%q was acknowledged and never stored; stored: %q", name, came)
		}
	}
	return len(acked)
}

// carry moves messages from one end to the other and does to them what a bad line does.
func (m *Mangled) carry(from, to net.Conn, clock edge.Clock, rnd *rand.Rand) error {
	var held []byte
	b := make([]byte, 512)
	for {
		if len(held) > 0 {
			from.SetReadDeadline(clock.Now().Wall.Add(maxMangleDelay))
		} else {
			from.SetReadDeadline(time.Time{})
		}
		n, err := from.Read(b)
		if err != nil && len(held) == 0 {
			return nil
		}
		msg := slices.Clone(b[:n])
		if n > 0 && rnd.IntN(3) == 0 {
			if came := mangled(msg, rnd); m.Fooled == nil || !m.Fooled(msg, came) {
				msg = came
			}
			switch rnd.IntN(4) {
			case 0:
				time.Sleep(time.Duration(rnd.Int64N(int64(maxMangleDelay))))
			case 1:
				held = append(held, msg...) // until the next message, or for a while
				continue
			}
		}
		msg, held = append(held, msg...), nil
		for len(msg) > 0 {
			k := len(msg)
			if rnd.IntN(6) == 0 {
				k = 1 + rnd.IntN(k)
			}
			if _, err := to.Write(msg[:k]); err != nil {
				return nil
			}
			if msg = msg[k:]; len(msg) > 0 {
				time.Sleep(time.Duration(rnd.IntN(100)) * time.Millisecond)
			}
		}
	}
}

// mangled flips, drops or inserts a little, or nothing.
func mangled(msg []byte, rnd *rand.Rand) []byte {
	out := slices.Clone(msg)
	for range 1 + rnd.IntN(2) {
		if len(out) == 0 {
			break
		}
		switch i := rnd.IntN(len(out)); rnd.IntN(4) {
		case 0:
			out[i] ^= 1 << rnd.IntN(8)
		case 1:
			out = slices.Delete(out, i, i+1)
		case 2:
			out = slices.Insert(out, i, byte(rnd.Uint32()))
		}
	}
	return out
}

// Cable is the panel's end of a mangled line.
type Cable struct {
	line net.Conn
	in   chan []byte
}

func (c *Cable) runReader() error {
	for {
		b := make([]byte, 256)
		n, err := c.line.Read(b)
		if err != nil {
			return nil
		}
		c.in <- b[:n]
	}
}

// Send sends one message.
func (c *Cable) Send(b []byte) { c.line.Write(b) } // a line that has ended is noticed by Hear

// Hear returns the next bytes that come within d, nil when none do.
func (c *Cable) Hear(d time.Duration) []byte {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case b := <-c.in:
		return b
	case <-t.C:
		return nil
	}
}

// Pause lets time pass.
func (c *Cable) Pause(d time.Duration) { time.Sleep(d) }

// Discard forgets what has come.
func (c *Cable) Discard() {
	for len(c.in) > 0 {
		<-c.in
	}
}
