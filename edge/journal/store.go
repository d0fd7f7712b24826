package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	"github.com/mattn/go-sqlite3"
)

// busyMillis is how long the writer waits for a lock; nothing else writes.
const busyMillis = 5000

// openWriter opens the file for the one writer. FULL makes each commit wait for the disk (P1); the driver's default
// for WAL would be NORMAL, which loses commits in a power cut.
func openWriter(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite3", fileURL(path)+
		fmt.Sprintf("?_journal_mode=WAL&_synchronous=FULL&_foreign_keys=on&_busy_timeout=%d&_txlock=immediate", busyMillis))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// openReaders opens the file for reading only: a slow reader takes none of the writer's time.
func openReaders(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite3", fileURL(path)+"?_query_only=on&_busy_timeout=5000")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4) // uplink, upload, status page, one to spare
	db.SetMaxIdleConns(4)
	return db, nil
}

func fileURL(path string) string {
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path}).String()
}

// store holds the writer's connection and its prepared statements. Contexts given to it must have no Done: the driver
// starts a goroutine for each statement otherwise, and a commit must not be cut short.
type store struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt // by their text; as many as there are constant statements in this package
}

func newStore(ctx context.Context, db *sql.DB) (*store, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &store{conn: conn, stmts: map[string]*sql.Stmt{}}, nil
}

func (s *store) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if st := s.stmts[query]; st != nil {
		return st, nil
	}
	st, err := s.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare %.40q: %w", query, err)
	}
	s.stmts[query] = st
	return st, nil
}

func (s *store) exec(ctx context.Context, query string, args ...any) (int64, error) {
	st, err := s.stmt(ctx, query)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (s *store) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	st, err := s.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

// idsOf reads a result of ids alone to its end and closes it: what is done with them may need the connection.
func idsOf[ID ~string](rows *sql.Rows) (ids []ID, err error) {
	defer rows.Close()
	for rows.Next() {
		var id ID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// row scans the one row of a query into dest; sql.ErrNoRows when there is none.
func (s *store) row(ctx context.Context, query string, args []any, dest ...any) error {
	st, err := s.stmt(ctx, query)
	if err != nil {
		return err
	}
	return st.QueryRowContext(ctx, args...).Scan(dest...)
}

func (s *store) close() error {
	if s == nil {
		return nil
	}
	var errs []error
	for _, st := range s.stmts {
		errs = append(errs, st.Close())
	}
	return errors.Join(append(errs, s.conn.Close())...)
}

// isDiskFull says whether SQLite had no room: the disk is full, or the file has reached its largest size.
func isDiskFull(err error) bool { return hasCode(err, sqlite3.ErrFull) }

// isBroken says whether the file, not the request, is to blame: going on with it would be guessing.
func isBroken(err error) bool {
	return hasCode(err, sqlite3.ErrCorrupt) || hasCode(err, sqlite3.ErrNotADB)
}

// isDiskError says whether reading or writing the disk failed. After a failed fsync nobody knows what is on it.
func isDiskError(err error) bool { return hasCode(err, sqlite3.ErrIoErr) }

func hasCode(err error, code sqlite3.ErrNo) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && e.Code == code
}
