package evidence

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// Of a zip: what stands ahead of each file, and of the list of all files.
var (
	localMark = []byte("PK\x03\x04")
	listMark  = []byte("PK\x01\x02")
	endMark   = []byte("PK\x05\x06")
)

const (
	localBytes = 30 // ahead of the name
	endBytes   = 22 // ahead of the comment
)

// descriptors are the sizes that what may stand behind a file can have: nothing, or its checksum and sizes, with or without a mark, long or short.
var descriptors = []int64{0, 16, 24, 12, 20}

// sequential sees that the files of a zip lie one behind the other from its first byte up to the list, each under the name that the list has: a
// program that reads a zip from its beginning finds the files that are looked at here, under the same names, and no others.
func sequential(ctx context.Context, r io.ReaderAt, size int64, files []*zip.File) error {
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
		ends = e.at + e.size
	}
	if _, ok := marked(r, size, ends, listMark, len(entries) > 0); len(entries) > 0 && !ok {
		return fmt.Errorf("%w: there is something else between its files and the list of them", ErrHostile)
	}
	return nil
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
