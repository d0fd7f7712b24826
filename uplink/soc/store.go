package soc

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"sync"
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
	dir  string
	free uint64

	mu    sync.Mutex
	open  map[string]*incoming // by final path: the newest stream that offers a file has it
	wrong map[string]int       // files that came with a wrong digest, how often
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
	return &store{dir: dir, free: free, open: map[string]*incoming{}, wrong: map[string]int{}}, nil
}

// incoming is one file on its way. Its fields are guarded by mu: a newer stream may take the file away.
type incoming struct {
	st    *store
	final string
	part  string
	want  [32]byte
	size  int64

	mu     sync.Mutex
	f      *os.File // nil: finished, failed or taken over
	offset int64
	sum    hash.Hash
}

// begin opens the part of a file, where an earlier stream left it. done means that the file is here in full already.
func (s *store) begin(final string, size int64, want [32]byte) (in *incoming, done bool, err error) {
	if err := os.MkdirAll(filepath.Dir(final), 0o750); err != nil {
		return nil, false, err
	}
	if there, err := sameFile(final, size, want); err != nil || there {
		return nil, there, err
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(s.dir, &fs); err != nil {
		return nil, false, fmt.Errorf("statfs: %w", err)
	}
	if fs.Bavail*uint64(fs.Bsize) < s.free+uint64(size) {
		return nil, false, errFull
	}
	in = &incoming{st: s, final: final, size: size, want: want, sum: sha256.New()}
	// The digest is in the part's name: what is left of another file under the same id is never continued.
	in.part = fmt.Sprintf("%s.%x.part", final, want[:4])
	s.mu.Lock()
	old := s.open[final]
	s.open[final] = in
	s.mu.Unlock()
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
	return in, false, nil
}

// sweep removes parts of other files that were offered under the same name.
func (s *store) sweep(final, keep string) {
	parts, err := filepath.Glob(final + ".*.part")
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
	n, err := in.f.Write(data)
	in.sum.Write(data[:n])
	in.offset += int64(n)
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
	return durable.Rename(in.part, in.final)
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

// sameFile says whether path is there with this digest; errDiffers when it is there with another.
func sameFile(path string, size int64, want [32]byte) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return false, err
	}
	if n != size || !bytes.Equal(h.Sum(nil), want[:]) {
		return false, errDiffers
	}
	return true, nil
}
