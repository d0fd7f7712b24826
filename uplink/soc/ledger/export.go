package ledger

import (
	"context"
	"fmt"
	"time"

	"sitewatch/edge"
)

// Export is how a ledger gives out what it has of a site in a span of time.
type Export interface {
	// InSpan are the events of a site that happened, or were recorded, in the span; of boxes whose clock was never set, those that
	// came in it. In the order of journal and seq.
	InSpan(ctx context.Context, site edge.SiteID, from, to time.Time) ([]Event, error)
	// Stored are events of a journal after seq after, up to through, with their stored bytes, no more than max.
	Stored(ctx context.Context, site edge.SiteID, journal edge.JournalID, after, through edge.Seq, max int) ([]Stored, error)
	// ClipsInSpan are the clips of a site of which pictures are of the span.
	ClipsInSpan(ctx context.Context, site edge.SiteID, from, to time.Time) ([]Clip, error)
}

// Stored is an event as it came.
type Stored struct {
	Seq  edge.Seq
	Body []byte
	Prev [32]byte
	Hash [32]byte
}

// InSpan are the events of a site that happened or were recorded in the span.
func (l *SQLite) InSpan(ctx context.Context, site edge.SiteID, from, to time.Time) ([]Event, error) {
	return l.events(ctx, `INDEXED BY events_site WHERE site = ?1 AND (occurred BETWEEN ?2 AND ?3 OR recorded BETWEEN ?2 AND ?3
		OR clock = 'unset' AND received BETWEEN ?2 AND ?3) ORDER BY journal, seq`, site, millis(from), millis(to))
}

// Stored are events of a journal with their stored bytes.
func (l *SQLite) Stored(ctx context.Context, site edge.SiteID, journal edge.JournalID, after, through edge.Seq, max int) ([]Stored, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT seq, body, prev, hash FROM events WHERE site = ? AND journal = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?`,
		site, journal, after, through, max)
	if err != nil {
		return nil, fmt.Errorf("events of site %s: %w", site, err)
	}
	defer rows.Close()
	var out []Stored
	for rows.Next() {
		var s Stored
		var prev, hash []byte
		if err := rows.Scan(&s.Seq, &s.Body, &prev, &hash); err != nil {
			return nil, fmt.Errorf("events of site %s: %w", site, err)
		}
		copy(s.Prev[:], prev)
		copy(s.Hash[:], hash)
		out = append(out, s)
	}
	return out, rows.Err()
}

// ClipsInSpan are the clips of a site of which pictures are of the span.
func (l *SQLite) ClipsInSpan(ctx context.Context, site edge.SiteID, from, to time.Time) ([]Clip, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT `+clipColumns+` FROM clips INDEXED BY clips_site WHERE site = ? AND from_ms <= ? AND to_ms >= ? ORDER BY from_ms, id`,
		site, millis(to), millis(from))
	if err != nil {
		return nil, fmt.Errorf("clips of site %s: %w", site, err)
	}
	defer rows.Close()
	var out []Clip
	for rows.Next() {
		c, err := scanClip(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("clips of site %s: %w", site, err)
		}
		out = append(out, c)
	}
	return out, rows.Err()
}
