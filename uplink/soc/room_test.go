package soc

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
	"sitewatch/uplink/wire"
)

// disk makes the store believe in a disk with so much room above its reserve.
func (c *centre) disk(above uint64) {
	c.s.store.free = 1 << 30
	c.s.store.avail = func() (uint64, error) { return 1<<30 + above, nil }
}

func large(size int64) *wire.Offer {
	o := offerOf(edge.ClipID(edge.NewID()), []byte("x"))
	o.Size = size
	return o
}

func TestOffersUnderWayDoNotEatTheReserve(t *testing.T) {
	c := newCentre(t)
	c.disk(1500 << 20)
	taken := 0
	for i := range 8 {
		r := c.upload(c.enrol(edge.SiteID(fmt.Sprint(i + 1)))).offer(large(1 << 30))
		if r.GetResume() != nil {
			taken++
		} else if !r.GetRefused().GetAgain() {
			t.Errorf("got %v, want to be asked again", r)
		}
	}
	if taken != 1 {
		t.Errorf("%d clips of 1 GiB are taken into 1.5 GiB", taken)
	}
}

func TestAFileOfferedAgainTakesItsRoomOnce(t *testing.T) {
	c := newCentre(t)
	cert := c.enrol("1")
	c.disk(100_000)
	data := make([]byte, 90_000)
	rand.Read(data)
	o := offerOf(edge.ClipID(edge.NewID()), data)
	c.upload(cert).offer(o)
	u := c.upload(cert) // the first is still open
	if r := u.offer(o); r.GetResume() == nil {
		t.Fatalf("got %v", r)
	}
	u.chunk(0, data[:60_000])
	if m, err := u.s.Recv(); err != nil || m.GetProgress().GetOffset() != 60_000 {
		t.Fatal(m, err)
	}
	c.disk(40_000)
	if r := c.upload(cert).offer(large(10_001)).GetRefused(); r == nil || !r.GetAgain() {
		t.Errorf("another into 10000 bytes: %v", r)
	}
	if r := c.upload(cert).offer(large(10_000)); r.GetResume() == nil {
		t.Errorf("one that fits: %v", r)
	}
	u.s.CloseSend()
	u.ends(codes.Unknown) // io.EOF
	if r := c.upload(cert).offer(o); r.GetResume().GetOffset() != 60_000 {
		t.Errorf("what is still to come has room: got %v", r)
	}
}

func TestAFileStopsAtTheReserve(t *testing.T) {
	c := newCentre(t)
	c.disk(10 << 20)
	u := c.upload(c.enrol("1"))
	u.offer(large(8 << 20))
	c.disk(0) // somebody else has filled it
	for off := 0; off < 8<<20; off += wire.MaxChunkBytes {
		u.chunk(off, make([]byte, wire.MaxChunkBytes))
	}
	if r := u.reply().GetRefused(); r == nil || !r.GetAgain() {
		t.Errorf("got %v, want to be asked again", r)
	}
	parts, err := filepath.Glob(filepath.Join(c.data, "clips", "1", "*"+partExt))
	if err != nil || len(parts) != 1 {
		t.Fatal(parts, err)
	}
	if fi, err := os.Stat(parts[0]); err != nil || fi.Size() > 2*askEvery {
		t.Errorf("%d bytes were written below the reserve, %v", fi.Size(), err)
	}
}

func TestOneBoxDoesNotTakeAllTheRoom(t *testing.T) {
	c := newCentre(t)
	c.disk(8 << 30)
	hostile, honest := c.enrol("1"), c.enrol("2")
	taken := 0
	for range 8 {
		if c.upload(hostile).offer(large(1<<30)).GetResume() != nil {
			taken++
		}
	}
	if taken != 4 {
		t.Errorf("one box may have %d GiB of 8 under way", taken)
	}
	if r := c.upload(honest).offer(large(1 << 30)); r.GetResume() == nil {
		t.Errorf("and another gets %v", r)
	}
	// The same with files that are complete.
	c.s.store.mu.Lock()
	c.s.store.kept["3"] = 20 << 30
	c.s.store.mu.Unlock()
	third := c.enrol("3")
	if r := c.upload(third).offer(large(1 << 20)).GetRefused(); r == nil || !r.GetAgain() || !strings.Contains(r.GetReason(), "this site") {
		t.Errorf("got %v", r)
	}
}

