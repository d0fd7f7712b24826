package journal

import (
	"context"
	"fmt"

	"sitewatch/edge"
)

// Status is a picture of the journal for the status page.
type Status struct {
	ID             edge.JournalID   `json:"id"`
	Last           edge.Seq         `json:"last_seq"`
	Bytes          int64            `json:"bytes"` // in use; the file may be larger
	LimitBytes     int64            `json:"limit_bytes"`
	Lanes          []LaneStatus     `json:"lanes"`
	Clips          map[string]int64 `json:"clips"` // number by state: wanted, cutting, ready, lost, gone
	ClipBytes      int64            `json:"clip_bytes"`
	ClipLimitBytes int64            `json:"clip_limit_bytes"`
	UploadsWaiting int64            `json:"uploads_waiting"` // files
}

// LaneStatus is how far one lane is.
type LaneStatus struct {
	Lane      edge.Lane `json:"lane"`
	Watermark edge.Seq  `json:"watermark"`
	Waiting   int64     `json:"waiting"` // events that the SOC has not acked
}

// Status reads the present state; it costs a few milliseconds.
func (j *Journal) Status(ctx context.Context) (Status, error) {
	s := Status{ID: j.id, Last: j.Last(), LimitBytes: j.opt.LimitBytes, ClipLimitBytes: j.opt.ClipLimitBytes, Clips: map[string]int64{}}
	if err := j.fillStatus(ctx, &s); err != nil {
		return Status{}, fmt.Errorf("journal status: %w", err)
	}
	return s, nil
}

func (j *Journal) fillStatus(ctx context.Context, s *Status) error {
	var pages, free int64
	if err := j.readRow(ctx, `pragma page_count`, nil, &pages); err != nil {
		return err
	}
	if err := j.readRow(ctx, `pragma freelist_count`, nil, &free); err != nil {
		return err
	}
	s.Bytes = (pages - free) * pageBytes
	for _, lane := range edge.EventLanes {
		l := LaneStatus{Lane: lane}
		if err := j.readRow(ctx, `select c.seq, (select count(*) from events e where e.lane = c.lane and e.seq > c.seq)
			from cursors c where c.lane = ?`, []any{int64(lane)}, &l.Watermark, &l.Waiting); err != nil {
			return err
		}
		s.Lanes = append(s.Lanes, l)
	}
	if err := j.readRow(ctx, `select coalesce(sum(iif(clip_file is null, 0, clip_bytes) + iif(still_file is null, 0, still_bytes)), 0),
		coalesce(sum((still_file is not null and still_sent = 0) + (clip_file is not null and clip_sent = 0)), 0) from clips`,
		nil, &s.ClipBytes, &s.UploadsWaiting); err != nil {
		return err
	}
	rows, err := j.read.QueryContext(ctx, `select state, count(*) from clips group by state`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var state string
		var n int64
		if err := rows.Scan(&state, &n); err != nil {
			return err
		}
		s.Clips[state] = n
	}
	return rows.Err()
}
