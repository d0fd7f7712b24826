package ledger

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sitewatch/edge"
)

// running is an empty ledger whose writer runs.
func running(t *testing.T) *SQLite {
	t.Helper()
	l, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "ledger.db")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { l.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := l.Hello(t.Context(), Hello{Site: "1", Journal: "j", At: at(0)}); err != nil {
		t.Fatal(err)
	}
	return l
}

// TestCheckpointsAreThinned: the last of many that are near covers what they did; none goes across a hole.
func TestCheckpointsAreThinned(t *testing.T) {
	l := running(t)
	ctx := t.Context()
	at := time.UnixMilli(1).UTC()
	var prev [32]byte
	hashes := map[edge.Seq][32]byte{}
	put := func(seq edge.Seq) {
		t.Helper()
		e := edge.Event{V: 1, Site: "1", Journal: "j", Seq: seq, Lane: edge.Urgent, Kind: edge.KindFire, Occurred: at, Recorded: edge.Stamp{Wall: at}}
		body, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append(ctx, Batch{Site: "1", Journal: "j", Entries: []Entry{{Seq: seq, Lane: edge.Urgent, Body: body, Prev: prev, Event: e, Received: at}}}); err != nil {
			t.Fatal(err)
		}
		prev = edge.ChainHash(prev, body)
		hashes[seq] = prev
		h := hashes[seq]
		c, err := l.PutCheckpoint(ctx, Checkpoint{Site: "1", Journal: "j", Seq: seq, Hash: h[:], Signed: edge.Signed{Body: []byte("x"), Certificate: []byte("c")}, Received: at}, []byte("ca"))
		if err != nil || c.State != CheckpointGood {
			t.Fatal(c, err)
		}
	}
	for seq := edge.Seq(1); seq <= 10; seq++ {
		put(seq)
	}
	for seq := edge.Seq(12); seq <= 20; seq++ { // 11 is missing
		put(seq)
	}
	got, err := l.Checkpoints(ctx, "1", "j", 1, 100, 100)
	if err != nil {
		t.Fatal(err)
	}
	var left []edge.Seq
	for _, c := range got {
		left = append(left, c.Seq)
	}
	// Of each run its first and its last; 12 came while 9 and 10 could not be compared with it, so that 10 stays.
	want := map[edge.Seq]bool{1: true, 10: true, 12: true, 20: true}
	if len(left) != len(want) {
		t.Errorf("left are %v, want the ends of each run", left)
	}
	for _, s := range left {
		if !want[s] {
			t.Errorf("left are %v, want the ends of each run", left)
			break
		}
	}
}

