package rtsp

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"sitewatch/video"
)

// lowWater is how much may lie in the kernel before it wakes anybody, who would not read it then. It lets the camera send as much
// without waiting for us, which is 40 Mbit/s from beat to beat.
const lowWater = 256 << 10

// beatConn is a TCP connection that is read on each beat once steady was called: a picture comes in a dozen packets, and each of them would
// wake the program. Before, and where the kernel does not allow it, it is read as any.
type beatConn struct {
	net.Conn
	raw    syscall.RawConn
	pulse  *video.Pulse
	steady atomic.Bool
	closed chan struct{}
	once   sync.Once

	// of the reader
	beats bool                   // the low-water mark is set
	buf   *[video.BeatBytes]byte // nil: nothing waits in it
	rest  []byte                 // of buf
}

// onBeats returns conn with beats, and conn itself when it is none of the kernel's or there is no pulse.
func onBeats(conn net.Conn, pulse *video.Pulse) net.Conn {
	c, ok := conn.(*net.TCPConn)
	if !ok || pulse == nil {
		return conn
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return conn
	}
	return &beatConn{Conn: conn, raw: raw, pulse: pulse, closed: make(chan struct{})}
}

// Read is for one goroutine at a time.
func (c *beatConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		if !c.steady.Load() || !c.beats && !c.begin() {
			return c.Conn.Read(p)
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.rest)
	if c.rest = c.rest[n:]; len(c.rest) == 0 {
		c.release()
	}
	return n, nil
}

// begin tells the kernel not to wake us for each packet.
func (c *beatConn) begin() bool {
	var err error
	if e := c.raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT, lowWater) }); e != nil || err != nil {
		c.steady.Store(false)
		return false
	}
	c.beats = true
	return true
}

// fill takes what is there, and when that is nothing, what is there on a beat.
func (c *beatConn) fill() error {
	for {
		beat := c.pulse.Next()
		c.buf = c.pulse.Buffer()
		n, err := c.now()
		if n > 0 {
			c.rest = c.buf[:n]
			return nil
		}
		c.release()
		if err != nil {
			return err
		}
		select {
		case <-beat:
		case <-c.closed: // the next read says so
		}
	}
}

// now reads what is there: 0 and nil is nothing.
func (c *beatConn) now() (n int, err error) {
	var errno unix.Errno
	err = c.raw.Read(func(fd uintptr) bool {
		n, errno = video.ReadNow(int(fd), c.buf[:])
		return true // whatever it was: nobody waits here
	})
	switch {
	case err != nil:
		return 0, err
	case errno == unix.EAGAIN, errno == unix.EINTR:
		return 0, nil
	case errno != 0:
		return 0, os.NewSyscallError("read", errno)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

func (c *beatConn) release() {
	c.pulse.Return(c.buf)
	c.buf, c.rest = nil, nil
}

// Close ends a Read that waits.
func (c *beatConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
