package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"sitewatch/edge"
)

// Loss is what has been told of a site's absence.
type Loss uint8

const (
	Here     Loss = 0 // nothing
	Lost     Loss = 1 // site-lost
	InOutage Loss = 2 // the open outage names it
	BackFrom Loss = 3 // the open outage names it, and it has come back since
)

// SiteLoss is what has been told of a site's absence, and who it is.
type SiteLoss struct {
	Site  edge.SiteID
	Name  string // read only: Raise does not change it
	Heard time.Time
	Loss  Loss
}

// Path is a way by which a site's box reaches the SOC.
type Path struct {
	Site  edge.SiteID
	Name  string // "": the box's only one
	Heard time.Time
	Lost  bool // path-lost has been told and not its end
}

// Presence is what has been told of all sites and paths.
type Presence struct {
	Sites  []SiteLoss
	Paths  []Path
	Outage edge.Seq // the newest outage event in the SOC's journal of the site ""; 0: there has been none
}

func keepPresence(ctx context.Context, tx *sql.Tx, r *Raising) error {
	for _, s := range r.Sites {
		if _, err := tx.ExecContext(ctx, `UPDATE sites SET lost = ?, last_seen = max(last_seen, ?) WHERE id = ?`, s.Loss, millis(s.Heard), s.Site); err != nil {
			return fmt.Errorf("keep the absence of site %s: %w", s.Site, err)
		}
	}
	for _, p := range r.Forget {
		if _, err := tx.ExecContext(ctx, `DELETE FROM paths WHERE site = ? AND path = ?`, p.Site, p.Name); err != nil {
			return fmt.Errorf("forget a path of site %s: %w", p.Site, err)
		}
	}
	for _, p := range r.Paths {
		if _, err := tx.ExecContext(ctx, `INSERT INTO paths (site, path, heard, lost) SELECT id, ?, ?, ? FROM sites WHERE id = ?
			ON CONFLICT DO UPDATE SET heard = max(heard, excluded.heard), lost = excluded.lost`, p.Name, millis(p.Heard), p.Lost, p.Site); err != nil {
			return fmt.Errorf("keep a path of site %s: %w", p.Site, err)
		}
	}
	return nil
}

// Presence is what Raise has kept of sites and paths.
func (l *SQLite) Presence(ctx context.Context) (Presence, error) {
	var out Presence
	rows, err := l.links.QueryContext(ctx, `SELECT id, name, last_seen, lost FROM sites ORDER BY id`)
	if err != nil {
		return out, fmt.Errorf("query absences: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var s SiteLoss
		var heard int64
		if err := rows.Scan(&s.Site, &s.Name, &heard, &s.Loss); err != nil {
			return out, fmt.Errorf("read absence: %w", err)
		}
		s.Heard = fromMillis(heard)
		out.Sites = append(out.Sites, s)
	}
	if err := rows.Err(); err != nil {
		return out, err
	}
	paths, err := l.links.QueryContext(ctx, `SELECT site, path, heard, lost FROM paths ORDER BY site, path`)
	if err != nil {
		return out, fmt.Errorf("query paths: %w", err)
	}
	defer paths.Close()
	for paths.Next() {
		var p Path
		var heard int64
		if err := paths.Scan(&p.Site, &p.Name, &heard, &p.Lost); err != nil {
			return out, fmt.Errorf("read path: %w", err)
		}
		p.Heard = fromMillis(heard)
		out.Paths = append(out.Paths, p)
	}
	if err := paths.Err(); err != nil {
		return out, err
	}
	err = l.links.QueryRowContext(ctx, `SELECT seq FROM events WHERE site = '' AND journal = ? AND kind = ? ORDER BY idx DESC LIMIT 1`, JournalSOC, edge.KindOutage).
		Scan(&out.Outage)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return out, fmt.Errorf("query the outage: %w", err)
	}
	return out, nil
}
