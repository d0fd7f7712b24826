package espa444

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/drivers/panel"
	"sitewatch/drivers/rs485"
	"sitewatch/edge"
)

// memory is a sink that can be slow or refuse.
type memory struct {
	mu      sync.Mutex
	took    time.Duration
	refuse  bool
	sigs    []edge.Signal
	settled int
	tries   int
}

func (m *memory) Signal(_ context.Context, sigs ...edge.Signal) error {
	m.mu.Lock()
	took := m.took
	m.tries++
	m.mu.Unlock()
	time.Sleep(took)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuse {
		return errors.New("the disk is full")
	}
	m.sigs = append(m.sigs, sigs...)
	return nil
}

func (m *memory) Settle(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settled++
	return nil
}

func (m *memory) set(took time.Duration, refuse bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.took, m.refuse = took, refuse
}

// texts are what is stored, in order.
func (m *memory) texts() (out []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.sigs {
		out = append(out, s.Text)
	}
	return out
}

// wire is the panel's end of a line with a session at the other.
type wire struct {
	net.Conn
	sink *memory
	mu   sync.Mutex
	got  []byte
	g    errgroup.Group
}

func start(t *testing.T, port func(net.Conn) panel.Port) *wire {
	ours, theirs := net.Pipe()
	w := &wire{Conn: theirs, sink: &memory{}}
	s := newSession(panel.NewSettings(nil), panel.SessionOptions{Clock: edge.NewSystemClock(), Location: time.UTC, Log: slog.New(slog.DiscardHandler)})
	w.g.Go(func() error { s.Run(t.Context(), port(ours), w.sink); return nil })
	w.g.Go(func() error {
		b := make([]byte, 64)
		for {
			n, err := theirs.Read(b)
			w.mu.Lock()
			w.got = append(w.got, b[:n]...)
			w.mu.Unlock()
			if err != nil {
				return nil
			}
		}
	})
	return w
}

func plain(c net.Conn) panel.Port { return c }

// slack is more than the turnaround: answers are not more exact than that.
const slack = 4 * turnaround

// answer is what has been sent since it was last asked, a turnaround from now included.
func (w *wire) answer() string {
	time.Sleep(slack / 2)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	b := fmt.Sprintf("% X", w.got)
	w.got = nil
	return b
}

// say sends b and wants the answer at once.
func (w *wire) say(t *testing.T, b, want string) {
	t.Helper()
	w.Write([]byte(b))
	if got := w.answer(); got != want {
		t.Errorf("%q was answered % s, want %s", b, got, want)
	}
}

// later wants the answer within d, and none before.
func (w *wire) later(t *testing.T, d time.Duration, want string) {
	t.Helper()
	time.Sleep(d - 2*slack)
	if got := w.answer(); got != "" {
		t.Errorf("%s was sent already before %v", got, d)
	}
	time.Sleep(2 * slack)
	if got := w.answer(); got != want {
		t.Errorf("after %v %q was sent, want %q", d, got, want)
	}
}

func (w *wire) end() {
	w.Close()
	w.g.Wait()
}

const selection = "1\x052\x05"

func encoded(t testing.TB, f Frame) string {
	t.Helper()
	b, err := f.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestLateCommit: when the disk takes longer than the panel waits, nothing that came meanwhile is answered as if it were
// fresh: a stale ACK could be taken for that of a block which is not stored.
func TestLateCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, plain)
		fire := encoded(t, block("FIRE ZONE 3", "61"))
		w.say(t, selection, "06")
		w.sink.set(5*time.Second, false)
		w.Write([]byte(fire))
		for range 2 {
			time.Sleep(1500 * time.Millisecond)
			w.Write([]byte(fire))
		}
		time.Sleep(time.Second)
		w.Write([]byte("\x04" + selection)) // 4 s: the panel has given up and begins anew
		w.sink.set(0, false)
		time.Sleep(2 * time.Second)
		if got := w.answer(); got != "" {
			t.Errorf("%s was sent for what the panel has given up", got)
		}
		w.say(t, "\x04"+selection, "06")
		w.say(t, fire, "06")
		if got := len(w.sink.texts()); got != 4 {
			t.Errorf("%d signals reached the sink, want one for each time", got)
		}
		w.end()
	})
}

