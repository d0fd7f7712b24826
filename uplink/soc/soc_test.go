package soc

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"sitewatch/edge"
	"sitewatch/uplink"
	"sitewatch/uplink/soc/ledger"
	"sitewatch/uplink/wire"
)

// centre is a whole receiver on loopback with a real ledger.
type centre struct {
	t    testing.TB
	data string
	addr string
	s    *Server
	led  *ledger.SQLite
}

// newCentre is one that waits for minutes before it lets a silent box go: no test of it depends on how long it is held up.
func newCentre(t testing.TB) *centre {
	c := &centre{t: t, data: t.TempDir()}
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	var err error
	if c.led, err = ledger.Open(t.Context(), ledger.Options{Path: filepath.Join(c.data, "ledger.db"), Log: log}); err != nil {
		t.Fatal(err)
	}
	c.s, err = New(Options{Data: c.data, Clips: filepath.Join(c.data, "clips"), Ledger: c.led, Clock: edge.NewSystemClock(), Log: log,
		Registry: prometheus.NewRegistry(), Heartbeat: time.Minute, MinFreeBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.addr = ln.Addr().String()
	lctx, lstop := context.WithCancel(context.Background())
	sctx, sstop := context.WithCancel(context.Background())
	var lwg, swg sync.WaitGroup
	lwg.Go(func() { c.led.Run(lctx) })
	swg.Go(func() {
		if err := c.s.Run(sctx, ln); err != nil {
			t.Errorf("receiver: %v", err)
		}
	})
	t.Cleanup(func() {
		sstop()
		swg.Wait()
		lstop()
		lwg.Wait()
		c.led.Close()
	})
	return c
}

// hang is when a test gives up that waits for what must come.
const hang = 2 * time.Minute

// until waits for what another goroutine is about to do.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	end := time.After(hang)
	for !ok() {
		select {
		case <-end:
			t.Fatalf("not within %v: %s", hang, what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// enrol gives a site's certificate.
func (c *centre) enrol(site edge.SiteID) tls.Certificate {
	c.t.Helper()
	tok, err := Claim(c.data, site, edge.NewSystemClock())
	if err != nil {
		c.t.Fatal(err)
	}
	dir := c.t.TempDir()
	if _, err := uplink.Enrol(c.t.Context(), uplink.EnrolOptions{Dir: dir, SOC: c.addr, Token: tok.String(), Site: site, Clock: edge.NewSystemClock()}); err != nil {
		c.t.Fatal(err)
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		c.t.Fatal(err)
	}
	return cert
}

// dial connects as a box of our own making.
func (c *centre) dial(certs ...tls.Certificate) *grpc.ClientConn {
	c.t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(c.s.ca.issuing().cert)
	cc, err := grpc.NewClient("passthrough:///"+c.addr, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		RootCAs: pool, ServerName: wire.ServerName, Certificates: certs})))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { cc.Close() })
	return cc
}

// rawLink is a Link on which a test says what it likes.
type rawLink struct {
	t       testing.TB
	s       grpc.BidiStreamingClient[wire.BoxMessage, wire.SocMessage]
	site    edge.SiteID
	journal edge.JournalID
}

func (c *centre) link(site edge.SiteID, certs ...tls.Certificate) *rawLink {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	c.t.Cleanup(cancel)
	s, err := wire.NewUplinkClient(c.dial(certs...)).Link(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	return &rawLink{t: c.t, s: s, site: site, journal: edge.JournalID(edge.NewID())}
}

func (l *rawLink) hello(change func(*wire.Hello)) {
	h := &wire.Hello{Protocol: 1, Site: string(l.site), Kind: "shop", Journal: string(l.journal), Boot: "b", MonoNs: int64(time.Hour)}
	if change != nil {
		change(h)
	}
	l.s.Send(&wire.BoxMessage{Message: &wire.BoxMessage_Hello{Hello: h}})
}

func (l *rawLink) send(lane wire.Lane, recs ...*wire.Record) {
	l.s.Send(&wire.BoxMessage{Message: &wire.BoxMessage_Events{Events: &wire.Events{Lane: lane, Records: recs, MonoNs: int64(time.Hour)}}})
}

// next skips heartbeats.
func (l *rawLink) next() (*wire.SocMessage, error) {
	for {
		m, err := l.s.Recv()
		if err != nil || m.GetHeartbeat() == nil {
			return m, err
		}
	}
}

func (l *rawLink) welcome() *wire.Welcome {
	l.t.Helper()
	l.hello(nil)
	m, err := l.next()
	if err != nil || m.GetWelcome() == nil {
		l.t.Fatalf("got %v, %v, want a Welcome", m, err)
	}
	return m.GetWelcome()
}

func (l *rawLink) ack(want uint64) {
	l.t.Helper()
	m, err := l.next()
	if err != nil || m.GetAck().GetThrough() != want {
		l.t.Fatalf("got %v, %v, want an ack of %d", m, err, want)
	}
}

// ends reads until the stream ends and wants this status.
func (l *rawLink) ends(want codes.Code) {
	l.t.Helper()
	for {
		m, err := l.next()
		if err == nil && (m.GetWelcome() != nil) {
			continue
		}
		if status.Code(err) != want {
			l.t.Errorf("got %v, %v, want %s", m, err, want)
		}
		return
	}
}

func (l *rawLink) event(seq edge.Seq, kind edge.Kind, change func(*edge.Event)) *wire.Record {
	l.t.Helper()
	now := time.Now().UTC()
	e := edge.Event{V: 1, Site: l.site, Journal: l.journal, Seq: seq, Lane: kind.Lane(), Kind: kind, Occurred: now, Clock: edge.ClockSynced,
		Recorded: edge.Stamp{Wall: now, Mono: time.Hour, Boot: "b"}}
	if change != nil {
		change(&e)
	}
	body, err := e.Encode()
	if err != nil {
		l.t.Fatal(err)
	}
	return &wire.Record{Seq: uint64(seq), Body: body, Prev: make([]byte, 32)}
}

// events are all but the changes of journal, of which each new link of these tests is one.
func (c *centre) events() []ledger.Event {
	c.t.Helper()
	evs, err := c.led.Events(c.t.Context(), ledger.Query{Max: 1000})
	if err != nil {
		c.t.Fatal(err)
	}
	return slices.DeleteFunc(evs, func(e ledger.Event) bool { return e.Event.Kind == edge.KindJournalReplaced })
}

func count(t testing.TB, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

func TestNobodyIsLetInByDefault(t *testing.T) {
	c := newCentre(t)
	c.link("1").ends(codes.Unauthenticated)
	// A certificate of another SOC's CA, for the same site.
	other := newCentre(t)
	s, err := wire.NewUplinkClient(c.dial(other.enrol("1"))).Link(t.Context())
	if err == nil {
		_, err = s.Recv()
	}
	if status.Code(err) != codes.Unauthenticated {
		t.Errorf("a certificate of another SOC: %v", err)
	}
	// A certificate of our CA that is no box's: the SOC's own.
	own, err := c.s.ca.Server()
	if err != nil {
		t.Fatal(err)
	}
	if s, err = wire.NewUplinkClient(c.dial(*own)).Link(t.Context()); err == nil {
		_, err = s.Recv()
	}
	if err == nil {
		t.Error("the SOC's own certificate passes for a box's")
	}
	up, err := wire.NewUplinkClient(c.dial()).Upload(t.Context())
	if err == nil {
		_, err = up.Recv()
	}
	if status.Code(err) != codes.Unauthenticated {
		t.Errorf("upload without certificate: %v", err)
	}
	if evs := c.events(); len(evs) != 0 {
		t.Errorf("%d events came in", len(evs))
	}
}

func TestBoxSpeaksForItsSiteOnly(t *testing.T) {
	c := newCentre(t)
	cert := c.enrol("1")
	l := c.link("1", cert)
	l.hello(func(h *wire.Hello) { h.Site = "2" })
	l.ends(codes.PermissionDenied)
	for name, change := range map[string]func(*edge.Event){
		"site":    func(e *edge.Event) { e.Site = "2" },
		"journal": func(e *edge.Event) { e.Journal = edge.JournalID(edge.NewID()) },
	} {
		l := c.link("1", cert)
		l.welcome()
		l.send(wire.Lane_LANE_URGENT, l.event(1, edge.KindFire, nil), l.event(2, edge.KindFire, change))
		l.ends(codes.PermissionDenied)
		if evs := c.events(); len(evs) != 0 {
			t.Errorf("another %s: %d events of the message were stored", name, len(evs))
		}
	}
	if got := count(t, c.s.metrics.refused.WithLabelValues("foreign")); got != 3 {
		t.Errorf("%v refusals are counted, want 3", got)
	}
}

func TestWrongMessagesEndTheStream(t *testing.T) {
	c := newCentre(t)
	cert := c.enrol("1")
	for name, say := range map[string]func(l *rawLink){
		"events before hello": func(l *rawLink) { l.send(wire.Lane_LANE_URGENT, l.event(1, edge.KindFire, nil)) },
		"empty first message": func(l *rawLink) { l.s.Send(&wire.BoxMessage{}) },
		"protocol 0":          func(l *rawLink) { l.hello(func(h *wire.Hello) { h.Protocol = 0 }) },
		"journal is a path":   func(l *rawLink) { l.hello(func(h *wire.Hello) { h.Journal = "../../../etc/passwd" }) },
		"journal soc":         func(l *rawLink) { l.hello(func(h *wire.Hello) { h.Journal = "soc" }) },
		"last_seq of 2^64-1":  func(l *rawLink) { l.hello(func(h *wire.Hello) { h.LastSeq = 1<<64 - 1 }) },
		"hello twice":         func(l *rawLink) { l.hello(nil); l.hello(nil) },
		"bulk lane":           func(l *rawLink) { l.hello(nil); l.send(wire.Lane_LANE_BULK, l.event(1, edge.KindFire, nil)) },
		"lane 99":             func(l *rawLink) { l.hello(nil); l.send(99, l.event(1, edge.KindFire, nil)) },
		"no records":          func(l *rawLink) { l.hello(nil); l.send(wire.Lane_LANE_URGENT) },
		"seq 0":               func(l *rawLink) { l.hello(nil); l.send(wire.Lane_LANE_URGENT, &wire.Record{}) },
		"seq 2^64-1":          func(l *rawLink) { l.hello(nil); l.send(wire.Lane_LANE_URGENT, &wire.Record{Seq: 1<<64 - 1}) },
		"prev of 3 bytes": func(l *rawLink) {
			l.hello(nil)
			l.send(wire.Lane_LANE_URGENT, &wire.Record{Seq: 1, Prev: []byte{1, 2, 3}})
		},
		"257 records": func(l *rawLink) { l.hello(nil); l.send(wire.Lane_LANE_URGENT, make([]*wire.Record, 257)...) },
	} {
		l := c.link("1", cert)
		say(l)
		t.Log(name)
		l.ends(codes.InvalidArgument)
	}
	l := c.link("1", cert)
	l.welcome()
	l.send(wire.Lane_LANE_URGENT, &wire.Record{Seq: 1, Body: make([]byte, wire.MaxMessageBytes)})
	l.ends(codes.ResourceExhausted)
	if evs := c.events(); len(evs) != 0 {
		t.Errorf("%d events came in", len(evs))
	}
}

func TestUnreadableEventDoesNotHoldUpItsLane(t *testing.T) {
	c := newCentre(t)
	l := c.link("1", c.enrol("1"))
	l.welcome()
	bad := [][]byte{[]byte("rubbish"), nil, []byte("{}"), []byte(`{"v":2}`), bytes.Repeat([]byte("x"), edge.MaxEventBytes+1),
		l.event(99, edge.KindFire, nil).Body, // says that it is 99
		l.event(7, edge.KindSet, nil).Body,   // of the other lane
		l.event(8, edge.KindFire, func(e *edge.Event) { e.Amends = 8 }).Body,
	}
	for i, body := range bad {
		l.send(wire.Lane_LANE_URGENT, &wire.Record{Seq: uint64(i + 1), Body: body})
		l.ack(uint64(i + 1))
	}
	l.send(wire.Lane_LANE_URGENT, l.event(9, edge.KindFire, func(e *edge.Event) {
		e.Clips = []edge.ClipRef{{ID: "../../x", Camera: "c"}, {ID: edge.ClipID(edge.NewID()), Camera: "c"}}
		e.Clock = "excellent"
	}))
	l.ack(9)
	evs := c.events()
	if len(evs) != 9 {
		t.Fatalf("%d events, want 9", len(evs))
	}
	for i, e := range evs[:8] {
		if e.Event.Kind != edge.KindUnknown || e.Event.Lane != edge.Urgent || e.Event.Site != "1" || !strings.Contains(e.Event.Why, "cannot read") {
			t.Errorf("event %d is %+v", i+1, e.Event)
		}
		if want := bad[i][:min(len(bad[i]), edge.MaxEventBytes)]; !bytes.Equal(e.Event.Raw, want) {
			t.Errorf("event %d: raw is not what came", i+1)
		}
	}
	if e := evs[8].Event; e.Kind != edge.KindFire || len(e.Clips) != 1 || e.Clock != edge.ClockUnset {
		t.Errorf("got %+v", e)
	}
}

func TestConflictIsRecordedAndAcked(t *testing.T) {
	c := newCentre(t)
	l := c.link("1", c.enrol("1"))
	l.welcome()
	l.send(wire.Lane_LANE_URGENT, l.event(1, edge.KindFire, nil))
	l.ack(1)
	l.send(wire.Lane_LANE_URGENT, l.event(1, edge.KindTamper, nil), l.event(2, edge.KindFire, nil))
	l.ack(2)
	if evs := c.events(); len(evs) != 3 || evs[0].Event.Kind != edge.KindFire || evs[1].Event.Kind != edge.KindTamper || evs[1].Event.Journal != ledger.JournalSOC {
		t.Errorf("got %+v, want both events, the second raised by the SOC", evs)
	}
	if got := count(t, c.s.metrics.odd.WithLabelValues("conflict")); got != 1 {
		t.Errorf("%v conflicts are counted", got)
	}
}

func TestHashLeftOutIsFoundFromTheRecordBefore(t *testing.T) {
	c := newCentre(t)
	l := c.link("1", c.enrol("1"))
	l.welcome()
	one, two, three := l.event(1, edge.KindFire, nil), l.event(2, edge.KindFire, nil), l.event(3, edge.KindFire, nil)
	two.Prev = nil
	first := edge.ChainHash([32]byte{}, one.Body)
	second := edge.ChainHash(first, two.Body)
	three.Prev = second[:]
	l.send(wire.Lane_LANE_URGENT, one, two)
	l.ack(2)
	l.send(wire.Lane_LANE_URGENT, three)
	l.ack(3)
	for _, e := range c.events() {
		if !e.Chained {
			t.Errorf("event %d does not hang in the chain", e.Event.Seq)
		}
	}
	four := l.event(4, edge.KindFire, nil)
	four.Prev = nil // nothing stands before it in this message
	l.send(wire.Lane_LANE_URGENT, four)
	l.ack(4)
	if got := count(t, c.s.metrics.odd.WithLabelValues("unchained")); got != 1 {
		t.Errorf("%v events are counted as unchained, want the one whose hash cannot be known", got)
	}
}

func TestLateIsMeasuredByTheBoxsMonotonicClock(t *testing.T) {
	c := newCentre(t)
	l := c.link("1", c.enrol("1"))
	l.welcome() // at Mono 1 h of boot b
	old := func(d time.Duration, wall time.Time, boot edge.BootID) func(*edge.Event) {
		return func(e *edge.Event) { e.Recorded = edge.Stamp{Wall: wall, Mono: time.Hour - d, Boot: boot} }
	}
	l.send(wire.Lane_LANE_URGENT,
		l.event(1, edge.KindFire, old(0, time.Now().Add(-time.Hour), "b")),         // wall clock an hour slow
		l.event(2, edge.KindFire, old(40*time.Second, time.Now(), "b")),            // wall clock stepped since
		l.event(3, edge.KindFire, old(0, time.Now().Add(-time.Second), "earlier")), // of another boot
		l.event(4, edge.KindFire, old(0, time.Now().Add(-40*time.Second), "earlier")),
		l.event(5, edge.KindFire, old(0, time.Date(1970, 1, 1, 0, 5, 0, 0, time.UTC), "earlier")))
	l.ack(5)
	var got []bool
	for _, e := range c.events() {
		got = append(got, e.Late)
	}
	if want := []bool{false, true, false, true, true}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("late is %v, want %v", got, want)
	}
}

func TestNewestLinkWins(t *testing.T) {
	c := newCentre(t)
	cert := c.enrol("1")
	old := c.link("1", cert)
	old.welcome()
	newer := c.link("1", cert)
	newer.welcome()
	old.ends(codes.Aborted)
	newer.send(wire.Lane_LANE_URGENT, newer.event(1, edge.KindFire, nil))
	newer.ack(1)
	if _, up := c.s.Online("1"); !up {
		t.Error("the end of the old link took the new one's presence with it")
	}
}

func TestStreamsPerSiteAreBounded(t *testing.T) {
	c := newCentre(t)
	cert := c.enrol("1")
	for range maxSiteStreams {
		up, err := wire.NewUplinkClient(c.dial(cert)).Upload(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		up.Send(&wire.UploadRequest{Message: &wire.UploadRequest_Offer{Offer: &wire.Offer{}}})
		if _, err := up.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	c.link("1", cert).ends(codes.ResourceExhausted)
}

func TestCommandGoesDownAndOutcomeComesBack(t *testing.T) {
	c := newCentre(t)
	l := c.link("1", c.enrol("1"))
	l.welcome()
	cmd := edge.Command{ID: edge.CommandID(edge.NewID()), Kind: "clip", Camera: "door", From: time.Now(), To: time.Now().Add(time.Second), Expires: time.Now().Add(time.Minute)}
	if err := c.led.PutCommand(t.Context(), "1", cmd); err != nil {
		t.Fatal(err)
	}
	c.s.Nudge("1")
	c.s.Nudge("1")
	m, err := l.next()
	if err != nil || m.GetCommand().GetId() != string(cmd.ID) || m.GetCommand().GetCamera() != "door" {
		t.Fatalf("got %v, %v", m, err)
	}
	l.s.Send(&wire.BoxMessage{Message: &wire.BoxMessage_Outcome{Outcome: &wire.CommandOutcome{Id: "unknown", State: "done"}}})
	l.s.Send(&wire.BoxMessage{Message: &wire.BoxMessage_Outcome{Outcome: &wire.CommandOutcome{Id: string(cmd.ID), State: "excellent", Outcome: "?"}}})
	l.send(wire.Lane_LANE_URGENT, l.event(1, edge.KindFire, nil))
	l.ack(1) // and not the command a second time
	got, err := c.led.Command(t.Context(), cmd.ID, time.Now())
	if err != nil || got.State != edge.CommandUnknown {
		t.Errorf("got %+v, %v, want an unknown state to be unknown", got, err)
	}
}

// rawUpload is an Upload on which a test says what it likes.
type rawUpload struct {
	t testing.TB
	s grpc.BidiStreamingClient[wire.UploadRequest, wire.UploadReply]

	arriving func() string // the file that the SOC shows, for tests of it
}

func (c *centre) upload(cert tls.Certificate) *rawUpload {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	c.t.Cleanup(cancel)
	s, err := wire.NewUplinkClient(c.dial(cert)).Upload(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	return &rawUpload{t: c.t, s: s}
}

func offerOf(id edge.ClipID, data []byte) *wire.Offer {
	sum := sha256.Sum256(data)
	return &wire.Offer{Clip: string(id), Part: wire.Part_PART_CLIP, Camera: "door", Journal: edge.NewID(), Seq: 1, Size: int64(len(data)), Sha256: sum[:]}
}

func (u *rawUpload) offer(o *wire.Offer) *wire.UploadReply {
	u.t.Helper()
	u.s.Send(&wire.UploadRequest{Message: &wire.UploadRequest_Offer{Offer: o}})
	return u.reply()
}

func (u *rawUpload) chunk(offset int, data []byte) {
	u.s.Send(&wire.UploadRequest{Message: &wire.UploadRequest_Chunk{Chunk: &wire.Chunk{Offset: int64(offset), Data: data}}})
}

func (u *rawUpload) finish() *wire.UploadReply {
	u.t.Helper()
	u.s.Send(&wire.UploadRequest{Message: &wire.UploadRequest_Finish{Finish: &wire.Finish{}}})
	return u.reply()
}

// reply skips progress.
func (u *rawUpload) reply() *wire.UploadReply {
	u.t.Helper()
	for {
		m, err := u.s.Recv()
		if err != nil {
			u.t.Fatal(err)
		}
		if m.GetProgress() == nil {
			return m
		}
	}
}

func (u *rawUpload) ends(want codes.Code) {
	u.t.Helper()
	for {
		m, err := u.s.Recv()
		if err == nil && m.GetProgress() != nil {
			continue
		}
		if status.Code(err) != want {
			u.t.Errorf("got %v, %v, want %s", m, err, want)
		}
		return
	}
}

func TestOffersAreChecked(t *testing.T) {
	c := newCentre(t)
	one, two := c.enrol("1"), c.enrol("2")
	data := []byte("film")
	id := edge.ClipID(edge.NewID())
	u := c.upload(one)
	for name, change := range map[string]func(o *wire.Offer){
		"path":            func(o *wire.Offer) { o.Clip = "../../../../etc/cron.d/x" },
		"path of 32":      func(o *wire.Offer) { o.Clip = "../" + strings.Repeat("a", 29) },
		"upper case":      func(o *wire.Offer) { o.Clip = strings.Repeat("A", 32) },
		"no id":           func(o *wire.Offer) { o.Clip = "" },
		"negative size":   func(o *wire.Offer) { o.Size = -1 },
		"nothing":         func(o *wire.Offer) { o.Size = 0 },
		"over the limit":  func(o *wire.Offer) { o.Size = wire.MaxClipBytes + 1 },
		"still too large": func(o *wire.Offer) { o.Part, o.Size = wire.Part_PART_STILL, wire.MaxStillBytes+1 },
		"part 9":          func(o *wire.Offer) { o.Part = 9 },
		"short digest":    func(o *wire.Offer) { o.Sha256 = o.Sha256[:31] },
		"camera":          func(o *wire.Offer) { o.Camera = "a/b" },
		"journal":         func(o *wire.Offer) { o.Journal = "soc" },
		"seq":             func(o *wire.Offer) { o.Seq = 1<<64 - 1 },
	} {
		o := offerOf(id, data)
		change(o)
		if r := u.offer(o).GetRefused(); r.GetReason() == "" || r.GetAgain() {
			t.Errorf("%s: got %v, want a refusal for good", name, r)
		}
	}
	if r := u.offer(offerOf(id, data)).GetResume(); r == nil || r.GetOffset() != 0 {
		t.Fatalf("a good offer: %v", r)
	}
	if r := c.upload(two).offer(offerOf(id, data)).GetRefused(); r == nil || !strings.Contains(r.GetReason(), "another site") || r.GetAgain() {
		t.Errorf("a clip of another site: %v", r)
	}
	if n := count(t, c.s.metrics.refused.WithLabelValues("offer")); n != 13 {
		t.Errorf("%v refused offers are counted, want 13", n)
	}
	files, err := filepath.Glob(filepath.Join(c.data, "clips", "*", "*"))
	if err != nil || len(files) != 1 || !strings.HasSuffix(files[0], ".part") {
		t.Errorf("files are %v, %v", files, err)
	}
}

func TestUploadResumesAndChecksDigest(t *testing.T) {
	c := newCentre(t)
	cert := c.enrol("1")
	data := make([]byte, 100_000)
	rand.Read(data)
	id := edge.ClipID(edge.NewID())
	path := ClipPath(filepath.Join(c.data, "clips"), "1", id, edge.PartClip)

	u := c.upload(cert)
	u.offer(offerOf(id, data))
	u.chunk(0, data[:40_000])
	u.s.CloseSend()
	u.ends(codes.Unknown) // io.EOF: the SOC has taken everything
	u = c.upload(cert)
	if r := u.offer(offerOf(id, data)).GetResume(); r.GetOffset() != 40_000 {
		t.Fatalf("resume at %d, want 40000", r.GetOffset())
	}
	// A newer stream takes the file over; the older can do it no harm.
	v := c.upload(cert)
	if r := v.offer(offerOf(id, data)).GetResume(); r.GetOffset() != 40_000 {
		t.Fatalf("resume at %d, want 40000", r.GetOffset())
	}
	u.chunk(40_000, bytes.Repeat([]byte{0}, 1000))
	u.ends(codes.Aborted)
	v.chunk(40_000, data[40_000:100_000])
	if r := v.finish(); r.GetStored().GetClip() != string(id) {
		t.Fatalf("got %v", r)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, data) {
		t.Errorf("the file differs (%v)", err)
	}
	if r := v.offer(offerOf(id, data)); r.GetStored() == nil {
		t.Errorf("offered again: %v, want Stored", r)
	}
	if r := v.offer(offerOf(id, data[1:])).GetRefused(); r == nil || r.GetAgain() {
		t.Errorf("another file under the id: %v", r)
	}

	// A wrong digest is dropped; the third time is the last.
	bad := edge.ClipID(edge.NewID())
	for i := range maxWrong {
		o := offerOf(bad, data)
		if r := v.offer(o).GetResume(); r == nil || r.GetOffset() != 0 {
			t.Fatalf("try %d begins with %v", i, r)
		}
		v.chunk(0, data[:50_000])
		v.chunk(50_000, data[:50_000])
		if r := v.finish().GetRefused(); r == nil || r.GetAgain() != (i < maxWrong-1) {
			t.Errorf("try %d: %v", i, r)
		}
	}
	if cl, err := c.led.Clip(t.Context(), bad); err != nil || cl.State == ledger.ClipReady {
		t.Errorf("got %+v, %v", cl, err)
	}
	if files, _ := filepath.Glob(filepath.Join(c.data, "clips", "1", "*")); len(files) != 1 {
		t.Errorf("files are %v, want the good one", files)
	}
}

func TestFileWithoutRowIsTakenUp(t *testing.T) {
	c := newCentre(t)
	data := []byte("killed between rename and row")
	id := edge.ClipID(edge.NewID())
	path := ClipPath(filepath.Join(c.data, "clips"), "1", id, edge.PartClip)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, data, 0o640)); err != nil {
		t.Fatal(err)
	}
	if r := c.upload(c.enrol("1")).offer(offerOf(id, data)); r.GetStored() == nil {
		t.Errorf("got %v, want Stored", r)
	}
	if cl, err := c.led.Clip(t.Context(), id); err != nil || cl.State != ledger.ClipReady {
		t.Errorf("got %+v, %v", cl, err)
	}
}

func TestWrongChunksEndTheStream(t *testing.T) {
	c := newCentre(t)
	cert := c.enrol("1")
	data := make([]byte, 1000)
	for name, say := range map[string]func(u *rawUpload){
		"hole":       func(u *rawUpload) { u.chunk(10, data[:10]) },
		"negative":   func(u *rawUpload) { u.chunk(-1, data[:10]) },
		"overflow":   func(u *rawUpload) { u.chunk(1<<63-1, data[:10]) },
		"too long":   func(u *rawUpload) { u.chunk(0, make([]byte, 1001)) },
		"empty":      func(u *rawUpload) { u.chunk(0, nil) },
		"over 64 KB": func(u *rawUpload) { u.chunk(0, make([]byte, wire.MaxChunkBytes+1)) },
		"unfinished": func(u *rawUpload) {
			u.s.Send(&wire.UploadRequest{Message: &wire.UploadRequest_Finish{Finish: &wire.Finish{}}})
		},
	} {
		u := c.upload(cert)
		u.offer(offerOf(edge.ClipID(edge.NewID()), data))
		t.Log(name)
		say(u)
		u.ends(codes.InvalidArgument)
	}
}

func TestFullDiskAsksToComeAgain(t *testing.T) {
	c := newCentre(t)
	c.s.store.free = 1 << 62
	r := c.upload(c.enrol("1")).offer(offerOf(edge.ClipID(edge.NewID()), []byte("x"))).GetRefused()
	if r == nil || !r.GetAgain() {
		t.Errorf("got %v, want to be asked again", r)
	}
}
