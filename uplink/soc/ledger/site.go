package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"sitewatch/edge"
)

// Seen records when a site was last heard.
func (l *SQLite) Seen(ctx context.Context, site edge.SiteID, at time.Time) error {
	return l.submit(ctx, &write{do: func(ctx context.Context, tx *sql.Tx) error { return seen(ctx, tx, site, at) }})
}

func seen(ctx context.Context, tx *sql.Tx, site edge.SiteID, at time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE sites SET last_seen = max(last_seen, ?) WHERE id = ?`, millis(at), site)
	return err
}

// Sites returns every site by id, its journals newest first.
func (l *SQLite) Sites(ctx context.Context) ([]Site, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT id, kind, name, version, last_seen FROM sites ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("query sites: %w", err)
	}
	defer rows.Close()
	var sites []Site
	for rows.Next() {
		var s Site
		var ms int64
		if err := rows.Scan(&s.ID, &s.Kind, &s.Name, &s.Version, &ms); err != nil {
			return nil, fmt.Errorf("read site: %w", err)
		}
		s.LastSeen = fromMillis(ms)
		sites = append(sites, s)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	rows.Close()
	for i := range sites {
		if err := l.journals(ctx, &sites[i]); err != nil {
			return nil, fmt.Errorf("journals of site %s: %w", sites[i].ID, err)
		}
	}
	return sites, nil
}

// journals adds a site's newest journals, each with what is gone of it: what the box told of, and holes that it did not
// explain and that will not be filled by themselves.
func (l *SQLite) journals(ctx context.Context, s *Site) error {
	js, err := journalRows(ctx, l.read, s.ID, maxJournals)
	if err != nil {
		return err
	}
	for _, j := range js {
		gone, _, err := (&looker{tx: l.read, site: s.ID, j: j}).missing(ctx, 0, maxGaps)
		if err != nil {
			return err
		}
		for _, g := range gone {
			if !g.Pending {
				j.Gaps = append(j.Gaps, g)
			}
		}
		s.Journals = append(s.Journals, j.Journal)
	}
	return nil
}
