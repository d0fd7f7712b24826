package segment

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"sitewatch/edge"
)

const (
	// lookEvery is how often the disk's free space is asked for.
	lookEvery = 2 * time.Second
	// mendAgain is the pause before a file that could not be mended is tried again.
	mendAgain = time.Minute
	// resumeBytes must be free beyond MinFreeBytes before recording goes on, so that it does not come and go.
	resumeBytes = 32 << 20
	// blockBytes is what a file takes at least, its inode included: many small files must not go uncounted.
	blockBytes = 4096
	// slackTime is how much longer than maxFileTime a file may be whose last GOP does not end; the rest of that is left out.
	slackTime = 5 * time.Minute
	// goneAtOnce is how many files go at a time when no camera is recorded any more: the disk has other work.
	goneAtOnce = 4
)

// runKeeping mends what a power cut left, and deletes what is too much.
func (s *Store) runKeeping(ctx context.Context) error {
	if left, ok := s.Leaving(); ok {
		s.opt.Log.Warn("segment: no camera is recorded any more, what was recorded is deleted in a while", "bytes", s.Bytes(), "after", left)
	}
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		edge.Beat(ctx)
		s.mendAll(ctx)
		s.countDown()
		s.makeRoom(ctx)
		s.look()
		select {
		case <-t.C:
		case <-s.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// mendAll seals files that were left behind, newest first: their pictures are the ones that are asked for.
func (s *Store) mendAll(ctx context.Context) {
	now := s.opt.Clock.Now().Mono
	for _, sh := range s.order {
		for _, b := range slices.Backward(sh.all()) {
			s.mu.Lock()
			due := !b.sealed && !b.live && now >= b.mendAt
			s.mu.Unlock()
			if !due || ctx.Err() != nil {
				continue
			}
			edge.Beat(ctx)
			if err := sh.mend(b); err != nil {
				s.opt.Log.Warn("segment: a file that was left behind stays as it is", "camera", sh.camera, "err", err)
				s.mu.Lock()
				b.mendAt = now + mendAgain
				s.mu.Unlock()
			}
		}
	}
}

// mend cuts a file back to its last whole record and gives it index and end. One without pictures is removed.
func (sh *shelf) mend(b *book) error {
	s := sh.store
	s.mu.Lock()
	path := sh.path(b)
	s.mu.Unlock()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		sh.forget(b)
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	i, err := readInfo(f, st.Size())
	if err != nil {
		if i, err = scan(f, st.Size()); errors.Is(err, errShort) || errors.Is(err, errDamaged) || err == nil && len(i.index) == 0 {
			if err := os.Remove(path); err != nil {
				return err
			}
			sh.forget(b)
			return nil
		}
		if err != nil {
			return err
		}
	}
	size := st.Size()
	if !i.whole {
		e := ending{index: i.end, units: i.units, pts: i.pts, mono: i.mono, wall: i.wall}
		tail := e.append(appendIndex(nil, i.head.salt, i.index), i.head.salt)
		if err := f.Truncate(i.end); err != nil {
			return err
		}
		if _, err := f.WriteAt(tail, i.end); err != nil {
			return err
		}
		size = i.end + int64(len(tail))
	}
	if err := unix.Fdatasync(int(f.Fd())); err != nil {
		return err
	}
	s.mu.Lock()
	b.bytes = size
	s.mu.Unlock()
	if err := sh.rename(b); err != nil {
		return err
	}
	return syncDir(sh.dir)
}

// forget takes a book that is no more off its shelf.
func (sh *shelf) forget(b *book) {
	sh.store.mu.Lock()
	defer sh.store.mu.Unlock()
	if i := slices.Index(sh.books, b); i >= 0 {
		sh.books = slices.Delete(sh.books, i, i+1)
	}
}

// takes is what a book takes of the disk.
func (b *book) takes() int64 { return (b.bytes+blockBytes-1)/blockBytes*blockBytes + blockBytes }

// makeRoom deletes until quotas and the disk's floor are kept.
func (s *Store) makeRoom(ctx context.Context) {
	free, _, err := s.opt.Free(s.opt.Dir)
	short := int64(0) // what the disk lacks
	if err == nil {
		short = max(0, s.opt.MinFreeBytes-free)
	}
	// What is deleted may count as free only later; so no more than what is lacking now is deleted in one go.
	cleared := s.clear(ctx, short)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil: // the disk says nothing; writing will
	case short > 0 && cleared < short:
		s.full = true
	case short == 0 && (!s.full || free >= s.opt.MinFreeBytes+resumeBytes):
		s.full = false
	}
}

// victim is a book that may be deleted.
type victim struct {
	sh   *shelf
	b    *book
	held time.Time // beginning of the oldest hold on it; zero: none
}

// clear deletes what quotas and short ask for, and returns how many bytes went.
func (s *Store) clear(ctx context.Context, short int64) (cleared int64) {
	if over, _ := s.over(); !over && short <= 0 {
		return 0
	}
	var spans []Span
	if s.opt.Held != nil {
		var err error
		if spans, err = s.opt.Held(ctx); err != nil {
			s.opt.Log.Warn("segment: nobody can say what is held, nothing is deleted", "err", err)
			return 0
		}
	}
	spans = s.withHolds(spans)
	for n := 0; ctx.Err() == nil; n++ {
		over, only := s.over()
		if !over && cleared >= short {
			return cleared
		}
		v, ok := s.victim(spans, only)
		if !ok || s.retired() && cleared >= short && (n >= goneAtOnce || !v.held.IsZero()) {
			return cleared
		}
		n, err := s.remove(v)
		if err != nil {
			s.opt.Log.Warn("segment: an old file stays", "camera", v.sh.camera, "err", err)
			return cleared
		}
		cleared += n
	}
	return cleared
}

// over says whether there is too much, and of which camera alone; nil: of all together.
func (s *Store) over() (bool, *shelf) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all int64
	for _, sh := range s.order {
		var n int64
		for _, b := range sh.books {
			n += b.takes()
		}
		if sh.opt.LimitBytes > 0 && n > sh.opt.LimitBytes {
			return true, sh
		}
		all += n
	}
	return s.opt.LimitBytes > 0 && all > s.opt.LimitBytes || s.expired() && all > 0, nil
}

