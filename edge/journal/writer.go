package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mattn/go-sqlite3"

	"sitewatch/edge"
)

const (
	queueLen = 256 // callers block beyond; each waiting caller holds its own events, so this bounds no memory of its own
	groupMax = 512 // requests in one transaction: bounds how long the first of them waits
	tickTime = time.Second
)

// request is one thing to write. The writer runs apply in a transaction that others may share.
// An apply that returns a refusal has written nothing.
type request struct {
	apply func(context.Context, *tx) error
	done  chan error // capacity 1: the writer never waits for a caller who gave up
}

// refusal is the error of an apply that found nothing to write: the transaction goes on without it.
type refusal struct{ err error }

func (r refusal) Error() string { return r.err.Error() }
func (r refusal) Unwrap() error { return r.err }

// tx is one transaction of the writer.
type tx struct {
	*store
	j       *Journal
	head    head
	cursors [3]edge.Seq // by lane
	headToo bool        // the file's own row is written, too: see setHead
	open    openClips   // clips that are wanted, or whose end moves, in this transaction
	// extended are the clips whose end moves, and where to.
	extended map[edge.ClipID]time.Time
	effects  effects
}

// effects are what happens once a transaction is on disk.
type effects struct {
	lanes          [3]bool // by lane: events were added
	clips, uploads bool
	soon           bool     // a checkpoint should come soon
	remove         []string // files in clips/ that no row names any more
	partitions     []Partition
	modes          []Mode
	bytes          int64    // about how much was added
	done           []func() // what else follows from it
}

// do hands apply to the writer and waits until it is on disk. When ctx ends first the outcome is unknown.
func (j *Journal) do(ctx context.Context, apply func(context.Context, *tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := &request{apply: apply, done: make(chan error, 1)}
	select {
	case j.queue <- r:
	case <-ctx.Done():
		return ctx.Err()
	case <-j.closed:
		return ErrClosed
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-j.closed:
	}
	select {
	case err := <-r.done: // it was among the last that were written
		return err
	default:
		return ErrClosed
	}
}

// Run is the writer. It returns nil after ctx has ended and all that waited then is on disk; an error means that the
// disk or the file failed and that nothing more was promised to anybody. After ErrDamaged only Close and a new Open help,
// which moves the file aside; after another error it may be run again.
func (j *Journal) Run(ctx context.Context) error {
	if !j.running.CompareAndSwap(false, true) {
		return errors.New("journal: the writer is running already")
	}
	defer j.running.Store(false)
	if j.damage != nil {
		return j.damage // nothing more is written into a file that cannot be trusted
	}
	check, stopCheck := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { j.runCheck(check) })
	wg.Go(func() { j.runSign(check) })
	defer wg.Wait()
	defer stopCheck()
	return j.runWriter(ctx)
}

func (j *Journal) runWriter(ctx context.Context) error {
	always := make(chan struct{})
	close(always)
	work := context.WithoutCancel(ctx) // a commit that has begun is finished
	tick := time.NewTicker(tickTime)
	defer tick.Stop()
	group := make([]*request, 0, groupMax)
	for {
		edge.Beat(ctx)
		group = group[:0]
		var spare <-chan struct{} // ready while there is something to do for spare moments
		if j.carrying() {
			spare = always
		}
		select {
		case r := <-j.queue:
			group = append(group, r)
		case <-tick.C:
			if err := j.idle(work); err != nil {
				return err
			}
			continue
		case <-spare:
			if err := j.carryOn(work); err != nil {
				return err
			}
			continue
		case err := <-j.broken:
			return j.fatal(err)
		case <-ctx.Done():
			err := j.drain(work, group)
			if err == nil {
				if e := j.signLast(work); e != nil {
					j.opt.Log.Warn("journal: the last events are not signed", "err", e)
				}
			}
			j.Stop()
			return err
		}
		if err := j.writeGroup(work, j.fill(group)); err != nil {
			return err
		}
		if err := j.keepSpace(work); err != nil {
			return err
		}
	}
}

// fill adds to group what waits already; it never waits itself, so that a lone append is not delayed.
func (j *Journal) fill(group []*request) []*request {
	for len(group) < groupMax {
		select {
		case r := <-j.queue:
			group = append(group, r)
		default:
			return group
		}
	}
	return group
}

func (j *Journal) drain(ctx context.Context, group []*request) error {
	for {
		group = j.fill(group[:0])
		if len(group) == 0 {
			break
		}
		if err := j.writeGroup(ctx, group); err != nil {
			return err
		}
	}
	return j.idle(ctx)
}