// TestSlowCommitIsAcked: 1.9 s is in time, unless the panel has spoken meanwhile.
func TestSlowCommitIsAcked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, plain)
		fire := encoded(t, block("FIRE ZONE 3", "61"))
		w.say(t, selection, "06")
		w.sink.set(1900*time.Millisecond, false)
		w.Write([]byte(fire))
		w.later(t, 1900*time.Millisecond, "06")
		w.say(t, "\x04"+selection, "06")
		w.Write([]byte(fire))
		time.Sleep(1500 * time.Millisecond)
		w.sink.set(0, false)
		w.Write([]byte(fire)) // the panel's patience is 1.5 s
		w.later(t, 400*time.Millisecond, "06")
		w.end()
	})
}

// TestNoAnswerTooMany: what comes twice in a row, or with more behind it, gets one answer: another could be taken for that
// to the next block.
func TestNoAnswerTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, plain)
		fire := encoded(t, block("FIRE ZONE 3", "61"))
		w.say(t, "\x042\x05\x042\x05", "04")
		w.say(t, selection+selection, "06")
		w.Write([]byte(selection))
		w.say(t, selection, "06")
		w.say(t, fire+fire, "06")
		w.Write([]byte(fire))
		w.say(t, fire, "06")
		w.say(t, "\x04"+selection+fire, "06")
		if got := len(w.sink.texts()); got != 5 {
			t.Errorf("%d signals, want one for each block", got)
		}
		w.say(t, fire+"\x04", "") // nobody waits
		w.end()
	})
}

// TestCannotStore: within the panel's patience it is tried again; then the panel is told "busy"; an alarm is tried until it
// is stored, other calls only as long as the panel's own tries go on.
func TestCannotStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, plain)
		w.sink.set(0, true)
		w.say(t, selection, "06")
		w.say(t, encoded(t, block("FIRE ZONE 1", "61")), "")
		time.Sleep(100 * time.Millisecond)
		w.sink.set(0, false)
		w.later(t, 400*time.Millisecond, "06") // nobody has noticed anything
		w.say(t, "\x04", "")

		w.sink.set(0, true)
		w.say(t, selection, "06")
		w.say(t, encoded(t, block("FIRE ZONE 2", "61")), "")
		w.later(t, time.Second, "32 15")
		time.Sleep(time.Second)
		first := time.Now()
		w.say(t, encoded(t, block("FIRE ZONE 2", "61")), "") // the panel's second try
		time.Sleep(busyAfter + retryEvery)
		if got := w.answer(); got != "32 15" {
			t.Errorf("the second try: sent %q, want busy", got)
		}
		w.say(t, encoded(t, block("COFFEE IS OUT", "63")), "")
		time.Sleep(busyAfter + retryEvery)
		if got := w.answer(); got != "32 15" {
			t.Errorf("sent %q, want busy", got)
		}
		w.say(t, "\x04", "")
		time.Sleep(time.Hour) // the panel has given up long ago
		w.sink.set(0, false)
		time.Sleep(time.Second)
		if got := w.answer(); got != "" {
			t.Errorf("%q was sent to nobody", got)
		}
		if got, want := w.sink.texts(), []string{"FIRE ZONE 1", "FIRE ZONE 2"}; !slices.Equal(got, want) {
			t.Errorf("stored %q, want %q", got, want)
		}
		if !w.sink.sigs[1].At.Wall.Before(first) {
			t.Error("the alarm that was late has not the stamp of its first arrival")
		}
		w.end()
	})
}

