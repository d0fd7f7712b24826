package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"sitewatch/edge"
)

// PutCommand stores a new command; ErrNotFound when the site is not known.
func (l *SQLite) PutCommand(ctx context.Context, site edge.SiteID, c edge.Command) error {
	return l.submit(ctx, &write{do: func(ctx context.Context, tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `INSERT INTO commands (id, site, kind, camera, from_ms, to_ms, expires, signer, state, outcome)
			SELECT ?, id, ?, ?, ?, ?, ?, ?, 'sent', '' FROM sites WHERE id = ?`,
			c.ID, c.Kind, c.Camera, millis(c.From), millis(c.To), millis(c.Expires), c.Signer, site)
		if err != nil {
			return fmt.Errorf("command %s: %w", c.ID, err)
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, ErrNotFound)
		}
		return nil
	}})
}

const commandColumns = `id, site, kind, camera, from_ms, to_ms, expires, signer, state, outcome`

func scanCommand(scan func(...any) error) (Command, error) {
	var c Command
	var from, to, expires int64
	err := scan(&c.ID, &c.Site, &c.Kind, &c.Camera, &from, &to, &expires, &c.Signer, &c.State, &c.Outcome)
	c.From, c.To, c.Expires = fromMillis(from), fromMillis(to), fromMillis(expires)
	return c, err
}

// Command returns ErrNotFound for an unknown id. One without outcome that has expired by now is CommandExpired.
func (l *SQLite) Command(ctx context.Context, id edge.CommandID, now time.Time) (Command, error) {
	c, err := scanCommand(l.read.QueryRowContext(ctx, `SELECT `+commandColumns+` FROM commands WHERE id = ?`, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return c, ErrNotFound
	}
	if err != nil {
		return c, fmt.Errorf("command %s: %w", id, err)
	}
	if c.State == edge.CommandSent && now.After(c.Expires) {
		c.State, c.Outcome = edge.CommandExpired, "the box did not answer before the command expired"
	}
	return c, nil
}

// maxOpen bounds how many commands a box is given at once.
const maxOpen = 64

// OpenCommands are those of a site without outcome that have not expired.
func (l *SQLite) OpenCommands(ctx context.Context, site edge.SiteID, now time.Time) ([]edge.Command, error) {
	rows, err := l.links.QueryContext(ctx, `SELECT `+commandColumns+` FROM commands WHERE site = ? AND state = 'sent' AND expires > ?
		ORDER BY expires LIMIT ?`, site, millis(now), maxOpen)
	if err != nil {
		return nil, fmt.Errorf("commands of site %s: %w", site, err)
	}
	defer rows.Close()
	var out []edge.Command
	for rows.Next() {
		c, err := scanCommand(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("commands of site %s: %w", site, err)
		}
		out = append(out, c.Command)
	}
	return out, rows.Err()
}

// CommandOutcome keeps the first outcome. ErrForeign when the command is another site's.
func (l *SQLite) CommandOutcome(ctx context.Context, site edge.SiteID, id edge.CommandID, state edge.CommandState, outcome string) error {
	return l.submit(ctx, &write{do: func(ctx context.Context, tx *sql.Tx) error {
		var owner edge.SiteID
		err := tx.QueryRowContext(ctx, `SELECT site FROM commands WHERE id = ?`, id).Scan(&owner)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return ErrNotFound
		case err != nil:
			return err
		case owner != site:
			return ErrForeign
		}
		_, err = tx.ExecContext(ctx, `UPDATE commands SET state = ?, outcome = ? WHERE id = ? AND state = 'sent'`, state, outcome, id)
		return err
	}})
}
