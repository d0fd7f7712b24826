package uplink_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink"
	"sitewatch/uplink/soc"
	"sitewatch/uplink/soc/ledger"
	"sitewatch/uplink/wire"
)

// exactlyOnce checks P2: everything that the box has journalled is at the SOC once, in lane order, with its chain.
func exactlyOnce(t testing.TB, s *station, o *outbox) {
	t.Helper()
	evs := s.events()
	if len(evs) != int(o.Last()) {
		t.Errorf("%d events at the SOC, the box has %d", len(evs), o.Last())
	}
	last := map[edge.Lane]edge.Seq{}
	for _, e := range evs {
		if e.Event.Seq <= last[e.Event.Lane] {
			t.Errorf("lane %s: seq %d after %d", e.Event.Lane, e.Event.Seq, last[e.Event.Lane])
		}
		last[e.Event.Lane] = e.Event.Seq
		if !e.Chained {
			t.Errorf("seq %d does not fit the chain", e.Event.Seq)
		}
	}
}

func (o *outbox) allAcked() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.recs {
		if r.Seq > o.marks[r.Lane] {
			return false
		}
	}
	return true
}

func TestSOCRestartsMidStream(t *testing.T) {
	s := newStation(t)
	o := newOutbox("0417")
	id := s.enrol("0417")
	box(t, uplink.Options{Outbox: o, Files: newFiles(t), Identity: id, Paths: to(s.addr)})
	for i := range 1500 {
		kind := edge.KindSet
		if i%10 == 0 {
			kind = edge.KindTamper
		}
		o.put(t, edge.Event{Kind: kind})
		if i%500 == 250 {
			s.stop()
			s.start()
		}
	}
	eventually(t, "all acked", o.allAcked)
	exactlyOnce(t, s, o)
}

func TestSOCAwayIsLateNotLost(t *testing.T) {
	s := newStation(t)
	o := newOutbox("0417")
	id := s.enrol("0417")
	s.stop()
	hour := o.clock.Now()
	hour.Wall, hour.Mono = hour.Wall.Add(-time.Hour), hour.Mono-time.Hour
	o.put(t, edge.Event{Kind: edge.KindFire, Recorded: hour})
	var mu sync.Mutex
	var told []edge.Kind
	box(t, uplink.Options{Outbox: o, Files: newFiles(t), Identity: id, Paths: to(s.addr), PathLostAfter: 200 * time.Millisecond,
		Report: func(_ context.Context, e edge.Event) error {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, e.Kind)
			return nil
		}})
	tells := func(want ...edge.Kind) func() bool {
		return func() bool { mu.Lock(); defer mu.Unlock(); return slices.Equal(told, want) }
	}
	eventually(t, "path-lost", tells(edge.KindPathLost))
	s.start()
	eventually(t, "acked", o.allAcked)
	eventually(t, "path-lost-restored", tells(edge.KindPathLost, edge.KindPathLost.Restored()))
	o.put(t, edge.Event{Kind: edge.KindFire})
	eventually(t, "acked", o.allAcked)
	if evs := s.events(); len(evs) != 2 || !evs[0].Late || evs[1].Late {
		t.Errorf("got %+v, want the first late, the second not", evs)
	}
}

