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
	"syscall"
	"time"

	"github.com/mattn/go-sqlite3"

	"sitewatch/edge"
)

// Bounds of a journal that is kept in memory because the disk fails. It bounds the memory, too.
const (
	memoryBytes      = 8 << 20
	memoryClipBytes  = 32 << 20
	probeEvery       = 20 * time.Second
	memoryCause      = "memory: "
	memoryFolderMark = "copied"
)

// ErrDiskBack ends AwaitDisk: what is in memory can go to the disk when the journal is opened again.
var ErrDiskBack = errors.New("journal: the data disk can be written again")

// isDiskTrouble says whether err is the disk's fault: full, read-only, failing. What somebody has forbidden is no trouble
// of the disk.
func isDiskTrouble(err error) bool {
	if err == nil || errors.Is(err, os.ErrPermission) || errors.Is(err, ErrBusy) || isDamage(err) {
		return false
	}
	for _, code := range []sqlite3.ErrNo{sqlite3.ErrFull, sqlite3.ErrIoErr, sqlite3.ErrCantOpen, sqlite3.ErrReadonly} {
		if hasCode(err, code) {
			return true
		}
	}
	return errors.Is(err, ErrFull) || errors.As(err, new(*fs.PathError)) || errors.As(err, new(*os.LinkError)) || errors.As(err, new(*os.SyscallError))
}

// OpenAnyway is Open for a program that must go on when the disk does not. When nothing can be written in opt.Dir the journal
// is kept in ram, a directory in memory, under an id of its own: the SOC hears each alarm at once, and first that the disk
// fails. disk is then not nil, and says why: nothing is durable, so no panel may be acked, and the program ends when
// AwaitDisk says so, to begin again on the disk. What the SOC has not acked by then is carried over into the journal on the
// disk. A journal that OpenAnyway opened ends its Run when an event found no room whatever was deleted. Without ram it is Open.
func OpenAnyway(ctx context.Context, opt Options, ram string) (j *Journal, disk, err error) {
	if ram == "" {
		j, err = Open(ctx, opt)
		return j, nil, err
	}
	opt.endWhenFull = true
	work := context.WithoutCancel(ctx)
	disk = bringOver(opt, ram)
	if disk == nil {
		if j, disk = Open(ctx, opt); disk == nil {
			if disk = j.probe(work); disk == nil {
				return j, nil, os.RemoveAll(ram)
			}
			if cerr := j.Close(); cerr != nil {
				opt.Log.Warn("journal: close", "err", cerr)
			}
		}
	}
	if !isDiskTrouble(disk) {
		return nil, nil, disk
	}
	opt.Log.Error("the data disk cannot be written: events are kept in memory only, and no panel is acked", "err", disk, "dir", opt.Dir)
	opt.Dir, opt.LimitBytes, opt.ClipLimitBytes, opt.endWhenFull, opt.memory = ram, memoryBytes, memoryClipBytes, false, true
	if j, err = Open(ctx, opt); err != nil {
		return nil, disk, errors.Join(disk, err)
	}
	if j.Last() > 0 {
		return j, disk, nil // an earlier run has said so
	}
	kind, what := edge.KindDiskFailing, "fails"
	if isDiskFull(disk) || errors.Is(disk, ErrFull) || errors.Is(disk, syscall.ENOSPC) {
		kind, what = edge.KindDiskFull, "is full"
	}
	err = j.alone(work, func(ctx context.Context, t *tx) error {
		_, err := t.emit(ctx, edge.Event{Kind: kind, Why: fmt.Sprintf("The data disk %s. Events are kept in memory only, where a power cut ends them; the panels are not "+
			"acknowledged, so that they repeat themselves. What the disk holds waits until it can be written again. (%s)", what, bounded(disk.Error()))})
		return err
	})
	if err != nil {
		return nil, disk, errors.Join(err, j.Close())
	}
	return j, disk, nil
}

// probe writes without changing anything. A commit may fit where an event does not, so that room is asked for, too.
func (j *Journal) probe(ctx context.Context) error {
	err := tryDisk(j.opt.Dir)
	for errors.Is(err, syscall.ENOSPC) && j.relieve(ctx) {
		err = tryDisk(j.opt.Dir)
	}
	if err != nil {
		return err
	}
	return j.alone(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `update journal set head_seq = head_seq`)
		return err
	})
}

// tryDisk writes as much as a journal needs to begin with, and deletes it.
func tryDisk(dir string) error {
	name := filepath.Join(dir, "journal.probe")
	err := writeSynced(name, strings.Repeat("x", 1<<20))
	if e := os.Remove(name); err == nil {
		err = e
	}
	return err
}

// AwaitDisk returns ErrDiskBack when dir, where the journal belongs, can be written again, and nil when ctx ends before.
func (j *Journal) AwaitDisk(ctx context.Context, dir string) error {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if tryDisk(dir) == nil {
			return ErrDiskBack
		}
	}
}

// bringOver copies a journal that was kept in memory to the disk, as if it were a damaged one: what was not acked is carried
// over from there. A kill in between makes no second copy of one that was taken.
func bringOver(opt Options, ram string) error {
	raw, err := os.ReadFile(filepath.Join(ram, "journal.mark"))
	m, ok := decodeMark(raw)
	if err != nil || !ok {
		return nil // none, or nothing in it yet
	}
	parent := filepath.Join(opt.Dir, "quarantine")
	suffix := "-memory-" + string(m.id[:8])
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(parent)
	if err != nil {
		return err
	}
	dir := filepath.Join(parent, opt.Clock.Now().Wall.UTC().Format("20060102T150405Z")+suffix)
	if i := slices.IndexFunc(entries, func(e os.DirEntry) bool { return strings.HasSuffix(e.Name(), suffix) }); i >= 0 {
		dir = filepath.Join(parent, entries[i].Name())
	}
	if _, err := os.Lstat(filepath.Join(dir, memoryFolderMark)); err == nil {
		return os.RemoveAll(ram) // it was copied, and must not be gone on with
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, name := range quarantined {
		b, err := os.ReadFile(filepath.Join(ram, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := writeSynced(filepath.Join(dir, name), string(b)); err != nil {
			return err
		}
	}
	for _, f := range [][2]string{{causeFile, memoryCause + "the data disk could not be written\n"}, {markMoved, ""}, {memoryFolderMark, ""}} {
		if err := writeSynced(filepath.Join(dir, f[0]), f[1]); err != nil {
			return err
		}
	}
	return errors.Join(syncDir(dir), syncDir(parent), syncDir(opt.Dir))
}