// writeGroup writes the group in one transaction. When that fails, each is tried alone, so that one bad request does
// not fail the others. It returns an error only when the file or the disk cannot be trusted any more.
func (j *Journal) writeGroup(ctx context.Context, group []*request) error {
	err := j.transact(ctx, group)
	for errors.Is(err, ErrFull) && j.relieve(ctx) { // ends: each step deletes something
		edge.Beat(ctx)
		err = j.transact(ctx, group)
	}
	if err == nil {
		return nil
	}
	if len(group) == 1 || isBroken(err) || isDiskError(err) || errors.Is(err, errStuck) {
		for _, r := range group {
			r.done <- err
		}
		return j.fatal(err)
	}
	for i, r := range group {
		err := j.transact(ctx, []*request{r})
		if err == nil {
			continue
		}
		r.done <- err
		if fatal := j.fatal(err); fatal != nil {
			for _, r := range group[i+1:] {
				r.done <- err
			}
			return fatal
		}
	}
	return nil
}

// fatal returns err when the journal cannot go on. A broken file is marked, so that the next Open looks closely.
func (j *Journal) fatal(err error) error {
	switch {
	case isBroken(err), errors.As(err, new(*ChainError)), errors.Is(err, ErrDamaged):
		if e := writeSynced(j.Path()+suspectSuffix, err.Error()+"\n"); e != nil {
			err = errors.Join(err, e)
		}
		if !errors.Is(err, ErrDamaged) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		j.damage = fmt.Errorf("journal %s: %w", j.Path(), err)
	case isDiskError(err), errors.Is(err, errStuck), hasCode(err, sqlite3.ErrReadonly), hasCode(err, sqlite3.ErrCantOpen),
		j.opt.endWhenFull && errors.Is(err, ErrFull):
	default:
		return nil
	}
	return fmt.Errorf("journal %s: %w", j.Path(), err)
}

// transact writes the group in one transaction and answers all of it, or, when it returns an error, nobody.
func (j *Journal) transact(ctx context.Context, group []*request) error {
	t := &tx{store: j.store, j: j, head: j.head, cursors: j.cursors, open: openClips{}, extended: map[edge.ClipID]time.Time{}}
	answers := make([]error, len(group))
	if err := t.begin(ctx); err != nil {
		return translate(err)
	}
	err := t.writeNotes(ctx)
	for i := 0; i < len(group) && err == nil; i++ {
		e := group[i].apply(ctx, t)
		var no refusal
		if errors.As(e, &no) {
			answers[i] = no.err
		} else {
			err = e
		}
	}
	if err == nil && t.headToo {
		err = t.setHead(ctx)
	}
	if err == nil {
		edge.Crash("journal before commit")
		_, err = t.exec(ctx, "commit")
	}
	if err != nil {
		if _, e := t.exec(ctx, "rollback"); e != nil && !isFinished(e) {
			err = errors.Join(err, e)
		}
		j.memory.renote()
		return translate(err)
	}
	edge.Crash("journal after commit")
	j.head = t.head
	j.last.Store(uint64(t.head.seq))
	j.cursors = t.cursors
	if present := (mark{j.id, j.head, j.cursors}); present != j.marked {
		j.marked = present
		j.writeMark()
	}
	j.opened(t.open)
	j.finish(t.effects)
	for i, r := range group {
		r.done <- answers[i]
	}
	return nil
}

// begin opens the transaction. A rollback that failed half-way leaves the one before open: it is rolled back now, for otherwise
// every event would be refused from then on while the writer seems well.
func (t *tx) begin(ctx context.Context) error {
	_, err := t.exec(ctx, "begin immediate")
	if err == nil {
		return nil
	}
	if _, e := t.exec(ctx, "rollback"); e != nil {
		if isFinished(e) {
			return err // no transaction was open: it is something else
		}
		return errors.Join(errStuck, err, e)
	}
	_, err = t.exec(ctx, "begin immediate")
	return err
}

// errStuck is a transaction that can neither be ended nor begun: only a new connection helps.
var errStuck = errors.New("journal: the connection is stuck in a transaction")

// finish does what a committed transaction has led to.
func (j *Journal) finish(e effects) {
	for _, f := range e.done {
		f()
	}
	j.space.added += e.bytes
	if e.soon {
		j.signing.soon.Store(true)
	}
	j.memory.committed(e.partitions, e.modes)
	j.removeFiles(e.remove)
	for _, lane := range edge.EventLanes {
		if e.lanes[lane] {
			j.lanes[lane].wake()
		}
	}
	if e.clips {
		j.clips.wake()
	}
	if e.uploads {
		j.uploads.wake()
	}
}

// translate gives SQLite's "no room" our name.
func translate(err error) error {
	if isDiskFull(err) {
		return edge.WithHint(fmt.Errorf("%w: %w", ErrFull, err), "make room on the data disk")
	}
	return err
}

// isFinished says that SQLite had rolled the transaction back itself: it does so after some errors, a full disk for one.
func isFinished(err error) bool {
	// SQLite has no code of its own for this; TestRollbackOfNothing pins the text.
	return err != nil && err.Error() == "cannot rollback - no transaction is active"
}
