package ledger

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sitewatch/edge"
)

func (b *bench) gaps(site edge.SiteID, after edge.Seq, limit int) ([]Completeness, edge.Seq) {
	b.t.Helper()
	list, next, err := b.l.Gaps(b.t.Context(), site, after, limit)
	b.must(err)
	return list, next
}

// all follows next to the end.
func (b *bench) all(site edge.SiteID, limit int) []Completeness {
	b.t.Helper()
	list, next := b.gaps(site, 0, limit)
	for pages := 0; next > 0; pages++ {
		more, n := b.gaps(site, next, limit)
		if n > 0 && n <= next || pages > 10_000 {
			b.t.Fatalf("next went from %d to %d", next, n)
		}
		for i := range more {
			list[i].Missing = append(list[i].Missing, more[i].Missing...)
			list[i].Conflicts = append(list[i].Conflicts, more[i].Conflicts...)
		}
		next = n
	}
	return list
}

// sums checks what holds of every journal: present and missing are all seqs, each once, in order.
func (c Completeness) sums() error {
	var missing uint64
	at := edge.Seq(0)
	for _, g := range c.Missing {
		if g.From <= at || g.To < g.From || g.To > c.Last || g.Reason == "" {
			return fmt.Errorf("%+v after %d, last is %d", g, at, c.Last)
		}
		missing += uint64(g.To-g.From) + 1
		at = g.To
	}
	if missing+c.Present != uint64(c.Last) {
		return fmt.Errorf("%d missing and %d present are not %d", missing, c.Present, c.Last)
	}
	return nil
}

func testCompleteness(t *testing.T, b *bench) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		site := edge.SiteID(fmt.Sprintf("s%d", seed))
		var es []Entry
		told := map[edge.Seq]string{} // the newest word of the box
		for range 120 {
			n := edge.Seq(len(es))
			switch {
			case n > 10 && rng.IntN(15) == 0:
				from := 1 + edge.Seq(rng.Uint64N(uint64(n)))
				to := min(n, from+edge.Seq(rng.Uint64N(20)))
				e := b.entry(edge.Event{Site: site, Kind: edge.KindEventsLost, Gap: &edge.Gap{From: from, To: to, Reason: fmt.Sprintf("reason %d", n)}})
				es = append(es, e)
			case rng.IntN(2) == 0:
				es = append(es, b.entry(edge.Event{Site: site, Kind: edge.KindFire}))
			default:
				es = append(es, b.entry(edge.Event{Site: site, Kind: edge.KindSet}))
			}
		}
		order := rng.Perm(len(es))
		here := map[edge.Seq]bool{}
		for len(order) > 20 { // the last ones do not come
			n := 1 + rng.IntN(10)
			var batch []Entry
			for _, i := range order[:min(n, len(order)-20)] {
				batch = append(batch, es[i])
				here[es[i].Seq] = true
				if g := es[i].Event.Gap; g != nil {
					for s := g.From; s <= g.To; s++ {
						told[s] = g.Reason
					}
				}
			}
			order = order[len(batch):]
			b.send(site, batch...)
			if rng.IntN(3) == 0 {
				b.send(site, batch...) // repeated
			}
		}
		w, err := b.l.Hello(t.Context(), Hello{Site: site, Journal: b.box(site).id, LastSeq: 130, At: at(0)})
		b.must(err)
		low := min(w.Watermarks.Urgent, w.Watermarks.Routine)
		var want []Gap
		for s := edge.Seq(1); s <= 130; s++ {
			if here[s] {
				continue
			}
			g := Gap{From: s, To: s, Reason: told[s]}
			if g.Reason == "" {
				g.Reason, g.Pending = notYet, true
				if s <= low {
					g.Reason, g.Pending = unexplained, false
				}
			}
			if k := len(want); k > 0 && want[k-1].To == s-1 && want[k-1].Reason == g.Reason {
				want[k-1].To = s
			} else {
				want = append(want, g)
			}
		}
		for i := range want {
			if want[i].From == 1 && want[i].Reason == unexplained {
				want[i].Reason = beforeFirst
			}
		}
		for _, limit := range []int{1000, 10} {
			got := b.all(site, limit)
			if len(got) != 1 || got[0].First != 1 || got[0].Last != 130 || got[0].Present != uint64(len(here)) {
				t.Fatalf("seed %d: got %+v", seed, got)
			}
			if err := got[0].sums(); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
			if diff := cmp.Diff(want, got[0].Missing); diff != "" {
				t.Errorf("seed %d, limit %d: %s", seed, limit, diff)
			}
		}
	}
}