func TestFilesAreCountedAndOldPartsGo(t *testing.T) {
	c := newCentre(t)
	now := time.Now()
	id := func() edge.ClipID { return edge.ClipID(edge.NewID()) }
	lost, ready, waits, old, open, unknown := id(), id(), id(), id(), id(), id()
	cert := c.enrol("1")
	l := c.link("1", cert)
	l.welcome()
	l.send(wire.Lane_LANE_ROUTINE, l.event(1, edge.KindClipLost, func(e *edge.Event) {
		e.Clip = &edge.ClipFact{ID: lost, Camera: "door", Reason: "refused: x"}
	}))
	l.ack(1)
	for i, id := range []edge.ClipID{ready, waits, old} {
		l.send(wire.Lane_LANE_URGENT, l.event(edge.Seq(i+2), edge.KindFire, func(e *edge.Event) {
			e.Clips = []edge.ClipRef{{ID: id, Camera: "door"}}
		}))
		l.ack(uint64(i + 2))
	}
	if err := c.led.ClipStored(t.Context(), "1", ready, edge.PartClip, 5, [32]byte{1}); err != nil {
		t.Fatal(err)
	}
	u := c.upload(cert)
	u.offer(offerOf(open, []byte("film")))
	l.send(wire.Lane_LANE_ROUTINE, l.event(5, edge.KindClipLost, func(e *edge.Event) { // and comes all the same
		e.Clip = &edge.ClipFact{ID: open, Camera: "door", Reason: "x"}
	}))
	l.ack(5)
	put := func(name string, size int, age time.Duration) {
		t.Helper()
		path := filepath.Join(c.data, "clips", "1", name)
		if err := errors.Join(os.WriteFile(path, make([]byte, size), 0o640), os.Chtimes(path, now.Add(-age), now.Add(-age))); err != nil {
			t.Fatal(err)
		}
	}
	put(string(lost)+".mp4.00000000"+partExt, 9, time.Hour)
	put(string(ready)+".mp4.00000000"+partExt, 9, time.Hour)
	put(string(ready)+".jpg.00000000"+partExt, 9, time.Hour)
	put(string(ready)+".mp4", 5, time.Hour)
	put(string(ready)+".mp4"+badExt, 3, time.Hour)
	put(string(waits)+".mp4.00000000"+partExt, 9, time.Hour)
	put(string(old)+".mp4.00000000"+partExt, 9, partMost+time.Hour)
	put(string(unknown)+".mp4.00000000"+partExt, 9, time.Hour)
	put("notes.part", 9, 100*partMost)
	n, err := c.s.store.tidy(t.Context(), c.led, now)
	if err != nil || n != 3 {
		t.Errorf("removed %d, %v, want 3", n, err)
	}
	files, err := os.ReadDir(filepath.Join(c.data, "clips", "1"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"notes": true, string(ready): true, string(waits): true, string(unknown): true, string(open): true}
	for _, f := range files {
		name, rest, _ := strings.Cut(f.Name(), ".")
		if !want[name] || name == string(ready) && strings.HasPrefix(rest, "mp4.0") {
			t.Errorf("%s is still there", f.Name())
		}
	}
	if len(files) != 7 {
		t.Errorf("%d files are left, want 7", len(files))
	}
	if got := c.s.store.kept["1"]; got != 8 {
		t.Errorf("site 1 has %d bytes, want 8", got)
	}
	u.chunk(0, []byte("film"))
	if r := u.finish(); r.GetStored() == nil {
		t.Errorf("the file that was open: %v", r)
	}
	if got := c.s.store.kept["1"]; got != 12 {
		t.Errorf("site 1 has %d bytes, want 12", got)
	}
}

// TestAWrongFileOfTheSOCGivesWay has a file under the clip's name that is not what was stored: restored from a backup that
// was cut short, for one. The box's is the only good one then.
func TestAWrongFileOfTheSOCGivesWay(t *testing.T) {
	data := []byte("the real evidence, whole")
	for name, before := range map[string]func(c *centre, l *rawLink, id edge.ClipID, o *wire.Offer, path string) error{
		"the journal has its digest": func(c *centre, l *rawLink, id edge.ClipID, o *wire.Offer, path string) error {
			l.send(wire.Lane_LANE_ROUTINE, l.event(1, edge.KindClipReady, func(e *edge.Event) {
				e.Clip = &edge.ClipFact{ID: id, Camera: "door", SHA256: o.Sha256, StillSHA256: o.Sha256, SizeBytes: int64(len(data))}
			}))
			l.ack(1)
			return os.WriteFile(path, data[:5], 0o640)
		},
		"the ledger has another digest": func(c *centre, l *rawLink, id edge.ClipID, o *wire.Offer, path string) error {
			l.send(wire.Lane_LANE_URGENT, l.event(1, edge.KindFire, func(e *edge.Event) { e.Clips = []edge.ClipRef{{ID: id, Camera: "door"}} }))
			l.ack(1)
			return errors.Join(c.led.ClipStored(t.Context(), "1", id, edge.FilePart(o.Part), int64(len(data)), [32]byte(o.Sha256)), os.WriteFile(path, data[:5], 0o640))
		},
		"the journal contradicts what was stored": func(c *centre, l *rawLink, id edge.ClipID, o *wire.Offer, path string) error {
			l.send(wire.Lane_LANE_ROUTINE, l.event(1, edge.KindClipReady, func(e *edge.Event) {
				e.Clip = &edge.ClipFact{ID: id, Camera: "door", SHA256: o.Sha256, StillSHA256: o.Sha256, SizeBytes: int64(len(data))}
			}))
			l.ack(1)
			return errors.Join(c.led.ClipStored(t.Context(), "1", id, edge.FilePart(o.Part), 5, sha256.Sum256(data[:5])), os.WriteFile(path, data[:5], 0o640))
		},
		"the ledger has none": func(c *centre, l *rawLink, id edge.ClipID, o *wire.Offer, path string) error {
			return os.WriteFile(path, data[:5], 0o640)
		},
	} {
		for _, part := range []edge.FilePart{edge.PartClip, edge.PartStill} {
			c := newCentre(t)
			cert := c.enrol("1")
			l := c.link("1", cert)
			l.welcome()
			id := edge.ClipID(edge.NewID())
			o := offerOf(id, data)
			o.Part = wire.Part(part)
			path := ClipPath(filepath.Join(c.data, "clips"), "1", id, part)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), before(c, l, id, o, path)); err != nil {
				t.Fatal(err)
			}
			u := c.upload(cert)
			if r := u.offer(o); r.GetResume() == nil {
				t.Errorf("%s, part %d: got %v", name, part, r)
				continue
			}
			u.chunk(0, data)
			if r := u.finish(); r.GetStored() == nil {
				t.Errorf("%s, part %d: got %v", name, part, r)
			}
			for p, want := range map[string]string{path: string(data), path + badExt: string(data[:5])} {
				if b, err := os.ReadFile(p); err != nil || string(b) != want {
					t.Errorf("%s: %s has %q, %v", name, p, b, err)
				}
			}
			if cl, err := c.led.Clip(t.Context(), id); err != nil || cl.Reason != "" || part == edge.PartClip && cl.State != ledger.ClipReady || part == edge.PartStill && !cl.Still {
				t.Errorf("%s: %+v, %v", name, cl, err)
			}
			// What is right stays, whatever else is offered.
			if r := u.offer(func() *wire.Offer { o := offerOf(id, data[1:]); o.Part = wire.Part(part); return o }()).GetRefused(); r == nil || r.GetAgain() {
				t.Errorf("%s: another file: %v", name, r)
			}
		}
	}
}

