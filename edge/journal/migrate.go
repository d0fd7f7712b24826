package journal

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"slices"

	"sitewatch/edge"
)

//go:embed schema.sql
var schemaSQL string

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrations returns the texts of the numbered files: the first makes version 1.
func migrations() ([]string, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var out []string
	for i, n := range names {
		if want := fmt.Sprintf("migrations/%04d.sql", i+1); n != want {
			return nil, fmt.Errorf("migration %s stands where %s belongs", n, want)
		}
		b, err := migrationFiles.ReadFile(n)
		if err != nil {
			return nil, err
		}
		out = append(out, string(b))
	}
	return out, nil
}

// migrate brings the file from version from to the newest, one transaction for each step.
func migrate(ctx context.Context, db *sql.DB, from int) error {
	steps, err := migrations()
	if err != nil {
		return err
	}
	for v := from; v < len(steps); v++ {
		if err := inTx(ctx, db, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, steps[v]); err != nil {
				return err
			}
			return setVersion(ctx, tx, v+1)
		}); err != nil {
			return fmt.Errorf("migrate the journal to version %d: %w", v+1, err)
		}
	}
	return nil
}

// create makes a new file's schema and its one journal row in one transaction, so that a kill leaves an empty file or a whole one.
func create(ctx context.Context, db *sql.DB, id, site string, nowNS int64) error {
	steps, err := migrations()
	if err != nil {
		return err
	}
	return inTx(ctx, db, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, schemaSQL); err != nil {
			return fmt.Errorf("make the journal's tables: %w", err)
		}
		if _, err := tx.ExecContext(ctx, `insert into journal (one, id, site, created_ns, head_seq, head_hash)
			values (1, ?, ?, ?, 0, zeroblob(32))`, id, site, nowNS); err != nil {
			return fmt.Errorf("make the journal's own row: %w", err)
		}
		if _, err := tx.ExecContext(ctx, `insert into cursors (lane, seq) values (1, 0), (2, 0)`); err != nil {
			return fmt.Errorf("make the cursors: %w", err)
		}
		return setVersion(ctx, tx, len(steps))
	})
}

func setVersion(ctx context.Context, tx *sql.Tx, v int) error {
	_, err := tx.ExecContext(ctx, fmt.Sprintf("pragma user_version = %d", v)) // takes no parameters
	return err
}

func inTx(ctx context.Context, db *sql.DB, f func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	if err := f(tx); err != nil {
		return err
	}
	edge.Crash("journal migration before commit")
	return tx.Commit()
}
