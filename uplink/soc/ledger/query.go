package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"sitewatch/edge"
)

const eventColumns = `idx, change, site, journal, seq, lane, kind, code, panel, partition, zone, zone_name, text, why,
	cameras, amends, occurred, clock, recorded, received, late, clips, raw, chained, held, corroborated`

// Events returns what q selects, oldest first.
func (l *SQLite) Events(ctx context.Context, q Query) ([]Event, error) {
	sel, args := q.sql()
	return l.events(ctx, sel, args...)
}

// sql is the query after its FROM. It names its index: left to itself SQLite may walk the journals of all sites, or sort.
func (q *Query) sql() (string, []any) {
	index := "NOT INDEXED" // in the order of idx
	switch {
	case q.Site != "":
		index = "INDEXED BY events_site"
	case q.Kind != "":
		index = "INDEXED BY events_kind"
	case q.Lane != 0:
		index = "INDEXED BY events_lane"
	}
	where := []string{"idx > ?"}
	args := []any{q.After}
	add := func(cond string, arg any) {
		where, args = append(where, cond), append(args, arg)
	}
	if q.Through > 0 {
		add("idx <= ?", q.Through)
	}
	if q.Site != "" {
		add("site = ?", q.Site)
	}
	if q.Kind != "" {
		add("kind = ?", q.Kind)
	}
	if q.Lane != 0 {
		add("lane = ?", q.Lane)
	}
	return index + " WHERE " + strings.Join(where, " AND ") + " ORDER BY idx LIMIT ?", append(args, q.Max)
}

// Changes returns the events inserted or amended after c in the order of change.
func (l *SQLite) Changes(ctx context.Context, c Change, max int) ([]Event, error) {
	return l.events(ctx, "INDEXED BY events_change WHERE change > ? ORDER BY change LIMIT ?", c, max)
}

// Amended returns those of the events up to through that were amended after c, in the order of change. It looks at what has
// changed since and at nothing else.
func (l *SQLite) Amended(ctx context.Context, through Index, c Change, max int) ([]Event, error) {
	return l.events(ctx, amended, c, through, max)
}

const amended = "INDEXED BY events_change WHERE change > ? AND idx <= ? ORDER BY change LIMIT ?"

func (l *SQLite) events(ctx context.Context, rest string, args ...any) ([]Event, error) {
	rows, err := l.read.QueryContext(ctx, "SELECT "+eventColumns+" FROM events "+rest, args...)
	if err != nil {
		return nil, fmt.Errorf("query events: %w", err)
	}
	defer rows.Close()
	var out []Event
	for rows.Next() {
		var e Event
		var cameras, clips string
		var occurred, recorded, received int64
		v := &e.Event
		err := rows.Scan(&e.Index, &e.Change, &v.Site, &v.Journal, &v.Seq, (*uint8)(&v.Lane), &v.Kind, &v.Code, &v.Panel, &v.Partition,
			&v.Zone, &v.ZoneName, &v.Text, &v.Why, &cameras, &v.Amends, &occurred, &v.Clock, &recorded, &received, &e.Late,
			&clips, (*[]byte)(&v.Raw), &e.Chained, &v.Held, &v.Corroborated)
		if err != nil {
			return nil, fmt.Errorf("read event: %w", err)
		}
		v.V = 1
		v.Cameras = unlist[edge.CameraID](cameras)
		for _, id := range unlist[edge.ClipID](clips) {
			v.Clips = append(v.Clips, edge.ClipRef{ID: id})
		}
		v.Occurred, v.Recorded.Wall, e.Received = fromMillis(occurred), fromMillis(recorded), fromMillis(received)
		out = append(out, e)
	}
	return out, rows.Err()
}

// Head is the newest index and change.
func (l *SQLite) Head(ctx context.Context) (i Index, c Change, err error) {
	err = l.read.QueryRowContext(ctx, `SELECT coalesce(max(idx), 0), coalesce(max(change), 0) FROM events`).Scan(&i, &c)
	return i, c, err
}

// BornAt is the change number with which the event of index i was inserted; 0 when there is no such event.
func (l *SQLite) BornAt(ctx context.Context, i Index) (c Change, err error) {
	err = l.read.QueryRowContext(ctx, `SELECT born FROM events WHERE idx = ?`, i).Scan(&c)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return c, err
}
