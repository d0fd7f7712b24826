package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sitewatch/edge"
)

// contract is what every ledger fulfils. open gives an empty, running one; reopen ends it and opens it again.
func contract(t *testing.T, open func(t *testing.T) (l Ledger, reopen func() Ledger)) {
	for name, f := range map[string]func(t *testing.T, b *bench){
		"an event is there once whatever the box repeats":                        testOnce,
		"another event under a taken seq does not change the first and is shown": testConflict,
		"watermarks are per lane and survive":                                    testWatermarks,
		"an amendment folds, before or after its target":                         testAmend,
		"clip facts and bytes in any order":                                      testClipOrders,
		"a clip of another site cannot be touched":                               testForeignClip,
		"clips that no event asks for are bounded":                               testUnasked,
		"an amendment that waits for its target is checked, too":                 testWaitingAmendment,
		"clips of which the journal tells are asked for":                         testToldClips,
		"a wrong still or clip is told, whatever came first":                     testStillDigest,
		"what was amended comes in the order of change":                          testAmended,
		"a broken chain is marked and kept":                                      testChain,
		"gaps are named, told ones and holes":                                    testGaps,
		"a welcome has the hash of the record at the watermark":                  testWelcomeHash,
		"another journal is told once":                                           testReplaced,
		"two boxes with one certificate do not fill the ledger":                  testSwapsAreBounded,
		"what the SOC raises is numbered and chained":                            testRaise,
		"what has been told of absences survives":                                testPresence,
		"every seq is present or missing for a reason":                           testCompleteness,
		"what is missing comes in pages":                                         testMissingPages,
		"a hostile box cannot blur what is missing":                              testHostileSeqs,
		"queries select and page":                                                testQueries,
		"commands keep their first outcome and expire":                           testCommands,
		"storm: batches of many sites at once are all counted":                   testStorm,
	} {
		t.Run(name, func(t *testing.T) {
			l, reopen := open(t)
			f(t, &bench{t: t, l: l, reopen: reopen, boxes: map[edge.SiteID]*box{}})
		})
	}
}

type bench struct {
	t      testing.TB
	l      Ledger
	reopen func() Ledger
	boxes  map[edge.SiteID]*box
}

type box struct {
	id   edge.JournalID
	seq  edge.Seq
	prev [32]byte
}

func (b *bench) box(site edge.SiteID) *box {
	b.t.Helper()
	if b.boxes[site] == nil {
		b.boxes[site] = &box{id: edge.JournalID(edge.NewID())}
		if _, err := b.l.Hello(b.t.Context(), Hello{Site: site, Journal: b.boxes[site].id, At: at(0)}); err != nil {
			b.t.Fatal(err)
		}
	}
	return b.boxes[site]
}

func at(s int) time.Time { return time.Date(2026, 11, 23, 12, 0, s, 0, time.UTC) }

// entry journals an event on the box without sending it.
func (b *bench) entry(e edge.Event) Entry {
	b.t.Helper()
	x := b.box(e.Site)
	x.seq++
	e.V, e.Journal, e.Seq, e.Lane, e.Clock = 1, x.id, x.seq, e.Kind.Lane(), edge.ClockSynced
	e.Occurred, e.Recorded.Wall = at(int(x.seq%1e6)), at(int(x.seq%1e6))
	body, err := e.Encode()
	if err != nil {
		b.t.Fatal(err)
	}
	out := Entry{Seq: e.Seq, Lane: e.Lane, Body: body, Prev: x.prev, Event: e, Received: at(int(x.seq%1e6) + 1)}
	x.prev = sha256.Sum256(append(append([]byte{}, x.prev[:]...), body...))
	return out
}

