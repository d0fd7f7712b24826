package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"sitewatch/edge"
)

// How full the file may get, in hundredths of LimitBytes. The rest is the reserve: an event can always be appended.
const (
	historyPercent = 75 // above: the oldest events that the SOC has acked go
	lossPercent    = 90 // above, when that does not help: events that it has not
)

const (
	pruneChunk   = 1000     // events per transaction: bounds how long an append waits for it
	lookAfter    = 64 << 10 // bytes added between two looks at the file
	mergeNotes   = 8        // so many events-lost events with nothing between become one; fewer would free nothing
	walKeepBytes = 16 << 20 // the write-ahead log is cut back to this
	walMaxBytes  = 64 << 20 // above, the writer tries to cut it back
)

// spaceUse is when to look at the file again.
type spaceUse struct {
	added int64 // since the last look
	over  bool  // the last look found more to do
	tight bool  // the last look found too much, and nothing that may go before the SOC acks more
}

// usedBytes is how much of the file is in use: pages that are free are used again before it grows.
func (s *store) usedBytes(ctx context.Context) (int64, error) {
	var pages, free int64
	if err := s.row(ctx, `pragma page_count`, nil, &pages); err != nil {
		return 0, err
	}
	if err := s.row(ctx, `pragma freelist_count`, nil, &free); err != nil {
		return 0, err
	}
	return (pages - free) * pageBytes, nil
}

// keepSpace takes one step towards the byte limit, when one is due.
func (j *Journal) keepSpace(ctx context.Context) error {
	if j.space.added < lookAfter && !j.space.over {
		return nil
	}
	next, err := j.spaceStep(ctx)
	if err != nil {
		if fatal := j.fatal(err); fatal != nil {
			return fatal
		}
		j.opt.Log.Warn("journal: old events stay", "err", err)
	}
	j.space = next
	return nil
}

// spaceStep deletes the next events that have to go, if any, and says when to look again.
func (j *Journal) spaceStep(ctx context.Context) (next spaceUse, err error) {
	used, err := j.store.usedBytes(ctx)
	if err != nil || used <= j.opt.LimitBytes/100*historyPercent {
		return next, err
	}
	more := false
	err = j.alone(ctx, func(ctx context.Context, t *tx) error {
		t.headToo = true
		if more, err = t.pruneAcked(ctx); err != nil || more || used <= j.opt.LimitBytes/100*lossPercent {
			return err
		}
		more, err = t.giveUp(ctx, used)
		return err
	})
	if err != nil || !more {
		return spaceUse{tight: true}, err
	}
	after, err := j.store.usedBytes(ctx)
	// A step that frees nothing is not tried again before something is added or acked.
	return spaceUse{over: after < used, tight: after >= used}, err
}

// pruneAcked deletes the oldest events as far as the SOC has acked all of both lanes, and leaves the anchor.
func (t *tx) pruneAcked(ctx context.Context) (bool, error) {
	through, err := t.ackedThrough(ctx)
	if err != nil {
		return false, err
	}
	a, err := t.pruneTo(ctx, through)
	if err != nil || a.seq == 0 {
		return false, err
	}
	return true, t.prune(ctx, a)
}

// prune deletes the events up to a, which the SOC has acked, and leaves the anchor.
func (t *tx) prune(ctx context.Context, a head) error {
	edge.Crash("pruning before anchor")
	if err := t.setAnchor(ctx, a); err != nil {
		return err
	}
	edge.Crash("pruning after anchor")
	for _, query := range []string{
		`delete from events where seq <= ?`,
		`delete from gaps where to_seq <= ?`,
		`delete from checkpoints where seq <= ?`,
		`delete from manifests where id in (select id from clips where seq <= ? and state in ('lost', 'gone') and still_file is null)`,
		`delete from clips where seq <= ? and state in ('lost', 'gone') and still_file is null`,
	} {
		if _, err := t.exec(ctx, query, int64(a.seq)); err != nil {
			return err
		}
	}
	return nil
}

// ackedThrough is the event before the first that the SOC has not acked, in whatever lane.
func (t *tx) ackedThrough(ctx context.Context) (int64, error) {
	var end sql.NullInt64
	if err := t.row(ctx, `select min(e) from (
			select (select min(seq) from events where lane = c.lane and seq > c.seq) as e from cursors c)`, nil, &end); err != nil {
		return 0, err
	}
	if end.Valid {
		return end.Int64 - 1, nil
	}
	return int64(t.head.seq), nil
}