// TestPanelGoesOn: a panel that has gone on to something else waits for no answer, neither "busy" nor a late ACK.
func TestPanelGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, plain)
		w.sink.set(0, true)
		w.say(t, selection, "06")
		w.say(t, encoded(t, block("FIRE ZONE 1", "61")), "")
		w.say(t, "\x04", "")
		time.Sleep(10 * time.Second)
		if got := w.answer(); got != "" {
			t.Errorf("%s was sent after the end of the turn", got)
		}
		w.sink.set(0, false)
		time.Sleep(time.Second)
		w.sink.set(0, true)
		w.say(t, selection, "06")
		w.say(t, encoded(t, block("FIRE ZONE 2", "61")), "")
		w.sink.set(400*time.Millisecond, false) // the try after half a second takes long
		time.Sleep(600 * time.Millisecond)
		w.Write([]byte("\x04" + selection))
		time.Sleep(500 * time.Millisecond)
		if got := w.answer(); got != "06" {
			t.Errorf("answered %q, want the ACK of the selection alone", got)
		}
		if got, want := w.sink.texts(), []string{"FIRE ZONE 1", "FIRE ZONE 2"}; !slices.Equal(got, want) {
			t.Errorf("stored %q, want %q", got, want)
		}
		w.end()
	})
}

// TestWhoIsRefused: a damaged block is refused where somebody may wait for that.
func TestWhoIsRefused(t *testing.T) {
	fire := encoded(t, block("FIRE ZONE 3", "61"))
	bad, half := fire[:len(fire)-1]+"\x7f", fire[:20]
	for name, tt := range map[string]struct{ before, block, want string }{
		"selected":                  {selection, bad, "31 15"},
		"selected, torn":            {selection, half, "31 15"},
		"nobody selected":           {"\x04", bad, "31 15"},
		"nobody selected, torn":     {"\x04", half, ""},
		"another is selected":       {"\x041\x053\x05", bad, ""},
		"another is selected, torn": {"\x041\x053\x05", half, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := start(t, plain)
			w.Write([]byte(tt.before))
			w.answer()
			w.Write([]byte(tt.block))
			time.Sleep(time.Second)
			if got := w.answer(); got != tt.want {
				t.Errorf("%s: answered %q, want %q", name, got, tt.want)
			}
			w.end()
		})
	}
}

// TestDamagedAndTorn: of a block with damage on the line nothing is taken for a poll.
func TestDamagedAndTorn(t *testing.T) {
	for at, want := range map[int]string{-1: "04", 6: "31 15"} { // -1: sound, and cut off by a poll
		synctest.Test(t, func(t *testing.T) {
			w := start(t, func(c net.Conn) panel.Port { return &badByte{c, at} })
			w.say(t, selection, "06")
			w.Write([]byte("\x011\x02\x042\x05"))
			time.Sleep(time.Second)
			if got := w.answer(); got != want {
				t.Errorf("byte %d damaged: answered %q, want %q", at, got, want)
			}
			w.end()
		})
	}
}

// TestWhatIsHeldIsBounded: whatever a panel sends while nothing can be stored, the alarms that came first stay.
func TestWhatIsHeldIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, plain)
		w.sink.set(0, true)
		w.Write([]byte(selection))
		var want []string
		for i := range 3 * maxHeld {
			pri := "63"
			if i%2 == 0 {
				pri = "61"
				if len(want) < maxHeld {
					want = append(want, fmt.Sprintf("FIRE %d", i))
				}
			} else {
				w.Write([]byte(encoded(t, block(fmt.Sprintf("COFFEE %d", i), pri))))
				continue
			}
			for range 2 { // as panels do
				w.Write([]byte(encoded(t, block(fmt.Sprintf("FIRE %d", i), pri))))
			}
		}
		time.Sleep(time.Minute)
		w.sink.set(0, false)
		time.Sleep(time.Second)
		got := w.sink.texts()
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("stored %q, want %q", got, want)
		}
		w.end()
	})
}