// victim chooses the oldest file that nobody holds. Of held ones, which go last, the one goes whose oldest hold is the newest: the first
// alarm keeps its pictures longest. Holds may keep half of what is allowed, when that is bounded; those beyond count as none.
func (s *Store) victim(spans []Span, only *shelf) (victim, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var free, held []victim
	var heldBytes int64
	for _, sh := range s.order {
		if only != nil && sh != only {
			continue
		}
		for i, b := range sh.books {
			if b.live {
				continue
			}
			v := victim{sh: sh, b: b, held: sh.heldSince(i, spans)}
			if v.held.IsZero() {
				free = append(free, v)
			} else {
				held = append(held, v)
				heldBytes += b.takes()
			}
		}
	}
	limit := s.opt.LimitBytes
	if only != nil {
		limit = only.opt.LimitBytes
	}
	byNumber := func(a, b victim) int { return cmp.Compare(a.b.number, b.b.number) }
	byHold := func(a, b victim) int { return cmp.Or(b.held.Compare(a.held), byNumber(a, b)) }
	switch {
	case len(held) > 0 && (len(free) == 0 || limit > 0 && !s.retired() && heldBytes > limit/2):
		return slices.MinFunc(held, byHold), true
	case len(free) > 0:
		return slices.MinFunc(free, byNumber), true
	}
	return victim{}, false
}

// heldSince returns when the oldest hold on book i began, zero when there is none. Store.mu is held.
func (sh *shelf) heldSince(i int, spans []Span) (since time.Time) {
	b := sh.books[i]
	end := b.wall.Add(maxFileTime + slackTime) // where the next file begins tells better, unless the clock was stepped
	if i+1 < len(sh.books) {
		if next := sh.books[i+1].wall; next.After(b.wall) && next.Before(end) {
			end = next
		}
	}
	for _, s := range spans {
		if s.Camera == sh.camera && !s.From.After(end) && !s.To.Before(b.wall) && (since.IsZero() || s.From.Before(since)) {
			since = s.From
		}
	}
	return since
}

// remove deletes a file. A reader that has it open reads on.
func (s *Store) remove(v victim) (int64, error) {
	s.mu.Lock()
	path, n := v.sh.path(v.b), v.b.takes()
	s.mu.Unlock()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	v.sh.forget(v.b)
	s.mu.Lock()
	defer s.mu.Unlock()
	v.sh.state.given++
	if !v.held.IsZero() {
		v.sh.state.unheld++
		s.opt.Log.Warn("segment: pictures that a clip waits for are deleted, there is no room", "camera", v.sh.camera, "from", v.b.wall)
	}
	return n, nil
}

// hold is a span that Hold keeps.
type hold struct{ Span }

// Hold keeps the files of a span from being deleted before all others, until release is called. It reserves nothing: when holds
// alone fill half of the quota the newest give way.
func (s *Store) Hold(span Span) (release func()) {
	h := &hold{span}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds[h] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.holds, h)
	}
}

func (s *Store) withHolds(spans []Span) []Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	for h := range s.holds {
		spans = append(spans, h.Span)
	}
	return spans
}
