package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"sitewatch/edge"
)

// What somebody may have done with a site's pictures.
const (
	ViewedClip     = "viewed-clip"
	DownloadedClip = "downloaded-clip"
	ViewedStill    = "viewed-still"
	Exported       = "exported"
	Verified       = "verified"
)

// CustodyEntry is one line of the custody log: who has done what with which pictures. The ledger fills in N.
type CustodyEntry struct {
	N       int64         `json:"n"` // 1, 2, 3 ... of the site
	Site    edge.SiteID   `json:"site"`
	At      time.Time     `json:"at"`      // UTC
	Who     string        `json:"who"`     // the name that is known: of a proxy's user, or of the machine's; may be empty
	Address string        `json:"address"` // from where
	Action  string        `json:"action"`
	Clip    edge.ClipID   `json:"clip"`   // "" when it is about more than one
	Digest  edge.HexBytes `json:"sha256"` // of what was seen or taken
	Note    string        `json:"note"`
}

// Custody is an entry as it is kept: its hash is the SHA-256 over the hash of the site's entry before it, then Body.
type Custody struct {
	ID         Index
	Entry      CustodyEntry
	Body       []byte
	Prev, Hash edge.HexBytes
}

// maxCustodyText bounds each text of an entry: some of it is what a browser says.
const maxCustodyText = 300

func custodyText(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxCustodyText)], "?")
}

// Note adds an entry to the custody log.
func (l *SQLite) Note(ctx context.Context, e CustodyEntry) error {
	e.At, e.Who, e.Address, e.Note = e.At.UTC().Truncate(time.Millisecond), custodyText(e.Who), custodyText(e.Address), custodyText(e.Note)
	err := l.submit(ctx, &write{do: func(ctx context.Context, tx *sql.Tx) error {
		var n int64
		prev := make([]byte, 32)
		err := tx.QueryRowContext(ctx, `SELECT n, hash FROM custody WHERE site = ? ORDER BY n DESC LIMIT 1`, e.Site).Scan(&n, &prev)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		own := e
		own.N = n + 1
		body, err := json.Marshal(own)
		if err != nil {
			return err
		}
		if len(prev) != 32 {
			return fmt.Errorf("entry %d has no hash", n)
		}
		hash := edge.ChainHash([32]byte(prev), body)
		_, err = tx.ExecContext(ctx, `INSERT INTO custody (site, n, action, clip, prev, hash, body) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			e.Site, own.N, e.Action, e.Clip, prev, hash[:], body)
		return err
	}})
	if err != nil {
		return fmt.Errorf("custody log of site %s: %w", e.Site, err)
	}
	return nil
}

// Custody are entries of a site or a clip, or of all, oldest first.
func (l *SQLite) Custody(ctx context.Context, site edge.SiteID, clip edge.ClipID, after Index, max int) ([]Custody, error) {
	query, args := `SELECT id, prev, hash, body FROM custody WHERE id > ?`, []any{after}
	if site != "" {
		query, args = query+` AND site = ?`, append(args, site)
	}
	if clip != "" {
		query, args = query+` AND clip = ? AND clip <> ''`, append(args, clip)
	}
	rows, err := l.read.QueryContext(ctx, query+` ORDER BY id LIMIT ?`, append(args, max)...)
	if err != nil {
		return nil, fmt.Errorf("custody log: %w", err)
	}
	defer rows.Close()
	var out []Custody
	for rows.Next() {
		var c Custody
		if err := rows.Scan(&c.ID, (*[]byte)(&c.Prev), (*[]byte)(&c.Hash), &c.Body); err != nil {
			return nil, fmt.Errorf("custody log: %w", err)
		}
		if err := json.Unmarshal(c.Body, &c.Entry); err != nil {
			return nil, fmt.Errorf("custody log, entry %d: %w", c.ID, err)
		}
		out = append(out, c)
	}
	return out, rows.Err()
}
