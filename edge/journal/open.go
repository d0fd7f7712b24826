package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"sitewatch/edge"
)

const (
	// suspectSuffix marks a file in which SQLite met damage while running: Open then reads all of it before it trusts it.
	suspectSuffix = ".suspect"
	pageBytes     = 4096
)

// errDamaged is a file that opens but cannot be our journal.
var errDamaged = errors.New("file is damaged")

// Open opens the journal in Dir, making it when there is none. A file that cannot be read is set aside under a new
// name, never deleted, with its clips; a new journal with a new id then begins with an events-lost event that says so.
// Clips whose file is missing become lost; files that no row names are removed. ErrBusy: another process has it.
func Open(ctx context.Context, opt Options) (*Journal, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(opt.Dir)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	opt.Dir = dir
	if err := os.MkdirAll(filepath.Join(dir, "clips"), 0o700); err != nil {
		return nil, edge.WithHint(fmt.Errorf("journal: %w", err), "check that the data directory can be written")
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	j := &Journal{opt: opt, lock: lock, queue: make(chan *request, queueLen), closed: make(chan struct{})}
	work := context.WithoutCancel(ctx)
	err = j.openFile(work)
	aside := ""
	if err != nil && (isBroken(err) || errors.Is(err, errDamaged)) {
		aside, err = j.setAside(err)
		if err == nil {
			err = j.openFile(work)
		}
	}
	if err == nil {
		err = j.recover(work, aside)
	}
	if err != nil {
		j.closeFile()
		return nil, errors.Join(fmt.Errorf("open journal %s: %w", j.Path(), err), lock.Close())
	}
	return j, nil
}

// lockDir takes the directory for this process: the chain's head is kept in memory, so a second writer would break it.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "journal.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, edge.WithHint(fmt.Errorf("journal: %w", err), "check that the data directory can be written")
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, edge.WithHint(fmt.Errorf("%w: %s", ErrBusy, dir), "stop the other gateway that uses this data directory")
		}
		return nil, fmt.Errorf("journal: lock %s: %w", dir, err)
	}
	return f, nil
}

// openFile opens the database and reads where it ended.
func (j *Journal) openFile(ctx context.Context) (err error) {
	if j.write, err = openWriter(j.Path()); err != nil {
		return err
	}
	if err := j.prepareFile(ctx); err != nil {
		return err
	}
	if j.read, err = openReaders(j.Path()); err != nil {
		return err
	}
	if j.store, err = newStore(ctx, j.write); err != nil {
		return err
	}
	// The file's own end: retention keeps it well below.
	if _, err := j.store.conn.ExecContext(ctx, fmt.Sprintf("pragma max_page_count = %d", j.opt.LimitBytes/pageBytes)); err != nil {
		return err
	}
	if _, err := j.store.conn.ExecContext(ctx, fmt.Sprintf("pragma journal_size_limit = %d", walKeepBytes)); err != nil {
		return err
	}
	j.space = spaceUse{over: true} // look at once
	return j.readHead(ctx)
}

// prepareFile brings the file to the present schema, a new one included.
func (j *Journal) prepareFile(ctx context.Context) error {
	var version, tables int
	if err := j.write.QueryRowContext(ctx, `pragma user_version`).Scan(&version); err != nil {
		return err
	}
	if err := j.write.QueryRowContext(ctx, `select count(*) from sqlite_schema`).Scan(&tables); err != nil {
		return err
	}
	steps, err := migrations()
	if err != nil {
		return err
	}
	switch {
	case version > len(steps):
		return fmt.Errorf("%w: version %d, this program knows %d", ErrNewer, version, len(steps))
	case version == 0 && tables == 0:
		return create(ctx, j.write, edge.NewID(), string(j.opt.Site), j.opt.Clock.Now().Wall.UnixNano())
	case version == 0:
		return fmt.Errorf("%w: it has tables but no version", errDamaged)
	}
	if _, err := os.Stat(j.Path() + suspectSuffix); err == nil {
		if err := j.examine(ctx); err != nil {
			return err
		}
	}
	return migrate(ctx, j.write, version)
}