func TestBadCheckpointsAreBounded(t *testing.T) {
	l := running(t)
	for i := range 3 * badOf {
		_, err := l.PutCheckpoint(t.Context(), Checkpoint{Site: "1", Journal: "j", Seq: edge.Seq(i/10 + 1), Hash: edge.HexBytes{byte(i), byte(i >> 8)}, State: CheckpointBad, Problem: "x",
			Signed: edge.Signed{Certificate: []byte("c")}}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := l.Checkpoints(t.Context(), "1", "j", 1, 1000, 1000)
	if err != nil || len(got) != badOf {
		t.Errorf("%d are kept, %v, want %d", len(got), err, badOf)
	}
	of := map[edge.Seq]int{}
	for _, c := range got {
		if of[c.Seq]++; of[c.Seq] > checkpointsOf {
			t.Errorf("of event %d more than %d are kept", c.Seq, checkpointsOf)
		}
	}
}

// TestWaitingCheckpointsAreBounded: of events that never come the newest are kept, whatever else was bad; one whose event has come
// is good for who asks, before another comes.
func TestWaitingCheckpointsAreBounded(t *testing.T) {
	l := running(t)
	ctx := t.Context()
	put := func(seq edge.Seq, hash edge.HexBytes, state string) {
		t.Helper()
		if _, err := l.PutCheckpoint(ctx, Checkpoint{Site: "1", Journal: "j", Seq: seq, Hash: hash, State: state, Received: at(int(seq)), Signed: edge.Signed{Certificate: []byte("c")}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for i := range badOf {
		put(edge.Seq(i+1), edge.HexBytes{1}, CheckpointBad)
	}
	moment := time.UnixMilli(1).UTC()
	e := edge.Event{V: 1, Site: "1", Journal: "j", Seq: 1000, Lane: edge.Urgent, Kind: edge.KindFire, Occurred: moment, Recorded: edge.Stamp{Wall: moment}}
	body, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	hash := edge.ChainHash([32]byte{}, body)
	for i := range 2 * waitingOf {
		put(edge.Seq(1000-2*waitingOf+1+i), hash[:], "")
	}
	states := func() (of map[string]int, last Checkpoint, first edge.Seq) {
		t.Helper()
		all, err := l.Checkpoints(ctx, "1", "j", 1, 2000, 2000)
		if err != nil {
			t.Fatal(err)
		}
		of = map[string]int{}
		for _, c := range all {
			if of[c.State]++; c.State == CheckpointWaiting && first == 0 {
				first = c.Seq
			}
		}
		return of, all[len(all)-1], first
	}
	if of, _, first := states(); of[CheckpointWaiting] != waitingOf || of[CheckpointBad] != badOf || first != 1000-waitingOf+1 {
		t.Errorf("got %v from %d, want the newest %d", of, first, waitingOf)
	}
	if _, err := l.Append(ctx, Batch{Site: "1", Journal: "j", Entries: []Entry{{Seq: 1000, Lane: edge.Urgent, Body: body, Event: e, Received: moment}}}); err != nil {
		t.Fatal(err)
	}
	if of, last, _ := states(); of[CheckpointGood] != 1 || last.State != CheckpointGood || last.Seq != 1000 {
		t.Errorf("its event has come: %v, %+v", of, last)
	}
	put(1001, hash[:], "")
	if of, _, _ := states(); of[CheckpointGood] != 1 || of[CheckpointWaiting] != waitingOf {
		t.Errorf("after the next: %v", of)
	}
	var plan string
	rows, err := l.read.QueryContext(ctx, `EXPLAIN QUERY PLAN SELECT count(*) FROM checkpoints WHERE site = '1' AND journal = 'j' AND state = 'waiting' AND state <> 'good'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		if err := rows.Scan(&id, &parent, &unused, &plan); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(plan, "checkpoints_open") {
		t.Errorf("the plan is %q", plan)
	}
}

// TestGoodManifestStays: the same text with a signature that does not hold does not take its place.
func TestGoodManifestStays(t *testing.T) {
	l := running(t)
	ctx := t.Context()
	put := func(problem, body, signature string) bool {
		t.Helper()
		kept, err := l.PutManifest(ctx, Manifest{Clip: "c", Site: "1", Problem: problem, Signed: edge.Signed{Body: []byte(body), Signature: []byte(signature), Certificate: []byte("cert")}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return kept
	}
	for _, tt := range []struct {
		name                     string
		problem, body, signature string
		kept                     bool
		want                     string
	}{
		{"a bad one", "x", "a", "bad", true, "bad"},
		{"another bad one", "x", "b", "bad2", true, "bad2"},
		{"a good one", "", "a", "good", true, "good"},
		{"the same with a bad signature", "x", "a", "forged", false, "good"},
		{"another that is good by itself", "", "b", "other", false, "good"},
		{"the same, signed again", "", "a", "again", true, "again"},
	} {
		kept := put(tt.problem, tt.body, tt.signature)
		m, err := l.Manifest(ctx, "c")
		if err != nil || kept != tt.kept || string(m.Signed.Signature) != tt.want {
			t.Errorf("%s: kept %v, there is %q with %q, %v; want %v, %q", tt.name, kept, m.Signed.Signature, m.Problem, err, tt.kept, tt.want)
		}
	}
}

func TestCustodyLogIsOnlyAddedTo(t *testing.T) {
	l := running(t)
	ctx := t.Context()
	for _, site := range []edge.SiteID{"1", "2", "1"} {
		if err := l.Note(ctx, CustodyEntry{Site: site, At: time.UnixMilli(5), Who: "anna\xff", Action: ViewedClip, Clip: "c"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, change := range []string{`UPDATE custody SET action = 'x'`, `DELETE FROM custody`} {
		if _, err := l.write.ExecContext(ctx, change); err == nil {
			t.Errorf("%s was let through", change)
		}
	}
	got, err := l.Custody(ctx, "1", "", 0, 10)
	if err != nil || len(got) != 2 || got[0].Entry.N != 1 || got[1].Entry.N != 2 || got[1].Entry.Who != "anna?" {
		t.Fatalf("got %+v, %v", got, err)
	}
	if h := edge.ChainHash([32]byte(got[0].Prev), got[0].Body); edge.HexBytes(h[:]).String() != got[1].Prev.String() || got[0].Prev.String() != edge.HexBytes(make([]byte, 32)).String() {
		t.Error("the second entry does not name the first")
	}
	if all, err := l.Custody(ctx, "", "c", got[0].ID, 10); err != nil || len(all) != 2 {
		t.Errorf("of the clip after the first: %d, %v, want 2", len(all), err)
	}
}

func TestInSpan(t *testing.T) {
	l := running(t)
	hour := time.Hour
	base := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for i, e := range []struct {
		occurred, recorded, received time.Duration
		clock                        edge.ClockState
	}{
		{0, 0, 0, edge.ClockSynced},
		{-5 * hour, 0, 0, edge.ClockSynced},            // from the panel's buffer
		{0, 5 * hour, 5 * hour, edge.ClockSynced},      // told long after
		{-900 * hour, -900 * hour, 0, edge.ClockUnset}, // of a box whose clock was never set
		{-900 * hour, -900 * hour, 0, edge.ClockSynced},
		{5 * hour, 5 * hour, 5 * hour, edge.ClockSynced},
	} {
		ev := edge.Event{V: 1, Site: "1", Journal: "j", Seq: edge.Seq(i + 1), Lane: edge.Urgent, Kind: edge.KindFire, Occurred: base.Add(e.occurred), Clock: e.clock,
			Recorded: edge.Stamp{Wall: base.Add(e.recorded)}}
		body, err := ev.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append(t.Context(), Batch{Site: "1", Journal: "j", Entries: []Entry{{Seq: ev.Seq, Lane: ev.Lane, Body: body, Event: ev, Received: base.Add(e.received)}}}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := l.InSpan(t.Context(), "1", base.Add(-hour), base.Add(hour))
	if err != nil {
		t.Fatal(err)
	}
	var seqs []edge.Seq
	for _, e := range got {
		seqs = append(seqs, e.Event.Seq)
	}
	if len(seqs) != 4 || seqs[0] != 1 || seqs[3] != 4 {
		t.Errorf("got %v, want 1 to 4", seqs)
	}
}
