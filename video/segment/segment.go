// Package segment keeps what cameras sent on disk: files of whole GOPs, one shelf of them for each camera, within a quota.
//
// A Writer takes pictures and sound without ever waiting; the Store's Run brings them to disk and syncs them each second, so that a power
// cut costs the second that was not synced. When the disk is slower than the cameras whole GOPs are left out, and the next
// unit says how many. A disk that fails ends the recording of that camera until it works again, and nothing else (P5). The
// oldest files go first, over all cameras, and what is held for evidence goes last. FORMAT.md has the files byte by byte.
//
// From gives a Reader of what is on disk, and Follow one that goes on in the ring; both read beside the writer, as many as there are.
// Methods may be called from any goroutine, but for a Reader's, and Push of one Writer: one goroutine at a time.
package segment

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"sync"
	"time"

	"sitewatch/edge"
)

// Options describe a Store.
type Options struct {
	Dir     string                   // made when it is not there
	Cameras map[edge.CameraID]Camera // that are recorded. What is there of others can be read, and gives way like any; all of it a week after nobody is recorded
	// LimitBytes bounds all files together, whatever the cameras' own quotas are. 0: only the disk does.
	LimitBytes int64
	// MinFreeBytes of the disk are left for clips and the journal, 192 MiB when zero: below, files are deleted, and when that does
	// not help nothing is recorded until there is room again.
	MinFreeBytes int64
	Clock        edge.Clock
	Log          *slog.Logger
	// Held returns the spans whose pictures somebody will still need. It is asked before files are deleted. nil: none.
	Held func(ctx context.Context) ([]Span, error)
	// Report is told of a trouble and of its end, once each. nil: nobody.
	Report func(ctx context.Context, t Trouble)

	Create func(path string) (File, error)                 // nil: a file of the operating system
	Free   func(dir string) (free, total int64, err error) // nil: ask the kernel
}

// Camera is what is special about one camera.
type Camera struct {
	LimitBytes int64 // its own quota; 0: what Options.LimitBytes leaves
}

// Span is a stretch of one camera's time that must be kept, by the wall clock.
type Span struct {
	Camera   edge.CameraID
	From, To time.Time
}

// Bounds.
const (
	// every is how often what came is written and synced: with what that takes itself it stays below a second.
	every = 900 * time.Millisecond
	// pendingBytes bounds what waits for the disk, of one camera and of all together. The data is shared with the ring.
	pendingBytes    = 8 << 20
	pendingBytesAll = 128 << 20

	minFileBytes = 256 << 10
	maxFileBytes = 64 << 20
	maxFileTime  = 15 * time.Minute
	maxGOPs      = 4096 // in a file
	// maxStep is how far the wall clock may move against the boot clock within a file.
	maxStep = time.Second

	minFreeBytes = 192 << 20
)

// Store is made by Open.
type Store struct {
	opt     Options
	line    uint64 // of this run
	shelves map[edge.CameraID]*shelf
	order   []*shelf // by camera
	wake    chan struct{}

	device device

	mu     sync.Mutex
	number uint64 // of the next file
	holds  map[*hold]struct{}
	full   bool // too little of the disk is free
	unused unused
}

func newLine() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}