func (b *bench) send(site edge.SiteID, es ...Entry) Outcome {
	b.t.Helper()
	out, err := b.l.Append(b.t.Context(), Batch{Site: site, Journal: b.box(site).id, Entries: es})
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func (b *bench) events(q Query) []Event {
	b.t.Helper()
	if q.Max == 0 {
		q.Max = 1000
	}
	evs, err := b.l.Events(b.t.Context(), q)
	if err != nil {
		b.t.Fatal(err)
	}
	return evs
}

func (b *bench) clip(id edge.ClipID) Clip {
	b.t.Helper()
	c, err := b.l.Clip(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func testOnce(t *testing.T, b *bench) {
	one, two := b.entry(edge.Event{Site: "1", Kind: edge.KindFire, Zone: "7", Raw: []byte{1, 2}}), b.entry(edge.Event{Site: "1", Kind: edge.KindSet})
	changed := b.l.Changed()
	if out := b.send("1", one, one, two); out.New != 2 || out.Duplicate != 1 {
		t.Errorf("first: %+v, want 2 new, 1 duplicate", out)
	}
	select {
	case <-changed:
	default:
		t.Error("a commit that added events did not announce them")
	}
	b.l = b.reopen()
	if out := b.send("1", one, two); out.New != 0 || out.Duplicate != 2 {
		t.Errorf("after a restart: %+v, want 2 duplicates", out)
	}
	evs := b.events(Query{})
	if len(evs) != 2 || evs[0].Index != 1 || evs[1].Index != 2 {
		t.Fatalf("got %+v, want indexes 1 and 2", evs)
	}
	want := one.Event
	want.Recorded = edge.Stamp{Wall: at(1)}
	if diff := cmp.Diff(want, evs[0].Event); diff != "" {
		t.Error(diff)
	}
	if !evs[0].Received.Equal(at(2)) || !evs[0].Chained {
		t.Errorf("got %+v", evs[0])
	}
}

func testConflict(t *testing.T, b *bench) {
	one := b.entry(edge.Event{Site: "1", Kind: edge.KindFire})
	b.send("1", one)
	other := one
	other.Body = bytes.Replace(one.Body, []byte("fire"), []byte("test"), 1)
	other.Event.Kind = "test"
	if out := b.send("1", other); out.New != 1 || len(out.Conflicts) != 1 || out.Conflicts[0] != 1 {
		t.Errorf("got %+v, want one conflict, which is shown", out)
	}
	if out := b.send("1", other); out.New != 0 || len(out.Conflicts) != 1 {
		t.Errorf("got %+v, want a conflict that is shown already", out)
	}
	evs := b.events(Query{})
	if len(evs) != 2 || evs[0].Event.Kind != edge.KindFire {
		t.Fatalf("the first event did not stay: %+v", evs)
	}
	if e := evs[1].Event; e.Kind != "test" || e.Journal != JournalSOC || e.Seq != 1 || !strings.Contains(e.Why, "a second time") {
		t.Errorf("the other event is shown as %+v", e)
	}
}

func testWatermarks(t *testing.T, b *bench) {
	u, r, u2 := b.entry(edge.Event{Site: "1", Kind: edge.KindFire}), b.entry(edge.Event{Site: "1", Kind: edge.KindSet}), b.entry(edge.Event{Site: "1", Kind: edge.KindTamper})
	b.send("1", u, u2)
	hello := func() Watermarks {
		t.Helper()
		w, err := b.l.Hello(t.Context(), Hello{Site: "1", Kind: "shop", Name: "One", Version: "2", Journal: b.boxes["1"].id, LastSeq: 9, At: at(50)})
		b.must(err)
		return w.Watermarks
	}
	if w := hello(); w.Urgent != 3 || w.Routine != 0 {
		t.Errorf("got %+v, want urgent 3, routine 0", w)
	}
	b.send("1", r)
	b.l = b.reopen()
	if w := hello(); w.Urgent != 3 || w.Routine != 2 {
		t.Errorf("got %+v, want urgent 3, routine 2", w)
	}
	sites, err := b.l.Sites(t.Context())
	b.must(err)
	want := []Site{{ID: "1", Kind: "shop", Name: "One", Version: "2", LastSeen: at(50), Journals: []Journal{
		{ID: b.boxes["1"].id, Watermarks: Watermarks{3, 2, 3}, LastSeq: 9}}}}
	if diff := cmp.Diff(want, sites); diff != "" {
		t.Error(diff)
	}
	if w, err := b.l.Hello(t.Context(), Hello{Site: "1", Journal: edge.JournalID(edge.NewID()), At: at(60)}); err != nil || w.Watermarks != (Watermarks{}) {
		t.Errorf("a new journal begins at %+v, %v", w, err)
	}
}

func testAmend(t *testing.T, b *bench) {
	for site, order := range map[edge.SiteID][]int{"after": {0, 1, 2}, "before": {1, 2, 0}} {
		c := edge.ClipRef{ID: edge.ClipID(edge.NewID()), Camera: "aisle", From: at(1), To: at(2)}
		es := []Entry{
			b.entry(edge.Event{Site: site, Kind: edge.KindIntruder, Zone: "1", Why: "first", Held: "swinger", Cameras: []edge.CameraID{"door"}}),
			b.entry(edge.Event{Site: site, Kind: edge.KindAmended, Amends: 1, Text: "STOCK"}),
			b.entry(edge.Event{Site: site, Kind: edge.KindAmended, Amends: 1, Corroborated: "video", ZoneName: "Stock room", Cameras: []edge.CameraID{"door", "aisle"}, Clips: []edge.ClipRef{c}}),
		}
		_, before, err := b.l.Head(t.Context())
		b.must(err)
		for _, i := range order {
			b.send(site, es[i])
		}
		evs := b.events(Query{Site: site, Kind: edge.KindIntruder})
		if len(evs) != 1 {
			t.Fatalf("%s: got %d", site, len(evs))
		}
		e := evs[0].Event
		if e.Text != "STOCK" || e.ZoneName != "Stock room" || e.Why != "first" || e.Corroborated != "video" || e.Held != "swinger" || len(e.Cameras) != 2 || len(e.Clips) != 1 || e.Clips[0].ID != c.ID {
			t.Errorf("%s: folded to %+v", site, e)
		}
		if all := b.events(Query{Site: site}); len(all) != 3 {
			t.Errorf("%s: %d events, want 3 (folding adds none)", site, len(all))
		}
		changes, err := b.l.Changes(t.Context(), before, 100)
		b.must(err)
		if last := changes[len(changes)-1]; last.Index != evs[0].Index || len(changes) != 3 {
			t.Errorf("%s: the last of %d changes is of index %d, want the amended %d", site, len(changes), last.Index, evs[0].Index)
		}
		if born, err := b.l.BornAt(t.Context(), evs[0].Index); err != nil || born >= evs[0].Change {
			t.Errorf("%s: born %d, changed %d, %v", site, born, evs[0].Change, err)
		}
	}
}

func testClipOrders(t *testing.T, b *bench) {
	sha := sha256.Sum256([]byte("film"))
	steps := func(site edge.SiteID, id edge.ClipID) map[rune]func() {
		asks := b.entry(edge.Event{Site: site, Kind: edge.KindFire, Clips: []edge.ClipRef{{ID: id, Camera: "door", From: at(1), To: at(9)}}})
		again := b.entry(edge.Event{Site: site, Kind: edge.KindFire, Clips: []edge.ClipRef{{ID: id, Camera: "door", From: at(3), To: at(12)}}})
		ready := b.entry(edge.Event{Site: site, Kind: edge.KindClipReady, Clip: &edge.ClipFact{ID: id, Camera: "door", From: at(0), To: at(8), SHA256: sha[:]}})
		lost := b.entry(edge.Event{Site: site, Kind: edge.KindClipLost, Clip: &edge.ClipFact{ID: id, Camera: "door", Reason: "disk"}})
		other := b.entry(edge.Event{Site: site, Kind: edge.KindClipReady, Clip: &edge.ClipFact{ID: id, Camera: "door", From: at(0), To: at(8), SHA256: make([]byte, 32)}})
		offer := func(part edge.FilePart) {
			_, err := b.l.ClipOffered(t.Context(), ClipOffer{Site: site, ID: id, Part: part, Camera: "door", Journal: b.box(site).id, Seq: asks.Seq})
			b.must(err)
		}
		return map[rune]func(){
			'e': func() { b.send(site, asks) }, 'a': func() { b.send(site, again) }, 'r': func() { b.send(site, ready) }, 'l': func() { b.send(site, lost) }, 'x': func() { b.send(site, other) },
			'c': func() { b.must(b.l.ClipCutting(t.Context(), site, id)) },
			'o': func() { offer(edge.PartClip) }, 's': func() { offer(edge.PartStill) },
			'S': func() { b.must(b.l.ClipStored(t.Context(), site, id, edge.PartStill, 3, sha)) },
			'B': func() { b.must(b.l.ClipStored(t.Context(), site, id, edge.PartClip, 4, sha)) },
		}
	}
	for order, want := range map[string]Clip{
		"e":      {State: ClipWanted, From: at(1), To: at(9)},
		"ec":     {State: ClipCutting, From: at(1), To: at(9)},
		"ea":     {State: ClipWanted, From: at(1), To: at(12)},
		"eca":    {State: ClipCutting, From: at(1), To: at(12)},
		"eoa":    {State: ClipUploading, From: at(1), To: at(12)},
		"era":    {State: ClipUploading, From: at(0), To: at(8)},
		"ear":    {State: ClipUploading, From: at(0), To: at(8)},
		"er":     {State: ClipUploading, From: at(0), To: at(8)},
		"es":     {State: ClipWanted, From: at(1), To: at(9)},
		"esS":    {State: ClipWanted, From: at(1), To: at(9), Still: true},
		"ecroB":  {State: ClipReady, From: at(0), To: at(8), SizeBytes: 4},
		"eoBr":   {State: ClipReady, From: at(0), To: at(8), SizeBytes: 4},
		"oBer":   {State: ClipReady, From: at(0), To: at(8), SizeBytes: 4},
		"oBre":   {State: ClipReady, From: at(0), To: at(8), SizeBytes: 4},
		"reoB":   {State: ClipReady, From: at(0), To: at(8), SizeBytes: 4},
		"el":     {State: ClipLost, From: at(1), To: at(9), Reason: "disk"},
		"le":     {State: ClipLost, From: at(1), To: at(9), Reason: "disk"},
		"ecl":    {State: ClipLost, From: at(1), To: at(9), Reason: "disk"},
		"eoBl":   {State: ClipReady, From: at(1), To: at(9), SizeBytes: 4},
		"eoBc":   {State: ClipReady, From: at(1), To: at(9), SizeBytes: 4},
		"eoBx":   {State: ClipReady, From: at(0), To: at(8), SizeBytes: 4, Reason: mismatch},
		"exoB":   {State: ClipReady, From: at(0), To: at(8), SizeBytes: 4, Reason: mismatch},
		"elc":    {State: ClipLost, From: at(1), To: at(9), Reason: "disk"},
		"sSoBer": {State: ClipReady, From: at(0), To: at(8), SizeBytes: 4, Still: true},
	} {
		id := edge.ClipID(edge.NewID())
		site := edge.SiteID("s-" + order)
		do := steps(site, id)
		for _, s := range order {
			do[s]()
		}
		got := b.clip(id)
		if got.State != want.State || !got.From.Equal(want.From) || !got.To.Equal(want.To) || got.Reason != want.Reason || got.SizeBytes != want.SizeBytes ||
			got.Still != want.Still || got.Site != site || got.Camera != "door" || got.Journal != b.box(site).id || got.Seq != 1 || !got.Asked {
			t.Errorf("%s: got %+v, want %+v", order, got, want)
		}
		if (len(got.SHA256) > 0) != (want.State == ClipReady) {
			t.Errorf("%s: digest %v in state %s", order, got.SHA256, got.State)
		}
	}
	if _, err := b.l.Clip(t.Context(), edge.ClipID(edge.NewID())); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown clip gives %v", err)
	}
}

func testForeignClip(t *testing.T, b *bench) {
	id := edge.ClipID(edge.NewID())
	b.send("1", b.entry(edge.Event{Site: "1", Kind: edge.KindFire, Clips: []edge.ClipRef{{ID: id, Camera: "door", From: at(1), To: at(2)}}}))
	want := b.clip(id)
	if _, err := b.l.ClipOffered(t.Context(), ClipOffer{Site: "2", ID: id, Part: edge.PartClip, Camera: "x", Journal: b.box("2").id, Seq: 1}); !errors.Is(err, ErrForeign) {
		t.Errorf("an offer by another site gives %v", err)
	}
	b.must(b.l.ClipCutting(t.Context(), "2", id))
	if err := b.l.ClipStored(t.Context(), "2", id, edge.PartClip, 1, [32]byte{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("a file by another site gives %v", err)
	}
	b.send("2", b.entry(edge.Event{Site: "2", Kind: edge.KindFire, Clips: []edge.ClipRef{{ID: id, Camera: "x", From: at(5), To: at(6)}}}),
		b.entry(edge.Event{Site: "2", Kind: edge.KindClipLost, Clip: &edge.ClipFact{ID: id, Reason: "no"}}),
		b.entry(edge.Event{Site: "2", Kind: edge.KindClipReady, Clip: &edge.ClipFact{ID: id, SHA256: []byte{1}}}))
	if diff := cmp.Diff(want, b.clip(id)); diff != "" {
		t.Error(diff)
	}
}

func testUnasked(t *testing.T, b *bench) {
	offer := func() error {
		_, err := b.l.ClipOffered(t.Context(), ClipOffer{Site: "1", ID: edge.ClipID(edge.NewID()), Part: edge.PartClip, Camera: "x", Journal: b.box("1").id, Seq: 1})
		return err
	}
	for range MaxUnasked {
		b.must(offer())
	}
	if err := offer(); !errors.Is(err, ErrUnasked) {
		t.Errorf("got %v, want ErrUnasked", err)
	}
}

func testChain(t *testing.T, b *bench) {
	one, two, three := b.entry(edge.Event{Site: "1", Kind: edge.KindFire}), b.entry(edge.Event{Site: "1", Kind: edge.KindSet}), b.entry(edge.Event{Site: "1", Kind: edge.KindFire})
	two.Body = bytes.Replace(two.Body, []byte("set"), []byte("ses"), 1)
	if out := b.send("1", one, three); len(out.Unchained) != 0 {
		t.Errorf("lanes that arrive apart: %+v", out)
	}
	if out := b.send("1", two); len(out.Unchained) != 1 || out.New != 1 {
		t.Errorf("an exchanged event: %+v", out)
	}
	if evs := b.events(Query{Lane: edge.Routine}); len(evs) != 1 || evs[0].Chained {
		t.Errorf("got %+v, want it there and marked", evs)
	}
}

func testGaps(t *testing.T, b *bench) {
	var es []Entry
	for i := range 10 {
		kind := edge.KindSet
		if i%2 == 0 {
			kind = edge.KindFire
		}
		es = append(es, b.entry(edge.Event{Site: "1", Kind: kind}))
	}
	gap := b.entry(edge.Event{Site: "1", Kind: edge.KindEventsLost, Gap: &edge.Gap{From: 2, To: 3, Events: 2, Reason: "the journal was full"}})
	b.send("1", es[0], es[3], es[4], es[7], es[8], es[9]) // 2, 3 told; 6, 7 not
	b.send("1", gap)
	gaps := func() []Gap {
		t.Helper()
		sites, err := b.l.Sites(t.Context())
		b.must(err)
		return sites[0].Journals[0].Gaps
	}
	want := []Gap{{From: 2, To: 3, Reason: "the journal was full"}, {From: 6, To: 7, Reason: "not received, and the box did not say why"}}
	if diff := cmp.Diff(want, gaps()); diff != "" {
		t.Error(diff)
	}
	b.send("1", es[5], es[6])
	if diff := cmp.Diff(want[:1], gaps()); diff != "" {
		t.Error(diff)
	}
}

func testQueries(t *testing.T, b *bench) {
	for i := range 25 {
		site, kind := edge.SiteID("1"), edge.KindFire
		if i%2 == 1 {
			site = "2"
		}
		if i%5 == 0 {
			kind = edge.KindSet
		}
		b.send(site, b.entry(edge.Event{Site: site, Kind: kind}))
	}
	for name, tt := range map[string]struct {
		q    Query
		want int
	}{
		"all": {Query{}, 25}, "site": {Query{Site: "2"}, 12}, "kind": {Query{Kind: edge.KindSet}, 5}, "lane": {Query{Lane: edge.Urgent}, 20},
		"after": {Query{After: 20}, 5}, "span": {Query{After: 10, Through: 12}, 2}, "max": {Query{Max: 7}, 7}, "site and kind": {Query{Site: "1", Kind: edge.KindSet}, 3},
		"nothing": {Query{Site: "3"}, 0}, "beyond": {Query{After: 1 << 40}, 0}, "injection": {Query{Site: "1' OR '1'='1"}, 0},
	} {
		evs := b.events(tt.q)
		if len(evs) != tt.want {
			t.Errorf("%s: got %d, want %d", name, len(evs), tt.want)
		}
		for i := 1; i < len(evs); i++ {
			if evs[i].Index <= evs[i-1].Index {
				t.Errorf("%s: not oldest first", name)
			}
		}
	}
}

func testCommands(t *testing.T, b *bench) {
	b.box("1")
	c := edge.Command{ID: edge.CommandID(edge.NewID()), Kind: "clip", Camera: "door", From: at(1), To: at(2), Expires: at(40), Signer: "me"}
	if err := b.l.PutCommand(t.Context(), "9", c); !errors.Is(err, ErrNotFound) {
		t.Errorf("a command to an unknown site gives %v", err)
	}
	b.must(b.l.PutCommand(t.Context(), "1", c))
	if open, err := b.l.OpenCommands(t.Context(), "1", at(30)); err != nil || len(open) != 1 || open[0] != c {
		t.Errorf("open are %+v, %v", open, err)
	}
	if open, _ := b.l.OpenCommands(t.Context(), "1", at(50)); len(open) != 0 {
		t.Errorf("an expired command is open: %+v", open)
	}
	state := func(now time.Time) edge.CommandState {
		t.Helper()
		got, err := b.l.Command(t.Context(), c.ID, now)
		b.must(err)
		return got.State
	}
	if got := state(at(30)); got != edge.CommandSent {
		t.Errorf("got %s", got)
	}
	if got := state(at(50)); got != edge.CommandExpired {
		t.Errorf("got %s", got)
	}
	if err := b.l.CommandOutcome(t.Context(), "2", c.ID, edge.CommandDone, ""); !errors.Is(err, ErrForeign) {
		t.Errorf("an outcome by another site gives %v", err)
	}
	if err := b.l.CommandOutcome(t.Context(), "1", "nope", edge.CommandDone, ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("an outcome of nothing gives %v", err)
	}
	b.must(b.l.CommandOutcome(t.Context(), "1", c.ID, edge.CommandFailed, "no such camera"))
	b.must(b.l.CommandOutcome(t.Context(), "1", c.ID, edge.CommandDone, "again"))
	if got, err := b.l.Command(t.Context(), c.ID, at(50)); err != nil || got.State != edge.CommandFailed || got.Outcome != "no such camera" || got.Site != "1" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func testStorm(t *testing.T, b *bench) {
	const sites, batches, each = 20, 10, 5
	var wg sync.WaitGroup
	for s := range sites {
		site := edge.SiteID(rune('a' + s))
		var all [][]Entry
		for range batches {
			var es []Entry
			for range each {
				es = append(es, b.entry(edge.Event{Site: site, Kind: edge.KindTamper}))
			}
			all = append(all, es)
		}
		id := b.box(site).id
		wg.Go(func() {
			for _, es := range all {
				if _, err := b.l.Append(context.WithoutCancel(t.Context()), Batch{Site: site, Journal: id, Entries: es}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	top, _, err := b.l.Head(t.Context())
	if err != nil || top != sites*batches*each {
		t.Errorf("%d events, %v, want %d", top, err, sites*batches*each)
	}
	evs := b.events(Query{Max: sites * batches * each})
	last := map[edge.SiteID]edge.Seq{}
	for i, e := range evs {
		if e.Index != Index(i+1) || e.Event.Seq != last[e.Event.Site]+1 || !e.Chained {
			t.Fatalf("event %d is %+v", i, e)
		}
		last[e.Event.Site]++
	}
}

func TestSQLite(t *testing.T) {
	contract(t, func(t *testing.T) (Ledger, func() Ledger) {
		path := filepath.Join(t.TempDir(), "ledger.db")
		var l *SQLite
		var stop func()
		open := func() Ledger {
			var err error
			if l, err = Open(context.Background(), Options{Path: path, Log: slog.New(slog.DiscardHandler)}); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			var wg sync.WaitGroup
			wg.Go(func() {
				if err := l.Run(ctx); err != nil {
					t.Error(err)
				}
			})
			stop = func() {
				cancel()
				wg.Wait()
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			}
			return l
		}
		t.Cleanup(func() { stop() })
		return open(), func() Ledger { stop(); return open() }
	})
}

func TestNewerLedgerIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.write.Exec("PRAGMA user_version = 1000"); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err := Open(t.Context(), Options{Path: path}); err == nil {
		l.Close()
		t.Error("a ledger of a newer program was opened")
	}
}

func TestDurability(t *testing.T) {
	l, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "ledger.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var mode string
	var sync int
	if err := l.write.QueryRow("PRAGMA journal_mode").Scan(&mode); err != nil || mode != "wal" {
		t.Errorf("journal_mode %s, %v", mode, err)
	}
	if err := l.write.QueryRow("PRAGMA synchronous").Scan(&sync); err != nil || sync != 2 {
		t.Errorf("synchronous %d, %v, want 2 (FULL)", sync, err)
	}
	if _, err := l.read.Exec("DELETE FROM events"); err == nil {
		t.Error("a reader may write")
	}
}
