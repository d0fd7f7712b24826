package journal

import (
	"cmp"
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

// Open opens the journal in Dir, making it when there is none. A file that cannot be trusted is moved to quarantine/ with
// what belongs to it; a new journal with a new id then begins with an events-lost event that says so, and carries over what
// the SOC had not acked and is whole. Clips whose file is missing become lost; files that no row names are removed.
// ErrBusy: another process has it.
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
	j := &Journal{opt: opt, lock: lock, queue: make(chan *request, queueLen), closed: make(chan struct{}), broken: make(chan error, 1), open: openClips{}, ends: map[edge.ClipID]bool{},
		checkBytes: cmp.Or(opt.checkBytes, checkBytes)}
	work := context.WithoutCancel(ctx)
	if err = j.finishMoves(); err == nil {
		err = j.start(work)
	}
	if isDamage(err) {
		if err = j.setAside(err); err == nil {
			err = j.start(work)
		}
	}
	if err != nil {
		j.closeFile()
		return nil, errors.Join(fmt.Errorf("open journal %s: %w", j.Path(), err), lock.Close())
	}
	return j, nil
}

// start opens the file that is in its place, or makes it, and puts right what there is to put right.
func (j *Journal) start(ctx context.Context) error {
	if err := j.openFile(ctx); err != nil {
		return err
	}
	if err := j.adopt(ctx); err != nil {
		return err
	}
	return j.recover(ctx)
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
	m, marked := j.readMark()
	if err := j.look(m, marked); err != nil {
		return err
	}
	if j.write, err = openWriter(j.Path()); err != nil {
		return err
	}
	if err := j.prepareFile(ctx, m, marked); err != nil {
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
	if err := j.readHead(ctx); err != nil {
		return err
	}
	return j.openMark()
}

// prepareFile brings the file to the present schema, a new one included, after a look at whether it can be trusted.
func (j *Journal) prepareFile(ctx context.Context, m mark, marked bool) error {
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
	case version == 0 && tables == 0 && (!marked || m.head.seq == 0):
		return create(ctx, j.write, edge.NewID(), string(j.opt.Site), j.opt.Clock.Now().Wall.UnixNano())
	case version < 1:
		return damaged("it has %d tables and no version", tables)
	case version > len(steps):
		// An older program, after an update was rolled back, must watch the shop all the same.
		return fmt.Errorf("%w: version %d, this program knows %d", ErrNewer, version, len(steps))
	}
	if err := j.examineRow(ctx, m, marked); err != nil {
		return err
	}
	if err := migrate(ctx, j.write, version); err != nil {
		return err
	}
	return j.examine(ctx)
}

// readHead loads what the writer keeps in memory.
func (j *Journal) readHead(ctx context.Context) error {
	var hash []byte
	if err := j.store.row(ctx, `select id, head_seq, head_hash from journal`, nil, &j.id, &j.head.seq, &hash); err != nil {
		return err
	}
	copy(j.head.hash[:], hash)
	j.rowHead = j.head
	if _, newest, err := j.newest(ctx); err != nil {
		return err
	} else if newest.seq > j.head.seq {
		j.head = newest
	}
	j.last.Store(uint64(j.head.seq))
	for _, lane := range edge.EventLanes {
		if err := j.store.row(ctx, `select seq from cursors where lane = ?`, []any{int64(lane)}, &j.cursors[lane]); err != nil {
			return err
		}
	}
	if err := j.readSigned(ctx); err != nil {
		return err
	}
	return j.loadPartitions(ctx)
}

// recover puts right what a kill, a lost file or a damaged journal has left.
func (j *Journal) recover(ctx context.Context) error {
	if err := j.resumeSalvage(ctx); err != nil {
		return err
	}
	if err := j.loadPartitions(ctx); err != nil {
		return err
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
	if err := j.boundQuarantine(ctx); err != nil {
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
	if j.mark != nil {
		j.mark.Close() // what is in it was written
		j.mark = nil
	}
	for _, s := range j.salvages {
		s.carver.close()
	}
	j.salvages, j.salvaging = nil, ""
	j.head, j.cursors, j.marked = head{}, [3]edge.Seq{}, mark{}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
