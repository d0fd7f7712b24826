package soc

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"sitewatch/edge"
	"sitewatch/uplink/durable"
)

// ClipPath is where a file of a clip is under the folder of clips. site and id must be valid.
func ClipPath(dir string, site edge.SiteID, id edge.ClipID, part edge.FilePart) string {
	ext := ".mp4"
	if part == edge.PartStill {
		ext = ".jpg"
	}
	return filepath.Join(dir, string(site), string(id)+ext)
}

// store keeps files that are on their way. A file is written beside its name as .part, which outlives the stream and
// the process; the name appears when the digest is right and the bytes are synced.
type store struct {
	dir   string
	free  uint64
	avail func() (uint64, error) // bytes that the disk has for us

	mu    sync.Mutex
	open  map[string]*incoming // by final path: the newest stream that offers a file has it
	wrong map[string]int       // files that came with a wrong digest, how often
	kept  usage                // files that are complete
	fresh usage                // those that were finished since the present count of all began
}

var (
	errTaken    = errors.New("a newer stream has taken over this file")
	errFull     = errors.New("the SOC has no room for clips at the moment")
	errDigest   = errors.New("the file does not have the digest that was offered")
	errDiffers  = errors.New("the SOC has another file of this clip already")
	errProtocol = errors.New("the chunk does not follow the one before")
)

// maxWrong is how often a file may come with a wrong digest before it is refused for good.
const maxWrong = 3

func openStore(dir string, free uint64) (*store, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("open clips: %w", err)
	}
	s := &store{dir: dir, free: free, open: map[string]*incoming{}, wrong: map[string]int{}, kept: usage{}, fresh: usage{}}
	s.avail = s.statfs
	return s, nil
}

// incoming is one file on its way. Its fields are guarded by mu: a newer stream may take the file away.
type incoming struct {
	st    *store
	site  edge.SiteID
	final string
	part  string
	want  [32]byte
	size  int64
	left  atomic.Int64 // bytes that are still to come, for the store to read

	mu     sync.Mutex
	f      *os.File // nil: finished, failed or taken over
	offset int64
	asked  int64 // offset at which the disk was last asked for room
	sum    hash.Hash
}

// begin opens the part of a file, where an earlier stream left it. done means that the file is here in full already. right is
// the digest of a file that may stay when another is offered, empty for none: any other is not what it should be, and goes.
func (s *store) begin(site edge.SiteID, final string, size int64, want [32]byte, right []byte) (in *incoming, done bool, err error) {
	if err := os.MkdirAll(filepath.Dir(final), 0o750); err != nil {
		return nil, false, err
	}
	there, err := fileDigest(final)
	switch {
	case err != nil:
		return nil, false, err
	case bytes.Equal(there, want[:]):
		return nil, true, nil
	case there != nil && bytes.Equal(there, right):
		return nil, false, errDiffers
	case there != nil: // restored from a backup that was cut short, or rotten: kept for who wants to know, out of the way
		if err := durable.Rename(final, final+badExt); err != nil {
			return nil, false, err
		}
	}
	in = &incoming{st: s, site: site, final: final, size: size, want: want, sum: sha256.New()}
	// The digest is in the part's name: what is left of another file under the same id is never continued.
	in.part = fmt.Sprintf("%s.%x%s", final, want[:4], partExt)
	in.left.Store(size)
	if fi, err := os.Stat(in.part); err == nil && fi.Size() <= size {
		in.left.Store(size - fi.Size())
	}
	old, err := s.reserve(in)
	if err != nil {
		return nil, false, err
	}
	if old != nil {
		old.close()
	}
	s.sweep(final, in.part)
	defer func() {
		if err != nil {
			s.forget(in)
			in = nil
		}
	}()
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.f, err = os.OpenFile(in.part, os.O_CREATE|os.O_RDWR, 0o640); err != nil {
		return in, false, err
	}
	if in.offset, err = io.Copy(in.sum, in.f); err == nil && in.offset > size {
		in.offset = 0
		in.sum.Reset()
		if err = in.f.Truncate(0); err == nil {
			_, err = in.f.Seek(0, io.SeekStart)
		}
	}
	if err != nil {
		in.f.Close()
		in.f = nil
		return in, false, err
	}
	in.left.Store(size - in.offset)
	in.asked = in.offset
	return in, false, nil
}

// sweep removes parts of other files that were offered under the same name.
func (s *store) sweep(final, keep string) {
	parts, err := filepath.Glob(final + ".*" + partExt)
	if err != nil {
		return // the pattern is ours: ids have no wildcards
	}
	for _, p := range parts {
		if p != keep {
			os.Remove(p)
		}
	}
}

// write appends a chunk and returns the new offset.
func (in *incoming) write(offset int64, data []byte) (int64, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.f == nil:
		return 0, errTaken
	case offset != in.offset || int64(len(data)) > in.size-offset:
		return 0, errProtocol
	}
	if in.offset-in.asked >= askEvery {
		if room, err := in.st.room(); err != nil || room == 0 {
			return in.offset, cmp.Or(err, errFull)
		}
		in.asked = in.offset
	}
	n, err := in.f.Write(data)
	in.sum.Write(data[:n])
	in.offset += int64(n)
	in.left.Store(in.size - in.offset)
	if errors.Is(err, syscall.ENOSPC) {
		return in.offset, errFull
	}
	return in.offset, err
}

// finish checks the digest and gives the file its name; on nil it is durable.
func (in *incoming) finish() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.f == nil {
		return errTaken
	}
	if in.offset != in.size {
		return errProtocol
	}
	f := in.f
	in.f = nil
	defer in.st.forget(in)
	if !bytes.Equal(in.sum.Sum(nil), in.want[:]) {
		f.Close()
		os.Remove(in.part)
		return errDigest
	}
	err := f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(in.part) // after a failed fsync nobody knows what is on the disk
		return err
	}
	edge.Crash("soc digest checked before rename")
	if err := durable.Rename(in.part, in.final); err != nil {
		return err
	}
	in.st.keep(in.site, in.size)
	return nil
}

// close leaves the part for a later stream.
func (in *incoming) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.f != nil {
		in.f.Close()
		in.f = nil
	}
	in.st.forget(in)
}

func (s *store) forget(in *incoming) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[in.final] == in {
		delete(s.open, in.final)
	}
}

// mismatched counts a wrong digest; it says whether the box may try again.
func (s *store) mismatched(final string) (again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wrong) > 10_000 {
		clear(s.wrong) // a hostile box buys itself more tries, not our memory
	}
	s.wrong[final]++
	return s.wrong[final] < maxWrong
}

// fileDigest is that of the file, nil when there is none.
func fileDigest(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}
