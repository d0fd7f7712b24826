package galaxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/drivers/panel"
	"sitewatch/drivers/rs485"
	"sitewatch/edge"
)

type slowSink struct {
	mu   sync.Mutex
	took time.Duration
	sigs []edge.Signal
}

func (s *slowSink) Signal(ctx context.Context, sigs ...edge.Signal) error {
	s.mu.Lock()
	took := s.took
	s.mu.Unlock()
	time.Sleep(took)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sigs = append(s.sigs, sigs...)
	return nil
}

func (s *slowSink) Settle(context.Context) error { return nil }

func options() panel.SessionOptions {
	return panel.SessionOptions{Clock: edge.NewSystemClock(), Location: time.UTC, Log: slog.New(slog.DiscardHandler)}
}

// start runs a session on one end of a pipe; out collects what it sends.
func start(t *testing.T, sink panel.Sink) (line net.Conn, out func() []byte, end func() error) {
	ours, theirs := net.Pipe()
	s := newSession(panel.NewSettings(nil), options())
	var g, r errgroup.Group
	g.Go(func() error { return s.Run(t.Context(), ours, sink) })
	var mu sync.Mutex
	var got []byte
	r.Go(func() error {
		b := make([]byte, 64)
		for {
			n, err := theirs.Read(b)
			mu.Lock()
			got = append(got, b[:n]...)
			mu.Unlock()
			if err != nil {
				return nil
			}
		}
	})
	return theirs, func() []byte {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			b := got
			got = nil
			return b
		}, func() error {
			err := g.Wait()
			r.Wait()
			return err
		}
}

// TestLateCommitIsNotAcked: when the disk takes longer than the panel waits, our acknowledgement could be taken for that of
// a later block. The panel repeats; only the repeat that is fresh is answered.
func TestLateCommitIsNotAcked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &slowSink{took: 6 * time.Second}
		line, out, end := start(t, sink)
		block := unhex(t, worked[2].hex)
		for range 2 { // at 0 s and 2.5 s
			line.Write(block)
			time.Sleep(2500 * time.Millisecond)
		}
		if b := out(); len(b) > 0 {
			t.Errorf("% X was sent before the commit", b)
		}
		sink.mu.Lock()
		sink.took = 0
		sink.mu.Unlock()
		time.Sleep(1500 * time.Millisecond) // 6.5 s: the first commit is done, both blocks are old
		if b := out(); len(b) > 0 {
			t.Errorf("% X was sent for blocks that the panel has given up", b)
		}
		line.Write(block)
		if b := out(); !bytes.Equal(b, []byte{0x00, 0x38, 0xC7}) {
			t.Errorf("the fresh repeat got % X, want one acknowledgement", b)
		}
		if len(sink.sigs) != 3 {
			t.Errorf("the sink got %d signals, want all three", len(sink.sigs))
		}
		line.Close()
		end()
	})
}

func TestEncryptedSessionSaysWhatToDo(t *testing.T) {
	for name, b := range map[string][]byte{"short": {5, 1}, "long": {5, 1, 0xC3, 0x11, 0x40, 0x9A, 0x00, 0x7F, 0x31, 0x02}} {
		synctest.Test(t, func(t *testing.T) {
			line, _, end := start(t, &slowSink{})
			line.Write(b)
			err := end()
			if !errors.Is(err, ErrEncrypted) || !errors.Is(err, panel.ErrNotUnderstood) || edge.HintOf(err) == "" {
				t.Errorf("%s: ended with %v, want ErrEncrypted with a hint", name, err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // the same bytes as noise before a good block
		line, out, end := start(t, &slowSink{})
		line.Write(append([]byte{5, 1}, unhex(t, worked[2].hex)...))
		time.Sleep(5 * time.Second)
		if b := out(); !bytes.Equal(b, []byte{0x00, 0x38, 0xC7}) {
			t.Errorf("got % X, want an acknowledgement", b)
		}
		line.Close()
		if err := end(); errors.Is(err, ErrEncrypted) {
			t.Errorf("ended with %v", err)
		}
	})
}

// badLine is a line whose n-th byte is damaged, as rs485 reports it.
type badLine struct {
	net.Conn
	at int
}

func (l *badLine) Read(b []byte) (int, error) {
	if l.at < 0 {
		return l.Conn.Read(b)
	}
	n, err := l.Conn.Read(b[:1])
	if l.at -= n; l.at < 0 && err == nil {
		return n, rs485.ErrBadByte
	}
	return n, err
}

func TestDamagedByteRejectsTheBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		sink := &slowSink{}
		s := newSession(panel.NewSettings(nil), options())
		var g errgroup.Group
		g.Go(func() error { return s.Run(t.Context(), &badLine{ours, 5}, sink) })
		block := unhex(t, worked[2].hex)
		g.Go(func() error { theirs.Write(block); return nil })
		got := make([]byte, 3)
		io.ReadFull(theirs, got)
		if !bytes.Equal(got, []byte{0x00, 0x39, 0xC6}) || len(sink.sigs) != 0 {
			t.Errorf("got % X and %d signals, want a reject and none", got, len(sink.sigs))
		}
		theirs.Write(block)
		io.ReadFull(theirs, got)
		if !bytes.Equal(got, []byte{0x00, 0x38, 0xC7}) || len(sink.sigs) != 1 {
			t.Errorf("the repeat got % X and %d signals", got, len(sink.sigs))
		}
		theirs.Close()
		g.Wait()
	})
}

