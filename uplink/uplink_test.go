package uplink_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sitewatch/edge"
	"sitewatch/uplink"
	"sitewatch/uplink/soc"
	"sitewatch/uplink/soc/ledger"
)

// outbox is a journal in memory: real bytes, real chain.
type outbox struct {
	site  edge.SiteID
	id    edge.JournalID
	clock edge.Clock

	mu      sync.Mutex
	recs    []edge.Record
	marks   map[edge.Lane]edge.Seq
	changed map[edge.Lane]chan struct{}
	acks    int
	acked   chan struct{} // closed at the next ack, nil while nobody waits
}

func newOutbox(site edge.SiteID) *outbox {
	return &outbox{site: site, id: edge.JournalID(edge.NewID()), clock: edge.NewSystemClock(), marks: map[edge.Lane]edge.Seq{},
		changed: map[edge.Lane]chan struct{}{edge.Urgent: make(chan struct{}), edge.Routine: make(chan struct{})}}
}

func (o *outbox) ID() edge.JournalID { return o.id }

func (o *outbox) Last() edge.Seq {
	o.mu.Lock()
	defer o.mu.Unlock()
	return edge.Seq(len(o.recs))
}

// put journals an event as the box would.
func (o *outbox) put(t testing.TB, e edge.Event) edge.Seq {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.clock.Now()
	e.V, e.Site, e.Journal, e.Seq, e.Lane = 1, o.site, o.id, edge.Seq(len(o.recs)+1), e.Kind.Lane()
	if e.Recorded.Boot == "" {
		e.Recorded = now
	}
	if e.Occurred.IsZero() {
		e.Occurred = e.Recorded.Wall
	}
	e.Clock = e.Recorded.ClockState()
	body, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return o.raw(e.Lane, body)
}

// raw journals a body that nothing has checked; the caller holds mu.
func (o *outbox) raw(lane edge.Lane, body []byte) edge.Seq {
	r := edge.Record{Seq: edge.Seq(len(o.recs) + 1), Lane: lane, Body: body}
	if n := len(o.recs); n > 0 {
		r.Prev = o.recs[n-1].Hash
	}
	r.Hash = sha256.Sum256(append(slices.Clone(r.Prev[:]), body...))
	o.recs = append(o.recs, r)
	close(o.changed[lane])
	o.changed[lane] = make(chan struct{})
	return r.Seq
}

func (o *outbox) Watermark(_ context.Context, lane edge.Lane) (edge.Seq, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.marks[lane], nil
}

func (o *outbox) Read(_ context.Context, lane edge.Lane, after edge.Seq, max int) ([]edge.Record, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []edge.Record
	for _, r := range o.recs[min(int(after), len(o.recs)):] {
		if r.Lane == lane && len(out) < max {
			out = append(out, r)
		}
	}
	return out, nil
}

func (o *outbox) Acked(_ context.Context, lane edge.Lane, through edge.Seq) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.acks++
	if through > edge.Seq(len(o.recs)) {
		return fmt.Errorf("ack of %d, last is %d", through, len(o.recs))
	}
	o.marks[lane] = max(o.marks[lane], through)
	if o.acked != nil {
		close(o.acked)
		o.acked = nil
	}
	return nil
}

func (o *outbox) Rewind(_ context.Context, lane edge.Lane, to edge.Seq) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.marks[lane] = to
	return nil
}

func (o *outbox) Changed(lane edge.Lane) <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.changed[lane]
}

func (o *outbox) Hash(_ context.Context, seq edge.Seq) (hash [32]byte, ok bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if seq == 0 || seq > edge.Seq(len(o.recs)) {
		return hash, false, nil
	}
	return o.recs[seq-1].Hash, true, nil
}

// files is the upload side of a journal, in memory, with real files.
type files struct {
	dir string

	mu      sync.Mutex
	wait    []edge.ClipFile
	refused map[edge.ClipID]string
	done    []edge.ClipID // in their order
	change  chan struct{}

	whenDone func(edge.ClipID) // nil: nothing more; no other file goes on meanwhile
}

