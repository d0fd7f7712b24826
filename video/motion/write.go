package motion

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sitewatch/video"
)

// write waits for the eye as long as it goes on: when it catches up, it decodes for seconds before it reads more, and says so with a Hand
// for each picture.
func (e *Eye) write(w *os.File, raw syscall.RawConn, b []byte) error {
	for {
		if err := w.SetWriteDeadline(time.Time{}); err != nil {
			return err
		}
		before := len(b)
		var errno unix.Errno
		late := limit{set: w.SetWriteDeadline}
		err := raw.Write(func(fd uintptr) bool {
			for len(b) > 0 && errno == 0 {
				var n int
				n, errno = video.WriteNow(int(fd), b)
				b = b[n:]
			}
			if errno != unix.EAGAIN {
				return true
			}
			errno = 0
			late.start()
			return false
		})
		late.stop()
		switch {
		case errno != 0:
			return os.NewSyscallError("write", errno)
		case err == nil:
			return nil
		case !errors.Is(err, os.ErrDeadlineExceeded), len(b) == before && !e.goesOn():
			return err
		}
	}
}

// goesOn says whether the eye has taken up a picture, or put one down, of late.
func (e *Eye) goesOn() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.opt.Clock.Now().Mono-e.handAt < writeLimit
}

// limit ends one wait of a write that has lasted for writeLimit. It is a timer, since the clock that the box shows may be another than the machine's.
type limit struct {
	set   func(time.Time) error // the deadline of writes
	timer *time.Timer
	fired chan struct{} // closed when the timer has set the deadline
}

// start begins the time, once.
func (l *limit) start() {
	if l.timer != nil {
		return
	}
	l.fired = make(chan struct{})
	l.timer = time.AfterFunc(writeLimit, func() {
		defer close(l.fired)
		l.set(time.Unix(1, 0))
	})
}

// stop returns when the deadline is not set any more: what is set after the write has ended would end the next.
func (l *limit) stop() {
	if l.timer != nil && !l.timer.Stop() {
		<-l.fired
	}
}