// TestSettle: an EOT at once proves that the panel has our ACK. After a wait it may be the end of its tries.
func TestSettle(t *testing.T) {
	for name, tt := range map[string]struct {
		then  string
		after time.Duration
		want  int
	}{
		"EOT at once":    {"\x04", 20 * time.Millisecond, 1},
		"EOT late":       {"\x04", time.Second, 0},
		"polled at once": {"2\x05", 20 * time.Millisecond, 1},
		"no EOT":         {"", time.Second, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := start(t, plain)
			w.say(t, selection, "06")
			w.say(t, encoded(t, block("FIRE", "61")), "06")
			time.Sleep(tt.after)
			w.Write([]byte(tt.then))
			w.answer()
			if w.sink.settled != tt.want {
				t.Errorf("%s: settled %d times, want %d", name, w.sink.settled, tt.want)
			}
			w.end()
		})
	}
}

// TestFirst: the first block since the port was opened, and its repeats, may be what an earlier connection has stored.
func TestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, plain)
		a, b := encoded(t, block("FIRE 1", "61")), encoded(t, block("FIRE 2", "61"))
		time.Sleep(time.Second)
		w.say(t, selection, "06")
		for _, s := range []string{a, a, b, a} {
			w.say(t, s, "06")
		}
		w.say(t, "\x04", "")
		for i, want := range []bool{true, true, false, false} {
			s := w.sink.sigs[i]
			if d, ok := s.At.Since(s.Opened); s.First != want || !ok || d < time.Second || d > time.Second+10*slack {
				t.Errorf("signal %d: first %v, opened %v before; want %v, 1s", i, s.First, d, want)
			}
		}
		w.end()
	})
}

// TestNoiseBeforeASelection: a stray SOH makes a block of what follows, until the line is quiet.
func TestNoiseBeforeASelection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, plain)
		for noise := range 256 {
			w.Write([]byte("\x04" + string([]byte{byte(noise)}) + selection))
			time.Sleep(tornAfter + time.Millisecond)
			if got := w.answer(); got != "06" {
				t.Errorf("%02X before a selection: answered %q, want ACK", noise, got)
			}
			w.Write([]byte{byte(noise)})
			w.Write([]byte(encoded(t, block("FIRE", "61"))))
			if got := w.answer(); got != "06" && noise != SOH|0x80 {
				t.Errorf("%02X before a block: answered %q, want ACK", noise, got)
			}
			w.Write([]byte("\x04\x01")) // and a block that has only begun when the line falls silent
			time.Sleep(time.Second)
			w.answer()
		}
		w.end()
	})
}

// TestStrayBytes: when the sender lets go of a pair of wires, receivers often see one more byte. It takes no answer away.
func TestStrayBytes(t *testing.T) {
	for _, stray := range []string{"\x00", "\xff", "\x00\xff", "\x7e"} {
		synctest.Test(t, func(t *testing.T) {
			w := start(t, plain)
			w.say(t, "\x042\x05"+stray, "04")
			w.say(t, selection+stray, "06")
			w.Write([]byte(encoded(t, block("FIRE ZONE 3", "61"))))
			w.say(t, stray, "06")
			w.Write([]byte(encoded(t, Frame{Data: []byte("1\x02FIRE")}) + stray))
			time.Sleep(time.Second)
			want := "06"
			if stray == "\x7e" {
				want = "31 15" // it may be the rest of a block that only seemed to end
			}
			if got := w.answer(); got != want {
				t.Errorf("%x behind a block without records: answered %q, want %q", stray, got, want)
			}
			w.end()
		})
	}
}

// badByte is a line whose n-th byte is damaged, as rs485 reports it.
type badByte struct {
	net.Conn
	at int
}

func (l *badByte) Read(b []byte) (int, error) {
	if l.at < 0 {
		return l.Conn.Read(b)
	}
	n, err := l.Conn.Read(b[:1])
	if l.at -= n; l.at < 0 && err == nil {
		return n, rs485.ErrBadByte
	}
	return n, err
}

