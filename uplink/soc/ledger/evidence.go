package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"sitewatch/edge"
)

// Evidence is what a ledger keeps so that events and clips can be proved years later (P12).
type Evidence interface {
	// PutCheckpoint keeps a checkpoint and says what it is worth against the stored events. One that is there stays as it is.
	PutCheckpoint(ctx context.Context, c Checkpoint, authority []byte) (Checkpoint, error)
	// Checkpoints are those of a journal from seq from up to to, oldest first, no more than max.
	Checkpoints(ctx context.Context, site edge.SiteID, journal edge.JournalID, from, to edge.Seq, max int) ([]Checkpoint, error)
	// PutManifest keeps the manifest of a clip. The first that proves something stays; kept is false when there was another.
	PutManifest(ctx context.Context, m Manifest, authority []byte) (kept bool, err error)
	// Manifest returns ErrNotFound when the clip has none.
	Manifest(ctx context.Context, id edge.ClipID) (Manifest, error)
	// Authorities are all that stand behind a certificate that is kept here, in DER.
	Authorities(ctx context.Context) ([][]byte, error)

	// Note adds an entry to the custody log.
	Note(ctx context.Context, e CustodyEntry) error
	// Custody are entries of a site or a clip, or of all, after the id after, oldest first.
	Custody(ctx context.Context, site edge.SiteID, clip edge.ClipID, after Index, max int) ([]Custody, error)
}

// What a checkpoint is worth.
const (
	CheckpointGood     = "good"     // the box has signed what the SOC has
	CheckpointWaiting  = "waiting"  // the event is not here (yet)
	CheckpointConflict = "conflict" // the box has signed another hash than the SOC has
	CheckpointBad      = "bad"      // nobody whom the SOC trusts has signed it
)

// Checkpoint is what a box has signed of its journal.
type Checkpoint struct {
	Site     edge.SiteID
	Journal  edge.JournalID
	Seq      edge.Seq
	Hash     edge.HexBytes
	State    string
	Problem  string // sentence for people; "" while there is none
	Signed   edge.Signed
	Received time.Time
}

// Manifest is what a box has signed of a clip.
type Manifest struct {
	Clip     edge.ClipID
	Site     edge.SiteID
	Problem  string // why it proves nothing; "" when it does
	Signed   edge.Signed
	Received time.Time
}

// checkpointsOf bounds what a box can say of one event, badOf how many that prove nothing are kept of a journal, and waitingOf how
// many of events that are not here: the newest, which cover what the others would.
const (
	checkpointsOf = 4
	badOf         = 100
	waitingOf     = 100
	thinTo        = 256 // of three good ones within so many events that are all here, the middle one goes
)

// PutCheckpoint keeps a checkpoint and says what it is worth.
func (l *SQLite) PutCheckpoint(ctx context.Context, c Checkpoint, authority []byte) (Checkpoint, error) {
	var out Checkpoint
	err := l.submit(ctx, &write{do: func(ctx context.Context, tx *sql.Tx) (err error) {
		out = c
		if out.State != CheckpointBad {
			if out.State, out.Problem, err = weigh(ctx, tx, &c); err != nil {
				return err
			}
			if err := settleWaiting(ctx, tx, &c); err != nil {
				return err
			}
		}
		var same, bad int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM checkpoints WHERE site = ? AND journal = ? AND seq = ?`, c.Site, c.Journal, c.Seq).Scan(&same); err != nil {
			return err
		}
		if out.State == CheckpointBad || out.State == CheckpointConflict {
			if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM checkpoints WHERE site = ? AND journal = ? AND state IN ('bad', 'conflict') AND state <> 'good'`, c.Site, c.Journal).Scan(&bad); err != nil {
				return err
			}
		}
		if out.State != CheckpointGood && (same >= checkpointsOf || bad >= badOf) {
			return nil
		}
		if err := keepCertificates(ctx, tx, c.Signed.Certificate, authority); err != nil {
			return err
		}
		// What could not be trusted under this hash gives way to what can.
		if _, err := tx.ExecContext(ctx, `INSERT INTO checkpoints (site, journal, seq, hash, state, problem, body, signature, certificate, received)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET state = excluded.state, problem = excluded.problem, body = excluded.body,
			signature = excluded.signature, certificate = excluded.certificate, received = excluded.received WHERE state = 'bad'`,
			c.Site, c.Journal, c.Seq, blob(c.Hash), out.State, out.Problem, blob(c.Signed.Body), blob(c.Signed.Signature),
			[]byte(edge.Fingerprint(c.Signed.Certificate)), millis(c.Received)); err != nil {
			return err
		}
		if out.State == CheckpointWaiting {
			return trimWaiting(ctx, tx, &out)
		}
		return thin(ctx, tx, &out)
	}})
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint of site %s: %w", c.Site, err)
	}
	return out, nil
}

