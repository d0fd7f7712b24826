package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"sitewatch/edge"
)

const (
	checkpointEvery = time.Minute     // while there are new events
	checkpointSoon  = 2 * time.Second // after an urgent event, or one that tells of a clip
	checkpointQuiet = 4 * time.Second // after the last event of any kind, when no more come: nobody has to wait for a minute to prove it
	checkpointsKept = 1000            // a later one covers all that an earlier one did
)

// signing is what the signer knows; see runSign.
type signing struct {
	through  atomic.Uint64 // newest event that a checkpoint covers
	soon     atomic.Bool   // an event has come since that should not wait for a minute
	unsigned atomic.Bool   // there may be manifests that wait for their signature
	changed  notifier      // woken by every new checkpoint
}

// readSigned loads what is signed at Open.
func (j *Journal) readSigned(ctx context.Context) error {
	var seq int64
	if err := j.store.row(ctx, `select coalesce(max(seq), 0) from checkpoints`, nil, &seq); err != nil {
		return err
	}
	j.signing.through.Store(uint64(seq))
	j.signing.soon.Store(true) // a kill may have come between an alarm and its checkpoint
	j.signing.unsigned.Store(true)
	return nil
}

// runSign makes checkpoints and signs manifests. It signs beside the writer: no alarm waits for a signature.
func (j *Journal) runSign(ctx context.Context) {
	if j.opt.Signer == nil {
		return
	}
	tick := time.NewTicker(tickTime)
	defer tick.Stop()
	last := j.opt.Clock.Now()
	newest, came := j.Last(), last
	failing := false
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := j.opt.Clock.Now()
		if n := j.Last(); n != newest {
			newest, came = n, now
		}
		since, ok := now.Since(last)
		quiet, _ := now.Since(came)
		due := !ok || since >= checkpointEvery || since >= checkpointSoon && j.signing.soon.Load() || since >= checkpointQuiet && quiet >= checkpointQuiet
		if !due || j.Last() <= edge.Seq(j.signing.through.Load()) && !j.signing.unsigned.Load() {
			continue
		}
		last = now
		err := j.signAll(ctx)
		if ctx.Err() != nil || errors.Is(err, ErrClosed) {
			return
		}
		if err != nil && !failing {
			j.opt.Log.Error("journal: what happened is not signed; tried again", "err", err)
		}
		failing = err != nil
	}
}

func (j *Journal) signAll(ctx context.Context) error {
	s, ok := j.opt.Signer()
	if !ok {
		return nil // the box is not enrolled yet
	}
	if err := j.checkpoint(ctx, s, j.do); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return j.signManifests(ctx, s)
}

// signLast makes the checkpoint of an orderly stop, in which the writer has nothing else to do any more.
func (j *Journal) signLast(ctx context.Context) error {
	if j.opt.Signer == nil || j.full {
		return nil
	}
	s, ok := j.opt.Signer()
	if !ok {
		return nil
	}
	return j.checkpoint(ctx, s, j.alone)
}

// checkpoint signs the chain as it is now.
func (j *Journal) checkpoint(ctx context.Context, s edge.Signer, do func(context.Context, func(context.Context, *tx) error) error) error {
	j.signing.soon.Store(false) // before the head is read: what comes after it sets it again
	var h head
	if err := do(ctx, func(_ context.Context, t *tx) error {
		h = t.head
		return nil
	}); err != nil {
		return err
	}
	if uint64(h.seq) <= j.signing.through.Load() {
		return nil
	}
	now := j.opt.Clock.Now()
	signed, err := s.Sign(edge.Checkpoint{Type: edge.CheckpointType, Site: j.opt.Site, Journal: j.id, Seq: h.seq, Hash: h.hash[:],
		At: now.Wall.UTC(), Clock: now.ClockState(), Certificate: s.Fingerprint()})
	if err != nil {
		return err
	}
	return do(ctx, func(ctx context.Context, t *tx) error {
		if err := t.keepCertificate(ctx, signed.Certificate); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `insert or ignore into checkpoints (seq, body, signature, certificate, sent) values (?, ?, ?, ?, 0)`,
			int64(h.seq), signed.Body, signed.Signature, []byte(edge.Fingerprint(signed.Certificate))); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `delete from checkpoints where seq <= (select seq from checkpoints order by seq desc limit 1 offset ?)`, checkpointsKept); err != nil {
			return err
		}
		t.effects.bytes += int64(len(signed.Body) + len(signed.Signature) + 64)
		t.effects.done = append(t.effects.done, func() {
			j.signing.through.Store(uint64(h.seq))
			j.signing.changed.wake()
		})
		return nil
	})
}

// keepCertificate makes sure that the certificate is there; those that nothing names any more go when a new one comes.
func (t *tx) keepCertificate(ctx context.Context, der []byte) error {
	n, err := t.exec(ctx, `insert or ignore into certificates (sha256, der) values (?, ?)`, []byte(edge.Fingerprint(der)), der)
	if err != nil || n == 0 {
		return err
	}
	_, err = t.exec(ctx, `delete from certificates where sha256 <> ? and sha256 not in (select certificate from checkpoints)
		and sha256 not in (select certificate from manifests where certificate is not null)`, []byte(edge.Fingerprint(der)))
	return err
}

// CheckpointsChanged returns a channel that is closed by the next checkpoint. Get it first, then NextCheckpoint.
func (j *Journal) CheckpointsChanged() <-chan struct{} { return j.signing.changed.wait() }

// NextCheckpoint returns the newest checkpoint that the SOC has not got, without covering less than it already has.
func (j *Journal) NextCheckpoint(ctx context.Context) (seq edge.Seq, s edge.Signed, ok bool, err error) {
	err = j.readRow(ctx, `select p.seq, p.body, p.signature, c.der from checkpoints p join certificates c on c.sha256 = p.certificate
		where p.sent = 0 order by p.seq desc limit 1`, nil, &seq, &s.Body, &s.Signature, &s.Certificate)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, edge.Signed{}, false, nil
	}
	if err != nil {
		return 0, edge.Signed{}, false, fmt.Errorf("next checkpoint: %w", err)
	}
	return seq, s, true, nil
}

// CheckpointDone says that the SOC has the checkpoint. Earlier ones need not go any more, down to the last gap: it breaks the
// chain, and what is before it needs a checkpoint of its own.
func (j *Journal) CheckpointDone(ctx context.Context, seq edge.Seq) error {
	return j.do(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `update checkpoints set sent = 1 where sent = 0 and seq <= ?1
			and seq > (select coalesce(max(to_seq), 0) from gaps where to_seq < ?1)`, int64(seq))
		t.effects.done = append(t.effects.done, j.signing.changed.wake)
		return err
	})
}