func newFiles(t testing.TB) *files {
	return &files{dir: t.TempDir(), refused: map[edge.ClipID]string{}, change: make(chan struct{})}
}

// put makes a file that waits; the newest goes first, as the journal has it.
func (f *files) put(t testing.TB, id edge.ClipID, part edge.FilePart, seq edge.Seq, data []byte) edge.ClipFile {
	t.Helper()
	path := filepath.Join(f.dir, fmt.Sprintf("%s.%d", id, part))
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	c := edge.ClipFile{ID: id, Part: part, Camera: "door", Seq: seq, Path: path, SizeBytes: int64(len(data)), SHA256: sha256.Sum256(data)}
	f.add(c)
	return c
}

func (f *files) add(c edge.ClipFile) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wait = append([]edge.ClipFile{c}, f.wait...)
	slices.SortStableFunc(f.wait, func(a, b edge.ClipFile) int { return int(a.Part) - int(b.Part) })
	close(f.change)
	f.change = make(chan struct{})
}

func (f *files) NextUpload(_ context.Context, not ...edge.ClipID) (edge.ClipFile, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.wait {
		if !slices.Contains(not, c.ID) {
			return c, true, nil
		}
	}
	return edge.ClipFile{}, false, nil
}

func (f *files) take(id edge.ClipID, part edge.FilePart) {
	f.wait = slices.DeleteFunc(f.wait, func(c edge.ClipFile) bool { return c.ID == id && c.Part == part })
}

func (f *files) UploadDone(_ context.Context, id edge.ClipID, part edge.FilePart) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.take(id, part)
	f.done = append(f.done, id)
	if f.whenDone != nil {
		f.whenDone(id)
	}
	return nil
}

func (f *files) UploadRefused(_ context.Context, id edge.ClipID, part edge.FilePart, reason string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.take(id, part)
	f.refused[id] = reason
	return nil
}

func (f *files) UploadsChanged() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.change
}

func (f *files) counts() (waiting, done, refused int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.wait), len(f.done), len(f.refused)
}

// order are the files that the SOC has, the first one first.
func (f *files) order() []edge.ClipID {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.done)
}

// station is a SOC on loopback that can be stopped and started again on the same data and port.
type station struct {
	t    testing.TB
	data string
	addr string
	srv  *soc.Server
	led  *ledger.SQLite
	stop func()
	log  *slog.Logger

	clock edge.Clock
	reg   *prometheus.Registry
}

func newStation(t testing.TB) *station {
	s := &station{t: t, data: t.TempDir(), addr: "127.0.0.1:0", log: testLog(t), clock: edge.NewSystemClock()}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

func testLog(t testing.TB) *slog.Logger {
	if testing.Verbose() {
		return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

func (s *station) start() {
	s.t.Helper()
	var err error
	if s.led, err = ledger.Open(s.t.Context(), ledger.Options{Path: filepath.Join(s.data, "ledger.db"), Log: s.log}); err != nil {
		s.t.Fatal(err)
	}
	s.reg = prometheus.NewRegistry()
	s.srv, err = soc.New(soc.Options{Data: s.data, Clips: filepath.Join(s.data, "clips"), Ledger: s.led, Clock: s.clock,
		Log: s.log, Registry: s.reg, Heartbeat: time.Second, MinFreeBytes: 1})
	if err != nil {
		s.t.Fatal(err)
	}
	var ln net.Listener
	for range 50 { // the port of the run before may still be closing
		if ln, err = net.Listen("tcp", s.addr); err == nil {
			break
		}
		<-time.After(20 * time.Millisecond)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	led, srv := s.led, s.srv
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := srv.Run(ctx, ln); err != nil {
			s.t.Errorf("receiver: %v", err)
		}
	})
	lctx, lcancel := context.WithCancel(context.Background())
	ledgerDone := make(chan struct{})
	go func() { led.Run(lctx); close(ledgerDone) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		lcancel()
		<-ledgerDone
		led.Close()
	})
}

func (s *station) enrol(site edge.SiteID) *uplink.Identity {
	s.t.Helper()
	tok, err := soc.Claim(s.data, site, edge.NewSystemClock())
	if err != nil {
		s.t.Fatal(err)
	}
	id, err := uplink.Enrol(s.t.Context(), uplink.EnrolOptions{Dir: s.t.TempDir(), SOC: s.addr, Token: tok.String(), Site: site, Clock: edge.NewSystemClock()})
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

// box runs a client until the test ends or stop is called.
func box(t testing.TB, o uplink.Options) (c *uplink.Client, stop func()) {
	t.Helper()
	if o.Clock == nil {
		o.Clock = edge.NewSystemClock()
	}
	o.Log = testLog(t)
	o.Kind, o.Name, o.Version = "shop", "Demo High Street", "test"
	o.MaxBackoff = 300 * time.Millisecond
	c = uplink.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("client: %v", err)
		}
	})
	t.Cleanup(stop)
	return c, stop
}

