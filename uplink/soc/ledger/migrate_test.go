package ledger

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sitewatch/edge"
)

// TestMigrationKnowsWhatIsMissing opens a ledger of version 1 that has holes, gaps that overlap, and events of the SOC.
func TestMigrationKnowsWhatIsMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	first, err := migrations.ReadFile("migrations/0001.sql")
	if err != nil {
		t.Fatal(err)
	}
	do := func(query string, args ...any) {
		t.Helper()
		if _, err := db.Exec(query, args...); err != nil {
			t.Fatal(err)
		}
	}
	do(string(first) + "PRAGMA user_version = 1;")
	do(`INSERT INTO sites VALUES ('1', 'shop', 'One', 'v', 5), ('2', '', '', '', 0)`)
	do(`INSERT INTO journals (site, journal, urgent, routine, last_seq, whole) VALUES ('1', 'new', 4, 0, 4, 4), ('1', 'old', 40, 39, 44, 3), ('1', 'empty', 0, 0, 0, 0)`)
	n := 0
	event := func(journal string, seq int) {
		n++
		do(`INSERT INTO events VALUES (?1, ?1, ?1, '1', ?2, ?3, 1, 'fire', '', '', '', '', '', '', '', '[]', 0, 0, '', 0, 0, 0, '[]', x'', x'', x'', x'', 1)`, n, journal, seq)
	}
	for seq := 1; seq <= 40; seq++ {
		if seq < 4 || seq > 20 && seq != 30 {
			event("old", seq)
		}
	}
	for seq := 4; seq >= 1; seq-- {
		event("new", seq)
	}
	event("soc", 1)
	event("soc", 3)
	do(`INSERT INTO gaps VALUES ('1', 'old', 4, 10, 'a'), ('1', 'old', 5, 8, 'inside a'), ('1', 'old', 8, 12, 'b'), ('1', 'old', 11, 15, 'c'), ('1', 'soc', 1, 2, 'x')`)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got, next, err := l.Gaps(t.Context(), "1", 0, 1000)
	if err != nil || next != 0 {
		t.Fatal(next, err)
	}
	want := []Completeness{
		{Journal: "new", First: 1, Last: 4, Present: 4},
		{Journal: "old", First: 1, Last: 44, Present: 22, Missing: []Gap{
			{From: 4, To: 10, Reason: "a"}, {From: 11, To: 12, Reason: "b"}, {From: 13, To: 15, Reason: "c"}, {From: 16, To: 20, Reason: unexplained},
			{From: 30, To: 30, Reason: unexplained}, {From: 41, To: 44, Reason: replacedText}}},
		{Journal: "empty"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, c := range got {
		if err := c.sums(); err != nil {
			t.Error(err)
		}
	}
	var journal edge.JournalID
	if err := l.read.QueryRow(`SELECT journal FROM sites WHERE id = '1'`).Scan(&journal); err != nil || journal != "new" {
		t.Errorf("the site's journal is %q, %v", journal, err)
	}
}
