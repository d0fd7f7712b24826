package journal

import (
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// plainSQL is text without comments and with single spaces, to compare schemas.
func plainSQL(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "--")
		b.WriteString(line + " ")
	}
	s := strings.Join(strings.Fields(b.String()), " ")
	return strings.NewReplacer("( ", "(", " )", ")").Replace(s)
}

// schemaOf is what the file at path has, by name.
func schemaOf(t *testing.T, db *sql.DB) map[string]string {
	t.Helper()
	rows, err := db.Query(`select name, sql from sqlite_schema where sql is not null`)
	must(t, err)
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var name, text string
		must(t, rows.Scan(&name, &text))
		out[name] = plainSQL(text)
	}
	must(t, rows.Err())
	return out
}

func TestMigratingFromVersion1EqualsTheFreshSchema(t *testing.T) {
	steps, err := migrations()
	must(t, err)
	fresh, err := openWriter(filepath.Join(t.TempDir(), "fresh.db"))
	must(t, err)
	defer fresh.Close()
	must(t, create(t.Context(), fresh, "id", "0417", 1))
	grown, err := openWriter(filepath.Join(t.TempDir(), "grown.db"))
	must(t, err)
	defer grown.Close()
	must(t, migrate(t.Context(), grown, 0))
	want, got := schemaOf(t, fresh), schemaOf(t, grown)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("fresh and migrated schema differ (-fresh +migrated):\n%s", d)
	}
	if len(got) < 8 {
		t.Errorf("only %d tables and indexes were compared", len(got))
	}
	for _, db := range []*sql.DB{fresh, grown} {
		var v int
		must(t, db.QueryRow(`pragma user_version`).Scan(&v))
		if v != len(steps) {
			t.Errorf("version %d, want %d", v, len(steps))
		}
	}
}

func TestEveryColumnIsExplained(t *testing.T) {
	inTable := false
	for line := range strings.Lines(schemaSQL) {
		switch {
		case strings.HasPrefix(line, "create table"):
			inTable = true
		case strings.HasPrefix(line, ")"):
			inTable = false
		case inTable && !strings.Contains(line, "--") && !slices.Contains([]string{"check", "primary"}, strings.SplitN(strings.TrimSpace(line), " ", 2)[0]):
			t.Errorf("schema.sql does not explain %q", strings.TrimSpace(line))
		}
	}
}

func TestWriterWaitsForTheDisk(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	b.stop()
	db, err := openWriter(b.Path())
	must(t, err)
	defer db.Close()
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000"} {
		var got string
		must(t, db.QueryRow("pragma "+pragma).Scan(&got))
		if got != want {
			t.Errorf("%s = %s, want %s", pragma, got, want)
		}
	}
	var strict int
	must(t, db.QueryRow(`select count(*) from pragma_table_list where schema = 'main' and name not like 'sqlite%' and not strict`).Scan(&strict))
	if strict != 0 {
		t.Errorf("%d tables are not strict", strict)
	}
}