// examine reads the whole file after SQLite had met damage in it.
func (j *Journal) examine(ctx context.Context) error {
	var verdict string
	if err := j.write.QueryRowContext(ctx, `pragma integrity_check(1)`).Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s", errDamaged, verdict)
	}
	return os.Remove(j.Path() + suspectSuffix)
}

// readHead loads what the writer keeps in memory and checks that it fits the newest event.
func (j *Journal) readHead(ctx context.Context) error {
	var site string
	var seq edge.Seq
	var hash []byte
	err := j.store.row(ctx, `select id, site, head_seq, head_hash from journal`, nil, &j.id, &site, &seq, &hash)
	if errors.Is(err, sql.ErrNoRows) || (err == nil && len(hash) != 32) {
		return fmt.Errorf("%w: it lacks its own row", errDamaged)
	}
	if err != nil {
		return err
	}
	if site != string(j.opt.Site) {
		return edge.WithHint(fmt.Errorf("journal belongs to site %q, not %q", site, j.opt.Site),
			"correct site.id, or give this site a data directory of its own")
	}
	j.head = head{seq, [32]byte(hash)}
	j.last.Store(uint64(seq))
	var top edge.Seq
	var topHash []byte
	err = j.store.row(ctx, `select seq, hash from events order by seq desc limit 1`, nil, &top, &topHash)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return err
	case top > seq || top == seq && string(topHash) != string(hash):
		return fmt.Errorf("%w: its newest event %d is not the head %d", errDamaged, top, seq)
	}
	return j.loadPartitions(ctx)
}

// setAside renames the damaged file and its clips; their new name is returned.
func (j *Journal) setAside(cause error) (string, error) {
	j.closeFile()
	for n := 1; ; n++ {
		suffix := fmt.Sprintf(".bad-%d", n)
		if _, err := os.Lstat(j.Path() + suffix); err == nil {
			continue // an earlier one has this name
		}
		j.opt.Log.Error("journal cannot be read and is set aside", "err", cause, "as", j.Path()+suffix)
		// The clips first: a kill in between leaves the damaged file to be found again.
		if err := os.Rename(j.ClipDir(), j.ClipDir()+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		if err := os.Mkdir(j.ClipDir(), 0o700); err != nil {
			return "", err
		}
		for _, part := range []string{"-wal", "-shm", suspectSuffix, ""} {
			if err := os.Rename(j.Path()+part, j.Path()+suffix+part); err != nil && !errors.Is(err, os.ErrNotExist) {
				return "", err
			}
		}
		return "journal.db" + suffix, syncDir(j.opt.Dir)
	}
}

// recover puts right what a kill, a lost file or a damaged journal has left.
func (j *Journal) recover(ctx context.Context, aside string) error {
	if aside != "" {
		if err := j.alone(ctx, func(ctx context.Context, t *tx) error {
			_, err := t.emit(ctx, edge.Event{
				Kind: edge.KindEventsLost,
				Why:  "The journal could not be read. It is kept as " + aside + " and a new one was begun; what the SOC had not received before is in the old one only.",
				Gap:  &edge.Gap{Reason: "journal damaged"},
			})
			return err
		}); err != nil {
			return err
		}
	}
	if err := j.brokenCommands(ctx); err != nil {
		return err
	}
	if err := j.missingFiles(ctx); err != nil {
		return err
	}
	if err := j.orphanFiles(ctx); err != nil {
		return err
	}
	j.full = !j.makeReserve()
	return nil
}

// alone runs apply in a transaction of its own on the writer's side: at Open and from Run only.
func (j *Journal) alone(ctx context.Context, apply func(context.Context, *tx) error) error {
	r := &request{apply: apply, done: make(chan error, 1)}
	if err := j.transact(ctx, []*request{r}); err != nil {
		return err
	}
	return <-r.done
}

func (j *Journal) closeFile() {
	if err := j.store.close(); err != nil {
		j.opt.Log.Warn("journal: close", "err", err)
	}
	j.store = nil
	for _, db := range []*sql.DB{j.read, j.write} {
		if db != nil {
			db.Close() // nothing was written that is not committed
		}
	}
	j.read, j.write = nil, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
