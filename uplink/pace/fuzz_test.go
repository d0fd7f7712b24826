package pace_test

import (
	"encoding/binary"
	"testing"
	"time"

	"sitewatch/uplink/pace"
)

// FuzzProgress lets a receiver say what it likes, when it likes: huge, repeated, backwards, from the future.
func FuzzProgress(f *testing.F) {
	step := func(wait, n, mono int64) []byte {
		return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(wait)), uint64(n)), uint64(mono))
	}
	f.Add(append(step(1e6, 1200, 1e9), step(1e6, 1200, 1e9+1)...))
	f.Add(append(step(1e6, 1200, 1<<62), step(1e6, 1200, 1)...))
	f.Add(append(step(1e9, 1<<62, -1), step(0, -5, 1<<61)...))
	f.Add(append(step(0, 1, 5), step(0, 1, 4)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, now := pace.NewLine(), time.Duration(1e12)
		var w pace.Window
		l.Begin(now)
		for ; len(b) >= 24; b = b[24:] {
			now += time.Duration(binary.BigEndian.Uint64(b) % 3e9)
			for range 100 { // as the box does: what may go, goes
				if at, ok := l.Next(now); !ok || at > now {
					break
				}
				l.Sent(now, l.Size())
			}
			before := l.Flight()
			n := int64(binary.BigEndian.Uint64(b[8:]))
			took := l.Progress(now, n, time.Duration(binary.BigEndian.Uint64(b[16:])))
			if took != (n > 0 && n <= before) {
				t.Fatalf("%d bytes of %d under way: taken is %v", n, before, took)
			}
			w.Full()
			w.Acked(now, now-time.Duration(n))
			l.Event(now, int(n%(1<<20)))
			check(t, l, &w, now)
		}
	})
}

// check is what must hold whatever a receiver says.
func check(t *testing.T, l *pace.Line, w *pace.Window, now time.Duration) {
	t.Helper()
	e := l.Estimate()
	if e.Rate < 8*pace.MinRate || e.Rate > 10*pace.MaxRate || e.RTT < 0 {
		t.Fatalf("the estimate is %+v", e)
	}
	if n := l.Size(); n < pace.MinSize || n > pace.MaxSize {
		t.Fatalf("a message of %d bytes", n)
	}
	if c := l.Credit(); c < int64(l.Size()) || c > 2*pace.MaxCredit {
		t.Fatalf("a credit of %d", c)
	}
	if f := l.Flight(); f < 0 || f > 2*pace.MaxCredit {
		t.Fatalf("%d bytes under way", f)
	}
	if at, ok := l.Next(now); ok && (at < 0 || at > now+time.Hour) {
		t.Fatalf("the next message may go at %v, now is %v", at, now)
	}
	if l.Flight() == 0 {
		if _, ok := l.Next(now); !ok {
			t.Fatal("nothing is under way and nothing may go: no word of the receiver will ever come")
		}
	}
	if c := w.Credit(); c < pace.MinWindow || c > pace.MaxWindow {
		t.Fatalf("a window of %d", c)
	}
}
