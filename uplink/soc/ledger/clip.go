package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"sitewatch/edge"
)

type queryRower interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Clip returns ErrNotFound for an unknown id.
func (l *SQLite) Clip(ctx context.Context, id edge.ClipID) (Clip, error) {
	return clipRow(ctx, l.read, id)
}

func clipRow(ctx context.Context, q queryRower, id edge.ClipID) (Clip, error) {
	c, err := scanClip(q.QueryRowContext(ctx, `SELECT `+clipColumns+` FROM clips WHERE id = ?`, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return c, ErrNotFound
	}
	if err != nil {
		return c, fmt.Errorf("clip %s: %w", id, err)
	}
	return c, nil
}

const clipColumns = `id, site, camera, journal, seq, asked, from_ms, to_ms, state, reason, fact_sha, still_sha, bytes, sha256, still, still_has, fact_seq`

func scanClip(scan func(...any) error) (Clip, error) {
	var c Clip
	var from, to int64
	err := scan(&c.ID, &c.Site, &c.Camera, &c.Journal, &c.Seq, &c.Asked, &from, &to, &c.State, &c.Reason, (*[]byte)(&c.FactSHA),
		(*[]byte)(&c.StillSHA), &c.SizeBytes, (*[]byte)(&c.SHA256), &c.Still, (*[]byte)(&c.StillHas), &c.FactSeq)
	c.From, c.To = fromMillis(from), fromMillis(to)
	return c, err
}

// ClipCutting notes that the box has begun to cut.
func (l *SQLite) ClipCutting(ctx context.Context, site edge.SiteID, id edge.ClipID) error {
	return l.submit(ctx, &write{do: func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE clips SET state = 'cutting' WHERE id = ? AND site = ? AND state = 'wanted'`, id, site)
		return err
	}})
}

// ClipOffered makes sure that there is a row for a file that is about to come, and returns it.
func (l *SQLite) ClipOffered(ctx context.Context, o ClipOffer) (Clip, error) {
	var c Clip
	err := l.submit(ctx, &write{do: func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO clips (id, site, camera, journal, seq, asked, from_ms, to_ms, state, reason, fact_sha, still_sha, bytes, sha256, still)
			VALUES (?, ?, ?, ?, ?, 0, 0, 0, 'wanted', '', x'', x'', 0, x'', 0)`, o.ID, o.Site, o.Camera, o.Journal, o.Seq); err != nil {
			return err
		}
		if o.Part == edge.PartClip {
			if _, err := tx.ExecContext(ctx, `UPDATE clips SET state = 'uploading' WHERE id = ? AND site = ? AND state IN ('wanted', 'cutting')`,
				o.ID, o.Site); err != nil {
				return err
			}
		}
		var err error
		if c, err = clipRow(ctx, tx, o.ID); err != nil {
			return err
		}
		if c.Site != o.Site {
			return ErrForeign
		}
		if c.Asked {
			return nil
		}
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM clips WHERE site = ? AND asked = 0`, o.Site).Scan(&n); err != nil {
			return err
		}
		if n > MaxUnasked {
			return ErrUnasked
		}
		return nil
	}})
	if err != nil {
		return Clip{}, err // the writer may still be filling in c when ctx has ended
	}
	return c, nil
}

// ClipStored notes that a file of the clip is complete and durable.
func (l *SQLite) ClipStored(ctx context.Context, site edge.SiteID, id edge.ClipID, part edge.FilePart, size int64, sha [32]byte) error {
	return l.submit(ctx, &write{do: func(ctx context.Context, tx *sql.Tx) error {
		var r sql.Result
		var err error
		if part == edge.PartStill {
			r, err = tx.ExecContext(ctx, `UPDATE clips SET still = 1, still_has = ? WHERE id = ? AND site = ?`, sha[:], id, site)
		} else {
			r, err = tx.ExecContext(ctx, `UPDATE clips SET state = 'ready', bytes = ?, sha256 = ?, reason = iif(state = 'lost', '', reason)
				WHERE id = ? AND site = ?`, size, sha[:], id, site)
		}
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, ErrNotFound)
		}
		return compare(ctx, tx, site, id)
	}})
}
