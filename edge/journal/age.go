package journal

import (
	"context"
	"time"

	"sitewatch/edge"
)

// ageEvery is the pause between two looks for old events. While a look finds some, the next one follows.
const ageEvery = time.Hour

// forgetOld deletes the oldest events that the SOC has acked when they are older than KeepAge. Only a clock that is kept by
// NTP can tell, and only of events that were recorded by a clock that was set at all: what came before such an event is older.
func (j *Journal) forgetOld(ctx context.Context) error {
	now := j.opt.Clock.Now()
	if d, ok := now.Since(j.aged); ok && d < ageEvery || now.ClockState() != edge.ClockSynced {
		return nil
	}
	more := false
	err := j.alone(ctx, func(ctx context.Context, t *tx) error {
		through, err := t.ackedThrough(ctx)
		if err != nil {
			return err
		}
		a, full, err := t.olderThan(ctx, through, now.Wall.Add(-j.opt.KeepAge))
		if err != nil || a.seq == 0 {
			return err
		}
		more, t.headToo = full, true
		return t.prune(ctx, a)
	})
	if err == nil && !more {
		j.aged = now
	}
	return err
}

// olderThan returns the newest of the next events up to through that is older than end. full: all that were looked at may go,
// so that there may be more.
func (t *tx) olderThan(ctx context.Context, through int64, end time.Time) (a head, full bool, err error) {
	rows, err := t.query(ctx, `select seq, hash, body from events where seq <= ? order by seq limit ?`, through, pruneChunk)
	if err != nil {
		return head{}, false, err
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var seq edge.Seq
		var hash, body []byte
		if err := rows.Scan(&seq, &hash, &body); err != nil {
			return head{}, false, err
		}
		ev, err := edge.DecodeEvent(body)
		if err != nil || ev.Clock == edge.ClockUnset {
			continue // what comes after it may tell
		}
		if !ev.Recorded.Wall.Before(end) {
			return a, false, nil
		}
		a.seq = seq
		copy(a.hash[:], hash)
	}
	return a, n == pruneChunk && a.seq > 0, rows.Err()
}
