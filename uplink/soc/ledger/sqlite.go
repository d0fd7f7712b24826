package ledger

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"sync"

	_ "github.com/mattn/go-sqlite3" // registers the driver

	"sitewatch/edge"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Options of a SQLite ledger.
type Options struct {
	Path string // of the database file; its folder exists
	Log  *slog.Logger
}

// SQLite is the ledger of one machine: one file, one writer, many readers.
type SQLite struct {
	write  *sql.DB // one connection, used by Run alone
	read   *sql.DB // for people and programs
	links  *sql.DB // for boxes: none of them waits for a question that somebody asks of the whole ledger
	log    *slog.Logger
	writes chan *write // unbuffered: who writes waits for the commit anyhow

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each commit that changes events
}

var _ Ledger = (*SQLite)(nil)

// readers is how many queries may run beside the writer, linkReaders how many of those that boxes make.
const (
	readers     = 4
	linkReaders = 2
)

// Open opens or makes the database and brings its schema up to date. Close it after Run has returned.
func Open(ctx context.Context, o Options) (*SQLite, error) {
	dsn := func(more string) string {
		u := url.URL{Scheme: "file", Path: o.Path}
		// go-sqlite3 makes WAL databases synchronous=NORMAL unless told: a power cut would then lose acked events.
		// The statements are few and always the same: kept prepared, a backlog goes in a third faster.
		return u.String() + "?_journal_mode=WAL&_synchronous=FULL&_foreign_keys=ON&_busy_timeout=10000&_stmt_cache_size=64" + more
	}
	l := &SQLite{log: o.Log, writes: make(chan *write), changed: make(chan struct{})}
	var err error
	if l.write, err = sql.Open("sqlite3", dsn("&_txlock=immediate")); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	l.write.SetMaxOpenConns(1)
	if err := migrate(ctx, l.write); err != nil {
		l.write.Close()
		return nil, fmt.Errorf("open ledger %s: %w", o.Path, err)
	}
	reader := func(n int) *sql.DB {
		db, oerr := sql.Open("sqlite3", dsn("&_query_only=true"))
		if oerr != nil {
			err = errors.Join(err, oerr)
			return nil
		}
		db.SetMaxOpenConns(n)
		db.SetMaxIdleConns(n)
		return db
	}
	if l.read, l.links = reader(readers), reader(linkReaders); err != nil {
		l.Close()
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	return l, nil
}

// Close closes the database. Run must have returned.
func (l *SQLite) Close() error {
	var errs []error
	for _, db := range []*sql.DB{l.read, l.links, l.write} { // the writer last: it takes the WAL away
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// migrate runs the numbered files that the database has not seen, each in a transaction of its own.
func migrate(ctx context.Context, db *sql.DB) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	var have int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return err
	}
	if have > len(files) {
		return fmt.Errorf("the ledger has schema version %d, this program knows %d: it is older than the ledger", have, len(files))
	}
	for i, name := range files[have:] {
		text, err := migrations.ReadFile(name)
		if err != nil {
			return err
		}
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, string(text)+fmt.Sprintf("\nPRAGMA user_version = %d;", have+i+1)); err != nil {
			tx.Rollback()
			return fmt.Errorf("%s: %w", name, err)
		}
		edge.Crash("ledger migration before commit")
		if err := tx.Commit(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// Changed is closed at the next commit that inserts or amends an event.
func (l *SQLite) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

func (l *SQLite) announce() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
}
