package journal

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"sitewatch/edge"
)

// A carver finds the events of a damaged journal without SQLite's help: by how a body begins, and by the hash that stands
// before it. An event that fits its hash is right, wherever it lies; rows never change, so that an old copy is as good as
// any. Events that were deleted long ago may be found, too.
type carver struct {
	files []*os.File       // the database, then its log; either may be missing
	log   map[uint32][]int // by page number: where its copies are in the log, oldest first
	found []place          // by seq, each once
	id    edge.JournalID   // of the events that were found; "" none
}

// place is where an event was found.
type place struct {
	seq  edge.Seq
	file uint8
	lane edge.Lane
	page int64 // offset of the page in the file
	at   int16 // offset of the body in the page
}

// bodyStart is how every body begins: Encode writes the fields in their order.
var bodyStart = []byte(`{"v":1,"site":"`)

const (
	walHeader   = 32
	frameHeader = 24
	leafTable   = 0x0d // first byte of a page that holds rows
)

// carve reads both files from end to end; what cannot be read is left out.
func carve(db, wal string) (*carver, error) {
	c := &carver{files: make([]*os.File, 2), log: map[uint32][]int{}}
	for i, name := range []string{db, wal} {
		f, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			c.close()
			return nil, err
		}
		c.files[i] = f
	}
	c.pages(1, func(at int64, frame, page []byte) {
		c.log[binary.BigEndian.Uint32(frame)] = append(c.log[binary.BigEndian.Uint32(frame)], int(at))
	})
	ids := map[edge.JournalID]int{}
	for i := range c.files {
		c.pages(i, func(at int64, _, page []byte) {
			for off := 0; ; off++ {
				n := bytes.Index(page[off:], bodyStart)
				if n < 0 {
					return
				}
				off += n
				if r, ev, ok := c.event(page, off); ok {
					ids[ev.Journal]++
					c.found = append(c.found, place{r.Seq, uint8(i), r.Lane, at, int16(off)})
				}
			}
		})
	}
	for id, n := range ids {
		if n > ids[c.id] {
			c.id = id
		}
	}
	slices.SortStableFunc(c.found, func(a, b place) int { return cmp.Compare(a.seq, b.seq) })
	c.found = slices.CompactFunc(c.found, func(a, b place) bool { return a.seq == b.seq })
	return c, nil
}

func (c *carver) close() {
	for _, f := range c.files {
		if f != nil {
			f.Close() // only read
		}
	}
}

// pages calls do with each page of a file, in order; frame is what stands before it in the log.
func (c *carver) pages(file int, do func(at int64, frame, page []byte)) {
	f := c.files[file]
	if f == nil {
		return
	}
	at, lead := int64(0), 0
	if file == 1 {
		at, lead = walHeader, frameHeader
	}
	const many = 64
	step := lead + pageBytes
	buf := make([]byte, many*step)
	for {
		n, err := f.ReadAt(buf, at)
		for i := 0; i+step <= n; i += step {
			do(at+int64(i+lead), buf[i:i+lead], buf[i+lead:i+step])
		}
		if n == len(buf) {
			at += int64(n)
			continue
		}
		if rest := n % step; rest > lead && (err == io.EOF) { // the file was cut inside a page
			page := make([]byte, pageBytes)
			copy(page, buf[n-rest+lead:n])
			do(at+int64(n-rest+lead), buf[n-rest:n-rest+lead], page)
		}
		if err == io.EOF || err == nil {
			return
		}
		at += int64(n-n%step) + int64(step) // the disk cannot read here: go on behind
	}
}

