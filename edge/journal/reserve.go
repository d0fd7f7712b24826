package journal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"sitewatch/edge"
)

// reserveBytes is kept in a file of its own, to be given up when the disk is full: half is for the write-ahead log, the
// rest is room for thousands of events.
const reserveBytes = 8 << 20

func (j *Journal) reservePath() string { return filepath.Join(j.opt.Dir, "journal.reserve") }

// makeReserve takes the reserve's room on the disk, when there is plenty. It says whether the reserve is there.
func (j *Journal) makeReserve() bool {
	if st, err := os.Stat(j.reservePath()); err == nil && st.Size() == reserveBytes {
		return true
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(j.opt.Dir, &fs); err != nil || int64(fs.Bavail)*fs.Bsize < 2*reserveBytes {
		return false
	}
	f, err := os.OpenFile(j.reservePath(), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = errors.Join(syscall.Fallocate(int(f.Fd()), 0, 0, reserveBytes), f.Close())
	}
	if err != nil {
		os.Remove(j.reservePath()) // half of it helps nobody
		j.opt.Log.Warn("journal: no reserve for a full disk", "err", err)
	}
	return err == nil
}

// relieve makes room after a commit found none, and says whether it is worth to try again.
func (j *Journal) relieve(ctx context.Context) bool {
	if more, err := j.spaceStep(ctx); err == nil && more {
		return true // the file was at its own limit, and old events have gone
	}
	if err := os.Remove(j.reservePath()); err == nil {
		j.full = true
		j.opt.Log.Error("the data disk is full: the journal lives on its reserve", "dir", j.opt.Dir)
		return true
	}
	// The reserve is used up too: what the SOC has makes room for what it has not.
	freed := false
	err := j.alone(ctx, func(ctx context.Context, t *tx) error {
		clip, err := t.dropClip(ctx, "", true)
		if err != nil {
			return err
		}
		pruned, err := t.pruneAcked(ctx)
		freed = clip > 0 || pruned
		return err
	})
	return err == nil && freed || j.sacrifice(ctx)
}

// sacrifice deletes the oldest clip that the SOC has not got: a clip never outranks an alarm. The file goes first, for
// without its room nothing can be committed; if the loss cannot be journalled even so, the next Open finds that the file is
// missing and says it.
func (j *Journal) sacrifice(ctx context.Context) bool {
	var id edge.ClipID
	var name string
	err := j.store.row(ctx, `select id, clip_file from clips where clip_file is not null order by seq, id limit 1`, nil, &id, &name)
	if err != nil || os.Remove(filepath.Join(j.ClipDir(), name)) != nil {
		return false
	}
	j.opt.Log.Error("the data disk is full: a clip was deleted so that events can be recorded", "clip", id)
	err = j.alone(ctx, func(ctx context.Context, t *tx) error {
		c, err := t.clip(ctx, id)
		if err != nil {
			return err
		}
		return t.loseClip(ctx, id, c, "deleted, the data disk is full")
	})
	if err != nil {
		j.opt.Log.Warn("journal: the loss of a clip is not journalled yet", "clip", id, "err", err)
	}
	return true
}

// tellFull journals that the disk is full, and that it is not any more.
func (j *Journal) tellFull(ctx context.Context) error {
	ev := edge.Event{Kind: edge.KindDiskFull, Why: "The data disk is full; events are still recorded on a small reserve."}
	switch {
	case j.full && !j.fullTold:
	case j.full && j.makeReserve():
		j.full = false
		ev = edge.Event{Kind: edge.KindDiskFull.Restored(), Why: "The data disk has room again."}
	default:
		return nil
	}
	err := j.alone(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.emit(ctx, ev)
		return err
	})
	j.fullTold = j.full && err == nil
	return err
}
