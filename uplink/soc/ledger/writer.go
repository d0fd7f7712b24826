package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"sitewatch/edge"
)

// write is one caller's part of a group commit.
type write struct {
	do      func(ctx context.Context, tx *sql.Tx) error
	done    chan error // capacity 1: the writer never waits for a caller that has gone
	err     error
	changes bool // events were inserted or amended
}

// group bounds how many callers share one transaction, so that the first of them does not wait for ever.
const group = 128

// Run commits what the other methods ask for until ctx ends. Callers that come while a commit is under way share the
// next one: a storm of all sites costs one fdatasync per group, not one per event.
func (l *SQLite) Run(ctx context.Context) error {
	beat := time.NewTicker(2 * time.Second)
	defer beat.Stop()
	for {
		edge.Beat(ctx)
		var batch []*write
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			continue
		case w := <-l.writes:
			batch = append(batch, w)
		}
		for full := false; !full && len(batch) < group; {
			select {
			case w := <-l.writes:
				batch = append(batch, w)
			default:
				full = true
			}
		}
		// A commit that has begun is finished: its callers are told the truth also while the program stops.
		l.commit(context.WithoutCancel(ctx), batch)
	}
}

func (l *SQLite) commit(ctx context.Context, batch []*write) {
	err := l.transact(ctx, batch)
	changed := false
	for _, w := range batch {
		if err != nil {
			w.err, w.changes = err, false
		}
		changed = changed || w.changes
	}
	if changed {
		l.announce()
	}
	for _, w := range batch {
		w.done <- w.err
	}
}

// transact runs every write in a savepoint of its own: one that fails does not take the others with it.
func (l *SQLite) transact(ctx context.Context, batch []*write) error {
	tx, err := l.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback()
	for _, w := range batch {
		if _, err := tx.ExecContext(ctx, "SAVEPOINT w"); err != nil {
			return fmt.Errorf("savepoint: %w", err)
		}
		end := "RELEASE w"
		if w.err = w.do(ctx, tx); w.err != nil {
			w.changes, end = false, "ROLLBACK TO w; RELEASE w"
		}
		if _, err := tx.ExecContext(ctx, end); err != nil {
			return fmt.Errorf("savepoint: %w", err)
		}
	}
	edge.Crash("ledger before commit")
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	edge.Crash("ledger after commit")
	return nil
}

// submit hands w to the writer and waits until it is durable. When ctx ends first the write may still happen.
func (l *SQLite) submit(ctx context.Context, w *write) error {
	w.done = make(chan error, 1)
	select {
	case l.writes <- w:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
