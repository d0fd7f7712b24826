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
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"sitewatch/edge"
	"sitewatch/uplink/durable"
	"sitewatch/uplink/wire"
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
	files map[edge.SiteID]int  // how many of them each site has
	kept  usage                // files that are complete, and what has come of clips that grow
	fresh usage                // what of it has come since the present count of all began

	// aside is told what was kept when another film of the clip came, and what went; it may be called with locks held.
	aside func(site edge.SiteID, final string, kept, gone int64)
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
	s := &store{dir: dir, free: free, open: map[string]*incoming{}, wrong: map[string]int{},
		files: map[edge.SiteID]int{}, kept: usage{}, fresh: usage{}, aside: func(edge.SiteID, string, int64, int64) {}}
	s.avail = s.statfs
	return s, nil
}

// incoming is one file on its way. Its fields are guarded by mu: a newer stream may take the file away.
type incoming struct {
	st    *store
	site  edge.SiteID
	final string
	part  string
	grown bool         // the part is of a clip that came while it was being cut
	left  atomic.Int64 // bytes that are still to come, for the store to read

	mu      sync.Mutex
	f       *os.File // nil: finished, failed or taken over
	growing bool     // its size and digest are not known yet
	want    [32]byte
	size    int64
	offset  int64
	counted int64 // bytes that its site's share has already
	asked   int64 // offset at which the disk was last asked for room
	sum     hash.Hash
}

// offered is a file that a box has.
type offered struct {
	site          edge.SiteID
	final         string // where it is to be
	size          int64
	want          [32]byte
	right         []byte // the digest of a file that may stay when another is offered, empty for none: any other goes
	growing, anew bool
}

// begin opens the part of a file, where an earlier stream left it. done means that the file is here in full already.
func (s *store) begin(o offered) (in *incoming, done bool, err error) {
	if err := os.MkdirAll(filepath.Dir(o.final), 0o750); err != nil {
		return nil, false, err
	}
	there, err := fileDigest(o.final)
	switch {
	case err != nil:
		return nil, false, err
	case o.growing && there != nil:
		return nil, false, errDiffers
	case o.growing:
	case bytes.Equal(there, o.want[:]):
		return nil, true, nil
	case there != nil && bytes.Equal(there, o.right):
		return nil, false, errDiffers
	case there != nil: // restored from a backup that was cut short, or rotten: kept for who wants to know, out of the way
		if err := durable.Rename(o.final, o.final+badExt); err != nil {
			return nil, false, err
		}
	}
	in = &incoming{st: s, site: o.site, final: o.final, size: o.size, want: o.want, growing: o.growing, sum: sha256.New()}
	in.mu.Lock() // whoever takes over from this one waits until it can be closed
	defer in.mu.Unlock()
	part, another, err := partOf(o)
	if err != nil {
		return nil, false, err
	}
	in.part = part
	in.grown = strings.HasSuffix(in.part, growExt)
	in.left.Store(in.rest())
	if fi, err := os.Stat(in.part); err == nil && fi.Size() <= o.size && !o.growing {
		in.left.Store(o.size - fi.Size())
	}
	old, err := s.reserve(in)
	if err != nil {
		return nil, false, err
	}
	if old != nil {
		old.close()
	}
	opened := in
	defer func() {
		if err != nil {
			s.forget(opened)
		}
	}()
	if another {
		if err = s.setAside(o.site, o.final, o.final+growExt); err != nil {
			return nil, false, err
		}
	}
	s.sweep(in)
	if in.f, err = os.OpenFile(in.part, os.O_CREATE|os.O_RDWR, 0o640); err != nil {
		return nil, false, err
	}
	if err = in.resume(); err != nil {
		in.f.Close()
		in.f = nil
		return nil, false, err
	}
	return in, false, nil
}

// resume reads what there is of the part, as far as it is of use. What came while the clip was being cut is not shortened before
// the clip is stored.
func (in *incoming) resume() error {
	fi, err := in.f.Stat()
	if err != nil {
		return err
	}
	have := fi.Size()
	if in.grown {
		in.counted = have
	} else if have > in.size {
		if err := in.f.Truncate(0); err != nil {
			return err
		}
	}
	if in.offset, err = io.Copy(in.sum, io.LimitReader(in.f, in.most())); err != nil {
		return err
	}
	in.left.Store(in.rest())
	in.asked = in.offset
	return nil
}

// rest is how many bytes are to be kept free for the file.
func (in *incoming) rest() int64 {
	if in.growing {
		return growAhead
	}
	return in.size - in.offset
}

// sweep puts aside what there is of other films under the same name, and removes parts of other stills.
func (s *store) sweep(in *incoming) {
	parts, err := filepath.Glob(in.final + ".*" + partExt)
	if err != nil {
		return // the pattern is ours: ids have no wildcards
	}
	for _, p := range parts {
		switch {
		case p == in.part, p == in.final+growExt, p == in.final+oldExt:
		case strings.HasSuffix(in.final, ".mp4"):
			_ = s.setAside(in.site, in.final, p) // if it cannot be, it stays
		default:
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
	case offset != in.offset || int64(len(data)) > in.most()-offset:
		return 0, errProtocol
	}
	if in.offset-in.asked >= askEvery {
		if room, err := in.st.room(); err != nil || room == 0 {
			return in.offset, cmp.Or(err, errFull)
		} else if in.growing && in.st.over(in.site, room) { // of a complete file all has been promised
			return in.offset, errShare
		}
		in.asked = in.offset
	}
	n, err := in.f.Write(data)
	in.sum.Write(data[:n])
	in.offset += int64(n)
	in.left.Store(in.rest())
	if in.grown {
		in.st.count(in.site, int64(n))
		in.counted += int64(n)
	}
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
	if in.growing || in.offset != in.size {
		return errProtocol
	}
	f := in.f
	in.f = nil
	defer in.st.forget(in)
	if !bytes.Equal(in.sum.Sum(nil), in.want[:]) {
		f.Close()
		in.fail()
		return errDigest
	}
	var err error
	if in.counted > in.size { // the box was killed, and has less than it had sent
		err = f.Truncate(in.size)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		in.fail() // after a failed fsync nobody knows what is on the disk
		return err
	}
	edge.Crash("soc digest checked before rename")
	if err := durable.Rename(in.part, in.final); err != nil {
		return err
	}
	in.st.count(in.site, in.size-in.counted)
	in.st.dropAside(in.site, in.final)
	return nil
}

// fail takes the part out of the way of the next try.
func (in *incoming) fail() {
	if !in.grown || in.st.setAside(in.site, in.final, in.part) != nil {
		os.Remove(in.part)
		in.st.count(in.site, -in.counted)
	}
}

// most is how large the file may become.
func (in *incoming) most() int64 {
	if in.growing {
		return wire.MaxClipBytes
	}
	return in.size
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
		if s.files[in.site]--; s.files[in.site] == 0 {
			delete(s.files, in.site)
		}
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

// digestPart is where the bytes of a finished file go.
func digestPart(final string, sha [32]byte) string {
	return fmt.Sprintf("%s.%x%s", final, sha[:4], partExt)
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
