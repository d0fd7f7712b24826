package segment

import (
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"sitewatch/edge"
	"sitewatch/video"
)

// book is one file of a shelf. What changes is guarded by Store.mu.
type book struct {
	number uint64
	wall   time.Time     // of its first picture, in whole milliseconds: from the name
	sealed bool          // its name ends in .seg
	bytes  int64         // may be read; of one that is being written it grows
	live   bool          // it is being written
	mendAt time.Duration // when to try to seal it again, Mono

	mu   sync.Mutex // held while the file is read for info; taken without Store.mu
	info *info      // nil: not read yet. Of one that is being written it is the writer's, guarded by Store.mu
}

// shelf is everything of one camera.
type shelf struct {
	store  *Store
	camera edge.CameraID
	opt    Camera
	dir    string
	w      *Writer // nil: nothing is recorded any more
	target int64   // a file that has so many bytes ends with its GOP
	most   int64   // a file never has more: the rest of its GOP is left out

	books []*book // by number; guarded by Store.mu
	write writing // Run's alone
	state state   // guarded by Store.mu
}

// Open looks which files there are, by their names alone, and writes nothing: neither many files nor a disk that fails keep a box from
// starting. A directory that cannot be read counts as empty until the next start.
func Open(opt Options) *Store {
	if opt.MinFreeBytes <= 0 {
		opt.MinFreeBytes = minFreeBytes
	}
	if opt.Create == nil {
		opt.Create = createFile
	}
	if opt.Free == nil {
		opt.Free = statfsFree
	}
	s := &Store{opt: opt, line: newLine(), shelves: map[edge.CameraID]*shelf{}, holds: map[*hold]struct{}{}, wake: make(chan struct{}, 1), number: 1}
	for _, id := range slices.Sorted(maps.Keys(opt.Cameras)) {
		sh := s.newShelf(id)
		sh.opt = opt.Cameras[id]
		limit := opt.LimitBytes
		if limit <= 0 {
			limit = math.MaxInt64
		}
		share := limit / int64(len(opt.Cameras))
		if sh.opt.LimitBytes > 0 {
			share = min(sh.opt.LimitBytes, limit)
		}
		sh.w = newWriter(min(pendingBytes, pendingBytesAll/int64(len(opt.Cameras))))
		sh.target, sh.most = min(max(share/8, minFileBytes), maxFileBytes), min(max(share/2, minFileBytes), 4*maxFileBytes)
	}
	entries, _ := os.ReadDir(opt.Dir) // not there yet, or not to be read: then writing says why
	for _, e := range entries {
		if id := edge.CameraID(e.Name()); e.IsDir() && edge.ValidID(e.Name()) && s.shelves[id] == nil {
			s.newShelf(id) // of a camera that is not recorded any more: read it, and count what it takes
		}
	}
	s.device = deviceOf(opt.Dir)
	s.unused.passed = s.readUnused()
	return s
}

func (s *Store) newShelf(id edge.CameraID) *shelf {
	sh := &shelf{store: s, camera: id, dir: filepath.Join(s.opt.Dir, string(id))}
	s.shelves[id], s.order = sh, append(s.order, sh)
	s.list(sh)
	return sh
}

// list reads a shelf's directory.
func (s *Store) list(sh *shelf) {
	entries, err := os.ReadDir(sh.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		number, wall, sealed, ok := parseName(e.Name())
		if !ok || !e.Type().IsRegular() {
			continue
		}
		st, err := e.Info()
		if err != nil {
			continue
		}
		s.number = max(s.number, number+1)
		sh.books = append(sh.books, &book{number: number, wall: wall, sealed: sealed, bytes: st.Size()})
	}
}

// Writer returns the writer of a camera, nil when it is none of Options.Cameras.
func (s *Store) Writer(c edge.CameraID) *Writer {
	if sh := s.shelves[c]; sh != nil {
		return sh.w
	}
	return nil
}

// path is where a book lies now. Store.mu is held.
func (sh *shelf) path(b *book) string { return sh.name(b, b.sealed) }

func (sh *shelf) name(b *book, sealed bool) string {
	ext := writingExt
	if sealed {
		ext = sealedExt
	}
	return filepath.Join(sh.dir, stem(b.number, b.wall)+ext)
}

// open opens a book for reading. It may be sealed, and so renamed, meanwhile.
func (sh *shelf) open(b *book) (f *os.File, err error) {
	for range 2 {
		sh.store.mu.Lock()
		path := sh.path(b)
		sh.store.mu.Unlock()
		if f, err = os.Open(path); err == nil || !os.IsNotExist(err) {
			return f, err
		}
	}
	return nil, err
}

// read returns what a book holds, reading it once if it must. For one that is being written it is what is there so far.
func (sh *shelf) read(b *book) (info, error) {
	s := sh.store
	b.mu.Lock()
	defer b.mu.Unlock()
	s.mu.Lock()
	if b.info != nil {
		i := *b.info
		s.mu.Unlock()
		return i, nil
	}
	size := b.bytes
	s.mu.Unlock()
	f, err := sh.open(b)
	if err != nil {
		return info{}, err
	}
	defer f.Close()
	i, err := readInfo(f, size)
	if err != nil {
		if i, err = scan(f, size); err != nil {
			return info{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !b.sealed { // found by a scan, which is worth keeping; what the end of a file says is read again
		b.info = &i
	}
	return i, nil
}

// first returns the header of a book alone: what a search needs.
func (sh *shelf) first(b *book) (header, error) {
	s := sh.store
	s.mu.Lock()
	if b.info != nil {
		h := b.info.head
		s.mu.Unlock()
		return h, nil
	}
	size := b.bytes
	s.mu.Unlock()
	f, err := sh.open(b)
	if err != nil {
		return header{}, err
	}
	defer f.Close()
	h, _, err := readHeader(f, size)
	return h, err
}

// list of the books at this moment, oldest first.
func (sh *shelf) all() []*book {
	sh.store.mu.Lock()
	defer sh.store.mu.Unlock()
	return append([]*book(nil), sh.books...)
}

// after returns the book behind number, nil when there is none.
func (sh *shelf) after(number uint64) *book {
	sh.store.mu.Lock()
	defer sh.store.mu.Unlock()
	for _, b := range sh.books {
		if b.number > number {
			return b
		}
	}
	return nil
}

// writing is the file that Run has open for a shelf.
type writing struct {
	file   File
	book   *book
	size   int64
	salt   uint32
	sound  *video.AudioParams // that the present GOP has parameters of
	clocks edge.Stamp         // of the first unit: the wall clock must keep step with it
	cut    bool               // the rest of the present GOP is left out
	newest time.Time          // arrival of the last unit that was written
	fresh  bool               // the directory does not have the file for sure yet
	dirty  bool               // written since the last sync
	closed []*sealing         // to be synced and renamed
	owed   uint32             // units that are not recorded since the last one that is

	pieces [][]byte // what flush will write
	heads  []byte   // of them, what was made here
	index  []entry
	units  int
	told   uint32 // units that pieces says are not recorded
	last   video.AccessUnit
}

type sealing struct {
	file File
	book *book
}

// state is how the recording of a camera is.
type state struct {
	trouble  string        // why nothing is recorded, "" while it is
	retry    time.Duration // Mono at which it is tried again
	pause    time.Duration
	written  uint64    // bytes since Open
	synced   time.Time // arrival of the last unit that was synced
	lossy    uint64    // dropped units when they were last looked at
	lossyAt  time.Duration
	reported string
	rate     rate
	given    uint64 // files deleted
	unheld   uint64 // of which held ones
}
