package soc

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

func TestManyCommandsAreAllDone(t *testing.T) {
	c := newCentre(t)
	cert := c.enrol("1")
	l := c.link("1", cert)
	l.welcome()
	const n = 40
	for range n {
		cmd := edge.Command{ID: edge.CommandID(edge.NewID()), Kind: "status", Expires: time.Now().Add(time.Hour)}
		if err := c.led.PutCommand(t.Context(), "1", cmd); err != nil {
			t.Fatal(err)
		}
	}
	c.s.Nudge("1")
	seen := map[string]bool{}
	var open []string
	for len(seen) < n {
		for len(open) < maxUnanswered && len(seen) < n {
			m, err := l.next()
			if err != nil || m.GetCommand() == nil || seen[m.GetCommand().GetId()] {
				t.Fatalf("got %v, %v after %d", m, err, len(seen))
			}
			seen[m.GetCommand().GetId()] = true
			open = append(open, m.GetCommand().GetId())
		}
		// Nothing more comes while these are open: an ack would come after it.
		l.send(wire.Lane_LANE_URGENT, l.event(edge.Seq(len(seen)), edge.KindFire, nil))
		l.ack(uint64(len(seen)))
		l.s.Send(&wire.BoxMessage{Message: &wire.BoxMessage_Outcome{Outcome: &wire.CommandOutcome{Id: open[0], State: "done"}}})
		open = open[1:]
	}
}

func TestAnOutcomeByOnePathMakesRoomOnTheOther(t *testing.T) {
	c := newCentre(t)
	cert := c.enrol("1")
	a := c.link("1", cert)
	a.hello(func(h *wire.Hello) { h.Path = "a" })
	if m, err := a.next(); err != nil || m.GetWelcome() == nil {
		t.Fatal(m, err)
	}
	b := c.link("1", cert)
	b.hello(func(h *wire.Hello) { h.Path = "b" })
	if m, err := b.next(); err != nil || m.GetWelcome() == nil {
		t.Fatal(m, err)
	}
	for range maxUnanswered + 1 {
		if err := c.led.PutCommand(t.Context(), "1", edge.Command{ID: edge.CommandID(edge.NewID()), Kind: "status", Expires: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	c.s.Nudge("1")
	first := ""
	for range maxUnanswered {
		m, err := a.next()
		if err != nil {
			t.Fatal(err)
		}
		first = m.GetCommand().GetId()
		if _, err := b.next(); err != nil {
			t.Fatal(err)
		}
	}
	a.s.Send(&wire.BoxMessage{Message: &wire.BoxMessage_Outcome{Outcome: &wire.CommandOutcome{Id: first, State: "done"}}})
	if m, err := b.next(); err != nil || m.GetCommand() == nil {
		t.Errorf("the other path sends %v, %v", m, err)
	}
}

func TestAFreshEventOfABoxWithABadClockIsNotLate(t *testing.T) {
	const week = 7 * 24 * time.Hour
	for name, ppm := range map[string]time.Duration{"slow": -50, "fast": 50, "right": 0} {
		x := &session{Server: &Server{}, boot: "b"}
		now := edge.Stamp{Mono: time.Hour}
		box := func() time.Duration { t := now.Mono - time.Hour; return t + t*ppm/1e6 }
		x.base.take(box(), now.Mono)
		for now.Mono < time.Hour+week {
			now.Mono += 10 * time.Second
			x.base.take(box(), now.Mono+time.Duration(now.Mono%(7*time.Second))) // some are slower than others
		}
		age := func(d time.Duration) time.Duration {
			return x.age(&edge.Event{Recorded: edge.Stamp{Boot: "b", Mono: box() - d}}, now)
		}
		for _, d := range []time.Duration{0, 20 * time.Second, time.Minute, 50 * time.Minute, 5 * time.Hour} {
			if got := age(d); got < d-2*time.Second || got > d+2*time.Second {
				t.Errorf("%s: an event that is %v old is taken for %v", name, d, got)
			}
		}
	}
	// A line that is slow for some minutes changes nothing: the fastest message of the window counts.
	var b base
	b.take(0, time.Second)
	for s := time.Duration(1); s < 25*60; s++ {
		b.take(s*time.Second, s*time.Second+20*time.Second)
	}
	if b.at() != time.Second {
		t.Errorf("got %v", b.at())
	}
	b.take(10*time.Hour, 10*time.Hour+5*time.Second) // the first for long
	if b.at() != 5*time.Second {
		t.Errorf("got %v", b.at())
	}
}

func TestRepeatsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		log := slog.New(slog.NewTextHandler(&b, nil))
		s := &Server{o: Options{Log: log}, repeats: repeats{clock: bubbleClock{time.Now()}}}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { s.runRepeats(ctx) })
		for i := range 1000 {
			s.repeats.say(log.Warn, "refused 1", "a file is refused", "n", i)
			time.Sleep(10 * time.Millisecond)
		}
		s.repeats.say(log.Warn, "refused 2", "a file is refused", "site", 2)
		time.Sleep(3 * time.Minute)
		s.repeats.say(log.Warn, "refused 1", "a file is refused", "n", "again")
		cancel()
		wg.Wait()
		got := strings.Split(strings.TrimSpace(b.String()), "\n")
		want := []string{"n=0", "site=2", "999 more in 1m", "n=again"}
		if len(got) != len(want) {
			t.Fatalf("%d lines:\n%s", len(got), b.String())
		}
		for i, w := range want {
			if !strings.Contains(got[i], w) {
				t.Errorf("line %d is %s, want %s", i, got[i], w)
			}
		}
		if !strings.Contains(got[2], "n=999") {
			t.Errorf("%s does not have the last", got[2])
		}
	})
}

func TestRepeatsAreBounded(t *testing.T) {
	q := repeats{clock: edge.NewSystemClock()}
	lines := 0
	for i := range maxRepeats + 100 {
		q.say(func(string, ...any) { lines++ }, fmt.Sprint(i), "x")
	}
	if len(q.said) != maxRepeats || lines != maxRepeats {
		t.Errorf("%d keys, %d lines", len(q.said), lines)
	}
}
