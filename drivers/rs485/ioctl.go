package rs485

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// control runs f on the descriptor of file while it cannot be closed.
func control(file *os.File, f func(fd int) error) error {
	rc, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := rc.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// lock takes the lock that root respects too; TIOCEXCL alone lets root pass.
func lock(fd int) error {
	switch err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return ErrBusy
	case err != nil:
		return fmt.Errorf("lock: %w", err)
	}
	return nil
}

// sameTTY makes sure that path, through which tarm opened its own descriptor, still names the tty of fd: an adapter that is
// pulled and put back between the two opens may have come back as another device.
func sameTTY(fd int, path string) error {
	var a, b unix.Stat_t
	if err := unix.Fstat(fd, &a); err != nil {
		return err
	}
	if err := unix.Stat(path, &b); err != nil {
		return err
	}
	if a.Rdev != b.Rdev || a.Ino != b.Ino || hung(fd) {
		return ErrUnplugged
	}
	return nil
}

// markDamage makes the line report damaged bytes instead of passing them as good ones. tarm sets IGNPAR, which throws
// them away: a block with a hole would look like a short one.
func markDamage(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return fmt.Errorf("read line settings: %w", err)
	}
	t.Iflag &^= unix.IGNPAR | unix.ISTRIP | unix.IGNBRK | unix.BRKINT | unix.IXON | unix.IXOFF
	t.Iflag |= unix.INPCK | unix.PARMRK
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
		return fmt.Errorf("set line settings: %w", err)
	}
	return nil
}

// serialRS485 is struct serial_rs485 of linux/serial.h.
type serialRS485 struct {
	flags, delayBefore, delayAfter uint32
	_                              [5]uint32
}

const (
	rs485Enabled   = 1 << 0
	rs485RTSOnSend = 1 << 1
)

// direction sets who switches the transceiver. A driver that cannot says ENOTTY: then the adapter does it by itself.
func direction(fd int, d Direction) error {
	var s serialRS485
	if d != Off && d != RTS {
		s.flags = rs485Enabled | rs485RTSOnSend
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCSRS485, uintptr(unsafe.Pointer(&s)))
	if errno != 0 && d == On {
		return fmt.Errorf("switch RS-485 direction in the kernel: %w", errno)
	}
	return nil
}

// rts is RTS of a tty.
type rts struct{ ctl *os.File }

func (r rts) send(on bool) error {
	request := uint(unix.TIOCMBIC)
	if on {
		request = unix.TIOCMBIS
	}
	if err := control(r.ctl, func(fd int) error { return unix.IoctlSetPointerInt(fd, request, unix.TIOCM_RTS) }); err != nil {
		return fmt.Errorf("switch RTS: %w", err)
	}
	return nil
}

// drain is tcdrain(3): TCSBRK with an argument that is not 0.
func (r rts) drain() error {
	if err := control(r.ctl, func(fd int) error { return unix.IoctlSetInt(fd, unix.TCSBRK, 1) }); err != nil {
		return fmt.Errorf("wait for the line: %w", err)
	}
	return nil
}

// asyncLowLatency is ASYNC_LOW_LATENCY of linux/tty_flags.h: USB adapters then pass bytes on at once instead of every 16 ms.
const asyncLowLatency = 1 << 13

// lowLatency does what it can: ptys and some drivers have no struct serial_struct.
func lowLatency(fd int) {
	var s [128]byte // struct serial_struct: 72 bytes on 64-bit machines, 60 on 32-bit ones; flags is the fifth int on all
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGSERIAL, uintptr(unsafe.Pointer(&s))); errno != 0 {
		return
	}
	flags := s[16:20]
	binary.NativeEndian.PutUint32(flags, binary.NativeEndian.Uint32(flags)|asyncLowLatency)
	unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCSSERIAL, uintptr(unsafe.Pointer(&s)))
}

// hung says whether the tty of fd is gone: unplugged, or its pty's master is closed.
func hung(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd)}}
	for {
		n, err := unix.Poll(fds, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return err != nil || (n > 0 && fds[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0)
	}
}

// stirs says whether the tty of fd has bytes to read, or is gone.
func stirs(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
}

func (p *Port) hungUp() bool {
	gone := true
	control(p.ctl, func(fd int) error { gone = hung(fd); return nil })
	return gone
}
