package ledger

import (
	"bytes"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"sitewatch/edge"
)

func testWaitingAmendment(t *testing.T, b *bench) {
	good := edge.ClipID(edge.NewID())
	fire := b.entry(edge.Event{Site: "1", Kind: edge.KindFire})
	b.send("1", b.entry(edge.Event{Site: "1", Kind: edge.KindAmended, Amends: fire.Seq,
		Clips: []edge.ClipRef{{ID: "../events/stream", Camera: "x"}, {ID: good, Camera: "x"}}}))
	b.send("1", fire)
	evs := b.events(Query{Kind: edge.KindFire})
	if len(evs) != 1 || len(evs[0].Event.Clips) != 1 || evs[0].Event.Clips[0].ID != good {
		t.Errorf("got %+v, want the one clip whose id is one", evs)
	}
}

func testToldClips(t *testing.T, b *bench) {
	lost := edge.ClipID(edge.NewID())
	for i := range MaxUnasked + 5 {
		id := edge.ClipID(edge.NewID())
		kind := edge.KindClipReady
		if i == 0 {
			id = lost
		}
		if i%2 == 0 {
			kind = edge.KindClipLost
		}
		b.send("1", b.entry(edge.Event{Site: "1", Kind: kind, Clip: &edge.ClipFact{ID: id, Camera: "door", Reason: "gone"}}))
	}
	if c, err := b.l.Clip(t.Context(), lost); err != nil || c.State != ClipLost || c.Reason != "gone" {
		t.Errorf("got %+v, %v", c, err)
	}
	// One whose file has come first.
	early := ClipOffer{Site: "1", ID: edge.ClipID(edge.NewID()), Part: edge.PartClip, Camera: "door", Journal: b.box("1").id, Seq: 1}
	_, err := b.l.ClipOffered(t.Context(), early)
	b.must(err)
	b.send("1", b.entry(edge.Event{Site: "1", Kind: edge.KindClipReady, Clip: &edge.ClipFact{ID: early.ID, Camera: "door"}}))
	c, err := b.l.ClipOffered(t.Context(), early)
	b.must(err)
	if !c.Asked {
		t.Error("a clip of which the journal tells counts as one that nobody asked for")
	}
	early.ID = edge.ClipID(edge.NewID())
	if _, err := b.l.ClipOffered(t.Context(), early); err != nil {
		t.Errorf("a clip before its event: %v", err)
	}
}

func testStillDigest(t *testing.T, b *bench) {
	sum := func(n byte) (s [32]byte) { s[0] = n; return s }
	for name, c := range map[string]struct {
		still, clip byte // as stored; the journal says 1 and 2
		want        string
	}{
		"both are right":     {1, 2, ""},
		"another still":      {9, 2, stillMismatch},
		"another clip":       {1, 9, mismatch},
		"both are others":    {9, 9, mismatch},
		"no still, no clip":  {0, 0, ""},
		"a still of another": {9, 0, stillMismatch},
	} {
		for _, factFirst := range []bool{false, true} {
			id := edge.ClipID(edge.NewID())
			one, two := sum(1), sum(2)
			fact := b.entry(edge.Event{Site: "1", Kind: edge.KindClipReady, Clip: &edge.ClipFact{ID: id, Camera: "door", SHA256: two[:], StillSHA256: one[:]}})
			b.send("1", b.entry(edge.Event{Site: "1", Kind: edge.KindIntruder, Clips: []edge.ClipRef{{ID: id, Camera: "door"}}}))
			store := func(still, clip byte) {
				if still != 0 {
					b.must(b.l.ClipStored(t.Context(), "1", id, edge.PartStill, 1, sum(still)))
				}
				if clip != 0 {
					b.must(b.l.ClipStored(t.Context(), "1", id, edge.PartClip, 1, sum(clip)))
				}
			}
			if factFirst {
				b.send("1", fact)
			}
			store(c.still, c.clip)
			if !factFirst {
				b.send("1", fact)
			}
			got, err := b.l.Clip(t.Context(), id)
			b.must(err)
			still := sum(c.still)
			if got.Reason != c.want || (c.still != 0) != bytes.Equal(got.StillHas, still[:]) {
				t.Errorf("%s, the journal first %v: %+v", name, factFirst, got)
			}
			store(1, 2) // the right files replace the wrong ones
			if got, err := b.l.Clip(t.Context(), id); err != nil || got.Reason != "" || got.State != ClipReady {
				t.Errorf("%s, put right: %+v, %v", name, got, err)
			}
		}
	}
}

