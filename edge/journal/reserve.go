package journal

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"sitewatch/edge"
)

// reserveBytes is kept in a file of its own, to be given up when the disk is full: half is for the write-ahead log, the
// rest is room for thousands of events.
const reserveBytes = 8 << 20

func (j *Journal) reservePath() string { return filepath.Join(j.opt.Dir, "journal.reserve") }

// makeReserve takes the reserve's room on the disk, when there is plenty. It says whether the reserve is there.
func (j *Journal) makeReserve() bool {
	if j.opt.memory {
		return true
	}
	if st, err := os.Stat(j.reservePath()); err == nil && st.Size() == reserveBytes {
		return true
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(j.opt.Dir, &fs); err != nil || int64(fs.Bavail)*fs.Bsize < 2*reserveBytes {
		return false
	}
	f, err := os.OpenFile(j.reservePath(), os.O_CREATE|os.O_RDWR, 0o600)
	edge.Crash("reserve made before filled")
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
	if next, err := j.spaceStep(ctx); err == nil && next.over {
		return true // the file was at its own limit, and old events have gone
	}
	if err := os.Remove(j.reservePath()); err == nil {
		edge.Crash("reserve given up")
		j.full, j.onReserve = true, true
		j.opt.Log.Error("the data disk is full: the journal lives on its reserve", "dir", j.opt.Dir)
		return true
	}
	if names, err := j.folders(""); err == nil {
		for _, name := range names { // what is kept of damaged journals is worth less than an event
			if err := j.forgetFolder(ctx, name); err == nil {
				if _, err := os.Lstat(filepath.Join(j.quarantineDir(), name)); errors.Is(err, os.ErrNotExist) {
					return true
				}
			}
		}
	}
	// The reserve is used up too: what the SOC has makes room for what it has not.
	freed := false
	err := j.alone(ctx, func(ctx context.Context, t *tx) error {
		clip, err := t.dropClip(ctx, "", true)
		if err != nil {
			return err
		}
		t.headToo = true
		pruned, err := t.pruneAcked(ctx)
		freed = clip > 0 || pruned
		return err
	})
	return err == nil && freed || j.sacrifice(ctx)
}

// sacrifice deletes the files of one clip, those that are at the SOC first, then the oldest: a clip never outranks an alarm.
// The files go first, for without their room nothing can be committed. The row follows as soon as that has room; until
// then the clip is in unsaid, and after a restart Open finds that its file is missing.
func (j *Journal) sacrifice(ctx context.Context) bool {
	d, err := j.nextSacrifice(ctx)
	if err != nil {
		return false
	}
	names := []string{d.still.String, d.clip.String}
	for _, n := range names {
		if n == "" {
			continue
		}
		if err := os.Remove(filepath.Join(j.ClipDir(), n)); err != nil && !errors.Is(err, os.ErrNotExist) {
			j.opt.Log.Warn("journal: a clip stays on a full disk", "err", err)
		}
	}
	j.opt.Log.Error("the data disk is full: a clip was deleted so that events can be recorded", "clip", d.id)
	j.unsaid = append(j.unsaid, d)
	j.sayUnsaid(ctx) // when that finds no room, the next clip may make it
	return true
}

// doomed is a clip whose files are deleted while its row still names them.
type doomed struct {
	id          edge.ClipID
	still, clip sql.NullString
	sent        int
}

// nextSacrifice returns the clip to go next; sql.ErrNoRows: none has files any more.
func (j *Journal) nextSacrifice(ctx context.Context) (doomed, error) {
	rows, err := j.store.query(ctx, `select id, still_file, clip_file, clip_sent from clips
		where clip_file is not null or still_file is not null
		order by (clip_file is null or clip_sent <> 0) and (still_file is null or still_sent <> 0) desc,
			state in ('wanted', 'cutting'), seq, id limit ?`, len(j.unsaid)+1)
	if err != nil {
		return doomed{}, err
	}
	defer rows.Close()
	for rows.Next() {
		var d doomed
		if err := rows.Scan(&d.id, &d.still, &d.clip, &d.sent); err != nil {
			return doomed{}, err
		}
		if !slices.ContainsFunc(j.unsaid, func(u doomed) bool { return u.id == d.id }) {
			return d, nil
		}
	}
	return doomed{}, errors.Join(rows.Err(), sql.ErrNoRows)
}

// sayUnsaid brings the rows of sacrificed clips in line with the disk, with an event for each that the SOC has not got.
func (j *Journal) sayUnsaid(ctx context.Context) {
	for len(j.unsaid) > 0 {
		some := j.unsaid[:min(len(j.unsaid), 64)]
		err := j.alone(ctx, func(ctx context.Context, t *tx) error {
			for _, d := range some {
				if err := t.missing(ctx, d, d.still.Valid, d.clip.Valid, "deleted, the data disk is full"); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			if !errors.Is(err, ErrFull) {
				j.opt.Log.Warn("journal: the loss of clips is not journalled yet", "err", err)
			}
			return
		}
		j.unsaid = j.unsaid[len(some):]
	}
}

// tellFull journals that the disk is full, and that it is not any more.
func (j *Journal) tellFull(ctx context.Context) error {
	j.sayUnsaid(ctx)
	ev := edge.Event{Kind: edge.KindDiskFull, Why: "The data disk is full; events are still recorded on a small reserve."}
	if !j.onReserve {
		ev.Why = "The data disk is so full that there is no room for the journal's reserve; events are recorded in what is left."
	}
	switch {
	case j.full && !j.fullTold:
	case j.full && j.makeReserve():
		j.full, j.onReserve = false, false
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
