package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/mattn/go-sqlite3"

	"sitewatch/edge"
)

// oldTables is what SQLite can still read of the tables of a damaged journal beside its events. Each is read as far as it
// goes; nothing in it is believed more than the new table's own checks believe it.
type oldTables struct {
	cursors map[edge.Lane]edge.Seq
	gaps    []edge.Gap
	rows    map[string][]anyRow // by table
}

// taken are the tables whose rows go on in the new journal: their columns, and what a number of an old event becomes. A new
// journal's event 1 says that the old one is lost, so what an old event had said is said by that one.
var taken = []struct{ table, columns, read string }{
	{"clips", `id, camera, asked_from_ns, asked_to_ns, seq, kind, at_wall_ns, at_mono_ns, at_boot, at_synced, state, reason,
		still_file, still_bytes, still_sha256, still_sent, clip_file, clip_bytes, clip_sha256, clip_sent`, `id, camera, asked_from_ns, asked_to_ns, 1, kind,
		at_wall_ns, at_mono_ns, at_boot, at_synced, state, reason,
		still_file, still_bytes, still_sha256, still_sent, clip_file, clip_bytes, clip_sha256, clip_sent`},
	{"partitions", "panel, partition, state, seq", "panel, partition, state, 1"},
	{"points", "panel, zone, kind, active", "panel, zone, kind, active"},
	{"periods", "panel, partition, at_wall_ns, at_mono_ns, at_boot", "panel, partition, at_wall_ns, at_mono_ns, at_boot"},
	{"alarms", alarmColumns, strings.Replace(alarmColumns, " seq,", " 1,", 1)},
	{"modes", "kind, panel, seq, at_wall_ns, at_mono_ns, at_boot", "kind, panel, 1, at_wall_ns, at_mono_ns, at_boot"},
	{"losses", "kind, subject, seq", "kind, subject, 1"},
	{"commands", "id, kind, signer, expires_ns, begun_ns, state, outcome, ended_ns, seq",
		"id, kind, signer, expires_ns, begun_ns, state, outcome, ended_ns, iif(seq is null, null, 1)"},
	{"salvages", "name, journal, cause, last_seq, urgent_seq, routine_seq, events, begun, done",
		"name, journal, cause, last_seq, urgent_seq, routine_seq, events, begun, done"},
}

// readOldTables reads the quarantined file without changing it.
func readOldTables(path string) oldTables {
	o := oldTables{cursors: map[edge.Lane]edge.Seq{}, rows: map[string][]anyRow{}}
	db, err := sql.Open("sqlite3", fileURL(path)+"?mode=ro&_query_only=on")
	if err != nil {
		return o
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	read := func(query string, n int) (all []anyRow) {
		rows, err := db.Query(query)
		if err != nil {
			return nil
		}
		defer rows.Close()
		for rows.Next() {
			r, err := scanRow(rows, n)
			if err != nil {
				break
			}
			all = append(all, r)
		}
		return all // what comes behind damage is not read
	}
	for _, r := range read(`select lane, seq from cursors where typeof(lane) = 'integer' and typeof(seq) = 'integer' and seq >= 0`, 2) {
		o.cursors[edge.Lane(r[0].(int64))] = edge.Seq(r[1].(int64))
	}
	for _, r := range read(`select from_seq, to_seq, events from gaps where from_seq > 0 and to_seq >= from_seq and events between 0 and to_seq - from_seq + 1`, 3) {
		o.gaps = append(o.gaps, edge.Gap{From: edge.Seq(r[0].(int64)), To: edge.Seq(r[1].(int64)), Events: uint64(r[2].(int64))})
	}
	for _, t := range taken {
		n := strings.Count(t.columns, ",") + 1
		first := read("select "+t.read+" from "+t.table+" order by 1", n)
		o.rows[t.table] = append(first, read("select "+t.read+" from "+t.table+" order by 1 desc limit 100000", n)...) // from behind, up to the damage
	}
	return o
}

// takeOver writes the rows that fit the new tables; of what was there twice the first.
func (o *oldTables) takeOver(ctx context.Context, t *tx) error {
	for _, k := range taken {
		holes := strings.TrimSuffix(strings.Repeat("?, ", strings.Count(k.columns, ",")+1), ", ")
		query := fmt.Sprintf("insert or ignore into %s (%s) values (%s)", k.table, k.columns, holes)
		for _, r := range o.rows[k.table] {
			if _, err := t.exec(ctx, query, r...); err != nil && !notForTable(err) {
				return err
			}
		}
		delete(o.rows, k.table)
	}
	return nil
}

// notForTable says that SQLite refused a row for what is in it.
func notForTable(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && (e.Code == sqlite3.ErrConstraint || e.Code == sqlite3.ErrMismatch || e.Code == sqlite3.ErrTooBig)
}
