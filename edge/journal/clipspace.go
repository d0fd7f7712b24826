package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sitewatch/edge"
)

// clipRoom deletes clips until the files are within ClipLimitBytes: those that are at the SOC first, oldest first, then
// the oldest others, which are lost with an event each. The clip that has just come stays.
func (t *tx) clipRoom(ctx context.Context, keep edge.ClipID) error {
	used, err := t.clipBytes(ctx)
	if err != nil {
		return err
	}
	for used > t.j.opt.ClipLimitBytes {
		freed, err := t.dropClip(ctx, keep, false)
		if err != nil || freed == 0 {
			return err // nothing is left but what must stay
		}
		used -= freed
	}
	return nil
}

func (t *tx) clipBytes(ctx context.Context) (int64, error) {
	var n int64
	err := t.row(ctx, `select coalesce(sum(iif(clip_file is null, 0, clip_bytes) + iif(still_file is null, 0, still_bytes)), 0) from clips
		where clip_file is not null or still_file is not null`, nil, &n)
	return n, err
}

// dropClip deletes the files of one clip and returns their size; 0 when there is none to delete. onlySent: none whose
// files are not all at the SOC.
func (t *tx) dropClip(ctx context.Context, keep edge.ClipID, onlySent bool) (int64, error) {
	var id edge.ClipID
	var clipBytes int64
	var atSOC bool
	// A clip that is still being cut has at most a still: it goes last, and the clip is cut all the same.
	err := t.row(ctx, `select id, iif(clip_file is null, 0, clip_bytes),
			(clip_file is null or clip_sent <> 0) and (still_file is null or still_sent <> 0) as at_soc
		from clips where (clip_file is not null or still_file is not null) and id <> ?
		order by at_soc desc, state in ('wanted', 'cutting'), seq, id limit 1`, []any{string(keep)}, &id, &clipBytes, &atSOC)
	if errors.Is(err, sql.ErrNoRows) || err == nil && onlySent && !atSOC {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	c, err := t.clip(ctx, id)
	if err != nil {
		return 0, err
	}
	freed := clipBytes
	if c.still.Valid {
		freed += c.stillBytes
		t.effects.remove = append(t.effects.remove, c.still.String)
		if _, err := t.exec(ctx, `update clips set still_file = null where id = ?`, string(id)); err != nil {
			return 0, err
		}
		c.stillBytes, c.stillSHA = 0, nil
	}
	var sent int
	if err := t.row(ctx, `select clip_sent from clips where id = ?`, []any{string(id)}, &sent); err != nil {
		return 0, err
	}
	switch {
	case !c.file.Valid:
	case sent == 0:
		return freed, t.loseClip(ctx, id, c, "deleted, the clip storage is full")
	default:
		t.effects.remove = append(t.effects.remove, c.file.String)
		if _, err := t.exec(ctx, `update clips set state = 'gone', clip_file = null where id = ?`, string(id)); err != nil {
			return 0, err
		}
	}
	return freed, nil
}

// removeFiles deletes files that no row names any more. What a kill leaves is removed at the next Open.
func (j *Journal) removeFiles(names []string) {
	for _, n := range names {
		if err := os.Remove(filepath.Join(j.ClipDir(), n)); err != nil && !errors.Is(err, os.ErrNotExist) {
			j.opt.Log.Warn("journal: a clip file that is not needed any more stays", "err", err)
		}
	}
}

// missingFiles makes clips lost whose file is not there: no ready clip lacks its file.
func (j *Journal) missingFiles(ctx context.Context) error {
	var all []doomed
	rows, err := j.store.query(ctx, `select id, still_file, clip_file, clip_sent from clips
		where still_file is not null or clip_file is not null`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r doomed
		if err := rows.Scan(&r.id, &r.still, &r.clip, &r.sent); err != nil {
			return err
		}
		all = append(all, r)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	rows.Close()
	for _, r := range all {
		noStill, noClip := r.still.Valid && !j.hasFile(r.still.String), r.clip.Valid && !j.hasFile(r.clip.String)
		if !noStill && !noClip {
			continue
		}
		if err := j.alone(ctx, func(ctx context.Context, t *tx) error {
			return t.missing(ctx, r, noStill, noClip, "its file is missing on the disk")
		}); err != nil {
			return err
		}
	}
	return nil
}

// missing forgets files that are not there; a clip that the SOC has not got either is lost, if it is not already.
func (t *tx) missing(ctx context.Context, d doomed, noStill, noClip bool, reason string) error {
	if noStill {
		if _, err := t.exec(ctx, `update clips set still_file = null where id = ?`, string(d.id)); err != nil {
			return err
		}
	}
	if !noClip {
		return nil
	}
	if d.sent == 1 {
		_, err := t.exec(ctx, `update clips set state = 'gone', clip_file = null where id = ?`, string(d.id))
		return err
	}
	c, err := t.clip(ctx, d.id)
	if err != nil || c.state == clipLost {
		return err
	}
	return t.loseClip(ctx, d.id, c, reason)
}

func (j *Journal) hasFile(name string) bool {
	st, err := os.Stat(filepath.Join(j.ClipDir(), name))
	return err == nil && st.Mode().IsRegular()
}

// orphanFiles removes files in ClipDir that no row names, but for those of clips that are still to be cut: the cutter
// may have been killed between the file and its row and can go on from there. When it is the journal that lost its rows, they
// are kept beside it, and each clip is said to be lost.
func (j *Journal) orphanFiles(ctx context.Context) error {
	entries, err := os.ReadDir(j.ClipDir())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		id, _, _ := strings.Cut(e.Name(), ".")
		id = id[:min(len(id), 32)]
		var keep bool
		err := j.store.row(ctx, `select count(*) > 0 from clips where id = ?
			and (state in ('wanted', 'cutting') or clip_file = ? or still_file = ?)`, []any{id, e.Name(), e.Name()}, &keep)
		if err != nil {
			return err
		}
		switch {
		case keep:
		case j.salvaging != "":
			if err := j.quarantineFile(ctx, edge.ClipID(id), e.Name()); err != nil {
				return err
			}
		default:
			j.removeFiles([]string{e.Name()})
		}
	}
	return nil
}

// quarantineFile moves a file that the damaged journal does not tell of any more beside it, with its event.
func (j *Journal) quarantineFile(ctx context.Context, id edge.ClipID, name string) error {
	dir := filepath.Join(j.quarantineDir(), j.salvaging, "clips")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if strings.HasSuffix(name, ".mp4") {
		if err := j.alone(ctx, func(ctx context.Context, t *tx) error {
			const reason = "the journal that knew of it was damaged; its file is kept on the box for a while"
			_, err := t.emit(ctx, edge.Event{Kind: edge.KindClipLost, Why: fmt.Sprintf("Clip %s is lost: %s.", id, reason), Clip: &edge.ClipFact{ID: id, Reason: reason}})
			return err
		}); err != nil {
			return err
		}
	}
	return os.Rename(filepath.Join(j.ClipDir(), name), filepath.Join(dir, name))
}