// event reads the event whose body begins at off, when it is whole and fits its hash.
func (c *carver) event(page []byte, off int) (r edge.Record, ev edge.Event, ok bool) {
	if off < 64 {
		return r, ev, false
	}
	copy(r.Prev[:], page[off-64:])
	copy(r.Hash[:], page[off-32:])
	if n := jsonEnd(page[off:]); n > 0 {
		r.Body = bytes.Clone(page[off : off+n])
		ok = chain(r.Prev, r.Body) == r.Hash
	}
	if !ok {
		r.Body, ok = c.long(page, off, r)
	}
	if !ok {
		return r, ev, false
	}
	ev, err := edge.DecodeEvent(r.Body)
	if err != nil || ev.Lane != edge.Urgent && ev.Lane != edge.Routine {
		return r, ev, false
	}
	r.Seq, r.Lane = ev.Seq, ev.Lane
	return r, ev, true
}

// jsonEnd returns how long the JSON object is that b begins with; 0 when it does not end in b.
func jsonEnd(b []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// long reads a body that goes on in overflow pages. https://www.sqlite.org/fileformat2.html#b_tree_pages has the layout.
func (c *carver) long(page []byte, off int, r edge.Record) ([]byte, bool) {
	if page[0] != leafTable {
		return nil, false
	}
	for i := range int(binary.BigEndian.Uint16(page[3:])) {
		p := 8 + 2*i
		if p+2 > len(page) {
			break
		}
		cell := int(binary.BigEndian.Uint16(page[p:]))
		if cell >= off || cell < p {
			continue
		}
		size, n := varint(page[cell:])
		if n == 0 || size > 2*edge.MaxEventBytes {
			continue
		}
		_, m := varint(page[cell+n:])
		start := cell + n + m
		const most, least = pageBytes - 35, (pageBytes-12)*32/255 - 23
		local := least + (int(size)-least)%(pageBytes-4)
		if local > most {
			local = least
		}
		end := start + local
		if m == 0 || int(size) <= most || start > off || end <= off || end+4 > len(page) {
			continue
		}
		head, left, next := page[off:end], int(size)-local, binary.BigEndian.Uint32(page[end:])
		for _, newest := range []bool{true, false} {
			body, ok := c.overflow(bytes.Clone(head), left, next, newest)
			if ok && chain(r.Prev, body) == r.Hash {
				return body, true
			}
		}
	}
	return nil, false
}

// overflow adds left bytes from the chain of pages that begins at next. newest: a page's last copy in the log counts.
func (c *carver) overflow(body []byte, left int, next uint32, newest bool) ([]byte, bool) {
	page := make([]byte, pageBytes)
	for left > 0 {
		if next == 0 || !c.page(page, next, newest) {
			return nil, false
		}
		n := min(left, pageBytes-4)
		body = append(body, page[4:4+n]...)
		left -= n
		next = binary.BigEndian.Uint32(page)
	}
	return body, true
}

func (c *carver) page(page []byte, n uint32, newest bool) bool {
	f, at := c.files[0], (int64(n)-1)*pageBytes
	if copies := c.log[n]; newest && len(copies) > 0 {
		f, at = c.files[1], int64(copies[len(copies)-1])
	}
	if f == nil {
		return false
	}
	_, err := f.ReadAt(page, at)
	return err == nil
}

// varint is SQLite's: big-endian, seven bits a byte, the ninth byte whole.
func varint(b []byte) (v uint64, n int) {
	for n < len(b) && n < 9 {
		if n == 8 {
			return v<<8 | uint64(b[n]), 9
		}
		v = v<<7 | uint64(b[n]&0x7f)
		n++
		if b[n-1] < 0x80 {
			return v, n
		}
	}
	return 0, 0
}

// read returns the event at p again.
func (c *carver) read(p place) (edge.Record, error) {
	page := make([]byte, pageBytes)
	if n, err := c.files[p.file].ReadAt(page, p.page); err != nil && (err != io.EOF || n == 0) {
		return edge.Record{}, err
	}
	r, _, ok := c.event(page, int(p.at))
	if !ok || r.Seq != p.seq {
		return r, fmt.Errorf("event %d was there a moment ago", p.seq)
	}
	return r, nil
}
