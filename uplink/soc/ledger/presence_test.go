package ledger

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sitewatch/edge"
)

func (b *bench) replacedEvents() []Event { return b.events(Query{Kind: edge.KindJournalReplaced}) }

func testReplaced(t *testing.T, b *bench) {
	one, two := edge.JournalID(edge.NewID()), edge.JournalID(edge.NewID())
	hello := func(j edge.JournalID, last edge.Seq, s int) {
		t.Helper()
		_, err := b.l.Hello(t.Context(), Hello{Site: "1", Journal: j, LastSeq: last, At: at(s), Synced: true})
		b.must(err)
	}
	hello(one, 0, 1)
	hello(one, 0, 2)
	b.boxes["1"] = &box{id: one}
	b.send("1", b.entry(edge.Event{Site: "1", Kind: edge.KindFire}), b.entry(edge.Event{Site: "1", Kind: edge.KindSet}))
	hello(one, 9, 3)
	if evs := b.replacedEvents(); len(evs) != 0 {
		t.Fatalf("the first journal is told as replaced: %+v", evs)
	}
	changed := b.l.Changed()
	hello(two, 4, 5)
	select {
	case <-changed:
	default:
		t.Error("the event is not announced")
	}
	b.l = b.reopen()
	hello(two, 4, 6) // by another path, or after a break
	evs := b.replacedEvents()
	if len(evs) != 1 {
		t.Fatalf("got %d events, want 1: %+v", len(evs), evs)
	}
	e := evs[0].Event
	if e.Site != "1" || e.Journal != JournalSOC || e.Seq != 1 || e.Lane != edge.Routine || e.Clock != edge.ClockSynced || !e.Occurred.Equal(at(5)) ||
		!e.Recorded.Wall.Equal(at(5)) || !evs[0].Received.Equal(at(5)) || evs[0].Late {
		t.Errorf("got %+v", evs[0])
	}
	for _, s := range []string{string(one), string(two), "urgent events up to 1", "routine ones up to 2", "told of is 9"} {
		if !strings.Contains(e.Why, s) {
			t.Errorf("%q does not say %q", e.Why, s)
		}
	}
	list, _ := b.gaps("1", 0, 10)
	if len(list) != 2 || list[0].Journal != two || list[0].Missing[0].Reason != notYet || list[1].Journal != one ||
		cmp.Diff([]Gap{{From: 3, To: 9, Reason: replacedText}}, list[1].Missing) != "" {
		t.Errorf("got %+v: what only the old box had will not come", list)
	}
	hello(one, 9, 7)
	if evs := b.replacedEvents(); len(evs) != 2 || evs[1].Event.Seq != 2 {
		t.Errorf("back again: %+v", evs)
	}
	sites, err := b.l.Sites(t.Context())
	b.must(err)
	if js := sites[0].Journals; len(js) != 2 || js[0].ID != one {
		t.Errorf("journals are %+v, want the one in use first, and none of the SOC", js)
	}
}

func testSwapsAreBounded(t *testing.T, b *bench) {
	now := at(0)
	for range 100 {
		now = now.Add(time.Second)
		_, err := b.l.Hello(t.Context(), Hello{Site: "1", Journal: edge.JournalID(edge.NewID()), At: now})
		b.must(err)
	}
	if evs := b.replacedEvents(); len(evs) != maxSwaps {
		t.Errorf("%d events, want %d", len(evs), maxSwaps)
	}
	if got, _ := b.gaps("1", 0, 10); len(got) > maxEmpty+2 {
		t.Errorf("%d journals are remembered of which nothing has come", len(got))
	}
	_, err := b.l.Hello(t.Context(), Hello{Site: "1", Journal: edge.JournalID(edge.NewID()), At: now.Add(2 * time.Hour)})
	b.must(err)
	if evs := b.replacedEvents(); len(evs) != maxSwaps+1 || !strings.Contains(evs[maxSwaps].Event.Why, "changed 89 times more") {
		t.Errorf("after the hour: %d events, the last is %+v", len(evs), evs[len(evs)-1].Event)
	}
}

