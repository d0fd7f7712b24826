package journal

import (
	"context"
	"fmt"
	"time"

	"sitewatch/edge"
)

// Motion is movement that a camera saw, kept to be searched.
type Motion struct {
	Camera   edge.CameraID
	From, To time.Time
	Clock    edge.ClockState
	// Cells are where in the picture something moved: bit 8*row+column of 8 rows and 8 columns, from the left above; 0: not known.
	Cells uint64
	Rule  string // that decided; "" when none fitted
	Sent  bool   // there is an event of it
	Why   string
}

const (
	// motionRows bounds the table, and so does a sixteenth of the journal's limit at motionBytes a row: the oldest go first.
	motionRows  = 50_000
	motionBytes = 256
	maxWhy      = 200
)

// AddMotions keeps movement. Callers bring many at a time: each call costs a commit of its own when nothing else is written.
func (j *Journal) AddMotions(ctx context.Context, ms []Motion) error {
	if len(ms) == 0 {
		return nil
	}
	most := min(motionRows, j.opt.LimitBytes/16/motionBytes)
	return j.do(ctx, func(ctx context.Context, t *tx) error {
		for _, m := range ms {
			if r := []rune(m.Why); len(r) > maxWhy {
				m.Why = string(r[:maxWhy])
			}
			if _, err := t.exec(ctx, `insert into motions (camera, from_ns, to_ns, clock, cells, rule, sent, why) values (?, ?, ?, ?, ?, ?, ?, ?)`,
				string(m.Camera), m.From.UnixNano(), m.To.UnixNano(), string(m.Clock), int64(m.Cells), m.Rule, m.Sent, m.Why); err != nil {
				return err
			}
		}
		t.effects.bytes += int64(len(ms)) * motionBytes
		_, err := t.exec(ctx, `delete from motions where id <= (select max(id) from motions) - ?`, most)
		return err
	})
}

// halveMotions deletes the oldest half, a few thousand rows at most: an append waits for it.
func (t *tx) halveMotions(ctx context.Context) error {
	_, err := t.exec(ctx, `delete from motions where id <= (select min(id) + min((max(id) - min(id)) / 2, ?) from motions)`, 5*pruneChunk)
	return err
}

// MotionQuery says what of the movement is wanted; zero fields do not narrow it.
type MotionQuery struct {
	Camera   edge.CameraID
	From, To time.Time // that overlaps this span
	Cells    uint64    // in any of these cells; movement of which the cells are not known is left out
	Limit    int       // at most 1000; 100 when zero
}

// Motions returns the movement that q asks for, newest first.
func (j *Journal) Motions(ctx context.Context, q MotionQuery) ([]Motion, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	to := int64(1<<63 - 1)
	if !q.To.IsZero() {
		to = q.To.UnixNano()
	}
	from := int64(-1 << 63)
	if !q.From.IsZero() {
		from = q.From.UnixNano()
	}
	rows, err := j.read.QueryContext(ctx, `select camera, from_ns, to_ns, clock, cells, rule, sent, why from motions
		where from_ns <= ?1 and to_ns >= ?2 and (?3 = '' or camera = ?3) and (?4 = 0 or cells & ?4 <> 0)
		order by from_ns desc, id desc limit ?5`, to, from, string(q.Camera), int64(q.Cells), min(q.Limit, 1000))
	if err != nil {
		return nil, fmt.Errorf("search movement: %w", err)
	}
	defer rows.Close()
	var out []Motion
	for rows.Next() {
		var m Motion
		var fromNs, toNs, cells int64
		if err := rows.Scan(&m.Camera, &fromNs, &toNs, &m.Clock, &cells, &m.Rule, &m.Sent, &m.Why); err != nil {
			return nil, fmt.Errorf("search movement: %w", err)
		}
		m.From, m.To, m.Cells = time.Unix(0, fromNs).UTC(), time.Unix(0, toNs).UTC(), uint64(cells)
		out = append(out, m)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("search movement: %w", err)
	}
	return out, nil
}
