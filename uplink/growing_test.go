package uplink_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"context"

	"sitewatch/edge"
	"sitewatch/uplink"
	"sitewatch/uplink/soc"
	"sitewatch/uplink/soc/ledger"
)

// growth is a cutter without pictures: files that get longer.
type growth struct {
	dir string
	uplink.Cuts
}

func newGrowth(t testing.TB) *growth { return &growth{dir: t.TempDir()} }

func (g *growth) path(id edge.ClipID, ext string) string { return filepath.Join(g.dir, string(id)+ext) }

// tell says how long a clip is.
func (g *growth) tell(t testing.TB, id edge.ClipID, seq edge.Seq) {
	t.Helper()
	fi, err := os.Stat(g.path(id, ".tmp"))
	if err != nil {
		t.Fatal(err)
	}
	g.Grew(edge.ClipFile{ID: id, Camera: "door", Seq: seq, Path: g.path(id, ".tmp"), SizeBytes: fi.Size()})
}

// append is a fragment more of a clip.
func (g *growth) append(t testing.TB, id edge.ClipID, seq edge.Seq, data []byte) {
	t.Helper()
	f, err := os.OpenFile(g.path(id, ".tmp"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	g.tell(t, id, seq)
}

// begin makes the clip another one, as a cutter does that finds nothing of use after a kill.
func (g *growth) begin(t testing.TB, id edge.ClipID) {
	t.Helper()
	if err := os.Remove(g.path(id, ".tmp")); err != nil {
		t.Fatal(err)
	}
}

// complete gives the clip its name and tells the journal.
func (g *growth) complete(t testing.TB, id edge.ClipID, seq edge.Seq, to *files) {
	t.Helper()
	b, err := os.ReadFile(g.path(id, ".tmp"))
	if err == nil {
		err = os.Rename(g.path(id, ".tmp"), g.path(id, ".mp4"))
	}
	if err != nil {
		t.Fatal(err)
	}
	to.add(edge.ClipFile{ID: id, Part: edge.PartClip, Camera: "door", Seq: seq, Path: g.path(id, ".mp4"), SizeBytes: int64(len(b)), SHA256: sha256.Sum256(b)})
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func clipID() edge.ClipID { return edge.ClipID(edge.NewID()) }

// arrived waits until the SOC has n bytes of a clip that is on its way.
func (s *station) arrived(id edge.ClipID, n int) {
	s.t.Helper()
	eventually(s.t, "the SOC has what has been cut", func() bool {
		fi, err := os.Stat(soc.Arriving(filepath.Join(s.data, "clips"), "0417", id))
		return err == nil && fi.Size() == int64(n)
	})
}

// took is how many bytes of files the SOC has taken since it was started. What the box has sent is more when a line breaks: gRPC
// and the kernel hold some of it, which is lost with the connection.
func (s *station) took() int { return int(s.metric("sitewatch_soc_upload_bytes_total", "")) }

// stored waits for the clip and compares it.
func (s *station) stored(f *files, n int, id edge.ClipID, want []byte) {
	s.t.Helper()
	eventually(s.t, "the clip is stored", func() bool { _, done, _ := f.counts(); return done >= n })
	got, err := os.ReadFile(soc.ClipPath(filepath.Join(s.data, "clips"), "0417", id, edge.PartClip))
	if err != nil || !bytes.Equal(got, want) {
		s.t.Errorf("the clip at the SOC differs (%d bytes of %d, %v)", len(got), len(want), err)
	}
	if c, err := s.led.Clip(s.t.Context(), id); err != nil || c.State != ledger.ClipReady || c.SizeBytes != int64(len(want)) {
		s.t.Errorf("got %+v, %v, want it ready", c, err)
	}
	if part := soc.Arriving(filepath.Join(s.data, "clips"), "0417", id); part != "" {
		s.t.Errorf("%s stays", part)
	}
}

func TestClipIsAtTheSOCWhileItIsCut(t *testing.T) {
	s := newStation(t)
	f, g := newFiles(t), newGrowth(t)
	c, _ := box(t, uplink.Options{Outbox: newOutbox("0417"), Files: f, Cuts: &g.Cuts, Identity: s.enrol("0417"), Paths: to(s.addr)})
	id := clipID()
	var all []byte
	for range 5 {
		piece := noise(120_001)
		all = append(all, piece...)
		g.append(t, id, 1, piece)
		s.arrived(id, len(all))
	}
	if cl, err := s.led.Clip(t.Context(), id); err != nil || cl.State != ledger.ClipUploading {
		t.Errorf("got %+v, %v, want uploading", cl, err)
	}
	g.append(t, id, 1, all[:777])
	g.complete(t, id, 1, f)
	all = append(all, all[:777]...)
	s.stored(f, 1, id, all)
	if took, st := s.took(), c.Status(); took != len(all) || st.Ignored != 0 {
		t.Errorf("the SOC took %d bytes of %d, %d answers were ignored", took, len(all), st.Ignored)
	}
}

// Clips that grow at the same time take turns, the newest alarm's first, and leave the line to others when they have nothing new.
func TestClipsThatGrowTakeTurns(t *testing.T) {
	s := newStation(t)
	f, g := newFiles(t), newGrowth(t)
	ids, all := make([]edge.ClipID, 40), make([][]byte, 40) // more than the SOC keeps at hand
	for i := range ids {
		ids[i] = clipID()
	}
	old := noise(3 << 20)
	oldest := f.put(t, clipID(), edge.PartClip, 1, old)
	c, _ := box(t, uplink.Options{Outbox: newOutbox("0417"), Files: f, Cuts: &g.Cuts, Identity: s.enrol("0417"), Paths: to(s.addr), Dial: slow})
	total := len(old)
	for range 4 {
		for i, id := range ids {
			piece := noise(2_000 + 100*i)
			all[i] = append(all[i], piece...)
			total += len(piece)
			g.append(t, id, edge.Seq(2+i%3), piece)
		}
		s.arrived(ids[0], len(all[0]))
	}
	newest := clipID()
	f.put(t, newest, edge.PartStill, 9, noise(30_000))
	for i, id := range ids {
		s.arrived(id, len(all[i]))
		g.complete(t, id, edge.Seq(2+i%3), f)
	}
	eventually(t, "all are stored", func() bool { _, done, _ := f.counts(); return done == len(ids)+2 })
	for i, id := range ids {
		s.stored(f, 0, id, all[i])
	}
	s.stored(f, 0, oldest.ID, old)
	if took, st := s.took(), c.Status(); took != total+30_000 || st.Ignored != 0 {
		t.Errorf("the SOC took %d bytes of %d, %d answers were ignored", took, total+30_000, st.Ignored)
	}
}

func TestGrowingClipStandsBackForNewerAlarms(t *testing.T) {
	s := newStation(t)
	f, g := newFiles(t), newGrowth(t)
	d := newDam(3 << 20)
	grows, newer := clipID(), clipID()
	there := int64(-1) // of the older one when the newer is stored
	f.whenDone = func(id edge.ClipID) {
		if fi, err := os.Stat(soc.Arriving(filepath.Join(s.data, "clips"), "0417", grows)); err == nil && id == newer {
			there = fi.Size()
		}
	}
	box(t, uplink.Options{Outbox: newOutbox("0417"), Files: f, Cuts: &g.Cuts, Identity: s.enrol("0417"), Paths: to(s.addr), Dial: d.dial})
	g.append(t, grows, 1, noise(1000))
	s.arrived(grows, 1000)
	g.append(t, grows, 1, noise(6<<20))
	video := noise(200_000)
	f.put(t, newer, edge.PartClip, 2, video)
	d.open()
	s.stored(f, 1, newer, video)
	if there < 1000 || there >= 6<<20 {
		t.Errorf("%d bytes of the older clip were there before the newer", there)
	}
	s.arrived(grows, 6<<20+1000)
}

// A cut at each stage: whatever is killed, the clip is the box's in the end, and what was there need not be sent again.
func TestGrowingClipIsTakenUpAgain(t *testing.T) {
	first, second := noise(300_000), noise(200_000)
	for name, c := range map[string]struct {
		between func(t *testing.T, s *station, g *growth, id edge.ClipID, stop func())
		want    []byte
		most    int // bytes that the SOC may take in the second half
	}{
		"SOC restarted": {func(t *testing.T, s *station, g *growth, id edge.ClipID, stop func()) {
			s.stop()
			s.start()
		}, slices.Concat(first, second), len(second)},
		"box restarted": {func(t *testing.T, s *station, g *growth, id edge.ClipID, stop func()) { stop() }, slices.Concat(first, second), len(second)},
		"box killed, its file is shorter": {func(t *testing.T, s *station, g *growth, id edge.ClipID, stop func()) {
			stop()
			if err := os.Truncate(g.path(id, ".tmp"), 250_000); err != nil {
				t.Fatal(err)
			}
			g.tell(t, id, 1)
		}, slices.Concat(first[:250_000], second), len(second) + 250_000},
		"box killed, its file is cut anew": {func(t *testing.T, s *station, g *growth, id edge.ClipID, stop func()) {
			stop()
			g.begin(t, id)
			g.append(t, id, 1, first[1:])
			g.append(t, id, 1, first[:2])
		}, slices.Concat(first[1:], first[:2], second), len(first) + 1 + len(second)},
		"cut anew while the stream lives": {func(t *testing.T, s *station, g *growth, id edge.ClipID, stop func()) {
			g.begin(t, id)
			g.append(t, id, 1, first[1:])
		}, slices.Concat(first[1:], second), 2 * (len(first) + len(second))}, // that it is another may be found by the digest only
		"SOC's power cut, its part has holes": {func(t *testing.T, s *station, g *growth, id edge.ClipID, stop func()) {
			s.stop()
			part := soc.Arriving(filepath.Join(s.data, "clips"), "0417", id)
			b, err := os.ReadFile(part)
			if err != nil {
				t.Fatal(err)
			}
			clear(b[100_000:200_000])
			if err := os.WriteFile(part, b, 0o640); err != nil {
				t.Fatal(err)
			}
			s.start()
		}, slices.Concat(first, second), len(first) + len(second)},
	} {
		for _, complete := range []bool{false, true} { // when the box comes back
			t.Run(name, func(t *testing.T) {
				s := newStation(t)
				f, g, id := newFiles(t), newGrowth(t), clipID()
				o := uplink.Options{Outbox: newOutbox("0417"), Files: f, Cuts: &g.Cuts, Identity: s.enrol("0417"), Paths: to(s.addr)}
				_, stop := box(t, o)
				g.append(t, id, 1, first)
				s.arrived(id, len(first))
				before, srv, stopped := s.took(), s.srv, false
				c.between(t, s, g, id, func() { stop(); stopped = true })
				finish := func() {
					g.append(t, id, 1, second)
					g.complete(t, id, 1, f)
				}
				if complete {
					finish()
				}
				if stopped {
					box(t, o)
				}
				if s.srv != srv {
					before = 0 // it counts anew
				}
				if !complete {
					finish()
				}
				s.stored(f, 1, id, c.want)
				if took := s.took() - before; took > c.most {
					t.Errorf("the SOC took %d bytes, want at most %d", took, c.most)
				}
			})
		}
	}
}

// The line breaks again and again, in the middle of everything.
func TestGrowingOverALineThatKeepsBreaking(t *testing.T) {
	s := newStation(t)
	f, g := newFiles(t), newGrowth(t)
	dials := 0
	var mu sync.Mutex
	box(t, uplink.Options{Outbox: newOutbox("0417"), Files: f, Cuts: &g.Cuts, Identity: s.enrol("0417"), Paths: to(s.addr),
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
			if err != nil {
				return nil, err
			}
			mu.Lock()
			defer mu.Unlock()
			dials++
			return &limited{Conn: conn, left: 30_000 + 20_000*dials}, nil
		}})
	a, b := clipID(), clipID()
	var inA, inB []byte
	for range 20 {
		x, y := noise(20_000), noise(15_000)
		inA, inB = append(inA, x...), append(inB, y...)
		g.append(t, a, 1, x)
		g.append(t, b, 1, y)
	}
	s.arrived(a, len(inA))
	g.complete(t, a, 1, f)
	g.complete(t, b, 1, f)
	s.stored(f, 2, a, inA)
	s.stored(f, 2, b, inB)
	mu.Lock()
	defer mu.Unlock()
	if took := s.took(); dials < 4 || took != len(inA)+len(inB) {
		t.Errorf("%d connections, the SOC took %d bytes of %d", dials, took, len(inA)+len(inB))
	}
}

// limited breaks after so many bytes were written.
type limited struct {
	net.Conn
	mu   sync.Mutex
	left int
}

func (l *limited) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left -= len(b); l.left < 0 {
		l.Close()
		return 0, io.ErrClosedPipe
	}
	return l.Conn.Write(b)
}
