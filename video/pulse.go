package video

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Beat is how often what cameras have sent is taken in and handed on. Nearly all that a small picture costs is waking up for it.
const Beat = 50 * time.Millisecond

// BeatBytes is how much of one stream is read at once.
const BeatBytes = 64 << 10

// Pulse has all streams read at the same moments, so that the program wakes once for all of them. It is a timer of the kernel: one of Go's
// wakes a second thread each time.
type Pulse struct {
	mu   sync.Mutex
	next chan struct{} // closed by the next beat

	buffers sync.Pool // as many as are read at once, not as there are streams
}

// NewPulse returns a Pulse that stands still until Run.
func NewPulse() *Pulse { return &Pulse{next: make(chan struct{})} }

// Next returns what is closed on the next beat. Any goroutine may call it.
func (p *Pulse) Next() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next
}

// Buffer returns one to read into, with anything in it.
func (p *Pulse) Buffer() *[BeatBytes]byte {
	if b, ok := p.buffers.Get().(*[BeatBytes]byte); ok {
		return b
	}
	return new([BeatBytes]byte)
}

// Return gives it back.
func (p *Pulse) Return(b *[BeatBytes]byte) { p.buffers.Put(b) }

// Run beats until ctx ends.
func (p *Pulse) Run(ctx context.Context) error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("pulse: %w", err)
	}
	f := os.NewFile(uintptr(fd), "pulse")
	defer f.Close()
	every := unix.NsecToTimespec(int64(Beat))
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil); err != nil {
		return fmt.Errorf("pulse: %w", err)
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("pulse: %w", err)
	}
	defer context.AfterFunc(ctx, func() { f.SetReadDeadline(time.Unix(1, 0)) })()
	var beats [8]byte
	for {
		err := raw.Read(func(fd uintptr) bool {
			n, errno := ReadNow(int(fd), beats[:])
			return n > 0 || errno != unix.EAGAIN
		})
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("pulse: %w", err)
		}
		p.mu.Lock()
		close(p.next)
		p.next = make(chan struct{})
		p.mu.Unlock()
	}
}

// ReadNow reads from a descriptor that never blocks. The runtime is not told of the call: for one that it is told of it wakes a thread of its
// own, to see whether it takes long.
func ReadNow(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// WriteNow is the same for writing.
func WriteNow(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
