package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"sitewatch/edge"
)

// readBytes bounds what one Read returns; a single event may be larger than what is left of it.
const readBytes = 256 << 10

const laneQuery = `select seq, prev, hash, body from events where lane = ? and seq > ? order by seq limit ?`

// Read returns events of the lane above after, oldest first: at most max, and no more once they are 256 KiB together.
// No events and no error: there is nothing (yet). An event that does not fit its hash is never returned: the journal is
// damaged then, Run ends, and the next Open carries over what is whole.
func (j *Journal) Read(ctx context.Context, lane edge.Lane, after edge.Seq, max int) ([]edge.Record, error) {
	recs, err := j.readLane(ctx, lane, after, max)
	if err != nil {
		j.met(err)
		return nil, fmt.Errorf("read %v lane: %w", lane, err)
	}
	return recs, nil
}

func (j *Journal) readLane(ctx context.Context, lane edge.Lane, after edge.Seq, max int) ([]edge.Record, error) {
	rows, err := j.read.QueryContext(ctx, laneQuery, int64(lane), int64(after), max)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []edge.Record
	for size := 0; size < readBytes && rows.Next(); {
		r := edge.Record{Lane: lane}
		var prev, hash []byte
		if err := rows.Scan(&r.Seq, &prev, &hash, &r.Body); err != nil {
			return nil, err
		}
		copy(r.Prev[:], prev)
		copy(r.Hash[:], hash)
		if len(prev) != 32 || len(hash) != 32 || chain(r.Prev, r.Body) != r.Hash {
			return nil, &ChainError{r.Seq, "was changed: its hash does not fit"}
		}
		out = append(out, r)
		size += len(r.Body)
	}
	return out, rows.Err()
}

// met tells the writer of damage that somebody else has met.
func (j *Journal) met(err error) {
	if !isDamage(err) {
		return
	}
	select {
	case j.broken <- err:
	default: // it knows already
	}
}

// Watermark returns up to which seq the SOC has acked the lane.
func (j *Journal) Watermark(ctx context.Context, lane edge.Lane) (edge.Seq, error) {
	var seq edge.Seq
	if err := j.readRow(ctx, `select seq from cursors where lane = ?`, []any{int64(lane)}, &seq); err != nil {
		return 0, fmt.Errorf("watermark of %v lane: %w", lane, err)
	}
	return seq, nil
}

// Hash returns the hash of event seq, as it is stored or as the anchor remembers it after pruning. ok is false when neither has
// it. It lets a peer ask whether both speak of the same event, not only of the same number.
func (j *Journal) Hash(ctx context.Context, seq edge.Seq) (hash [32]byte, ok bool, err error) {
	var b []byte
	err = j.readRow(ctx, `select hash from events where seq = ?1 union all select hash from anchors where seq = ?1 limit 1`,
		[]any{int64(seq)}, &b)
	if errors.Is(err, sql.ErrNoRows) {
		return hash, false, nil
	}
	if err != nil {
		return hash, false, fmt.Errorf("hash of event %d: %w", seq, err)
	}
	if len(b) != len(hash) {
		return hash, false, &ChainError{seq, "was changed: a hash has 32 bytes"}
	}
	return [32]byte(b), true, nil
}

// Acked says that the SOC has all events of the lane up to through. The cursor never moves back. ErrAckBeyond: the SOC
// speaks of events that this journal never had, and nothing was changed. ErrFull: the disk has no room for it now.
func (j *Journal) Acked(ctx context.Context, lane edge.Lane, through edge.Seq) error {
	return j.do(ctx, func(ctx context.Context, t *tx) error {
		if through > t.head.seq {
			return refusal{fmt.Errorf("%w: %v lane through %d, last is %d", ErrAckBeyond, lane, through, t.head.seq)}
		}
		n, err := t.exec(ctx, `update cursors set seq = ? where lane = ? and seq < ?`,
			int64(through), int64(lane), int64(through))
		if n > 0 {
			t.cursors[lane] = through
			j.space.over = j.space.over || j.space.tight // what had to stay may go now, also if nothing is added that would make us look
		}
		return err
	})
}

// Rewind moves the lane's cursor back: a SOC restored from a backup knows less than it had acked. Events that were pruned
// since are gone; an events-lost event then names them. Files are offered again with their events; a clip that was deleted
// here after its upload is lost, with its event. A cursor at or below to stays.
func (j *Journal) Rewind(ctx context.Context, lane edge.Lane, to edge.Seq) error {
	w, err := j.Watermark(ctx, lane)
	if err != nil || w <= to {
		return err
	}
	// Before the cursor moves: if we are killed in between, the SOC asks again and the rest is said then.
	if err := j.loseGone(ctx, to); err != nil {
		return fmt.Errorf("rewind %v lane: %w", lane, err)
	}
	return j.do(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, `update cursors set seq = ? where lane = ? and seq > ?`, int64(to), int64(lane), int64(to))
		if err != nil || n == 0 {
			return err
		}
		t.cursors[lane] = to
		t.effects.lanes[lane] = true // there is something to send again
		if err := t.offerAgain(ctx, to); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `update checkpoints set sent = 0 where seq > ?`, int64(to)); err != nil {
			return err
		}
		anchor, err := t.anchor(ctx)
		if err != nil || anchor.seq <= to {
			return err
		}
		_, err = t.emit(ctx, edge.Event{
			Kind: edge.KindEventsLost,
			Why:  fmt.Sprintf("The SOC asked again for events from %d of the %v lane; those up to %d were deleted here after it had acked them.", to+1, lane, anchor.seq),
			Gap:  &edge.Gap{From: to + 1, To: anchor.seq, Events: uint64(anchor.seq - to), Reason: "pruned after an earlier ack"},
		})
		return err
	})
}