// weigh compares a checkpoint with the event that it is of.
func weigh(ctx context.Context, tx *sql.Tx, c *Checkpoint) (state, problem string, err error) {
	var hash edge.HexBytes
	err = tx.QueryRowContext(ctx, `SELECT hash FROM events WHERE site = ? AND journal = ? AND seq = ?`, c.Site, c.Journal, c.Seq).Scan((*[]byte)(&hash))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return CheckpointWaiting, "", nil
	case err != nil:
		return "", "", err
	}
	state, problem = c.against(hash)
	return state, problem, nil
}

// against compares it with the hash of the event that is here.
func (c *Checkpoint) against(hash edge.HexBytes) (state, problem string) {
	if hash.String() != c.Hash.String() {
		return CheckpointConflict, fmt.Sprintf("The box has signed that event %d has the hash %s; the SOC has an event with %s.", c.Seq, c.Hash, hash)
	}
	return CheckpointGood, ""
}

// settleWaiting looks again at those of the journal whose event has come since.
func settleWaiting(ctx context.Context, tx *sql.Tx, c *Checkpoint) error {
	const of = `(SELECT e.hash FROM events e WHERE e.site = checkpoints.site AND e.journal = checkpoints.journal AND e.seq = checkpoints.seq)`
	_, err := tx.ExecContext(ctx, `UPDATE checkpoints SET state = iif(hash = `+of+`, 'good', 'conflict'),
		problem = iif(hash = `+of+`, '', 'The box has signed another hash than the event has that came later.')
		WHERE site = ? AND journal = ? AND state = 'waiting' AND state <> 'good' AND `+of+` IS NOT NULL`, c.Site, c.Journal)
	return err
}

// trimWaiting drops the oldest of those of the journal whose event has not come.
func trimWaiting(ctx context.Context, tx *sql.Tx, c *Checkpoint) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM checkpoints WHERE (site, journal, seq, hash) IN (SELECT site, journal, seq, hash FROM checkpoints
		WHERE site = ? AND journal = ? AND state = 'waiting' AND state <> 'good' ORDER BY received DESC, seq DESC LIMIT -1 OFFSET ?)`, c.Site, c.Journal, waitingOf)
	return err
}

// thin drops the good one before c when the one before that and c are near: c covers all that it did.
func thin(ctx context.Context, tx *sql.Tx, c *Checkpoint) error {
	if c.State != CheckpointGood {
		return nil
	}
	_, err := tx.ExecContext(ctx, `WITH before AS (SELECT seq FROM checkpoints WHERE site = ?1 AND journal = ?2 AND seq < ?3 AND state = 'good' ORDER BY seq DESC LIMIT 2)
		DELETE FROM checkpoints WHERE site = ?1 AND journal = ?2 AND state = 'good' AND seq = (SELECT max(seq) FROM before)
		AND (SELECT count(*) FROM before) = 2 AND (SELECT min(seq) FROM before) > ?3 - ?4
		AND EXISTS (SELECT 1 FROM spans WHERE site = ?1 AND journal = ?2 AND from_seq <= (SELECT min(seq) FROM before) AND to_seq >= ?3)`,
		c.Site, c.Journal, c.Seq, thinTo)
	return err
}

func keepCertificates(ctx context.Context, tx *sql.Tx, box, authority []byte) error {
	for i, der := range [][]byte{box, authority} {
		if len(der) == 0 {
			continue
		}
		if _, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO certificates (sha256, authority, der) VALUES (?, ?, ?)`, []byte(edge.Fingerprint(der)), i, der); err != nil {
			return err
		}
	}
	return nil
}

