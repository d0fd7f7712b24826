package segment

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"sitewatch/video"
)

// windowBytes is how much of a file is read at once. A record that is longer has a window of its own.
const windowBytes = 256 << 10

// window is a part of a file in memory. It reads no further than the limit, which grows while the file is written.
type window struct {
	f     io.ReaderAt
	limit func() int64
	buf   []byte
	at    int64 // of buf[0]
}

// bytes returns at least n bytes from at on, fewer only at the limit.
func (w *window) bytes(at int64, n int) ([]byte, error) {
	if have := w.at + int64(len(w.buf)) - at; at >= w.at && have >= int64(n) {
		return w.buf[at-w.at:], nil
	}
	size := min(int64(max(n, windowBytes)), w.limit()-at)
	if size <= 0 {
		return nil, nil
	}
	if old := w.at + int64(len(w.buf)) - at; at >= w.at && old >= size {
		return w.buf[at-w.at:], nil // all that there is
	}
	buf := w.buf[:0]
	if int64(cap(buf)) < size || cap(buf) > 4*windowBytes && size <= windowBytes {
		buf = make([]byte, 0, size)
	}
	got, err := w.f.ReadAt(buf[:size], at)
	w.buf, w.at = buf[:got], at
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return w.buf, nil
}

// scanner walks over the records of one file.
type scanner struct {
	w       window
	salt    uint32
	off     int64 // of the next record
	damaged bool  // bytes were skipped since the last record
}

// next returns the next whole record, which is good until the next call, and where it lies. io.EOF: there is none (yet).
func (s *scanner) next() (r record, at int64, err error) {
	for {
		b, err := s.w.bytes(s.off, headBytes)
		if err != nil {
			return r, 0, err
		}
		r, n, err := parse(b, s.salt)
		if errors.Is(err, errShort) && s.off+int64(n) <= s.w.limit() {
			if b, err = s.w.bytes(s.off, n); err != nil {
				return r, 0, err
			}
			r, n, err = parse(b, s.salt)
		}
		switch {
		case err == nil:
			at, s.off = s.off, s.off+int64(n)
			return r, at, nil
		case len(b) < headBytes:
			return r, 0, io.EOF
		}
		if err := s.resync(); err != nil {
			return r, 0, err
		}
	}
}

// resync goes on to the next place that may be a record, at least one byte ahead. At the end it stays where it is: the file may be
// written further.
func (s *scanner) resync() error {
	for at := s.off + 1; ; {
		b, err := s.w.bytes(at, windowBytes)
		if err != nil {
			return err
		}
		if len(b) < headBytes {
			return io.EOF
		}
		i := bytes.Index(b, marker[:])
		if i < 0 {
			at += int64(len(b) - len(marker) + 1)
			continue
		}
		at += int64(i)
		if b, err = s.w.bytes(at, headBytes); err != nil {
			return err
		}
		n, err := parseHead(b, s.salt)
		if err == nil && at+int64(n) <= s.w.limit() {
			s.off, s.damaged = at, true
			return nil
		}
		at++
	}
}

// info is what a file holds, as its end says or a scan found.
type info struct {
	head    header
	index   []entry
	end     int64 // behind the last whole record of a GOP
	units   uint64
	pts     video.Ticks90k // of the last unit
	mono    time.Duration
	wall    time.Time
	whole   bool // it has its index and its end
	damaged bool
}

// readHeader returns the header of a file.
func readHeader(f io.ReaderAt, size int64) (header, int64, error) {
	w := window{f: f, limit: func() int64 { return size }}
	b, err := w.bytes(0, 1024)
	if err != nil {
		return header{}, 0, err
	}
	r, n, err := parse(b, 0)
	if err != nil {
		return header{}, 0, fmt.Errorf("header: %w", err)
	}
	h, err := parseHeader(r)
	return h, int64(n), err
}

// readInfo reads header, end and index.
func readInfo(f io.ReaderAt, size int64) (info, error) {
	h, _, err := readHeader(f, size)
	if err != nil {
		return info{}, err
	}
	const whole = headBytes + endBytes
	w := window{f: f, limit: func() int64 { return size }}
	b, err := w.bytes(max(0, size-whole), whole)
	if err != nil {
		return info{}, err
	}
	r, _, err := parse(b, h.salt)
	if err != nil {
		return info{}, err
	}
	e, err := parseEnding(r)
	if err != nil {
		return info{}, err
	}
	if e.index <= 0 || e.index > size-whole {
		return info{}, errDamaged
	}
	if b, err = w.bytes(e.index, int(min(size-whole-e.index, headBytes+maxGOPs*entryBytes))); err != nil {
		return info{}, err
	}
	if r, _, err = parse(b, h.salt); err != nil {
		return info{}, err
	}
	i := info{head: h, end: e.index, units: e.units, pts: e.pts, mono: e.mono, wall: e.wall, whole: true}
	i.index, err = parseIndex(r, e.index)
	return i, err
}

// scan reads a whole file and finds its GOPs: what index and end would say.
func scan(f io.ReaderAt, size int64) (info, error) {
	h, first, err := readHeader(f, size)
	if err != nil {
		return info{}, err
	}
	i := info{head: h, end: first}
	s := scanner{w: window{f: f, limit: func() int64 { return size }}, salt: h.salt, off: first}
	params := int64(-1) // where the newest parameters lie, while no keyframe has followed
	good := false       // in a GOP whose units so far are whole
	for {
		r, at, err := s.next()
		if errors.Is(err, io.EOF) {
			return i, nil
		}
		if err != nil {
			return i, err
		}
		if s.damaged {
			s.damaged, i.damaged, params, good = false, true, -1, false
		}
		switch r.kind {
		case kindParams:
			params, good = -1, false
			if _, err := parseParams(r); err == nil {
				params = at
			}
		case kindPicture, kindPiece:
			u, _, err := parseUnit(r)
			if err != nil {
				continue
			}
			if u.Keyframe && params >= 0 && len(i.index) < maxGOPs {
				i.index = append(i.index, entry{params, u.Arrival.Mono, u.Arrival.Wall})
				params, good = -1, true
			}
			if good {
				i.units++
				i.pts, i.mono, i.wall, i.end = u.PTS, u.Arrival.Mono, u.Arrival.Wall, s.off
			}
		}
	}
}
