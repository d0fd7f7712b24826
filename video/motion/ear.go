package motion

import (
	"context"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"sitewatch/video"
)

// ear is the gateway's end of what an eye says, taken on each beat: an eye names every picture that it takes in hand, and each time would
// wake the gateway. The runtime's poller does not know the descriptor.
type ear struct {
	fd    int
	pulse *video.Pulse
	ended <-chan struct{} // the conversation is over: what was said before is still heard
}

// earBytes is what an eye may say from beat to beat without waiting: a JPEG of the largest picture, about.
const earBytes = 1 << 20

// newEar returns the end to read from and the one for the eye.
func newEar(ctx context.Context, pulse *video.Pulse) (r io.ReadCloser, w *os.File, err error) {
	if pulse == nil {
		return os.Pipe()
	}
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	w = os.NewFile(uintptr(p[1]), "|1")
	// The eye looks at nothing while it waits for us: a still is to fit in. What the kernel allows without is 64 KiB, and does as well, later.
	unix.FcntlInt(uintptr(p[0]), unix.F_SETPIPE_SZ, earBytes)
	if err := unix.SetNonblock(p[0], true); err != nil {
		unix.Close(p[0])
		w.Close()
		return nil, nil, os.NewSyscallError("setnonblock", err)
	}
	return &ear{p[0], pulse, ctx.Done()}, w, nil
}

func (e *ear) Read(b []byte) (int, error) {
	for over := false; ; {
		beat := e.pulse.Next()
		n, errno := video.ReadNow(e.fd, b)
		switch {
		case errno == 0 && n > 0:
			return n, nil
		case errno == 0:
			return 0, io.EOF
		case errno != unix.EAGAIN && errno != unix.EINTR:
			return 0, os.NewSyscallError("read", errno)
		case over:
			return 0, os.ErrClosed
		}
		select {
		case <-beat:
		case <-e.ended:
			over = true
		}
	}
}

// Close is for when nobody reads any more.
func (e *ear) Close() error { return unix.Close(e.fd) }