// pruneTo picks how far one step goes: not beyond through, and no more than a twentieth of the limit.
func (t *tx) pruneTo(ctx context.Context, through int64) (a head, err error) {
	rows, err := t.query(ctx, `select seq, hash, length(body) from events where seq <= ? order by seq limit ?`, through, pruneChunk)
	if err != nil {
		return head{}, err
	}
	defer rows.Close()
	for size := int64(0); size < t.j.opt.LimitBytes/20 && rows.Next(); {
		var hash []byte
		var n int64
		if err := rows.Scan(&a.seq, &hash, &n); err != nil {
			return head{}, err
		}
		copy(a.hash[:], hash)
		size += n + 128
	}
	return a, rows.Err()
}

// enoughPages is what a step wants to have freed before it writes down what it has deleted, which takes room itself.
const enoughPages = 8

// giveUp deletes spans of events, those that the SOC has first and routine before urgent, until some pages are free, and says
// whether it deleted any. Before those that it has not, movement goes that is only searched. One span may free none: routine events that stand between urgent ones leave holes that no other
// event fits into.
func (t *tx) giveUp(ctx context.Context, used int64) (bool, error) {
	var gone []span
	moved := false
	for _, s := range []span{{lane: edge.Routine}, {lane: edge.Urgent}, {lane: edge.Routine, lost: true}, {lane: edge.Urgent, lost: true}} {
		if s.lost && !moved {
			moved = true
			if err := t.halveMotions(ctx); err != nil {
				return false, err
			}
			now, err := t.usedBytes(ctx)
			if err != nil {
				return false, err
			}
			if used-now >= enoughPages*pageBytes {
				return true, t.recordGone(ctx, gone)
			}
		}
		for {
			g, err := t.dropSpan(ctx, s.lane, s.lost)
			if err != nil {
				return false, err
			}
			if g.here == 0 {
				break
			}
			gone = append(gone, g)
			now, err := t.usedBytes(ctx)
			if err != nil {
				return false, err
			}
			if used-now >= enoughPages*pageBytes {
				return true, t.recordGone(ctx, gone)
			}
		}
	}
	return len(gone) > 0, t.recordGone(ctx, gone)
}

// dropSpan deletes about a twentieth of the limit from one lane, oldest first: events that the SOC has acked, or, when
// lost, those that it has not. Nothing is deleted when the span that it returns is empty.
func (t *tx) dropSpan(ctx context.Context, lane edge.Lane, lost bool) (span, error) {
	gap, err := t.oldest(ctx, lane, lost, t.j.opt.LimitBytes/20)
	if err != nil || gap.here == 0 || gap.here == gap.notes && gap.notes < mergeNotes {
		return span{}, err
	}
	gap.lane, gap.lost = lane, lost
	_, err = t.exec(ctx, `delete from events where lane = ? and seq between ? and ?`,
		int64(lane), int64(gap.span.From), int64(gap.span.To))
	return gap, err
}

// recordGone writes the spans down that were deleted. Lost events leave an events-lost event; earlier ones among them are
// counted into it.
func (t *tx) recordGone(ctx context.Context, gone []span) error {
	for _, gap := range gone {
		edge.Crash("events given up before gap")
		var seq, hash, sig any
		reason := "acked by the SOC and deleted before older events"
		if gap.lost {
			reason = "the journal reached its size limit before the SOC could be reached"
			gap.Gap.Reason = reason
			s, err := t.emit(ctx, edge.Event{
				Kind: edge.KindEventsLost,
				Why:  fmt.Sprintf("%d events of the %v lane between %d and %d are lost: %s.", gap.Events, gap.lane, gap.From, gap.To, reason),
				Gap:  &gap.Gap,
			})
			if err != nil {
				return err
			}
			seq, hash = int64(s.event.Seq), s.hash[:]
			if sig, err = t.sign(s.hash[:]); err != nil {
				return err
			}
		}
		if _, err := t.exec(ctx, `insert into gaps (from_seq, to_seq, events, lost, reason, event_seq, event_hash, signature)
			values (?, ?, ?, ?, ?, ?, ?, ?)`, int64(gap.span.From), int64(gap.span.To), gap.here, gap.lost, reason, seq, hash, sig); err != nil {
			return err
		}
		edge.Crash("gap recorded before commit")
	}
	return nil
}

// span is a Gap, and the part of it that is deleted now.
type span struct {
	lane edge.Lane
	lost bool
	edge.Gap
	span  edge.Gap // From and To of the rows that are deleted now
	here  int64    // how many they are
	notes int64    // how many of them are events-lost events
}

