// Package preview makes H.264 copies, smaller than the original, of clips that a browser cannot play. It runs ffmpeg, as a child
// with bounds on its time, memory and output. It reads the clip from a pipe and writes to one file that is open. Where the kernel
// allows it, without any privilege, the child has no network, sees no other process, opens no file but programs and libraries and
// changes none (user namespaces and Landlock). Where it does not, which the log says once, a clip that breaks the decoder and then
// runs code of its own can do what the SOC's user can. Not bounded in any case: which calls of the kernel it makes, and the modes and
// times of the SOC's files.
//
// A preview is made when somebody asks for it and kept in a folder of a bounded size, the least used going first. It never touches
// the clip, which stays the evidence. A Maker starts no goroutine that outlives a call and may be used by any number at once.
package preview

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"sitewatch/edge"
)

// Options of a Maker. Dir, Room, Clock and Log are needed.
type Options struct {
	Dir   string                 // of the previews alone; it is made
	Room  func() (uint64, error) // bytes that the disk has for clips
	Clock edge.Clock
	Log   *slog.Logger

	FFmpeg     string        // the program; "": ffmpeg of the PATH
	LimitBytes int64         // of all previews; 0: 1 GiB
	Timeout    time.Duration // for one; 0: 3 min
}

// Errors that whoever asks can do something about.
var (
	ErrMissing    = errors.New("no preview can be made: install ffmpeg on the SOC; the clip itself can be downloaded")
	ErrBusy       = errors.New("too many previews are being made; ask again in a minute")
	ErrFull       = errors.New("the SOC has no room for a preview at the moment; the clip itself can be downloaded")
	ErrUnplayable = errors.New("no preview could be made of this clip; the clip itself can be downloaded")
	ErrTimeout    = errors.New("making a preview took too long; the clip itself can be downloaded")
)

const (
	atOnce      = 2         // children
	waitMost    = 8         // previews that wait for their turn
	outputMost  = 256 << 20 // of one preview
	outputLeast = 16 << 20  // below so much room none is begun
)

// Maker makes previews.
type Maker struct {
	o     Options
	turns chan struct{} // capacity atOnce: one for each child
	queue chan struct{} // capacity atOnce+waitMost: a place for each preview that is made or waits; refused when there is none

	mu     sync.Mutex
	making map[string]*work // by name

	shared, open sync.Once // told that the child is not confined in the one way or the other
	writable     []string  // folders that a test's program may change
}

// work is one preview that is being made.
type work struct {
	done chan struct{} // closed when it is over
	err  error         // then
}

// New returns a Maker.
func New(o Options) (*Maker, error) {
	if o.FFmpeg == "" {
		o.FFmpeg = "ffmpeg"
	}
	if o.LimitBytes == 0 {
		o.LimitBytes = 1 << 30
	}
	if o.Timeout == 0 {
		o.Timeout = 3 * time.Minute
	}
	if err := os.MkdirAll(o.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("previews: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(o.Dir, "*"+tempExt))
	if err != nil {
		return nil, fmt.Errorf("previews: %w", err)
	}
	for _, name := range left { // of a process that was killed
		os.Remove(name)
	}
	return &Maker{o: o, turns: make(chan struct{}, atOnce), queue: make(chan struct{}, atOnce+waitMost), making: map[string]*work{}}, nil
}

// Of opens the preview of the first size bytes of a clip, and makes it when there is none. Who asks for one that is being made
// waits for it. The caller closes it.
func (m *Maker) Of(ctx context.Context, id edge.ClipID, clip string, size int64) (*os.File, error) {
	if !edge.ValidID(string(id)) {
		return nil, ErrUnplayable
	}
	name := fmt.Sprintf("%s-%d.mp4", id, size)
	path := filepath.Join(m.o.Dir, name)
	for {
		if f, err := os.Open(path); err == nil {
			now := m.o.Clock.Now().Wall
			_ = os.Chtimes(path, now, now) // it is in use: others go first
			return f, nil
		}
		w, mine := m.claim(name)
		if !mine {
			select {
			case <-w.done:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			if w.err != nil && !errors.Is(w.err, context.Canceled) {
				return nil, w.err
			}
			continue // it is there, or who made it has gone and it is our turn
		}
		w.err = m.make(ctx, id, clip, size, path)
		m.mu.Lock()
		delete(m.making, name)
		m.mu.Unlock()
		close(w.done)
		if w.err != nil {
			return nil, w.err
		}
	}
}

// Newest opens the preview that there is of a clip, of its first size bytes, and says when it was made or last opened by Of. It makes
// none: f is nil. The caller closes it.
func (m *Maker) Newest(id edge.ClipID) (f *os.File, size int64, made time.Time) {
	if !edge.ValidID(string(id)) {
		return nil, 0, time.Time{}
	}
	names, err := filepath.Glob(filepath.Join(m.o.Dir, string(id)+"-*.mp4"))
	if err != nil {
		return nil, 0, time.Time{}
	}
	for _, name := range names { // one, but for the moment in which it is replaced
		n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimPrefix(filepath.Base(name), string(id)+"-"), ".mp4"), 10, 64)
		if err != nil || n < size {
			continue
		}
		g, err := os.Open(name)
		if err != nil {
			continue
		}
		fi, err := g.Stat()
		if err != nil {
			g.Close()
			continue
		}
		if f != nil {
			f.Close()
		}
		f, size, made = g, n, fi.ModTime()
	}
	return f, size, made
}

// claim returns the work on a preview; mine says that the caller is to do it.
func (m *Maker) claim(name string) (w *work, mine bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w, ok := m.making[name]; ok {
		return w, false
	}
	w = &work{done: make(chan struct{})}
	m.making[name] = w
	return w, true
}

// Forget removes the previews of a clip.
func (m *Maker) Forget(id edge.ClipID) {
	old, err := filepath.Glob(filepath.Join(m.o.Dir, string(id)+"-*.mp4"))
	if err != nil || !edge.ValidID(string(id)) {
		return
	}
	for _, name := range old {
		os.Remove(name)
	}
}