func testMissingPages(t *testing.T, b *bench) {
	// Two journals of one site, with holes of different kinds; a page speaks of the same seqs in all of them.
	for j := range 2 {
		if j == 1 {
			delete(b.boxes, "1")
		}
		for i := range 200 {
			e := b.entry(edge.Event{Site: "1", Kind: edge.KindFire})
			if i%(3+j) == 0 {
				b.send("1", e)
			}
		}
	}
	whole := b.all("1", 100_000)
	if len(whole) != 2 || len(whole[0].Missing) < 40 || whole[0].Journal != b.box("1").id {
		t.Fatalf("got %+v", whole)
	}
	first, next := b.gaps("1", 0, 20)
	if n := len(first[0].Missing) + len(first[1].Missing); next == 0 || n > 20 {
		t.Errorf("a page has %d spans, next is %d", n, next)
	}
	for _, c := range b.all("1", 20) {
		if err := c.sums(); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := b.l.Gaps(t.Context(), "nobody", 0, 10); err != ErrNotFound {
		t.Errorf("an unknown site gives %v", err)
	}
	b.box("2")
	if got, next := b.gaps("2", 0, 10); next != 0 || len(got) != 1 || got[0].First != 0 || got[0].Last != 0 || len(got[0].Missing) != 0 {
		t.Errorf("an empty journal is %+v, %d", got, next)
	}
}

func testHostileSeqs(t *testing.T, b *bench) {
	one, two := b.entry(edge.Event{Site: "1", Kind: edge.KindFire}), b.entry(edge.Event{Site: "1", Kind: edge.KindSet})
	b.send("1", one, two)
	x := b.box("1")
	jump := func(seq edge.Seq, kind edge.Kind, g *edge.Gap) {
		t.Helper()
		x.seq = seq - 1
		e := b.entry(edge.Event{Site: "1", Kind: kind, Gap: g})
		b.send("1", e)
	}
	const far = 1 << 62
	jump(far, edge.KindFire, nil)
	jump(far+1, edge.KindEventsLost, &edge.Gap{From: 1, To: far, Reason: "everything"}) // of which three are here
	jump(far+2, edge.KindEventsLost, &edge.Gap{From: 10, To: 20, Reason: "these"})
	jump(far+3, edge.KindEventsLost, &edge.Gap{From: 15, To: 30, Reason: "those"})
	jump(far+4, edge.KindEventsLost, &edge.Gap{From: 30, To: 10, Reason: "backwards"})
	jump(far+5, edge.KindEventsLost, &edge.Gap{From: 40, To: 1<<63 - 1, Reason: "the future"})
	jump(far+6, edge.KindEventsLost, &edge.Gap{From: 0, To: 5, Reason: "nought"})
	jump(1<<63-2, edge.KindFire, nil)
	conflict := one
	conflict.Body = slices.Concat(one.Body, []byte(" "))
	b.send("1", conflict)
	got := b.all("1", 1000)
	if len(got) != 1 || got[0].Last != 1<<63-2 || got[0].Present != 10 {
		t.Fatalf("got %+v", got)
	}
	if err := got[0].sums(); err != nil {
		t.Error(err)
	}
	want := []Gap{
		{From: 3, To: 9, Reason: "everything"}, {From: 10, To: 14, Reason: "these"}, {From: 15, To: 30, Reason: "those"},
		{From: 31, To: far - 1, Reason: "everything"}, {From: far + 7, To: 1<<63 - 3, Reason: notYet, Pending: true},
	}
	if diff := cmp.Diff(want, got[0].Missing); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Gap{{From: 1, To: 1, Reason: conflictText}}, got[0].Conflicts); diff != "" {
		t.Error(diff)
	}
	long := make([]byte, 60_000)
	for i := range long {
		long[i] = 'x'
	}
	x.seq = far + 9
	b.send("1", b.entry(edge.Event{Site: "1", Kind: edge.KindEventsLost, Gap: &edge.Gap{From: 3, To: 4, Reason: string(long)}}))
	if got, _ := b.gaps("1", 0, 10); len(got[0].Missing[0].Reason) > maxReason {
		t.Errorf("a reason has %d bytes", len(got[0].Missing[0].Reason))
	}
	sites, err := b.l.Sites(t.Context())
	b.must(err)
	for _, g := range sites[0].Journals[0].Gaps {
		if g.Pending {
			t.Errorf("%+v is listed as gone", g)
		}
	}
}

func testWelcomeHash(t *testing.T, b *bench) {
	hello := func() Welcome {
		t.Helper()
		w, err := b.l.Hello(t.Context(), Hello{Site: "1", Journal: b.box("1").id, At: at(0)})
		b.must(err)
		return w
	}
	if w := hello(); len(w.Urgent) != 0 || len(w.Routine) != 0 {
		t.Errorf("a journal without events: %+v", w)
	}
	u, r := b.entry(edge.Event{Site: "1", Kind: edge.KindFire}), b.entry(edge.Event{Site: "1", Kind: edge.KindSet})
	b.send("1", u)
	of := func(e Entry) [32]byte { return sha256.Sum256(append(slices.Clone(e.Prev[:]), e.Body...)) }
	if w := hello(); [32]byte(w.Urgent) != of(u) || len(w.Routine) != 0 {
		t.Errorf("got %x, %x", w.Urgent, w.Routine)
	}
	b.send("1", r)
	b.l = b.reopen()
	if w := hello(); [32]byte(w.Urgent) != of(u) || [32]byte(w.Routine) != of(r) {
		t.Errorf("got %x, %x", w.Urgent, w.Routine)
	}
	b.must(b.l.Told(t.Context(), "1", b.box("1").id, 7))
	b.must(b.l.Told(t.Context(), "1", b.box("1").id, 5)) // never back
	if got, _ := b.gaps("1", 0, 10); got[0].Last != 7 || len(got[0].Missing) != 1 || got[0].Missing[0].Reason != notYet {
		t.Errorf("got %+v", got)
	}
}
