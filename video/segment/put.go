package segment

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"sitewatch/video"
)

// put writes items, and says how many of them are not on disk, because of err or because their GOP was too large.
func (sh *shelf) put(items []item) (lost, gops int, err error) {
	w := &sh.write
	for i := range items {
		it := &items[i]
		if it.p != nil {
			w.cut = false
			if err = sh.turnOver(&it.u); err != nil {
				lost += sh.giveUp(items[i:])
				break
			}
		}
		if w.cut || w.size+int64(len(it.u.Data)) > sh.most || it.u.Arrival.Mono-w.clocks.Mono > maxFileTime+slackTime {
			if !w.cut {
				gops++
			}
			w.cut = true
			lost += sh.giveUp(items[i : i+1])
			continue
		}
		sh.add(it)
	}
	if err == nil {
		err = sh.flush()
	}
	if err != nil {
		lost, gops = lost+w.units, gops+1
		w.owed = add32(add32(w.owed, w.units), int(w.told))
	}
	return lost, gops, err
}

// giveUp remembers that items are not recorded, for the next one that is.
func (sh *shelf) giveUp(items []item) int {
	for _, it := range items {
		sh.write.owed = add32(sh.write.owed, 1+int(it.missed))
	}
	return len(items)
}

func add32(n uint32, more int) uint32 { return uint32(min(uint64(n)+uint64(more), math.MaxUint32)) }

// turnOver sees to it that there is a file for the GOP that u begins.
func (sh *shelf) turnOver(u *video.AccessUnit) error {
	w := &sh.write
	if w.file != nil && sh.ends(u) {
		if err := sh.flush(); err != nil {
			return err
		}
		if err := sh.seal(); err != nil {
			return err
		}
	}
	if w.file == nil {
		return sh.begin(u)
	}
	return nil
}

// add puts an item into what flush will write.
func (sh *shelf) add(it *item) {
	w := &sh.write
	if it.p != nil {
		w.sound = nil
		w.index = append(w.index, entry{w.size, it.u.Arrival.Mono, it.u.Arrival.Wall})
		sh.piece(func(b []byte) []byte { return appendParams(b, w.salt, it.p) })
	}
	if a := it.u.Audio; a != nil && !a.Equal(w.sound) {
		w.sound = a
		sh.piece(func(b []byte) []byte { return appendSound(b, w.salt, a) })
	}
	missed := add32(it.missed, int(w.owed))
	w.owed = 0
	w.told = add32(w.told, int(missed))
	sh.piece(func(b []byte) []byte { return appendUnit(b, w.salt, &it.u, missed) })
	w.pieces = append(w.pieces, it.u.Data)
	w.size += int64(len(it.u.Data))
	w.units++
	w.last = it.u
}

// piece adds bytes that are made here to what is to be written. A buffer that grows leaves its older pieces where they are.
func (sh *shelf) piece(add func([]byte) []byte) {
	w := &sh.write
	at := len(w.heads)
	w.heads = add(w.heads)
	w.pieces = append(w.pieces, w.heads[at:len(w.heads):len(w.heads)])
	w.size += int64(len(w.heads) - at)
}

// flush writes what add has gathered and makes it visible.
func (sh *shelf) flush() error {
	w := &sh.write
	if len(w.pieces) == 0 {
		return nil
	}
	if err := w.file.Append(w.pieces); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	s := sh.store
	s.mu.Lock()
	b := w.book
	sh.state.written += uint64(w.size - b.bytes)
	b.bytes = w.size
	i := b.info
	i.index, i.end = append(i.index, w.index...), w.size
	if w.units > 0 {
		w.newest = w.last.Arrival.Wall
		i.units += uint64(w.units)
		i.pts, i.mono, i.wall = w.last.PTS, w.last.Arrival.Mono, w.last.Arrival.Wall
	}
	s.mu.Unlock()
	w.dirty = true
	clear(w.pieces)
	w.pieces, w.heads, w.index = w.pieces[:0], w.heads[:0], w.index[:0]
	w.units, w.told, w.last = 0, 0, video.AccessUnit{}
	return nil
}

// ends says whether the present file ends before the GOP of u.
func (sh *shelf) ends(u *video.AccessUnit) bool {
	w := &sh.write
	mono := u.Arrival.Mono - w.clocks.Mono
	step := u.Arrival.Wall.Sub(w.clocks.Wall) - mono // of one boot, and what is asked is whether the wall clock was stepped
	return w.size >= sh.target || mono >= maxFileTime || len(w.book.info.index)+len(w.index) >= maxGOPs || step.Abs() > maxStep || u.Arrival.Boot != w.clocks.Boot
}

// begin makes a new file for the GOP of u.
func (sh *shelf) begin(u *video.AccessUnit) error {
	s, w := sh.store, &sh.write
	if err := os.MkdirAll(sh.dir, 0o700); err != nil {
		return err
	}
	s.mu.Lock()
	number := s.number
	s.number++
	s.mu.Unlock()
	var salt [4]byte
	rand.Read(salt[:]) // never fails
	h := header{salt: binary.BigEndian.Uint32(salt[:]), number: number, line: s.line, pts: u.PTS, mono: u.Arrival.Mono, wall: u.Arrival.Wall,
		camera: sh.camera, boot: u.Arrival.Boot}
	b := &book{number: number, wall: u.Arrival.Wall.Truncate(time.Millisecond), live: true, info: &info{head: h}}
	f, err := s.opt.Create(sh.path(b))
	if err != nil {
		return err
	}
	w.file, w.book, w.size, w.salt, w.clocks, w.fresh = f, b, 0, h.salt, u.Arrival, true
	sh.piece(h.append)
	s.mu.Lock()
	defer s.mu.Unlock()
	sh.books = append(sh.books, b)
	return nil
}

// seal ends the present file with its index; it is synced and renamed with the others.
func (sh *shelf) seal() error {
	s, w := sh.store, &sh.write
	s.mu.Lock()
	i := w.book.info
	index, e := slices.Clone(i.index), ending{index: w.book.bytes, units: i.units, pts: i.pts, mono: i.mono, wall: i.wall}
	s.mu.Unlock()
	tail := e.append(appendIndex(nil, w.salt, index), w.salt)
	if err := w.file.Append([][]byte{tail}); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	s.mu.Lock()
	sh.state.written += uint64(len(tail))
	w.book.bytes += int64(len(tail))
	s.mu.Unlock()
	w.closed = append(w.closed, &sealing{w.file, w.book})
	w.file, w.book, w.dirty = nil, nil, false
	return nil
}