func testRaise(t *testing.T, b *bench) {
	b.box("1")
	changed := b.l.Changed()
	raise := func(s int, evs ...edge.Event) []edge.Seq {
		t.Helper()
		for i := range evs {
			evs[i].Occurred, evs[i].Recorded = at(s-1), edge.Stamp{Wall: at(s), Synced: true}
		}
		seqs, err := b.l.Raise(t.Context(), Raising{At: at(s), Events: evs})
		b.must(err)
		return seqs
	}
	seqs := raise(1, edge.Event{Site: "1", Kind: edge.KindSiteLost, Why: "silence"}, edge.Event{Site: "1", Kind: edge.KindPathLost, Path: "mobile"},
		edge.Event{Kind: edge.KindOutage, Text: "1"}, edge.Event{Site: "1", Kind: edge.KindSiteLost.Restored()})
	if diff := cmp.Diff([]edge.Seq{1, 2, 1, 3}, seqs); diff != "" {
		t.Error(diff)
	}
	select {
	case <-changed:
	default:
		t.Error("a commit that raised events did not announce them")
	}
	b.l = b.reopen()
	raise(5, edge.Event{Kind: edge.KindAmended, Amends: 1, Text: "1, 2", Why: "two now"})
	// What a box gives a number twice is in the same numbering.
	one := b.entry(edge.Event{Site: "1", Kind: edge.KindFire})
	other := one
	other.Body = append([]byte(" "), one.Body...)
	b.send("1", one)
	b.send("1", other)
	var got []string
	prev := map[edge.SiteID][32]byte{}
	for _, e := range b.events(Query{}) {
		if e.Event.Journal != JournalSOC {
			continue
		}
		got = append(got, string(e.Event.Site)+" "+e.Event.Lane.String()+" "+string(e.Event.Kind)+" "+e.Event.Text)
		body, p, h := rawOf(t, b.l, e.Index)
		if p != prev[e.Event.Site] || sha256.Sum256(append(p[:], body...)) != h || !e.Chained {
			t.Errorf("event %d is not chained", e.Index)
		}
		prev[e.Event.Site] = h
		if back, err := edge.DecodeEvent(body); e.Event.Kind == edge.KindPathLost && (err != nil || back.Path != "mobile" || back.Seq != 2) {
			t.Errorf("the body says %+v, %v", back, err)
		}
	}
	want := []string{"1 urgent site-lost ", "1 routine path-lost ", " routine outage 1, 2", "1 urgent site-lost-restored ", " routine amended 1, 2", "1 urgent fire "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// rawOf is what a ledger stores of an event.
func rawOf(t *testing.T, l Ledger, i Index) (body []byte, prev, hash [32]byte) {
	t.Helper()
	var p, h []byte
	if err := l.(*SQLite).read.QueryRow(`SELECT body, prev, hash FROM events WHERE idx = ?`, i).Scan(&body, &p, &h); err != nil {
		t.Fatal(err)
	}
	return body, [32]byte(p), [32]byte(h)
}

func testPresence(t *testing.T, b *bench) {
	if p, err := b.l.Presence(t.Context()); err != nil || len(p.Sites)+len(p.Paths) != 0 || p.Outage != 0 {
		t.Errorf("an empty ledger knows %+v, %v", p, err)
	}
	b.box("1")
	b.box("2")
	_, err := b.l.Raise(t.Context(), Raising{At: at(9), Events: []edge.Event{{Kind: edge.KindOutage}, {Kind: edge.KindOutage}, {Site: "1", Kind: edge.KindPathLost}},
		Sites: []SiteLoss{{Site: "1", Loss: InOutage, Heard: at(5)}},
		Paths: []Path{{"1", "", at(3), false}, {"1", "mobile", at(4), true}, {"2", "", at(6), false}}})
	b.must(err)
	_, err = b.l.Raise(t.Context(), Raising{At: at(9), Forget: []Path{{Site: "1", Name: ""}}, Paths: []Path{{"1", "mobile", at(2), true}}})
	b.must(err)
	b.l = b.reopen()
	got, err := b.l.Presence(t.Context())
	b.must(err)
	want := Presence{Sites: []SiteLoss{{Site: "1", Loss: InOutage, Heard: at(5)}, {Site: "2", Heard: at(0)}},
		Paths: []Path{{"1", "mobile", at(4), true}, {"2", "", at(6), false}}, Outage: 2}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// All or nothing: an event that no journal can hold takes with it what was raised beside it.
	if _, err := b.l.Raise(t.Context(), Raising{At: at(9), Events: []edge.Event{{Site: "1", Kind: edge.KindSiteLost},
		{Site: "1", Kind: edge.KindPathLost, Occurred: at(0).AddDate(9000, 0, 0)}}, Sites: []SiteLoss{{Site: "2", Loss: Lost}}}); err == nil {
		t.Error("an event of the year 11026 was kept")
	}
	_, err = b.l.Raise(t.Context(), Raising{At: at(9), Sites: []SiteLoss{{Site: "nobody", Loss: Lost}}, Paths: []Path{{Site: "nobody"}}, Forget: []Path{{Site: "nobody"}}})
	b.must(err)
	if again, err := b.l.Presence(t.Context()); err != nil || cmp.Diff(want, again) != "" {
		t.Errorf("got %+v, %v", again, err)
	}
	if evs := b.events(Query{Kind: edge.KindSiteLost}); len(evs) != 0 {
		t.Errorf("half of it is there: %+v", evs)
	}
}
