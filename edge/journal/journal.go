// Package journal keeps what happened on the box in one SQLite file, and the rows of the clips that belong to it.
//
// It owns Dir/journal.db, Dir/clips and the lock file beside them; SCHEMA.md describes all of it. Events are numbered
// without gaps, chained by hash and durable before Append returns. The outbox is the journal read from a cursor per lane.
// All methods may be called from any goroutine. Every write goes through the one writer, Run: without it writes wait.
// It never sends anything anywhere and never decides what an event means.
package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"sitewatch/edge"
)

// What callers branch on.
var (
	ErrClosed    = errors.New("journal: closed")
	ErrBusy      = errors.New("journal: another process has it open")
	ErrFull      = errors.New("journal: no room on the disk")
	ErrTooBig    = errors.New("journal: event is over the size limit")
	ErrNewer     = errors.New("journal: file was made by a newer program")
	ErrNoClip    = errors.New("journal: no such clip")
	ErrAckBeyond = errors.New("journal: ack is beyond the last event")
)

// Defaults and floors of the limits.
const (
	DefaultLimitBytes     = 1 << 30
	DefaultClipLimitBytes = 20 << 30
	DefaultKeepAge        = 90 * 24 * time.Hour
	minLimitBytes         = 512 << 10
)

// Options of Open. Dir, Site, Clock and Log are needed.
type Options struct {
	Dir            string
	Site           edge.SiteID
	Clock          edge.Clock
	Log            *slog.Logger
	LimitBytes     int64                                // of the database file; 0: DefaultLimitBytes
	ClipLimitBytes int64                                // of all files in Dir/clips together; 0: DefaultClipLimitBytes
	KeepAge        time.Duration                        // how long events stay after the SOC has acked them, if there is room; 0: DefaultKeepAge
	Sign           func(message []byte) ([]byte, error) // signs anchors and gaps with the box's key; nil: they stay unsigned
	Signer         func() (edge.Signer, bool)           // the key for checkpoints and manifests; nil, false: there is none (yet)
	Version        string                               // of this program, for manifests

	endWhenFull bool  // Run ends when an event found no room: somebody else knows what to do
	memory      bool  // Dir is no disk: no reserve is kept there
	checkBytes  int64 // in tests: how large a file is read whole at Open; 0: checkBytes
}

// Journal is one open journal. Make one with Open, let its Run run, Close it after Run has returned.
type Journal struct {
	opt   Options
	id    edge.JournalID
	lock  *os.File
	write *sql.DB // one connection, the writer's
	read  *sql.DB // a few connections that can only read
	store *store  // prepared statements of the write connection; the writer's alone

	queue   chan *request // requests that wait for the writer; see queueLen
	closed  chan struct{} // closed when nothing will ever be written again
	closing sync.Once
	running atomic.Bool
	last    atomic.Uint64

	head    head        // the writer's alone
	rowHead head        // what the file's own row says; the writer's alone
	cursors [3]edge.Seq // by lane; the writer's alone

	mark     *os.File // nil: nothing to write to
	marked   mark     // what is written there; the writer's alone
	markTold bool     // the log has heard that it cannot be written

	checkBytes int64      // how large a file is read whole at Open
	checked    bool       // all of the file was read since it was opened
	damage     error      // why Run has ended for good; the writer's alone
	broken     chan error // capacity 1: damage that somebody met; read by Run
	salvages   []*salvage // what is still carried over; the writer's alone
	carryWait  bool       // the last try to carry over failed: not before the next tick
	salvaging  string     // folder of a journal whose tables were taken over by this Open

	space spaceUse // the writer's alone
	full  bool     // there is no reserve; the writer's alone
	// onReserve: there was one, and it was given up; the writer's alone.
	onReserve bool
	// fullTold: the event that says so is journalled; the writer's alone.
	fullTold bool
	unsaid   []doomed             // clips given up for room whose rows could not be written yet; the writer's alone
	open     openClips            // the writer's alone
	ends     map[edge.ClipID]bool // clips that are being cut and whose end stays; the writer's alone
	shrunk   edge.Stamp           // last try to shrink the write-ahead log; the writer's alone
	aged     edge.Stamp           // last look for events that are old enough to go; the writer's alone

	lanes   [3]notifier // by lane
	clips   notifier
	uploads notifier
	memory  memory
	signing signing
}

// ClipDir is where clip files belong. A file name must begin with the id of its clip; other files are removed at Open.
func (j *Journal) ClipDir() string { return filepath.Join(j.opt.Dir, "clips") }

// Path is the database file.
func (j *Journal) Path() string { return filepath.Join(j.opt.Dir, "journal.db") }

// ID names this life of the journal: a new file has a new one.
func (j *Journal) ID() edge.JournalID { return j.id }

// Last is the seq of the newest committed event, 0 when there is none.
func (j *Journal) Last() edge.Seq { return edge.Seq(j.last.Load()) }

// Close releases the files. Call it after Run has returned; waiting writers get ErrClosed.
func (j *Journal) Close() error {
	j.Stop()
	for _, s := range j.salvages {
		s.carver.close()
	}
	err := errors.Join(j.store.close(), j.read.Close(), j.write.Close())
	if j.mark != nil {
		err = errors.Join(err, j.mark.Close())
	}
	return errors.Join(err, j.lock.Close())
}

// Stop gives ErrClosed to everybody who waits, now and later: Run has failed, and nobody will run it again.
func (j *Journal) Stop() { j.closing.Do(func() { close(j.closed) }) }

// Changed returns a channel that is closed by the next commit that adds to the lane. Get it first, then Read.
func (j *Journal) Changed(lane edge.Lane) <-chan struct{} {
	if lane != edge.Urgent && lane != edge.Routine {
		return nil // nothing is ever added: never ready
	}
	return j.lanes[lane].wait()
}

// ClipsChanged returns a channel that is closed when the next clip is wanted. Get it first, then WantedClips.
func (j *Journal) ClipsChanged() <-chan struct{} { return j.clips.wait() }

// UploadsChanged returns a channel that is closed when the next file is ready to go. Get it first, then NextUpload.
func (j *Journal) UploadsChanged() <-chan struct{} { return j.uploads.wait() }

// notifier wakes everybody who waits.
type notifier struct {
	mu sync.Mutex
	ch chan struct{} // closed and forgotten by wake
}

func (n *notifier) wait() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ch == nil {
		n.ch = make(chan struct{})
	}
	return n.ch
}

func (n *notifier) wake() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ch != nil {
		close(n.ch)
		n.ch = nil
	}
}

// check fills in defaults and says what is missing.
func (o *Options) check() error {
	if o.Dir == "" || o.Site == "" || o.Clock == nil || o.Log == nil {
		return errors.New("journal: Dir, Site, Clock and Log are needed")
	}
	if o.LimitBytes == 0 {
		o.LimitBytes = DefaultLimitBytes
	}
	if o.ClipLimitBytes == 0 {
		o.ClipLimitBytes = DefaultClipLimitBytes
	}
	if o.KeepAge == 0 {
		o.KeepAge = DefaultKeepAge
	}
	if o.LimitBytes < minLimitBytes {
		return fmt.Errorf("journal: limit of %d bytes is under the least of %d", o.LimitBytes, minLimitBytes)
	}
	return nil
}

// readRow runs a query for one row on a read connection.
func (j *Journal) readRow(ctx context.Context, query string, args []any, dest ...any) error {
	return j.read.QueryRowContext(ctx, query, args...).Scan(dest...)
}
