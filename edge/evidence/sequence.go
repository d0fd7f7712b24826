package evidence

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
)

// Of a zip: what stands ahead of each file, and of the list of all files.
var (
	localMark = []byte("PK\x03\x04")
	listMark  = []byte("PK\x01\x02")
	endMark   = []byte("PK\x05\x06")

	longMark = []byte("PK\x06\x06") // the end record of a zip64, and what leads to it
	leadMark = []byte("PK\x06\x07")
)

const (
	localBytes = 30 // ahead of the name
	listBytes  = 46 // ahead of the name, in the list
	endBytes   = 22 // ahead of the comment
	longBytes  = 56
	leadBytes  = 20
)

// extras are the extra fields that a file may have: long sizes, times, owners, and the mark of a jar. None of them gives it another name.
var extras = []uint16{0x0001, 0x000a, 0x5455, 0x5855, 0x7875, 0xcafe}

// descriptors are the sizes that what may stand behind a file can have: nothing, or its checksum and sizes, with or without a mark, long or short.
var descriptors = []int64{0, 16, 24, 12, 20}

// sequential sees that the files of a zip lie one behind the other from its first byte up to the list, each under the name that the list has: a
// program that reads a zip from its beginning finds the files that are looked at here, under the same names, and no others. The end record is at end.
func sequential(ctx context.Context, r io.ReaderAt, size, end int64, files []*zip.File) error {
	type entry struct {
		name     string
		at, size int64
	}
	entries := make([]entry, 0, len(files))
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		at, err := f.DataOffset()
		if err != nil {
			return fmt.Errorf("%w: %.80q: %w", ErrHostile, f.Name, err)
		}
		if !plainExtra(f.Extra) {
			return fmt.Errorf("%w: %.80q has a field in the list that is not known here", ErrHostile, f.Name)
		}
		entries = append(entries, entry{f.Name, at, int64(f.CompressedSize64)})
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.size, b.size)) })
	head := make([]byte, localBytes+maxName+1)
	ends := int64(0)
	for i, e := range entries {
		at, ok := marked(r, size, ends, localMark, i > 0)
		if !ok {
			return fmt.Errorf("%w: there is something else ahead of %.80q", ErrHostile, e.name)
		}
		n, err := r.ReadAt(head, at)
		if err != nil && err != io.EOF || n < localBytes {
			return fmt.Errorf("%w: %.80q cannot be read: %w", ErrHostile, e.name, err)
		}
		name, extra := int64(binary.LittleEndian.Uint16(head[26:])), int64(binary.LittleEndian.Uint16(head[28:]))
		if name != int64(len(e.name)) || int64(n) < localBytes+name || string(head[localBytes:localBytes+name]) != e.name {
			return fmt.Errorf("%w: %.80q has another name where it lies", ErrHostile, e.name)
		}
		if e.at != at+localBytes+name+extra || e.size < 0 || e.size > size-e.at {
			return fmt.Errorf("%w: %.80q lies over another file", ErrHostile, e.name)
		}
		more := make([]byte, extra)
		if _, err := r.ReadAt(more, e.at-extra); err != nil && err != io.EOF {
			return fmt.Errorf("%w: %.80q cannot be read: %w", ErrHostile, e.name, err)
		}
		if !plainExtra(more) {
			return fmt.Errorf("%w: %.80q has a field where it lies that is not known here", ErrHostile, e.name)
		}
		ends = e.at + e.size
	}
	list, ok := marked(r, size, ends, listMark, len(entries) > 0)
	if len(entries) > 0 && !ok {
		return fmt.Errorf("%w: there is something else between its files and the list of them", ErrHostile)
	}
	if ok, err := listed(r, list, end, files); err != nil || !ok {
		return fmt.Errorf("%w: its end does not name the list that lies behind its files, or not that alone", ErrHostile)
	}
	return nil
}

// listed says whether the end record names the list at from, and this goes up to the record: some programs find the list by where it begins, others
// by where it ends.
func listed(r io.ReaderAt, from, end int64, files []*zip.File) (bool, error) {
	size := int64(0)
	for _, f := range files {
		size += listBytes + int64(len(f.Name)+len(f.Extra)+len(f.Comment))
	}
	le := binary.LittleEndian
	b, lead, long := make([]byte, endBytes), make([]byte, leadBytes), make([]byte, longBytes)
	if _, err := r.ReadAt(b, end); err != nil && err != io.EOF {
		return false, err
	}
	here, all, is, at := le.Uint16(b[8:]), le.Uint16(b[10:]), le.Uint32(b[12:]), le.Uint32(b[16:])
	if end >= leadBytes {
		if _, err := r.ReadAt(lead, end-leadBytes); err != nil {
			return false, err
		}
	}
	n := uint64(len(files))
	if !bytes.HasPrefix(lead, leadMark) { // not a zip64: the number of files goes round at 65,536
		return from+size == end && here == uint16(n) && all == uint16(n) && int64(is) == size && int64(at) == from, nil
	}
	if end -= leadBytes + longBytes; end < 0 {
		return false, nil
	}
	if _, err := r.ReadAt(long, end); err != nil {
		return false, err
	}
	return from+size == end && le.Uint64(lead[8:]) == uint64(end) && bytes.HasPrefix(long, longMark) && le.Uint64(long[4:]) == longBytes-12 &&
		le.Uint64(long[24:]) == n && le.Uint64(long[32:]) == n && le.Uint64(long[40:]) == uint64(size) && le.Uint64(long[48:]) == uint64(from) &&
		(here == math.MaxUint16 || uint64(here) == n) && (all == math.MaxUint16 || uint64(all) == n) &&
		(is == math.MaxUint32 || int64(is) == size) && (at == math.MaxUint32 || int64(at) == from), nil
}

// plainExtra says whether the extra fields are whole, and each is one of extras.
func plainExtra(b []byte) bool {
	for len(b) >= 4 {
		n := 4 + int(binary.LittleEndian.Uint16(b[2:]))
		if n > len(b) || !slices.Contains(extras, binary.LittleEndian.Uint16(b)) {
			return false
		}
		b = b[n:]
	}
	return len(b) == 0
}

// marked finds the mark at from, or behind the description of the file that ends there.
func marked(r io.ReaderAt, size, from int64, mark []byte, described bool) (at int64, ok bool) {
	b := make([]byte, len(mark))
	for _, n := range descriptors {
		if n > 0 && !described || from+n+int64(len(mark)) > size {
			continue
		}
		if _, err := r.ReadAt(b, from+n); err == nil && bytes.Equal(b, mark) {
			return from + n, true
		}
	}
	return 0, false
}
