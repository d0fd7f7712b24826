package segment

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"time"

	"sitewatch/edge"
	"sitewatch/video"
)

var (
	// ErrEnd says that a Reader has given everything that is on disk. More may come: the next call looks again.
	ErrEnd = errors.New("segment: the end of what is recorded")
	// ErrNotRecorded says that a camera has no shelf.
	ErrNotRecorded = errors.New("segment: the camera is not recorded")
)

// endedAfter is the longest pause inside a GOP, as in the ring.
const endedAfter = 5 * time.Second

// Reader reads one camera's pictures and sound from a keyframe on, from file to file. It is used by one goroutine at a time
// and must be closed.
//
// What it gives belongs together as in the ring: each unit with the parameters of its pictures, Data shared with nobody. Where something is
// missing Lost says so: a unit that was not recorded, or that is damaged, counts as at least one packet. PTS is one line: where the
// program was started again, or the box, it goes on by what the clocks say passed.
type Reader struct {
	shelf *shelf
	at    edge.Stamp
	boot  edge.BootID // of now: what Mono can be compared in

	book   *book
	file   *os.File
	head   header
	scan   scanner
	params video.Params
	raw    []byte // body of the record that params are of
	sound  *video.AudioParams
	skip   bool   // until the next keyframe: the beginning of the GOP is missing
	begun  bool   // in the first GOP after that
	ended  bool   // nothing more is written into the file: what is read now is read to its end
	passed mark   // what was given by the ring already
	lost   uint32 // known to be missing before the next unit

	last  video.AccessUnit // given last, with the PTS of its file, without Data; zero Arrival.Wall: none
	line  uint64           // of last
	shift video.Ticks90k   // what is added to a PTS of line
}

// From returns a Reader that starts at the keyframe at or before at, or at the first one after it when there is none, or when what comes
// before ended more than 5 s earlier. A stamp of the present boot goes by its Mono, any other by its Wall, so a stamp with nothing but a
// Wall asks for a time of day. Only Next reads the disk.
func (s *Store) From(c edge.CameraID, at edge.Stamp) (*Reader, error) {
	sh := s.shelves[c]
	if sh == nil {
		return nil, ErrNotRecorded
	}
	return &Reader{shelf: sh, at: at, boot: s.opt.Clock.Now().Boot}, nil
}

// Close lets go of the file.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}

// Next returns the next unit and its parameters. It never waits for pictures to come: then it returns ErrEnd, and may be called again
// later. Other errors are ctx's; a file that cannot be read is a gap.
func (r *Reader) Next(ctx context.Context) (video.AccessUnit, video.Params, error) {
	for {
		if err := ctx.Err(); err != nil {
			return video.AccessUnit{}, video.Params{}, err
		}
		if r.file == nil && !r.turn() {
			return video.AccessUnit{}, video.Params{}, ErrEnd
		}
		rec, _, err := r.scan.next()
		if err != nil {
			if errors.Is(err, io.EOF) && r.live() {
				return video.AccessUnit{}, video.Params{}, ErrEnd
			}
			if errors.Is(err, io.EOF) && !r.ended {
				r.ended = true // the last pictures may have come between the end that was met and now
				continue
			}
			if !errors.Is(err, io.EOF) {
				r.miss()
			}
			r.Close()
			continue
		}
		if u, ok := r.take(rec); ok {
			return u, r.params, nil
		}
	}
}

// turn opens the next file; false: there is none.
func (r *Reader) turn() bool {
	for {
		b, at := r.shelf.after(r.number()), int64(0)
		if r.book == nil {
			b, at = r.shelf.find(r.at, r.boot)
		}
		if b == nil {
			return false
		}
		r.book, r.skip = b, true
		if err := r.open(b, at); err == nil {
			return true
		}
		if r.shelf.size(b) > 0 { // it is damaged, or was deleted meanwhile; else nothing was ever in it
			r.miss()
		}
	}
}

func (r *Reader) number() uint64 {
	if r.book == nil {
		return 0
	}
	return r.book.number
}

func (r *Reader) miss() {
	if r.last.Arrival.Wall.IsZero() {
		return // nothing was given yet
	}
	r.lost = add32(r.lost, 1)
}

// open begins with the file's GOP at the place at; 0 is the first.
func (r *Reader) open(b *book, at int64) error {
	f, err := r.shelf.open(b)
	if err != nil {
		return err
	}
	h, first, err := readHeader(f, r.shelf.size(b))
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r.file, r.head, r.raw, r.sound, r.ended = f, h, nil, nil, false
	buf := r.scan.w.buf[:0]
	r.scan = scanner{w: window{f: f, limit: func() int64 { return r.shelf.size(b) }, buf: buf, at: -1}, salt: h.salt, off: max(at, first)}
	return nil
}

func (sh *shelf) size(b *book) int64 {
	sh.store.mu.Lock()
	defer sh.store.mu.Unlock()
	return b.bytes
}

// live says whether the file is still being written.
func (r *Reader) live() bool {
	s := r.shelf.store
	s.mu.Lock()
	defer s.mu.Unlock()
	return r.book.live
}

