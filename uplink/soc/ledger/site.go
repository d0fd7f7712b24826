package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"sitewatch/edge"
)

// Hello records what a box says of itself and returns the watermarks of its journal.
func (l *SQLite) Hello(ctx context.Context, h Hello) (Watermarks, error) {
	var m Watermarks
	err := l.submit(ctx, &write{do: func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO sites (id, kind, name, version, last_seen) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET kind = excluded.kind, name = excluded.name, version = excluded.version, last_seen = excluded.last_seen`,
			h.Site, h.Kind, h.Name, h.Version, millis(h.At)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO journals (site, journal, last_seq) VALUES (?1, ?2, ?3)
			ON CONFLICT DO UPDATE SET last_seq = max(last_seq, ?3)`, h.Site, h.Journal, h.LastSeq); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT urgent, routine FROM journals WHERE site = ? AND journal = ?`, h.Site, h.Journal).
			Scan(&m.Urgent, &m.Routine)
	}})
	if err != nil {
		return Watermarks{}, fmt.Errorf("hello of site %s: %w", h.Site, err)
	}
	return m, nil
}

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
	return sites, l.journals(ctx, sites, at)
}

func (l *SQLite) journals(ctx context.Context, sites []Site, at map[edge.SiteID]int) error {
	// bulk: below the oldest clip that is neither ready nor lost, else the newest that was asked for.
	rows, err := l.read.QueryContext(ctx, `SELECT j.site, j.journal, urgent, routine, last_seq, whole,
		coalesce((SELECT min(seq) - 1 FROM clips c WHERE c.site = j.site AND c.journal = j.journal AND state NOT IN ('ready', 'lost')),
		         max(urgent, routine)),
		(SELECT max(idx) FROM events e WHERE e.site = j.site AND e.journal = j.journal AND e.seq IN (urgent, routine)) AS newest
		FROM journals j ORDER BY j.site, newest DESC`)
	if err != nil {
		return fmt.Errorf("query journals: %w", err)
	}
	defer rows.Close()
	type hole struct {
		site  int
		j     int
		whole edge.Seq
	}
	var holes []hole
	for rows.Next() {
		var j Journal
		var site edge.SiteID
		var whole edge.Seq
		var newest sql.NullInt64
		if err := rows.Scan(&site, &j.ID, &j.Watermarks.Urgent, &j.Watermarks.Routine, &j.LastSeq, &whole, &j.Watermarks.Bulk, &newest); err != nil {
			return fmt.Errorf("read journal: %w", err)
		}
		i, ok := at[site]
		if !ok {
			continue // its site came after the first query
		}
		sites[i].Journals = append(sites[i].Journals, j)
		holes = append(holes, hole{i, len(sites[i].Journals) - 1, whole})
	}
	if err := rows.Err(); err != nil {
		return err
	}
	rows.Close()
	for _, h := range holes {
		s := &sites[h.site]
		j := &s.Journals[h.j]
		if j.Gaps, err = l.gaps(ctx, s.ID, j, h.whole); err != nil {
			return fmt.Errorf("gaps of journal %s: %w", j.ID, err)
		}
	}
	return nil
}

// maxGaps bounds what is listed per journal.
const maxGaps = 100

// gaps are those that the box told of, and holes that it did not explain: order holds inside a lane, so a seq below
// both lanes' watermarks that is not here will not come by itself.
func (l *SQLite) gaps(ctx context.Context, site edge.SiteID, j *Journal, whole edge.Seq) ([]Gap, error) {
	rows, err := l.read.QueryContext(ctx, `
		SELECT from_seq, to_seq, reason FROM gaps WHERE site = ?1 AND journal = ?2
		UNION ALL
		SELECT * FROM (
			SELECT before + 1 AS f, seq - 1, 'not received, and the box did not say why' FROM (
				SELECT seq, lag(seq, 1, ?3) OVER (ORDER BY seq) AS before FROM events WHERE site = ?1 AND journal = ?2 AND seq > ?3 AND seq <= ?4)
			WHERE seq > before + 1
			  AND NOT EXISTS (SELECT 1 FROM gaps WHERE site = ?1 AND journal = ?2 AND from_seq <= before + 1 AND to_seq >= seq - 1))
		ORDER BY 1 LIMIT ?5`, site, j.ID, whole, min(j.Watermarks.Urgent, j.Watermarks.Routine), maxGaps)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Gap
	for rows.Next() {
		var g Gap
		if err := rows.Scan(&g.From, &g.To, &g.Reason); err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	return out, rows.Err()
}
