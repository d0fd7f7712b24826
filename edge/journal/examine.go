package journal

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-sqlite3"

	"sitewatch/edge"
)

// ErrDamaged is a journal file that cannot be trusted. Open then moves it aside and carries over what is whole.
var ErrDamaged = errors.New("journal: file is damaged")

const (
	// checkBytes is how large a file may be for all of it to be read at each Open. A larger one is read by Run meanwhile.
	checkBytes = 16 << 20
	// tailEvents is how many of the newest events are proved at each Open, however large the file is.
	tailEvents = 256
	// checkEvery is the pause between two readings of the whole file by Run.
	checkEvery = 7 * 24 * time.Hour
)

// isDamage says whether err is the file's fault, as opposed to the disk's, the caller's or nobody's: what is left after all
// that can go wrong with a whole file. A file that makes no sense must never end in a program that cannot start.
func isDamage(err error) bool {
	var hint *edge.HintError
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, ErrClosed),
		errors.Is(err, sql.ErrConnDone), errors.Is(err, sql.ErrTxDone), errors.As(err, &hint):
		return false
	case errors.Is(err, ErrDamaged), errors.Is(err, ErrNewer), errors.As(err, new(*ChainError)):
		return true
	case errors.As(err, new(*fs.PathError)), errors.As(err, new(*os.SyscallError)), errors.As(err, new(*os.LinkError)), errors.Is(err, ErrFull):
		return false
	}
	for _, code := range []sqlite3.ErrNo{sqlite3.ErrFull, sqlite3.ErrIoErr, sqlite3.ErrCantOpen, sqlite3.ErrPerm, sqlite3.ErrReadonly, sqlite3.ErrBusy,
		sqlite3.ErrLocked, sqlite3.ErrNomem, sqlite3.ErrInterrupt, sqlite3.ErrAuth, sqlite3.ErrNoLFS, sqlite3.ErrMisuse} {
		if hasCode(err, code) {
			return false
		}
	}
	return true
}

// errDisowned is a file that is whole, and must not be gone on with.
var errDisowned = errors.New("disowned")

// Disown ends this journal's life: the SOC has events of it that the disk has lost, so that its next numbers would be taken. Run
// ends with ErrDamaged, and the next Open begins a new journal, into which all that was not acked is carried over.
func (j *Journal) Disown(reason string) {
	j.opt.Log.Error("journal: it cannot be gone on with", "reason", reason)
	j.met(fmt.Errorf("%w: %w: %s", ErrDamaged, errDisowned, reason))
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// look judges the files before SQLite does: it would make a new journal of an empty file, and would leave out, without a word,
// what stands behind damage in the log.
func (j *Journal) look(m mark, marked bool) error {
	st, err := os.Stat(j.Path())
	log, lerr := os.Stat(j.Path() + "-wal")
	logged := lerr == nil && log.Size() > walHeader
	switch {
	case errors.Is(err, os.ErrNotExist) || err == nil && st.Size() == 0:
		if marked && m.head.seq > 0 {
			return damaged("it is gone or empty, and had %d events", m.head.seq)
		}
		if err == nil || !logged { // a kill while it was made leaves an empty one, with or without a log
			return nil
		}
		return damaged("it is gone, its log is not")
	case err != nil:
		return err
	}
	f, err := os.Open(j.Path())
	if err != nil {
		return err
	}
	defer f.Close()
	var h [100]byte
	if _, err := f.ReadAt(h[:], 0); err != nil || string(h[:16]) != "SQLite format 3\x00" || binary.BigEndian.Uint16(h[16:]) != pageBytes {
		return damaged("its header is not ours")
	}
	pages := int64(binary.BigEndian.Uint32(h[28:])) // on a full disk the log may hold pages for which the file has no room yet
	if !logged && binary.BigEndian.Uint32(h[24:]) == binary.BigEndian.Uint32(h[92:]) && pages*pageBytes > st.Size() {
		return damaged("it has %d bytes and should have %d", st.Size(), pages*pageBytes)
	}
	if logged {
		return checkLog(j.Path() + "-wal")
	}
	return nil
}

// examineRow compares the file's own row with the mark and with the newest event.
func (j *Journal) examineRow(ctx context.Context, m mark, marked bool) error {
	var id, site string
	var seq edge.Seq
	var hash []byte
	err := j.write.QueryRowContext(ctx, `select id, site, head_seq, head_hash from journal`).Scan(&id, &site, &seq, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return damaged("it lacks its own row")
	}
	if err != nil {
		return err
	}
	if !validID(id) || len(hash) != 32 {
		return damaged("its own row makes no sense")
	}
	ev, newest, err := j.newest(ctx)
	if err != nil {
		return err
	}
	if newest.seq > 0 && string(ev.Journal) != id {
		return damaged("its row says that it is journal %s, its newest event belongs to %s", id, ev.Journal)
	}
	if site != string(j.opt.Site) {
		if newest.seq == 0 || string(ev.Site) != site {
			return damaged("its row says that it belongs to site %q", site)
		}
		return edge.WithHint(fmt.Errorf("journal belongs to site %q, not %q", site, j.opt.Site),
			"correct site.id, or give this site a data directory of its own")
	}
	if newest.seq > seq {
		seq, hash = newest.seq, newest.hash[:] // the row is written now and then
	}
	switch {
	case newest.seq == seq && newest.hash != [32]byte(hash):
		return damaged("its newest event %d is not the head", seq)
	case !marked:
	case string(m.id) != id:
		j.opt.Log.Warn("journal: the file is not the one that was here before", "journal", id, "before", string(m.id))
	case m.head.seq > seq:
		return damaged("it ends with event %d and had %d", seq, m.head.seq)
	case m.head.seq == seq && m.head.hash != [32]byte(hash):
		return damaged("its event %d is not the one that was written", seq)
	}
	var beyond int
	if err := j.write.QueryRowContext(ctx, `select (select count(*) from cursors where seq between 0 and ?1) <> 2
		or (select count(*) from anchors where seq > ?1 or seq < 1) > 0`, int64(seq)).Scan(&beyond); err != nil {
		return err
	}
	if beyond != 0 {
		return damaged("its cursors or its anchor are beyond its end")
	}
	return nil
}

// newest returns the newest event that is in the table; the zero head when there is none.
func (j *Journal) newest(ctx context.Context) (ev edge.Event, h head, err error) {
	query := j.write.QueryRowContext
	if j.store != nil {
		query = j.store.conn.QueryRowContext // the one connection is taken
	}
	var prev, hash, body []byte
	err = query(ctx, `select seq, prev, hash, body from events order by seq desc limit 1`).Scan(&h.seq, &prev, &hash, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return ev, head{}, nil
	}
	if err != nil {
		return ev, h, err
	}
	if len(prev) != 32 || len(hash) != 32 || chain([32]byte(prev), body) != [32]byte(hash) {
		return ev, h, &ChainError{h.seq, "was changed: its hash does not fit"}
	}
	h.hash = [32]byte(hash)
	ev, err = edge.DecodeEvent(body)
	return ev, h, err
}

// examine reads the file: all of it when it is small, when SQLite met damage in it, or when something said that it is not to
// be trusted; else its end.
func (j *Journal) examine(ctx context.Context) error {
	cause, err := os.ReadFile(j.Path() + suspectSuffix)
	suspect := err == nil
	if strings.Contains(string(cause), errDisowned.Error()) {
		return damaged("%s", strings.TrimPrefix(strings.TrimSpace(string(cause)), ErrDamaged.Error()+": "))
	}
	if err := j.sameSchema(ctx); err != nil {
		return err
	}
	st, err := os.Stat(j.Path())
	if err != nil {
		return err
	}
	if !suspect && st.Size() > j.checkBytes {
		return j.prove(ctx, tailEvents)
	}
	if err := wholeFile(ctx, j.write); err != nil {
		return err
	}
	if err := j.prove(ctx, 0); err != nil {
		return err
	}
	j.checked = true
	if suspect {
		j.opt.Log.Warn("journal: damage was met and is not there any more", "cause", string(cause))
		return os.Remove(j.Path() + suspectSuffix)
	}
	return nil
}

// wholeFile has SQLite read each page and compare each index with its table.
func wholeFile(ctx context.Context, db *sql.DB) error {
	var verdict string
	if err := db.QueryRowContext(ctx, `pragma integrity_check(1)`).Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return damaged("%s", verdict)
	}
	return nil
}