// Checkpoints are those of a journal from seq from up to to, oldest first. One that waits is compared now: its event may have come.
func (l *SQLite) Checkpoints(ctx context.Context, site edge.SiteID, journal edge.JournalID, from, to edge.Seq, max int) ([]Checkpoint, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT p.seq, p.hash, p.state, p.problem, p.body, p.signature, coalesce(c.der, x''), p.received, e.hash FROM checkpoints p
		LEFT JOIN certificates c ON c.sha256 = p.certificate
		LEFT JOIN events e ON p.state = 'waiting' AND e.site = p.site AND e.journal = p.journal AND e.seq = p.seq WHERE p.site = ? AND p.journal = ? AND p.seq BETWEEN ? AND ? ORDER BY p.seq LIMIT ?`,
		site, journal, from, to, max)
	if err != nil {
		return nil, fmt.Errorf("checkpoints of site %s: %w", site, err)
	}
	defer rows.Close()
	var out []Checkpoint
	for rows.Next() {
		c := Checkpoint{Site: site, Journal: journal}
		var received int64
		var has edge.HexBytes
		if err := rows.Scan(&c.Seq, (*[]byte)(&c.Hash), &c.State, &c.Problem, &c.Signed.Body, &c.Signed.Signature, &c.Signed.Certificate, &received, (*[]byte)(&has)); err != nil {
			return nil, fmt.Errorf("checkpoints of site %s: %w", site, err)
		}
		if len(has) > 0 {
			c.State, c.Problem = c.against(has)
		}
		c.Received = fromMillis(received)
		out = append(out, c)
	}
	return out, rows.Err()
}

// PutManifest keeps the manifest of a clip.
func (l *SQLite) PutManifest(ctx context.Context, m Manifest, authority []byte) (kept bool, err error) {
	err = l.submit(ctx, &write{do: func(ctx context.Context, tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `INSERT INTO manifests (clip, site, problem, body, signature, certificate, received) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET problem = excluded.problem, body = excluded.body, signature = excluded.signature, certificate = excluded.certificate,
			received = excluded.received WHERE site = excluded.site AND (manifests.problem <> '' OR body = excluded.body AND excluded.problem = '')`, m.Clip, m.Site, m.Problem, blob(m.Signed.Body),
			blob(m.Signed.Signature), []byte(edge.Fingerprint(m.Signed.Certificate)), millis(m.Received))
		if err != nil {
			return err
		}
		n, err := r.RowsAffected()
		if kept = n > 0; err != nil || !kept {
			return err
		}
		return keepCertificates(ctx, tx, m.Signed.Certificate, authority)
	}})
	if err != nil {
		return false, fmt.Errorf("manifest of clip %s: %w", m.Clip, err)
	}
	return kept, nil
}

// Manifest returns ErrNotFound when the clip has none.
func (l *SQLite) Manifest(ctx context.Context, id edge.ClipID) (Manifest, error) {
	m := Manifest{Clip: id}
	var received int64
	err := l.read.QueryRowContext(ctx, `SELECT m.site, m.problem, m.body, m.signature, coalesce(c.der, x''), m.received FROM manifests m
		LEFT JOIN certificates c ON c.sha256 = m.certificate WHERE m.clip = ?`, id).
		Scan(&m.Site, &m.Problem, &m.Signed.Body, &m.Signed.Signature, &m.Signed.Certificate, &received)
	if errors.Is(err, sql.ErrNoRows) {
		return m, ErrNotFound
	}
	if err != nil {
		return m, fmt.Errorf("manifest of clip %s: %w", id, err)
	}
	m.Received = fromMillis(received)
	return m, nil
}

// Authorities are all that stand behind a certificate that is kept here.
func (l *SQLite) Authorities(ctx context.Context) ([][]byte, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT der FROM certificates WHERE authority = 1 ORDER BY sha256`)
	if err != nil {
		return nil, fmt.Errorf("authorities: %w", err)
	}
	defer rows.Close()
	var out [][]byte
	for rows.Next() {
		var der []byte
		if err := rows.Scan(&der); err != nil {
			return nil, fmt.Errorf("authorities: %w", err)
		}
		out = append(out, der)
	}
	return out, rows.Err()
}
