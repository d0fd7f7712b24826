// Package rs485 opens the serial line to a panel: github.com/tarm/serial for the line itself, and ioctls through a second
// descriptor of the same tty for what tarm has no words for: direction control by the kernel, damaged bytes, the
// exclusive lock, low latency, break, and telling an unplugged adapter from a quiet line.
//
// It never retries and never logs: the caller decides. Read and Write may be called from two goroutines at once, and
// Close from a third; Close ends both within the poll interval of 100 ms.
package rs485

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tarm/serial"
	"golang.org/x/sys/unix"

	"sitewatch/edge"
)

var (
	// ErrUnplugged means that the adapter is gone; only opening the port again can help.
	ErrUnplugged = errors.New("rs485: the adapter is unplugged")
	// ErrBusy means that another program, or another panel of this one, has the port.
	ErrBusy = errors.New("rs485: the port is in use")
	// ErrBadByte comes with n > 0: the last of the n bytes was damaged on the line (parity, framing, break).
	// Reading may go on.
	ErrBadByte = errors.New("rs485: damaged byte")
	// ErrStuck means that the line took no bytes for writeTimeout.
	ErrStuck = errors.New("rs485: the line takes no bytes")
)

const (
	// poll is how long tarm's Read waits at most. It must be set: without a ReadTimeout a blocked Read makes Close hang.
	poll = 100 * time.Millisecond
	// idleMost is how long a quiet line is left to the kernel, which says when a byte comes or the adapter goes; then it is read again, should
	// the kernel have said nothing.
	idleMost = time.Second
	// writeTimeout is far longer than the longest message needs at 300 baud.
	writeTimeout = 5 * time.Second
	// hasty is how many reads may come back empty long before the poll interval before the line is taken for dead:
	// somebody changed its settings behind our back, and reading on would only burn the processor.
	hasty = 20
)

// Direction says who switches the RS-485 transceiver between sending and receiving.
type Direction string

const (
	Auto Direction = "auto" // the kernel where the driver can, else the adapter itself
	On   Direction = "on"   // the kernel; refuse to open when the driver cannot
	Off  Direction = "off"  // the adapter itself, or RS-232
	RTS  Direction = "rts"  // RTS, which this package raises while it sends: for drivers of the kernel that know no RS-485
)

// Options of a line. Clock measures the waits.
type Options struct {
	Baud      int
	Format    Format
	Direction Direction
	Clock     edge.Clock
}

// Port is one open line.
type Port struct {
	line   *serial.Port
	ctl    *os.File // second descriptor of the same tty: ioctls, and writes that cannot block for ever
	clock  edge.Clock
	closed atomic.Bool
	once   sync.Once
	err    error // of Close

	esc  unescaper // used by Read only
	raw  [256]byte
	rest []byte // part of raw that is not unescaped yet

	write sync.Mutex
	talk  talker // nil unless the direction is RTS
}

// talker switches the transceiver between sending and receiving.
type talker interface {
	send(on bool) error
	drain() error // until the last bit is on the wire
}

// Open opens the tty at path. A device that is not there gives os.ErrNotExist, one that is in use ErrBusy.
func Open(path string, o Options) (*Port, error) {
	p, err := open(path, o)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return p, nil
}