// runCheck reads a large file whole while the writer works: soon after the start, and then once a week. Its reads are those of
// a reader: an alarm does not wait for them.
func (j *Journal) runCheck(ctx context.Context) {
	wait := time.NewTimer(0)
	defer wait.Stop()
	if j.checked {
		wait.Reset(checkEvery)
	}
	for {
		select {
		case <-wait.C:
		case <-ctx.Done():
			return
		}
		err := wholeFile(ctx, j.read)
		if err == nil {
			err = Verify(ctx, j.Path())
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			j.opt.Log.Error("journal: reading the whole file", "err", err)
			j.met(err)
		}
		wait.Reset(checkEvery)
	}
}

// prove walks the chain of the newest events; 0: of all.
func (j *Journal) prove(ctx context.Context, newest int64) error {
	v := verifier{tail: newest > 0}
	if newest > 0 {
		var hash []byte
		err := j.write.QueryRowContext(ctx, `select seq, hash from events order by seq desc limit 1 offset ?`, newest).Scan(&v.at.seq, &hash)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		copy(v.at.hash[:], hash)
	}
	for done := false; !done; {
		edge.Beat(ctx)
		var err error
		if done, err = v.page(ctx, j.write); err != nil {
			return err
		}
	}
	return nil
}

// sameSchema compares the tables with those of this program: a file whose version was changed by damage looks like another's.
func (j *Journal) sameSchema(ctx context.Context) error {
	fresh, err := sql.Open("sqlite3", ":memory:")
	if err != nil {
		return err
	}
	defer fresh.Close()
	fresh.SetMaxOpenConns(1)
	if _, err := fresh.ExecContext(ctx, schemaSQL); err != nil {
		return err
	}
	want, err := tablesOf(ctx, fresh)
	if err != nil {
		return err
	}
	got, err := tablesOf(ctx, j.write)
	if err != nil {
		return err
	}
	for name, columns := range want {
		if got[name] != columns {
			return damaged("its table %s is not ours", name)
		}
	}
	if len(got) != len(want) {
		return damaged("it has %d tables and indexes, not %d", len(got), len(want))
	}
	return nil
}

// tablesOf returns the columns of each table and index, with what is known of them.
func tablesOf(ctx context.Context, db *sql.DB) (map[string]string, error) {
	rows, err := db.QueryContext(ctx, `select s.type || ' ' || s.name, coalesce((select group_concat(c.name || ' ' || c.type || c."notnull" || c.pk)
			from pragma_table_info(s.name) c), (select group_concat(coalesce(i.name, '')) from pragma_index_info(s.name) i), '')
		from sqlite_schema s`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var name, columns string
		if err := rows.Scan(&name, &columns); err != nil {
			return nil, err
		}
		out[name] = columns
	}
	return out, rows.Err()
}

// validID says whether s is an id as edge.NewID makes them.
func validID(s string) bool {
	if len(s) != 32 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