// TestDamagedByte: whichever byte of a block the line reports as damaged, the block is not taken; where the panel waits for
// an answer it is refused, and the next try is taken.
func TestDamagedByte(t *testing.T) {
	fire := encoded(t, block("FIRE ZONE 3", "61"))
	for at := range len(fire) {
		synctest.Test(t, func(t *testing.T) {
			w := start(t, func(c net.Conn) panel.Port { return &badByte{c, len(selection) + at} })
			w.say(t, selection, "06")
			w.Write([]byte(fire))
			time.Sleep(time.Second)
			want := "31 15"
			if at == 0 {
				want = "" // no block has begun
			}
			if got := w.answer(); got != want || len(w.sink.texts()) != 0 {
				t.Errorf("byte %d damaged: answered %q and stored %q, want %q", at, got, w.sink.texts(), want)
			}
			w.say(t, fire, "06")
			if !slices.Equal(w.sink.texts(), []string{"FIRE ZONE 3"}) {
				t.Errorf("byte %d damaged: stored %q", at, w.sink.texts())
			}
			w.end()
		})
	}
}

// TestEveryFlip: whichever bit of a block is wrong, nothing is taken from it and the next try is stored.
func TestEveryFlip(t *testing.T) {
	fire := []byte(encoded(t, block("FIRE ZONE 3", "61")))
	synctest.Test(t, func(t *testing.T) {
		w := start(t, plain)
		for i := range fire {
			for bit := range 7 {
				w.say(t, "\x04"+selection, "06")
				bad := bytes.Clone(fire)
				bad[i] ^= 1 << bit
				w.Write(bad)
				time.Sleep(time.Second)
				w.answer()
				if got := w.sink.texts(); len(got) != 0 {
					t.Fatalf("bit %d of byte %d wrong: stored %q", bit, i, got)
				}
				w.say(t, string(fire), "06")
				w.sink.sigs = nil
			}
		}
		w.end()
	})
}

// FuzzSession: whatever arrives, the collector stays bounded, gets in step again after silence, and nothing panics.
func FuzzSession(f *testing.F) {
	for _, b := range received(f) {
		f.Add(b, byte(7))
	}
	good := []byte("\x04" + selection + encoded(f, block("FIRE ZONE 3", "61")))
	r := newRules(nil)
	f.Fuzz(func(t *testing.T, b []byte, step byte) {
		var c collector
		tu := newTurn('2')
		now := time.Duration(0)
		take := func(k token) bool {
			switch k.kind {
			case tokenBlock:
				if _, n, err := Decode(c.buf[:c.n]); err != nil || n != len(k.raw) {
					t.Fatalf("took % X, which is no block: %v", k.raw, err)
				}
				if s, p := signalOf(r, k.frame, k.raw, stamp(now)); p != asks && s.Kind == "" {
					t.Fatalf("% X has no kind", k.raw)
				}
				return tu.block(stamp(now))
			case tokenENQ:
				return tu.enq(k.addr, stamp(now)) == accept
			case tokenEOT:
				tu.end(stamp(now))
			case tokenACK:
				tu.ack()
			}
			return false
		}
		quiet := func() {
			_, k, rest := c.quiet()
			take(k)
			for _, v := range bytes.Clone(rest) {
				take(c.push(v, false))
			}
		}
		for i, v := range b {
			take(c.push(v, step&0x80 != 0 && i%7 == 3))
			if c.n < 0 || c.n > maxBlock || c.ctl > c.n {
				t.Fatalf("collector has %d bytes, control at %d", c.n, c.ctl)
			}
			if i%(int(step)%64+1) == 0 {
				now += time.Duration(step) * 30 * time.Millisecond
				quiet()
			}
		}
		for range maxBlock { // each silence ends at least one thing
			if quiet(); c.state == outside {
				break
			}
		}
		if c.state != outside {
			t.Fatal("silence does not bring it in step")
		}
		said := false
		for _, v := range good {
			said = take(c.push(v, false))
		}
		if !said {
			t.Fatal("after silence a good block is not taken")
		}
	})
}