func testAmended(t *testing.T, b *bench) {
	var fires []Entry
	for range 5 {
		fires = append(fires, b.entry(edge.Event{Site: "1", Kind: edge.KindFire}))
	}
	b.send("1", fires...)
	born, err := b.l.BornAt(t.Context(), 5)
	b.must(err)
	for _, i := range []int{3, 1, 3} {
		b.send("1", b.entry(edge.Event{Site: "1", Kind: edge.KindAmended, Amends: fires[i].Seq, Text: "x"}))
	}
	got, err := b.l.Amended(t.Context(), 5, born, 10)
	b.must(err)
	if len(got) != 2 || got[0].Index != 2 || got[1].Index != 4 || got[0].Change >= got[1].Change {
		t.Errorf("got %+v, want 2 and 4 in the order of change", got)
	}
	if got, err = b.l.Amended(t.Context(), 5, got[0].Change, 1); err != nil || len(got) != 1 || got[0].Index != 4 {
		t.Errorf("the next page: %+v, %v", got, err)
	}
}

// TestQueriesUseTheirIndex: a console that reconnects, or a filter, never walks the whole ledger and never sorts it.
func TestQueriesUseTheirIndex(t *testing.T) {
	l, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "ledger.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	plan := func(rest string, args ...any) string {
		t.Helper()
		rows, err := l.read.Query("EXPLAIN QUERY PLAN SELECT "+eventColumns+" FROM events "+rest, args...)
		if err != nil {
			t.Fatal(rest, err)
		}
		defer rows.Close()
		var out []string
		for rows.Next() {
			var a, b, c int
			var s string
			if err := rows.Scan(&a, &b, &c, &s); err != nil {
				t.Fatal(err)
			}
			out = append(out, s)
		}
		return strings.Join(out, "; ")
	}
	for want, q := range map[string]Query{
		"SEARCH events USING INTEGER PRIMARY KEY (rowid>?)":                  {After: 1},
		"SEARCH events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)":      {After: 1, Through: 9},
		"SEARCH events USING INDEX events_site (site=? AND idx>?)":           {Site: "1", After: 1, Lane: edge.Urgent, Kind: edge.KindFire},
		"SEARCH events USING INDEX events_kind (kind=? AND idx>?)":           {Kind: edge.KindFire, Lane: edge.Urgent},
		"SEARCH events USING INDEX events_lane (lane=? AND idx>?)":           {Lane: edge.Urgent, After: 5},
		"SEARCH events USING INDEX events_lane (lane=? AND idx>? AND idx<?)": {Lane: edge.Urgent, Through: 5},
	} {
		sel, args := q.sql()
		if got := plan(sel, args...); got != want {
			t.Errorf("%+v: %s", q, got)
		}
	}
	if got := plan(amended, 1, 2, 3); !strings.HasPrefix(got, "SEARCH events USING INDEX events_change (change>?") || strings.Contains(got, "SORT") || strings.Contains(got, "B-TREE") {
		t.Errorf("what was amended: %s", got)
	}
}

// TestBoxesDoNotWaitForReaders takes every connection that people have.
func TestBoxesDoNotWaitForReaders(t *testing.T) {
	l, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "ledger.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range readers {
		c, err := l.read.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if got := l.read.Stats().InUse; got != readers {
		t.Fatalf("%d are in use", got)
	}
	if _, err := l.OpenCommands(t.Context(), "1", at(0)); err != nil {
		t.Error(err)
	}
	if _, err := l.Presence(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestMigrationTakesToldClipsAsAskedFor opens a ledger of version 3 that a box has filled with clips that nobody asked for.
func TestMigrationTakesToldClipsAsAskedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, n := range []string{"0001", "0002", "0003"} {
		s, err := migrations.ReadFile("migrations/" + n + ".sql")
		if err != nil {
			t.Fatal(err)
		}
		text += string(s)
	}
	if _, err := db.Exec(text + `PRAGMA user_version = 3;
		INSERT INTO clips VALUES ('lost', '1', 'c', 'j', 1, 0, 0, 0, 'lost', 'gone', x'', x'', 0, x'', 0), ('told', '1', 'c', 'j', 1, 0, 0, 0, 'uploading', '', x'01', x'', 0, x'', 0),
			('file', '1', 'c', 'j', 1, 0, 0, 0, 'ready', '', x'', x'', 1, x'01', 1)`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for id, want := range map[edge.ClipID]bool{"lost": true, "told": true, "file": false} {
		if c, err := l.Clip(t.Context(), id); err != nil || c.Asked != want || len(c.StillHas) != 0 {
			t.Errorf("%+v, %v, want asked %v", c, err, want)
		}
	}
}
