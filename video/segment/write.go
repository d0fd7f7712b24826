package segment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"sitewatch/edge"
)

// Pauses after a disk refused to write.
const (
	firstPause = time.Second
	longPause  = 15 * time.Second
)

// errNoRoom is what keeps Run from writing while too little of the disk is free.
var errNoRoom = errors.New("the disk is full")

// Run writes, syncs, seals and deletes until ctx ends; then what has come is written and the files are sealed.
func (s *Store) Run(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(edge.Guard(func() error { return s.runWriting(gctx) }))
	g.Go(edge.Guard(func() error { return s.runKeeping(gctx) }))
	g.Go(edge.Guard(func() error { return s.runReports(gctx) }))
	return g.Wait()
}

func (s *Store) runWriting(ctx context.Context) error {
	t := time.NewTicker(every)
	defer t.Stop()
	defer s.closeAll()
	for {
		select {
		case <-t.C:
			edge.Beat(ctx)
			s.step()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// step writes what has come of all cameras and then syncs all files: the first sync of a file system's journal is also the others'.
func (s *Store) step() {
	now := s.opt.Clock.Now()
	for _, sh := range s.order {
		sh.turn(now)
	}
	for _, sh := range s.order {
		sh.sync(now)
	}
}

// turn writes what has come of one camera.
func (sh *shelf) turn(now edge.Stamp) {
	if !sh.ready(now) {
		return
	}
	items := sh.w.take()
	if len(items) == 0 {
		sh.w.done(items, 0, 0)
		return
	}
	lost, gops, err := sh.put(items)
	sh.w.done(items, lost, gops)
	if err != nil {
		sh.fail(err, now)
	}
}

// ready says whether the camera is to be written, and resumes what had failed when its time has come.
func (sh *shelf) ready(now edge.Stamp) bool {
	if sh.w == nil {
		return false
	}
	s := sh.store
	s.mu.Lock()
	full, failed, again := s.full, sh.state.trouble != "", now.Mono >= sh.state.retry
	s.mu.Unlock()
	switch {
	case full && !failed:
		sh.fail(errNoRoom, now)
		return false
	case failed && (full || !again):
		return false
	case failed:
		sh.w.fail(false) // a unit that comes now is the test
		s.mu.Lock()
		sh.state.retry = now.Mono // until sync has said that it works, or fail that it does not
		s.mu.Unlock()
	}
	return true
}

// fail gives up the present file and leaves the camera alone for a while. What is in the file is found by a scan.
func (sh *shelf) fail(err error, now edge.Stamp) {
	sh.w.fail(true)
	sh.abandon()
	s := sh.store
	s.mu.Lock()
	defer s.mu.Unlock()
	sh.state.pause = min(max(2*sh.state.pause, firstPause), longPause)
	sh.state.retry = now.Mono + sh.state.pause
	sh.state.trouble = reason(err)
	if errors.Is(err, unix.ENOSPC) {
		s.nudge() // somebody may make room
	}
}

// abandon closes what is open without another write.
func (sh *shelf) abandon() {
	w := &sh.write
	if w.file != nil {
		w.file.Close() // the write or the sync before has said what is wrong
		sh.leave(w.book)
	}
	for _, c := range w.closed {
		c.file.Close()
		sh.leave(c.book)
	}
	*w = writing{heads: w.heads[:0], pieces: w.pieces[:0], owed: w.owed, newest: w.newest}
}

// leave makes of a book that was being written one that a scan has to look at.
func (sh *shelf) leave(b *book) {
	sh.store.mu.Lock()
	defer sh.store.mu.Unlock()
	b.live, b.info = false, nil
	sh.store.nudge()
}

// reason is what an operator reads of an error.
func reason(err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	if errors.Is(err, unix.ENOSPC) {
		err = errNoRoom
	}
	return err.Error()
}

// sync brings the camera's files to the disk, and renames those that are whole.
func (sh *shelf) sync(now edge.Stamp) {
	w := &sh.write
	if sh.w == nil || w.file == nil && len(w.closed) == 0 {
		return
	}
	edge.Crash("segment written before sync")
	if err := sh.syncFiles(); err != nil {
		sh.fail(fmt.Errorf("sync: %w", err), now)
		return
	}
	if w.dirty {
		return
	}
	dropped := sh.w.counted().dropped
	s := sh.store
	s.mu.Lock()
	defer s.mu.Unlock()
	sh.state.synced = w.newest
	if sh.state.trouble != "" { // it was a test, and the disk works
		sh.state.trouble, sh.state.pause, sh.state.lossy = "", 0, dropped
	}
}

func (sh *shelf) syncFiles() error {
	w := &sh.write
	if w.dirty {
		if err := w.file.Sync(); err != nil {
			return err
		}
		w.dirty = false
	}
	renamed := false
	for len(w.closed) > 0 {
		c := w.closed[0]
		if err := c.file.Sync(); err != nil {
			return err
		}
		edge.Crash("segment sealed before rename")
		w.closed = w.closed[1:]
		if err := c.file.Close(); err != nil {
			sh.leave(c.book)
			return err
		}
		if err := sh.rename(c.book); err != nil {
			sh.leave(c.book)
			return err
		}
		renamed = true
	}
	if !w.fresh && !renamed {
		return nil
	}
	edge.Crash("segment there before its directory is synced")
	if err := syncDir(sh.dir); err != nil {
		return err
	}
	w.fresh = false
	return nil
}

// rename gives a whole file its last name.
func (sh *shelf) rename(b *book) error {
	s := sh.store
	s.mu.Lock()
	from := sh.path(b)
	to := sh.name(b, true)
	s.mu.Unlock()
	if err := os.Rename(from, to); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b.sealed, b.live, b.info = true, false, nil
	s.nudge() // there may be too many now
	return nil
}

// closeAll writes what has come and seals all files: the next start has nothing to scan.
func (s *Store) closeAll() {
	s.step()
	now := s.opt.Clock.Now()
	for _, sh := range s.order {
		if sh.write.file == nil {
			continue
		}
		if err := sh.seal(); err != nil {
			sh.fail(err, now)
		}
	}
	for _, sh := range s.order {
		sh.sync(now)
		sh.abandon()
	}
}

// nudge wakes runKeeping. Store.mu may be held.
func (s *Store) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
