package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sitewatch/edge"
)

// A damaged journal is moved to a folder of its own in quarantine/, with what belongs to it. The folder's marker says how far
// that is: markMoving from before the first file is moved until the last one has been, markMoved until the new journal knows
// of the folder. So a kill at any moment neither loses the old journal nor mistakes the new one for it.
const (
	markMoving = "moving"
	markMoved  = "moved"
	causeFile  = "cause.txt"

	quarantineMost = 5 // folders that are kept; together no larger than the journal may be, but for the newest
)

// quarantined are the files of a damaged journal. The database goes last: without its log it would look older than it is.
var quarantined = []string{"journal.db-wal", "journal.db-shm", "journal.db" + suspectSuffix, "journal.mark", "journal.db"}

func (j *Journal) quarantineDir() string { return filepath.Join(j.opt.Dir, "quarantine") }

// setAside moves the damaged journal out of the way.
func (j *Journal) setAside(cause error) error {
	j.closeFile()
	m, _ := j.readMark()
	id := "unknown"
	if len(m.id) >= 8 {
		id = string(m.id[:8])
	}
	base := j.opt.Clock.Now().Wall.UTC().Format("20060102T150405Z") + "-" + id
	name := base
	for n := 2; ; n++ {
		if _, err := os.Lstat(filepath.Join(j.quarantineDir(), name)); errors.Is(err, os.ErrNotExist) {
			break
		}
		name = fmt.Sprintf("%s-%d", base, n)
	}
	dir := filepath.Join(j.quarantineDir(), name)
	j.opt.Log.Error("the journal cannot be trusted: it is moved aside and a new one is begun", "err", cause, "to", dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for file, text := range map[string]string{causeFile: cause.Error() + "\n", markMoving: ""} {
		if err := writeSynced(filepath.Join(dir, file), text); err != nil {
			return err
		}
	}
	for _, d := range []string{dir, j.quarantineDir(), j.opt.Dir} {
		if err := syncDir(d); err != nil {
			return err
		}
	}
	return j.move(dir)
}

// move moves what is still in its place.
func (j *Journal) move(dir string) error {
	for _, name := range quarantined {
		edge.Crash("journal moved aside in part")
		if err := os.Rename(filepath.Join(j.opt.Dir, name), filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := errors.Join(syncDir(dir), syncDir(j.opt.Dir)); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, markMoving), filepath.Join(dir, markMoved)); err != nil {
		return err
	}
	edge.Crash("journal moved aside before the new one")
	return syncDir(dir)
}

// folders returns the names of the quarantined journals with the marker, oldest first; "": of all.
func (j *Journal) folders(marker string) ([]string, error) {
	entries, err := os.ReadDir(j.quarantineDir())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var out []string
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if _, err := os.Lstat(filepath.Join(j.quarantineDir(), e.Name(), marker)); err == nil {
			out = append(out, e.Name())
		}
	}
	slices.Sort(out)
	return out, err
}

// finishMoves goes on with what a kill has cut short. Until it is done no journal may be opened or made.
func (j *Journal) finishMoves() error {
	names, err := j.folders(markMoving)
	for _, name := range names {
		err = errors.Join(err, j.move(filepath.Join(j.quarantineDir(), name)))
	}
	return err
}

// adopt notes the quarantined journals in the new one, which then carries their events over, however often it is killed.
func (j *Journal) adopt(ctx context.Context) error {
	names, err := j.folders(markMoved)
	if err != nil || len(names) == 0 {
		return err
	}
	if err := j.alone(ctx, func(ctx context.Context, t *tx) error {
		for _, name := range names {
			cause, err := os.ReadFile(filepath.Join(j.quarantineDir(), name, causeFile))
			if err != nil {
				cause = []byte("its damage is not known")
			}
			if _, err := t.exec(ctx, `insert or ignore into salvages (name, cause) values (?, ?)`, name, bounded(strings.TrimSpace(string(cause)))); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	for _, name := range names {
		if err := os.Remove(filepath.Join(j.quarantineDir(), name, markMoved)); err != nil {
			return err
		}
	}
	return nil
}

// boundQuarantine deletes the oldest folders above the bounds. One whose events are still being carried over stays.
func (j *Journal) boundQuarantine(ctx context.Context) error {
	names, err := j.folders("")
	if err != nil {
		return err
	}
	slices.Reverse(names)
	var used int64
	for i, name := range names {
		used += folderBytes(filepath.Join(j.quarantineDir(), name))
		if i == 0 || i < quarantineMost && used <= j.opt.LimitBytes {
			continue
		}
		if err := j.forgetFolder(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// forgetFolder deletes a quarantined journal, unless something of it has still to be carried over.
func (j *Journal) forgetFolder(ctx context.Context, name string) error {
	var open bool
	if err := j.store.row(ctx, `select count(*) > 0 from salvages where name = ? and done = 0`, []any{name}, &open); err != nil || open {
		return err
	}
	j.opt.Log.Warn("journal: an old damaged journal is deleted", "folder", name)
	return os.RemoveAll(filepath.Join(j.quarantineDir(), name))
}

func folderBytes(dir string) (n int64) {
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if st, err := d.Info(); err == nil {
				n += st.Size()
			}
		}
		return nil
	})
	return n
}

func writeSynced(path, text string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}