// to is the one path of a box that has one, without a name.
func to(addr ...string) []uplink.Path { return []uplink.Path{{SOC: addr}} }

// hang is when a test gives up that waits for what must come.
const hang = 2 * time.Minute

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(hang)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within %v: %s", hang, what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (s *station) events() []ledger.Event {
	s.t.Helper()
	evs, err := s.led.Events(s.t.Context(), ledger.Query{Max: 100_000})
	if err != nil {
		s.t.Fatal(err)
	}
	return evs
}

func TestOneAlarmEndToEnd(t *testing.T) {
	s := newStation(t)
	o, f := newOutbox("0417"), newFiles(t)
	c, _ := box(t, uplink.Options{Outbox: o, Files: f, Identity: s.enrol("0417"), Paths: to(s.addr)})
	clip := edge.ClipID(edge.NewID())
	o.put(t, edge.Event{Kind: edge.KindStarted})
	seq := o.put(t, edge.Event{Kind: edge.KindIntruder, Code: "BA", Zone: "1011", Cameras: []edge.CameraID{"door"},
		Clips: []edge.ClipRef{{ID: clip, Camera: "door", From: time.Now(), To: time.Now().Add(time.Second)}}})
	eventually(t, "both events acked", func() bool {
		u, _ := o.Watermark(t.Context(), edge.Urgent)
		r, _ := o.Watermark(t.Context(), edge.Routine)
		return u == 2 && r == 1
	})
	still, video := make([]byte, 40_000), make([]byte, 700_000)
	rand.Read(still)
	rand.Read(video)
	f.put(t, clip, edge.PartClip, seq, video)
	f.put(t, clip, edge.PartStill, seq, still)
	o.put(t, edge.Event{Kind: edge.KindAmended, Amends: seq, Text: "Stock room"})
	eventually(t, "both files stored", func() bool { _, done, _ := f.counts(); return done == 2 })
	got, err := s.led.Clip(t.Context(), clip)
	if err != nil || got.State != ledger.ClipReady || !got.Still || got.Seq != seq || got.Journal != o.id {
		t.Errorf("clip is %+v, %v, want ready with still", got, err)
	}
	for part, want := range map[edge.FilePart][]byte{edge.PartStill: still, edge.PartClip: video} {
		b, err := os.ReadFile(soc.ClipPath(filepath.Join(s.data, "clips"), "0417", clip, part))
		if err != nil || !bytes.Equal(b, want) {
			t.Errorf("part %d at the SOC differs (%v)", part, err)
		}
	}
	eventually(t, "text folded", func() bool {
		for _, e := range s.events() {
			if e.Event.Seq == seq && e.Event.Text == "Stock room" && e.Event.Kind == edge.KindIntruder {
				return true
			}
		}
		return false
	})
	if st := c.Status(); !st.Connected || st.Ignored != 0 || st.Files != 2 || st.LastAck.Boot == "" {
		t.Errorf("status is %+v", st)
	}
	if _, up := s.srv.Online("0417"); !up {
		t.Error("the SOC does not know that the box is connected")
	}
}
