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
	at := map[edge.SiteID]int{}
	for rows.Next() {
		var s Site
		var ms int64
		if err := rows.Scan(&s.ID, &s.Kind, &s.Name, &s.Version, &ms); err != nil {
			return nil, fmt.Errorf("read site: %w", err)
		}
		s.LastSeen = fromMillis(ms)
		at[s.ID] = len(sites)
		sites = append(sites, s)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	rows.Close()
	return sites, l.journals(ctx, sites, at)
}

// journals adds the sites' newest journals, each with what is gone of it: what the box told of, and holes that it did not
// explain and that will not be filled by themselves.
func (l *SQLite) journals(ctx context.Context, sites []Site, at map[edge.SiteID]int) error {
	// A box that changes its journal again and again has a long list: used counts up, so the newest are few.
	rows, err := l.read.QueryContext(ctx, `SELECT j.site, `+journalColumns+` FROM sites s CROSS JOIN journals j ON j.site = s.id
		AND j.used > (SELECT coalesce(max(used), 0) FROM journals WHERE site = s.id) - ? ORDER BY j.site, j.used DESC`, maxJournals)
	if err != nil {
		return fmt.Errorf("query journals: %w", err)
	}
	defer rows.Close()
	var partial []*looker // journals of which something is missing
	var places [][2]int
	for rows.Next() {
		var site edge.SiteID
		j, err := scanJournal(func(to ...any) error { return rows.Scan(append([]any{&site}, to...)...) })
		if err != nil {
			return fmt.Errorf("read journal: %w", err)
		}
		i, ok := at[site]
		if !ok {
			continue // its site came after the first query
		}
		if !j.whole() {
			partial, places = append(partial, &looker{tx: l.read, site: site, j: j}), append(places, [2]int{i, len(sites[i].Journals)})
		}
		sites[i].Journals = append(sites[i].Journals, j.Journal)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	rows.Close()
	for n, q := range partial {
		missing, _, err := q.missing(ctx, 0, maxGaps)
		if err != nil {
			return fmt.Errorf("gaps of journal %s: %w", q.j.ID, err)
		}
		j := &sites[places[n][0]].Journals[places[n][1]]
		for _, g := range missing {
			if !g.Pending {
				j.Gaps = append(j.Gaps, g)
			}
		}
	}
	return nil
}