func open(path string, o Options) (_ *Port, err error) {
	ctl, err := os.OpenFile(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		if errors.Is(err, unix.EBUSY) {
			return nil, ErrBusy
		}
		return nil, errors.Unwrap(err) // the path is in the message already
	}
	defer func() {
		if err != nil {
			ctl.Close()
		}
	}()
	if err := control(ctl, lock); err != nil {
		return nil, err
	}
	size, parity, stop := o.Format.parts()
	line, err := serial.OpenPort(&serial.Config{Name: path, Baud: o.Baud, Size: size, Parity: parity, StopBits: stop, ReadTimeout: poll})
	if err != nil {
		if errors.Is(err, unix.EBUSY) {
			return nil, ErrBusy
		}
		return nil, err
	}
	defer func() {
		if err != nil {
			line.Close()
		}
	}()
	p := &Port{line: line, ctl: ctl, clock: o.Clock}
	if o.Direction == RTS {
		p.talk = rts{ctl}
		if err := p.talk.send(false); err != nil {
			return nil, err
		}
	}
	err = control(ctl, func(fd int) error {
		if err := sameTTY(fd, path); err != nil {
			return err
		}
		if err := markDamage(fd); err != nil {
			return err
		}
		if err := direction(fd, o.Direction); err != nil {
			return err
		}
		lowLatency(fd)
		return unix.IoctlSetInt(fd, unix.TIOCEXCL, 0)
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Read returns at least one byte, or an error. It waits as long as the line is quiet. With ErrBadByte the last of the n
// bytes is damaged and reading may go on; after ErrUnplugged or os.ErrClosed nothing more will come.
func (p *Port) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	early := 0
	for {
		if len(p.rest) == 0 {
			start := p.clock.Now()
			n, err := p.line.Read(p.raw[:])
			switch {
			case p.closed.Load():
				return 0, os.ErrClosed
			case n == 0 && (err == nil || errors.Is(err, io.EOF)):
				// Quiet and unplugged both read as 0, EOF.
				if p.hungUp() {
					return 0, ErrUnplugged
				}
				if d, ok := p.clock.Now().Since(start); !ok || d >= poll/2 {
					early = 0
					p.idle()
				} else if early++; early == hasty {
					return 0, fmt.Errorf("%w (it answers at once with nothing)", ErrUnplugged)
				}
				continue
			case errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN):
				continue
			case err != nil:
				return 0, fmt.Errorf("%w: %w", ErrUnplugged, err)
			}
			early = 0
			p.rest = p.raw[:n]
		}
		n, used, bad := p.esc.next(b, p.rest)
		p.rest = p.rest[used:]
		if bad {
			return n, ErrBadByte
		}
		if n > 0 {
			return n, nil
		}
	}
}

// idle waits on a quiet line. Reading it again and again, as tarm does, would wake the program ten times a second.
func (p *Port) idle() {
	p.ctl.SetReadDeadline(time.Time{})
	t := time.AfterFunc(idleMost, func() { p.ctl.SetReadDeadline(time.Unix(1, 0)) })
	defer t.Stop()
	rc, err := p.ctl.SyscallConn()
	if err != nil {
		return // it is closed
	}
	rc.Read(func(fd uintptr) bool { return stirs(int(fd)) })
}

// Write returns when the driver has taken all of b, or after 5 s with ErrStuck.
func (p *Port) Write(b []byte) (int, error) {
	p.write.Lock()
	defer p.write.Unlock()
	if p.closed.Load() {
		return 0, os.ErrClosed
	}
	// A deadline in the past wakes the writer: the second descriptor is non-blocking, so the runtime's poller waits for it.
	p.ctl.SetWriteDeadline(time.Time{})
	t := time.AfterFunc(writeTimeout, func() { p.ctl.SetWriteDeadline(time.Unix(1, 0)) })
	defer t.Stop()
	n, err := p.sendOut(b)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, ErrStuck
	case errors.Is(err, os.ErrClosed):
		return n, os.ErrClosed
	case errors.Is(err, unix.EIO) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV):
		return n, fmt.Errorf("%w: %w", ErrUnplugged, err)
	}
	return n, fmt.Errorf("write: %w", err)
}

// sendOut writes, between raising and dropping RTS where that is ours to do. RTS falls only when the last stop bit is out: sooner
// cuts off the end, and much later talks over the panel's answer.
func (p *Port) sendOut(b []byte) (n int, err error) {
	if p.talk == nil {
		return p.ctl.Write(b)
	}
	if err := p.talk.send(true); err != nil {
		return 0, err
	}
	n, err = p.ctl.Write(b)
	return n, errors.Join(err, p.talk.drain(), p.talk.send(false))
}

// Break holds the line in the break state for about a quarter of a second.
func (p *Port) Break() error {
	if err := control(p.ctl, func(fd int) error { return unix.IoctlSetInt(fd, unix.TCSBRKP, 0) }); err != nil {
		return fmt.Errorf("send break: %w", err)
	}
	return nil
}

// Close gives the port free and ends a Read and a Write under way. It may be called more than once.
func (p *Port) Close() error {
	p.once.Do(func() {
		p.closed.Store(true)
		// The lock must not outlive us where another program keeps the tty open (a pty's other user does).
		control(p.ctl, func(fd int) error { return unix.IoctlSetInt(fd, unix.TIOCNXCL, 0) })
		p.err = errors.Join(p.line.Close(), p.ctl.Close())
	})
	return p.err
}