// TestNoAckWantedIsNeverARepeat: a panel that waits for no answer does not repeat itself, so that the same block again is
// another alarm; what may be a repeat says when its line was opened.
func TestNoAckWantedIsNeverARepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &slowSink{}
		line, _, end := start(t, sink)
		wants, wantsNot := unhex(t, worked[2].hex), unhex(t, "0E 4E 74 69 31 31 3A 34 36 2F 42 41 31 30 31 31 B7")
		text := Frame{FC: FCText, Data: []byte("INTRUDER SHOP")}
		noText, err := text.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range [][]byte{wants, wantsNot, noText} {
			line.Write(b)
			time.Sleep(time.Second)
		}
		line.Close()
		end()
		if len(sink.sigs) != 3 {
			t.Fatalf("%d signals, want 3", len(sink.sigs))
		}
		for i, s := range sink.sigs {
			if got, want := len(s.Key) > 0, i == 0; got != want {
				t.Errorf("signal %d has a key: %v, want %v", i, got, want)
			}
			if d, ok := s.At.Since(s.Opened); !ok || d < 0 || d > 3*time.Second {
				t.Errorf("signal %d: line opened %v before its arrival (%v)", i, d, ok)
			}
		}
	})
}

// TestNoBlockInsideABlock: a text whose data is a whole good event block, arriving with pauses, is one text and no event.
func TestNoBlockInsideABlock(t *testing.T) {
	inner := unhex(t, worked[2].hex)
	outer, err := Frame{Header: wantsAck, FC: FCText, Data: append([]byte("LOOK: "), append(inner, " END"...)...)}.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		sink := &slowSink{}
		line, out, end := start(t, sink)
		for _, b := range outer {
			line.Write([]byte{b})
			time.Sleep(33 * time.Millisecond) // 300 baud
		}
		if b := out(); !bytes.Equal(b, []byte{0x00, 0x38, 0xC7}) || len(sink.sigs) != 1 || sink.sigs[0].Kind != edge.KindAmended {
			t.Errorf("got % X and %+v, want one text", b, sink.sigs)
		}
		line.Close()
		end()
	})
}

// TestEveryNoiseByte: whatever one byte stands before an event, the event is heard and acknowledged before the panel
// would repeat it, and nothing else is heard.
func TestEveryNoiseByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &slowSink{}
		line, out, end := start(t, sink)
		for noise := range 256 {
			for _, w := range []int{0, 2, 3, 4, 5} {
				sink.sigs = nil
				line.Write(append([]byte{byte(noise)}, unhex(t, worked[w].hex)...))
				time.Sleep(2400 * time.Millisecond)
				if b := out(); !bytes.Equal(b, []byte{0x00, 0x38, 0xC7}) {
					t.Errorf("%02X before %s: got % X, want one acknowledgement", noise, worked[w].name, b)
				}
				if want := min(w, 1); len(sink.sigs) != want {
					t.Errorf("%02X before %s: %d signals, want %d", noise, worked[w].name, len(sink.sigs), want)
				}
			}
		}
		line.Close()
		end()
	})
}

// FuzzSession: whatever arrives, the collector stays bounded, gets in step again after silence, and nothing panics.
func FuzzSession(f *testing.F) {
	for _, b := range received(f) {
		f.Add(b, byte(7))
	}
	good := unhex(f, worked[2].hex)
	f.Fuzz(func(t *testing.T, b []byte, step byte) {
		var c collector
		for n := int(step)%64 + 1; len(b) > 0; {
			n = min(n, len(b))
			c.push(b[:n], step&0x80 != 0)
			b = b[n:]
			for {
				got, ok := c.next(step&0x40 != 0, nil)
				if !ok {
					break
				}
				if again, _, err := Decode(got.raw); err != nil || !bytes.Equal(again.Data, got.frame.Data) {
					t.Fatalf("took % X, which is no block: %v", got.raw, err)
				}
				eventSignals(got.frame, got.raw, edge.Stamp{}, time.UTC)
				textSignal(got.frame, got.raw, edge.Stamp{}, charsetSwedish)
			}
			if len(c.buf) > maxCollect || len(c.bad) != len(c.buf) || c.skip > len(c.buf) || c.fail > maxCollect {
				t.Fatalf("collector has %d bytes, %d marks, skip %d, fail %d", len(c.buf), len(c.bad), c.skip, c.fail)
			}
		}
		c.quiet()
		c.reset()
		c.push(good, false)
		if got, ok := c.next(false, nil); !ok || !bytes.Equal(got.raw, good) {
			t.Fatal("after a flush a good block is not seen")
		}
	})
}

func BenchmarkBlockToSignal(b *testing.B) {
	block := unhex(b, worked[5].hex)
	at := edge.Stamp{Wall: time.Date(2026, 11, 23, 11, 46, 30, 0, time.UTC)}
	var c collector
	b.ReportAllocs()
	for b.Loop() {
		c.push(block, false)
		got, ok := c.next(false, nil)
		if !ok || len(eventSignals(got.frame, got.raw, at, time.UTC)) != 1 {
			b.Fatal("no signal")
		}
	}
}

// TestBreakBeforeABlock: a transceiver that turns round sends a break, which the line reports as a damaged 00. The block behind it is
// taken at once, and nothing is refused.
func TestBreakBeforeABlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		sink := &slowSink{}
		s := newSession(panel.NewSettings(nil), options())
		var g errgroup.Group
		g.Go(func() error { return s.Run(t.Context(), &badLine{ours, 0}, sink) })
		g.Go(func() error { theirs.Write(append([]byte{0x00}, unhex(t, worked[2].hex)...)); return nil })
		got := make([]byte, 3)
		theirs.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := io.ReadFull(theirs, got); err != nil || !bytes.Equal(got, []byte{0x00, 0x38, 0xC7}) || len(sink.sigs) != 1 {
			t.Errorf("got % X, %v and %d signals, want an acknowledgement at once", got, err, len(sink.sigs))
		}
		theirs.Close()
		g.Wait()
	})
}
