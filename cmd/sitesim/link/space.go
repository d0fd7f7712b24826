package link

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// ErrNotRoot: the kernel lets nobody else make networks.
var ErrNotRoot = errors.New("making network namespaces needs root: run it with sudo")

// space is a network namespace without a name: the kernel removes it, and all devices in it, when the last process in it
// and the last open file of it are gone, also when this program is killed.
type space struct{ file *os.File }

// newSpace makes an empty namespace with its loopback up.
func newSpace() (*space, error) {
	s := &space{}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			if errors.Is(err, unix.EPERM) {
				return ErrNotRoot
			}
			return fmt.Errorf("make a network namespace: %w", err)
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return err
		}
		s.file = f
		return up("lo")
	})
	if err != nil {
		if s.file != nil {
			s.file.Close()
		}
		return nil, err
	}
	return s, nil
}

// do calls f with its thread in the namespace: sockets that f opens and processes that it starts belong there for ever.
// What f starts in other goroutines does not.
func (s *space) do(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(s.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter a network namespace: %w", err)
		}
		return f()
	})
}

// onThread calls f on a thread whose namespace may be changed, and puts it back.
func onThread(f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	err = f()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, back) // the thread stays locked, so that nobody else gets it
	}
	runtime.UnlockOSThread()
	return err
}

// tcpDefault is where the kernel keeps which congestion control new sockets of a network have.
const tcpDefault = "/proc/sys/net/ipv4/tcp_congestion_control"

// withTCP calls f, which makes namespaces, while the machine's default is name: a namespace inherits it, and may not choose
// one for itself that is not open to everybody. The machine has its own back a moment later.
func withTCP(name string, f func() error) (err error) {
	file, err := os.OpenFile(tcpDefault, os.O_RDWR, 0)
	if errors.Is(err, os.ErrPermission) {
		return ErrNotRoot
	}
	if err != nil {
		return err
	}
	defer file.Close()
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil { // another link that does the same at this moment
		return fmt.Errorf("lock %s: %w", tcpDefault, err)
	}
	own, err := os.ReadFile(tcpDefault)
	if err != nil {
		return err
	}
	if err := os.WriteFile(tcpDefault, []byte(name), 0o644); err != nil {
		if errors.Is(err, os.ErrPermission) {
			return ErrNotRoot
		}
		return fmt.Errorf("this kernel has no TCP congestion control %q (sysctl net.ipv4.tcp_available_congestion_control lists them): %w", name, err)
	}
	defer func() { err = errors.Join(err, os.WriteFile(tcpDefault, own, 0o644)) }()
	return f()
}

// openTUN makes a device in the namespace that hands its packets to this program and takes packets from it. Closing it
// removes it.
func (s *space) openTUN(name string, addr netip.Prefix, mtu int) (fd int, err error) {
	err = s.do(func() error {
		fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open /dev/net/tun (modprobe tun): %w", err)
		}
		if err := configure(fd, name, addr, mtu); err != nil {
			unix.Close(fd)
			return fmt.Errorf("make the device %s: %w", name, err)
		}
		return nil
	})
	return fd, err
}

// burst is how many packets of a sender the device holds for us until we read them. A real card has no more memory, but
// its machine does not take the processor away from it either.
const burst = 4096

func configure(fd int, name string, addr netip.Prefix, mtu int) error {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return err
	}
	set := func(what uint, fill func(*unix.Ifreq) error) func(int) error {
		return func(sock int) error {
			ifr, err := unix.NewIfreq(name)
			if err == nil {
				err = fill(ifr)
			}
			if err == nil {
				err = unix.IoctlIfreq(sock, what, ifr)
			}
			return err
		}
	}
	number := func(n int) func(*unix.Ifreq) error {
		return func(i *unix.Ifreq) error { i.SetUint32(uint32(n)); return nil }
	}
	mask := ^uint32(0) << (32 - addr.Bits())
	if err := withSocket(
		set(unix.SIOCSIFADDR, func(i *unix.Ifreq) error { return i.SetInet4Addr(addr.Addr().AsSlice()) }),
		set(unix.SIOCSIFNETMASK, func(i *unix.Ifreq) error {
			return i.SetInet4Addr([]byte{byte(mask >> 24), byte(mask >> 16), byte(mask >> 8), byte(mask)})
		}),
		set(unix.SIOCSIFMTU, number(mtu)),
		set(unix.SIOCSIFTXQLEN, number(burst)),
	); err != nil {
		return err
	}
	return up(name)
}

// up brings a device of the present namespace up.
func up(name string) error {
	return withSocket(func(sock int) error {
		ifr, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
		return unix.IoctlIfreq(sock, unix.SIOCSIFFLAGS, ifr)
	})
}

// withSocket gives a socket of the present namespace to those who speak to the kernel about its devices.
func withSocket(each ...func(sock int) error) error {
	sock, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(sock)
	for _, f := range each {
		if err := f(sock); err != nil {
			return err
		}
	}
	return nil
}