func TestSOCFromBackupGetsTheRestAgain(t *testing.T) {
	s := newStation(t)
	o := newOutbox("0417")
	id := s.enrol("0417")
	box(t, uplink.Options{Outbox: o, Files: newFiles(t), Identity: id, Paths: to(s.addr)})
	put := func() {
		for range 20 {
			o.put(t, edge.Event{Kind: edge.KindTamper})
			o.put(t, edge.Event{Kind: edge.KindSet})
		}
		eventually(t, "all acked", o.allAcked)
	}
	put()
	s.stop()
	old := filepath.Join(s.data, "ledger.db")
	backup, err := os.ReadFile(old)
	if err != nil {
		t.Fatal(err)
	}
	s.start()
	put()
	s.stop()
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(old + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(old, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	eventually(t, "everything is there again", func() bool { return len(s.events()) == 80 })
	exactlyOnce(t, s, o)
}

func TestUrgentOvertakesRoutine(t *testing.T) {
	s := newStation(t)
	o := newOutbox("0417")
	id := s.enrol("0417")
	for range 3000 {
		o.put(t, edge.Event{Kind: edge.KindSet})
	}
	o.put(t, edge.Event{Kind: edge.KindFire})
	box(t, uplink.Options{Outbox: o, Files: newFiles(t), Identity: id, Paths: to(s.addr)})
	eventually(t, "all acked", o.allAcked)
	if first := s.events()[0].Event.Kind; first != edge.KindFire {
		t.Errorf("the first event at the SOC is %s, want the fire", first)
	}
	exactlyOnce(t, s, o)
}

// cutter is a line that breaks after so many bytes, both ways counted, again and again.
type cutter struct {
	net.Conn
	left *atomic.Int64
}

func (c cutter) spend(n int) error {
	if c.left.Add(-int64(n)) < 0 {
		c.Close()
		return io.ErrUnexpectedEOF
	}
	return nil
}

func (c cutter) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if cut := c.spend(n); cut != nil {
		return 0, cut
	}
	return n, err
}

func (c cutter) Write(b []byte) (int, error) {
	if err := c.spend(len(b)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func TestLineThatKeepsBreaking(t *testing.T) {
	s := newStation(t)
	o, f := newOutbox("0417"), newFiles(t)
	id := s.enrol("0417")
	video := make([]byte, 600_000)
	rand.Read(video)
	clip := edge.ClipID(edge.NewID())
	for range 300 {
		o.put(t, edge.Event{Kind: edge.KindTamper})
		o.put(t, edge.Event{Kind: edge.KindSet})
	}
	f.put(t, clip, edge.PartClip, 1, video)
	dials := atomic.Int64{}
	box(t, uplink.Options{Outbox: o, Files: f, Identity: id, Paths: to(s.addr), Dial: func(ctx context.Context, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		left := &atomic.Int64{}
		left.Store(20_000 + 25_000*dials.Add(1))
		return cutter{conn, left}, nil
	}})
	eventually(t, "all acked", o.allAcked)
	eventually(t, "the clip is stored", func() bool { _, done, _ := f.counts(); return done == 1 })
	exactlyOnce(t, s, o)
	if n := dials.Load(); n < 4 {
		t.Errorf("only %d connections: the line did not break", n)
	}
	if took := s.took(); took != len(video) {
		t.Errorf("the SOC took %d bytes of a clip of %d: it does not resume where it was", took, len(video))
	}
	got, err := os.ReadFile(soc.ClipPath(filepath.Join(s.data, "clips"), "0417", clip, edge.PartClip))
	if err != nil || !slices.Equal(got, video) {
		t.Errorf("the clip differs (%v)", err)
	}
}

func TestNewerStillGoesBeforeAnOlderClip(t *testing.T) {
	s := newStation(t)
	o, f := newOutbox("0417"), newFiles(t)
	id := s.enrol("0417")
	old, newer := edge.ClipID(edge.NewID()), edge.ClipID(edge.NewID())
	f.put(t, old, edge.PartClip, 1, make([]byte, 8<<20))
	d := newDam(4 << 20)
	box(t, uplink.Options{Outbox: o, Files: f, Identity: id, Paths: to(s.addr), Dial: d.dial})
	part := soc.ClipPath(filepath.Join(s.data, "clips"), "0417", old, edge.PartClip) + ".*.part"
	eventually(t, "the clip has begun", func() bool { m, _ := filepath.Glob(part); return len(m) == 1 })
	f.put(t, newer, edge.PartStill, 2, make([]byte, 50_000))
	d.open()
	eventually(t, "both are stored", func() bool { _, done, _ := f.counts(); return done == 2 })
	if got := f.order(); !slices.Equal(got, []edge.ClipID{newer, old}) {
		t.Errorf("stored are %v, want the still %s first", got, newer)
	}
}

// slow is a line of about 4 MB/s.
func slow(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	return slowConn{conn}, err
}

type slowConn struct{ net.Conn }

func (c slowConn) Write(b []byte) (int, error) {
	<-time.After(time.Duration(len(b)) * 250 * time.Nanosecond)
	return c.Conn.Write(b)
}

func TestFilesThatCannotGo(t *testing.T) {
	s := newStation(t)
	f := newFiles(t)
	o := newOutbox("0417")
	gone, short, changed, bad, good := edge.ClipID(edge.NewID()), edge.ClipID(edge.NewID()), edge.ClipID(edge.NewID()), edge.ClipID("../../x"), edge.ClipID(edge.NewID())
	f.put(t, good, edge.PartClip, 1, []byte("good"))
	os.Remove(f.put(t, gone, edge.PartClip, 1, []byte("gone")).Path)
	os.Truncate(f.put(t, short, edge.PartClip, 1, make([]byte, 50_000)).Path, 30_000)
	c := f.put(t, edge.ClipID(edge.NewID()), edge.PartClip, 1, []byte("bad id"))
	f.take(c.ID, c.Part)
	c.ID = bad
	f.add(c)
	// The newest goes first: the changed one is refused for now, and must not keep the others until it is refused for good.
	os.WriteFile(f.put(t, changed, edge.PartClip, 1, make([]byte, 50_000)).Path, append(make([]byte, 49_999), 1), 0o600)
	box(t, uplink.Options{Outbox: o, Files: f, Identity: s.enrol("0417"), Paths: to(s.addr)})
	eventually(t, "the good one is stored", func() bool {
		_, done, refused := f.counts()
		return refused == 3 && done == 1
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, want := range map[edge.ClipID]string{gone: "is gone", short: "shorter", bad: "32 hex"} {
		if !strings.Contains(f.refused[id], want) {
			t.Errorf("%s: %q, want something about %q", id, f.refused[id], want)
		}
	}
	if len(f.wait) != 1 || f.wait[0].ID != changed {
		t.Errorf("waiting are %v, want the changed one", f.wait)
	}
}

func TestCommandIsDoneOnce(t *testing.T) {
	s := newStation(t)
	o := newOutbox("0417")
	var done atomic.Int64
	id := s.enrol("0417")
	_, stop := box(t, uplink.Options{Outbox: o, Files: newFiles(t), Identity: id, Paths: to(s.addr),
		Command: func(_ context.Context, c edge.Command) (edge.CommandState, string) {
			done.Add(1)
			return edge.CommandDone, "cut " + string(c.Camera)
		}})
	eventually(t, "connected", func() bool { _, up := s.srv.Online("0417"); return up })
	put := func(expires time.Duration) edge.CommandID {
		c := edge.Command{ID: edge.CommandID(edge.NewID()), Kind: "clip", Camera: "door", From: time.Now(), To: time.Now().Add(time.Second), Expires: time.Now().Add(expires)}
		if err := s.led.PutCommand(t.Context(), "0417", c); err != nil {
			t.Fatal(err)
		}
		s.srv.Nudge("0417")
		return c.ID
	}
	state := func(id edge.CommandID) ledger.Command {
		c, err := s.led.Command(t.Context(), id, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := put(time.Minute)
	eventually(t, "outcome", func() bool { return state(first).State == edge.CommandDone })
	if got := state(first).Outcome; got != "cut door" || done.Load() != 1 {
		t.Errorf("got %q after %d runs", got, done.Load())
	}
	stop()
	box(t, uplink.Options{Outbox: o, Files: newFiles(t), Identity: id, Paths: to(s.addr)})
	eventually(t, "connected", func() bool { _, up := s.srv.Online("0417"); return up })
	second := put(time.Minute)
	eventually(t, "a box without commands says so", func() bool { return state(second).State == edge.CommandFailed })
	if got := state(second).Outcome; got != "not supported by this box" {
		t.Errorf("got %q", got)
	}
}

func TestEnrolErrorsSayWhatToDo(t *testing.T) {
	s := newStation(t)
	clk := edge.NewSystemClock()
	claim := func(data string, site edge.SiteID) wire.Token {
		t.Helper()
		tok, err := soc.Claim(data, site, clk)
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	enrol := func(dir, addr, token string, site edge.SiteID) error {
		_, err := uplink.Enrol(t.Context(), uplink.EnrolOptions{Dir: dir, SOC: addr, Token: token, Site: site, Clock: clk})
		return err
	}
	dir := t.TempDir()
	tok := claim(s.data, "0417")
	if err := enrol(dir, s.addr, tok.String(), "0417"); err != nil {
		t.Fatal(err)
	}
	cert, err := os.ReadFile(filepath.Join(dir, "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := enrol(dir, s.addr, tok.String(), "0417"); err != nil {
		t.Errorf("the same token with the same key: %v", err)
	}
	if again, _ := os.ReadFile(filepath.Join(dir, "cert.pem")); string(again) != string(cert) {
		t.Error("the same token with the same key got another certificate")
	}
	for name, want := range map[string]os.FileMode{"key.pem": 0o600, "cert.pem": 0o644, "ca.pem": 0o644} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, st.Mode(), err)
		}
	}
	unknown := tok
	unknown.Secret[0] ^= 1
	other := newStation(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	for name, tt := range map[string]struct {
		addr, token string
		site        edge.SiteID
		want        string
	}{
		"used by another box":   {s.addr, tok.String(), "0417", "used by another box"},
		"wrong secret":          {s.addr, unknown.String(), "0417", "does not know"},
		"damaged":               {s.addr, tok.String()[:40], "0417", "damaged"},
		"token of another site": {s.addr, claim(s.data, "0418").String(), "0417", "for site 0418"},
		"another SOC":           {other.addr, claim(s.data, "0417").String(), "0417", "not the SOC that made this token"},
		"nobody there":          {ln.Addr().String(), claim(s.data, "0417").String(), "0417", "cannot be reached"},
	} {
		err := enrol(t.TempDir(), tt.addr, tt.token, tt.site)
		if err == nil || !strings.Contains(err.Error(), tt.want) || edge.HintOf(err) == "" {
			t.Errorf("%s: got %v (hint %q), want %q with a hint", name, err, edge.HintOf(err), tt.want)
		}
	}
	if _, err := uplink.LoadIdentity(t.TempDir()); !errors.Is(err, uplink.ErrNotEnrolled) || edge.HintOf(err) == "" {
		t.Errorf("an empty folder gives %v", err)
	}
}

// deadClock is a box whose clock battery is dead.
type deadClock struct{ edge.Clock }

func (c deadClock) Now() edge.Stamp {
	s := c.Clock.Now()
	s.Wall, s.Synced = time.Date(1970, 1, 1, 0, 3, 0, 0, time.UTC), false
	return s
}

func TestBoxWithDeadClockEnrolsAndDelivers(t *testing.T) {
	s := newStation(t)
	clk := deadClock{edge.NewSystemClock()}
	tok, err := soc.Claim(s.data, "0417", edge.NewSystemClock())
	if err != nil {
		t.Fatal(err)
	}
	id, err := uplink.Enrol(t.Context(), uplink.EnrolOptions{Dir: t.TempDir(), SOC: s.addr, Token: tok.String(), Site: "0417", Clock: clk})
	if err != nil {
		t.Fatal(err)
	}
	o := newOutbox("0417")
	o.clock = clk
	o.put(t, edge.Event{Kind: edge.KindFire})
	box(t, uplink.Options{Outbox: o, Files: newFiles(t), Identity: id, Paths: to(s.addr), Clock: clk})
	eventually(t, "acked", o.allAcked)
	if e := s.events()[0]; e.Event.Clock != edge.ClockUnset || e.Late {
		t.Errorf("got %+v, want an event of an unset clock that is not late", e)
	}
}