// take makes a unit of a record; ok is false when there is none to give.
func (r *Reader) take(rec record) (u video.AccessUnit, ok bool) {
	if r.scan.damaged {
		r.scan.damaged = false
		r.skip, r.raw = true, nil // the parameters of what comes may be among what is damaged
		r.miss()
	}
	var err error
	switch rec.kind {
	case kindParams:
		if bytes.Equal(rec.body, r.raw) {
			return u, false
		}
		r.raw = nil
		if r.params, err = parseParams(rec); err != nil {
			r.skip = true
			return u, false
		}
		r.raw = bytes.Clone(rec.body)
	case kindSound:
		if r.sound, err = parseSound(rec); err != nil {
			r.sound = nil
		}
	case kindPicture, kindPiece:
		return r.unit(rec)
	}
	return u, false
}

func (r *Reader) unit(rec record) (u video.AccessUnit, ok bool) {
	u, dropped, err := parseUnit(rec)
	if err != nil || rec.kind == kindPiece && r.sound == nil {
		r.lost = add32(r.lost, 1)
		return u, false
	}
	if u.Keyframe && rec.kind == kindPicture && r.raw != nil {
		r.begun = r.skip
		r.skip = false
	}
	u.Arrival.Boot = r.head.boot
	if r.skip || r.passed.repeats(u, rec.kind == kindPiece) || r.begun && r.params.Skipped(u) {
		return u, false
	}
	if rec.kind == kindPiece {
		u.Audio = r.sound
	}
	u.Data = bytes.Clone(u.Data)
	u.Lost, r.lost = add32(add32(u.Lost, int(dropped)), int(r.lost)), 0
	return r.give(u, r.head.line), true
}

// give puts u on the reader's own line of PTS and remembers it.
func (r *Reader) give(u video.AccessUnit, line uint64) video.AccessUnit {
	if had := !r.last.Arrival.Wall.IsZero(); had && line != r.line {
		passed, same := u.Arrival.Since(r.last.Arrival)
		if !same {
			passed = u.Arrival.Wall.Sub(r.last.Arrival.Wall) // of two boots nothing but the wall clock can tell
		}
		r.shift = r.last.PTS + r.shift + max(video.TicksOf(passed), 1) - u.PTS
	}
	r.last, r.line = u, line
	r.last.Data = nil
	u.PTS += r.shift
	return u
}

// resume makes the reader go on behind the unit that was given last, which the ring gave.
func (r *Reader) resume() {
	r.at, r.book, r.passed = r.last.Arrival, nil, mark{u: r.last, set: true}
}

// mark is a unit that was given already, where two sources of the same units meet.
type mark struct {
	u     video.AccessUnit
	set   bool
	found bool // it was seen in the second source
}

// repeats says whether u is the marked unit or came before it.
func (m *mark) repeats(u video.AccessUnit, sound bool) bool {
	if !m.set {
		return false
	}
	if u.Arrival.Boot == m.u.Arrival.Boot && u.Arrival.Mono <= m.u.Arrival.Mono {
		if u.Arrival.Mono == m.u.Arrival.Mono && u.PTS == m.u.PTS && sound == (m.u.Audio != nil) {
			m.set, m.found = false, true // this one still, and no other
		}
		return true
	}
	m.set = false
	return false
}

// find returns the book where a reader of at begins, and the place of the GOP in it. nil: there is none.
func (sh *shelf) find(at edge.Stamp, boot edge.BootID) (*book, int64) {
	books := sh.all()
	if at.Boot != "" && at.Boot == boot {
		i := sh.byMono(books, at)
		return sh.from(books, i, func(inf *info) bool { return inf.head.boot == boot && at.Mono-inf.mono <= endedAfter },
			func(e entry) bool { return e.mono <= at.Mono })
	}
	// The wall clock may have been stepped: the newest file counts that has the time in it, else the newest that began before it.
	newest := -1
	for i := len(books) - 1; i >= 0; i-- {
		if books[i].wall.After(at.Wall) {
			continue
		}
		if newest < 0 {
			newest = i
		}
		if books[i].wall.Add(maxFileTime + slackTime + endedAfter).Before(at.Wall) {
			continue
		}
		if inf, err := sh.read(books[i]); err == nil && at.Wall.Sub(inf.wall) <= endedAfter {
			newest = i
			break
		}
	}
	return sh.from(books, newest, func(inf *info) bool { return at.Wall.Sub(inf.wall) <= endedAfter }, func(e entry) bool { return !e.wall.After(at.Wall) })
}

// from returns the place in book i of the last GOP that began before, or what comes after the book when it has ended before that. -1: all
// books are later.
func (sh *shelf) from(books []*book, i int, lasts func(*info) bool, before func(entry) bool) (*book, int64) {
	if len(books) == 0 {
		return nil, 0
	}
	if i < 0 {
		return books[0], 0
	}
	inf, err := sh.read(books[i])
	switch {
	case err != nil || len(inf.index) == 0:
		return books[i], 0 // whoever opens it finds out
	case !lasts(&inf) && i+1 < len(books):
		return books[i+1], 0
	case !lasts(&inf):
		return books[i], inf.end // what is still to come
	}
	place := inf.index[0].at
	for _, e := range inf.index {
		if !before(e) {
			break
		}
		place = e.at
	}
	return books[i], place
}

// byMono returns the newest book that began at or before at, which is of the present boot, or is of an earlier one; -1: none.
func (sh *shelf) byMono(books []*book, at edge.Stamp) int {
	lo, hi := 0, len(books) // books below lo began before, books from hi on after
	for lo < hi {
		mid := (lo + hi) / 2
		h, err := sh.first(books[mid])
		if err != nil || h.boot != at.Boot || h.mono <= at.Mono { // one that cannot be read counts as old
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo - 1
}
