package uplink

import (
	"context"
	"sync/atomic"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

// Evidence is what the box has signed of its journal and clips (P12).
type Evidence interface {
	NextCheckpoint(ctx context.Context) (seq edge.Seq, s edge.Signed, ok bool, err error)
	CheckpointDone(ctx context.Context, seq edge.Seq) error
	CheckpointsChanged() <-chan struct{}
	Manifest(ctx context.Context, id edge.ClipID) (s edge.Signed, ok bool, err error)
}

// checkpoints is what a session sends of them: one at a time, after every event that it covers.
type checkpoints struct {
	changed <-chan struct{}  // nil: not read yet
	next    *wire.Checkpoint // read and not sent
	sent    atomic.Uint64    // seq of the one that waits for the SOC's word, 0 for none
}

// readCheckpoint reads the next one when there may be another. It is read before the lanes are: when these have nothing to send
// afterwards, all that it covers is on its way.
func (l *link) readCheckpoint(ctx context.Context) error {
	c := &l.checkpoints
	if l.o.Evidence == nil {
		return nil
	}
	if c.changed != nil {
		select {
		case <-c.changed:
		default:
			return nil
		}
	}
	c.changed = l.o.Evidence.CheckpointsChanged()
	seq, s, ok, err := l.o.Evidence.NextCheckpoint(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return local("read a checkpoint", err)
	}
	c.next = nil
	if ok && uint64(seq) != c.sent.Load() {
		c.next = &wire.Checkpoint{Seq: uint64(seq), Body: s.Body, Signature: s.Signature, Certificate: s.Certificate}
	}
	return nil
}

// sendCheckpoint is called when no event waits.
func (l *link) sendCheckpoint() error {
	c := &l.checkpoints
	if c.next == nil {
		return nil
	}
	m := c.next
	c.next = nil
	c.sent.Store(m.GetSeq()) // before it is sent: the answer may be faster than our return
	return l.sendError(l.stream.Send(&wire.BoxMessage{Message: &wire.BoxMessage_Checkpoint{Checkpoint: m}}))
}

// checkpointStored takes the SOC's word that it has the one that was sent last; any other word changes nothing.
func (l *link) checkpointStored(m *wire.CheckpointStored) {
	if m.GetSeq() == 0 || !l.checkpoints.sent.CompareAndSwap(m.GetSeq(), 0) {
		l.status.ignored()
		return
	}
	select {
	case l.checked <- edge.Seq(m.GetSeq()):
	default: // the journal is slow: it goes again with the next session, and the SOC takes it again
	}
}

// runChecked keeps which checkpoints the SOC has. One that could not be kept goes again.
func (c *Client) runChecked(ctx context.Context) error {
	for {
		select {
		case seq := <-c.checked:
			edge.Crash("checkpoint stored before row")
			if err := c.o.Evidence.CheckpointDone(ctx, seq); err != nil && ctx.Err() == nil {
				c.o.Log.Warn("that the SOC has a checkpoint cannot be kept", "seq", seq, "err", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// finish says that all of the file has been sent, and what the box has signed of it.
func (u *upload) finish(ctx context.Context, f edge.ClipFile) error {
	m := &wire.Finish{}
	if u.o.Evidence != nil && f.Part == edge.PartClip {
		s, ok, err := u.o.Evidence.Manifest(ctx, f.ID)
		if err != nil {
			return local("read the manifest of a clip", err)
		}
		if ok {
			m.Manifest, m.Signature, m.Certificate = s.Body, s.Signature, s.Certificate
		}
	}
	return u.send(&wire.UploadRequest{Message: &wire.UploadRequest_Finish{Finish: m}})
}
