package panel

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"sitewatch/edge"
)

func TestHealth(t *testing.T) {
	type step struct {
		n    int // slots
		slot Counts
	}
	tests := []struct {
		name            string
		steps           []step
		was             bool
		garbled, faulty bool
	}{
		{"a good line", []step{{100, Counts{Bytes: 900, Seconds: 10, Frames: 100}}}, false, false, false},
		{"a silent line", []step{{400, Counts{}}}, false, false, false},
		{"nine bad frames", []step{{1, Counts{Rejects: 9}}}, false, false, false},
		{"ten bad frames and few good ones", []step{{1, Counts{Rejects: 10, Frames: 80}}}, false, false, true},
		{"ten bad frames of a hundred", []step{{1, Counts{Rejects: 10, Frames: 90}}}, false, false, false},
		{"one bad frame every ten seconds is over in five minutes", []step{{30, Counts{Rejects: 1}}, {30, Counts{Frames: 10}}}, false, false, false},
		{"noise weighs by its bytes", []step{{10, Counts{Noise: 40, Bytes: 40, Seconds: 1}}}, false, false, true},
		{"a stray byte before each answer", []step{{30, Counts{Noise: 40, Frames: 40, Bytes: 400, Seconds: 10}}}, false, false, false},
		{"the panel's four tries at a wrong speed", []step{{1, Counts{Bytes: 36, Seconds: 4}}}, false, true, false},
		{"a stroke of lightning", []step{{1, Counts{Bytes: 500, Seconds: 1}}}, false, false, false},
		{"a byte every ten seconds", []step{{30, Counts{Bytes: 1, Seconds: 1}}}, false, false, false},
		{"rubbish and one good frame", []step{{3, Counts{Bytes: 900, Seconds: 10}}, {1, Counts{Frames: 1}}}, false, false, false},
		{"a fault goes on at three percent", []step{{30, Counts{Rejects: 3, Frames: 97}}}, true, false, true},
		{"a fault ends at one percent", []step{{30, Counts{Rejects: 1, Frames: 99}}}, true, false, false},
		{"a fault is not over because nothing has come yet", []step{{3, Counts{}}}, true, false, true},
		{"a fault is over when five minutes were quiet", []step{{30, Counts{}}}, true, false, false},
	}
	for _, tt := range tests {
		var h health
		var c Counts
		for _, s := range tt.steps {
			for range s.n {
				c.Bytes, c.Seconds, c.Frames = c.Bytes+s.slot.Bytes, c.Seconds+s.slot.Seconds, c.Frames+s.slot.Frames
				c.Rejects, c.Noise = c.Rejects+s.slot.Rejects, c.Noise+s.slot.Noise
				h.roll(c)
			}
		}
		if got := h.garbled(); got != tt.garbled {
			t.Errorf("%s: garbled %v, want %v", tt.name, got, tt.garbled)
		}
		if got, s := h.faulty(tt.was); got != tt.faulty {
			t.Errorf("%s: faulty %v (%+v), want %v", tt.name, got, s, tt.faulty)
		}
	}
}

func TestHistoryIsTheLastHour(t *testing.T) {
	var h health
	var c Counts
	for i := range 1000 {
		c.Frames++
		if i >= 994 {
			c.Rejects += 2
		}
		h.roll(c)
	}
	m := h.history()
	if len(m) != 60 || m[0] != (Minute{Good: 6}) || m[58] != (Minute{Good: 6}) || m[59] != (Minute{Good: 6, Bad: 12}) {
		t.Errorf("got %d minutes, first %+v, last %+v", len(m), m[0], m[len(m)-1])
	}
	h.forget()
	if is, s := h.faulty(false); is || s.bad != 0 {
		t.Errorf("after forget: %v %+v", is, s)
	}
	if got := h.history(); got[59] != m[59] {
		t.Error("forget took the picture away")
	}
}

func TestArrivesSaysWhatComes(t *testing.T) {
	m := newMeter()
	if got := m.arrives(); got != "no byte arrives" {
		t.Errorf("got %q", got)
	}
	m.arrived([]byte{1, 2, 3}, true, edge.Stamp{})
	if got := m.arrives(); !strings.Contains(got, "3 bytes, the last are 01 02 03, 1 damaged") || !strings.Contains(got, "A/B swapped") {
		t.Errorf("got %q", got)
	}
	for i := range 40 {
		m.arrived([]byte{byte(i)}, false, edge.Stamp{})
	}
	if got := m.arrives(); !strings.Contains(got, "43 bytes, the last are 18 19 1A 1B 1C 1D 1E 1F 20 21 22 23 24 25 26 27") {
		t.Errorf("got %q", got)
	}
	m.Frame(edge.Stamp{})
	if got := m.arrives(); got != "no byte arrives" {
		t.Errorf("after a good frame: %q", got)
	}
}

// TestReportsAreBounded: while the journal takes nothing, the pairs that cancel out go, and what stands stays.
func TestReportsAreBounded(t *testing.T) {
	l, err := NewLine(LineOptions{Panel: "p", Driver: echo, Port: "/dev/none", Clock: edge.NewSystemClock(), Log: slog.New(slog.DiscardHandler),
		Report: func(context.Context, edge.Event) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report(edge.KindLineFault, "f")
	for range 200 {
		l.report(edge.KindPanelLost, "l")
		l.report(edge.KindPanelLost.Restored(), "r")
	}
	l.report(edge.KindPanelLost, "l")
	var kinds []edge.Kind
	open := map[edge.Kind]bool{}
	for _, ev := range l.pending {
		kinds = append(kinds, ev.Kind)
		if open[ev.Kind.Base()] != ev.Kind.IsRestored() {
			t.Fatalf("%v comes out of turn: %v", ev.Kind, kinds)
		}
		open[ev.Kind.Base()] = !ev.Kind.IsRestored()
	}
	if len(kinds) > maxPending || fmt.Sprint(open) != "map[line-fault:true panel-lost:true]" {
		t.Errorf("%d reports wait, standing %v", len(kinds), open)
	}
}