func TestRefusedOffersDoNotFloodTheLog(t *testing.T) {
	c := newCentre(t)
	lines := &counted{}
	c.s.o.Log = slog.New(slog.NewTextHandler(lines, nil))
	cert := c.enrol("1")
	u := c.upload(cert)
	for range 200 {
		o := large(1)
		o.Camera = "a/b"
		if r := u.offer(o); r.GetRefused() == nil {
			t.Fatal(r)
		}
	}
	l := c.link("1", cert)
	l.welcome()
	for i := range 200 {
		l.send(wire.Lane_LANE_URGENT, &wire.Record{Seq: uint64(i + 1), Body: []byte("rubbish")})
		l.ack(uint64(i + 1))
	}
	if n := lines.of("refused"); n != 1 {
		t.Errorf("%d lines tell of refused offers", n)
	}
	if n := lines.of("cannot be read"); n != 1 {
		t.Errorf("%d lines tell of malformed records", n)
	}
	if n := count(t, c.s.metrics.refused.WithLabelValues("offer")); n != 200 {
		t.Errorf("%v are counted", n)
	}
}

// counted keeps the lines of a log.
type counted struct {
	mu    sync.Mutex
	lines []string
}

func (c *counted) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, string(b))
	return len(b), nil
}

func (c *counted) of(what string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.lines {
		if strings.Contains(l, what) {
			n++
		}
	}
	return n
}