func (t *tx) oldest(ctx context.Context, lane edge.Lane, lost bool, bytes int64) (span, error) {
	// Above the anchor everything that is acked is in front of its lane's cursor, everything else behind it.
	rows, err := t.query(ctx, `select seq, kind, length(body), iif(kind = 'events-lost', body, null) from events
		where lane = ?1 and (seq > (select seq from cursors where lane = ?1)) = ?2 order by seq limit 20000`, int64(lane), lost)
	if err != nil {
		return span{}, err
	}
	defer rows.Close()
	var g span
	for size := int64(0); size < bytes && rows.Next(); {
		var seq edge.Seq
		var kind edge.Kind
		var n int64
		var body []byte
		if err := rows.Scan(&seq, &kind, &n, &body); err != nil {
			return span{}, err
		}
		size += n + 128
		if g.here == 0 {
			g.From, g.span.From = seq, seq
		}
		g.To, g.span.To = max(g.To, seq), seq
		g.here++
		g.Events++
		if kind == edge.KindEventsLost {
			g.notes++
		}
		if ev, err := edge.DecodeEvent(body); body != nil && err == nil && ev.Gap != nil && lost && ev.Gap.From > 0 {
			g.From, g.To, g.Events = min(g.From, ev.Gap.From), max(g.To, ev.Gap.To), g.Events+ev.Gap.Events
		}
	}
	return g, rows.Err()
}

func (t *tx) anchor(ctx context.Context) (head, error) {
	var a head
	var hash []byte
	err := t.row(ctx, `select seq, hash from anchors`, nil, &a.seq, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return head{}, nil
	}
	copy(a.hash[:], hash)
	return a, err
}

func (t *tx) setAnchor(ctx context.Context, a head) error {
	sig, err := t.sign(anchorMessage(t.j.id, a.seq, a.hash))
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `insert into anchors (one, seq, hash, at_ns, signature) values (1, ?, ?, ?, ?)
		on conflict do update set seq = excluded.seq, hash = excluded.hash, at_ns = excluded.at_ns, signature = excluded.signature`,
		int64(a.seq), a.hash[:], t.j.opt.Clock.Now().Wall.UnixNano(), sig)
	return err
}

func (t *tx) sign(message []byte) (any, error) {
	if t.j.opt.Sign == nil {
		return nil, nil
	}
	sig, err := t.j.opt.Sign(message)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return sig, nil
}

// idle is what is done once a second, and after the last group.
func (j *Journal) idle(ctx context.Context) error {
	err := j.forgetSignals(ctx)
	if err == nil {
		err = j.tellFull(ctx)
	}
	if err == nil && (j.memory.noted() || j.rowHead != j.head && !j.full) {
		err = j.alone(ctx, func(_ context.Context, t *tx) error {
			t.headToo = true
			return nil
		})
	}
	if err == nil {
		err = j.shrinkLog(ctx)
	}
	if err == nil {
		err = j.forgetOld(ctx)
	}
	if err != nil {
		if fatal := j.fatal(err); fatal != nil {
			return fatal
		}
		j.opt.Log.Warn("journal: upkeep", "err", err)
		if errors.Is(err, ErrFull) {
			j.space.over = true // what the SOC has taken meanwhile may go now: nothing is added that would make us look
		}
	}
	j.carryWait = false
	for len(j.queue) == 0 && (j.space.over || j.space.added >= lookAfter) {
		edge.Beat(ctx)
		if err := j.keepSpace(ctx); err != nil {
			return err
		}
	}
	return nil
}

// shrinkEvery is the pause between two tries to shrink the write-ahead log.
const shrinkEvery = time.Minute

// shrinkLog cuts back a write-ahead log that a storm or a reader has made large. A reader that holds it, as 'gateway verify'
// may for a while, is not waited for: an alarm would wait with us.
func (j *Journal) shrinkLog(ctx context.Context) error {
	st, err := os.Stat(j.Path() + "-wal")
	if err != nil || st.Size() <= walMaxBytes {
		return nil
	}
	now := j.opt.Clock.Now()
	if d, ok := now.Since(j.shrunk); ok && d < shrinkEvery {
		return nil
	}
	j.shrunk = now
	if _, err := j.store.conn.ExecContext(ctx, `pragma busy_timeout = 0`); err != nil {
		return err
	}
	var busy, inLog, moved int
	err = j.store.row(ctx, `pragma wal_checkpoint(truncate)`, nil, &busy, &inLog, &moved)
	if _, e := j.store.conn.ExecContext(ctx, fmt.Sprintf(`pragma busy_timeout = %d`, busyMillis)); err == nil {
		err = e
	}
	return err
}
