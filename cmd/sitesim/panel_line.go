package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sitewatch/drivers/galaxy"
)

// panelLine is the panel's end of a pty. It keeps the other end open too, so that the gateway may come and go.
type panelLine struct {
	master, slave *os.File
	link          string
	in            chan byte // what the gateway sends; what does not fit is dropped, as nobody listens to that much
	buf           []byte    // of in, not judged yet
	bad           *badLine  // of runReader; nil: the line is good
	once          sync.Once // of close
}

// openPanelLine makes a pty and lets link point at it.
func openPanelLine(link string) (_ *panelLine, err error) {
	m, s, err := openPTY()
	if err != nil {
		return nil, err
	}
	l := &panelLine{master: m, slave: s, link: link, in: make(chan byte, 4096)}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	// Raw before anybody opens it: a fresh pty would echo the panel's blocks back to the panel.
	if err := ptyControl(s, func(fd int) error {
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return err
		}
		t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
		t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
		return unix.IoctlSetTermios(fd, unix.TCSETS, t)
	}); err != nil {
		return nil, err
	}
	if link == "" {
		return l, nil
	}
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return nil, err
	}
	if st, err := os.Lstat(link); err == nil && st.Mode()&os.ModeSymlink == 0 {
		return nil, fmt.Errorf("%s exists and is no symlink", link)
	}
	tmp := fmt.Sprintf("%s.%d", link, os.Getpid())
	os.Remove(tmp)
	if err := os.Symlink(s.Name(), tmp); err != nil {
		return nil, err
	}
	return l, os.Rename(tmp, link)
}

// openPTY opens both ends non-blocking, so that closing one ends a read under way.
func openPTY() (master, slave *os.File, err error) {
	m, err := os.OpenFile("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	n := 0
	err = ptyControl(m, func(fd int) error {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		n, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		return err
	})
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	}
	if err != nil {
		m.Close()
		return nil, nil, err
	}
	return m, slave, nil
}

func ptyControl(f *os.File, do func(fd int) error) error {
	rc, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := rc.Control(func(fd uintptr) { inner = do(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// close takes the pty and the link away: to the gateway the adapter is unplugged.
func (l *panelLine) close() {
	l.once.Do(func() {
		if to, err := os.Readlink(l.link); err == nil && to == l.slave.Name() {
			os.Remove(l.link)
		}
		l.master.Close()
		l.slave.Close()
	})
}

// runReader moves what the gateway sends into l.in until the pty is closed.
func (l *panelLine) runReader(ctx context.Context) error {
	b := make([]byte, 256)
	for {
		n, err := l.master.Read(b)
		got := b[:n]
		if l.bad != nil {
			f := l.bad.now()
			if f.Echo && n > 0 {
				l.master.Write(got)
			}
			if f.Baud {
				got = garble(got)
			}
		}
		for _, c := range got {
			select {
			case l.in <- c:
			default:
			}
		}
		if err != nil {
			if errors.Is(err, os.ErrClosed) || ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// discard drops what has come in unasked. again: what was sent before and nobody read is lost too, as on a real line.
func (l *panelLine) discard(again bool) {
	for len(l.in) > 0 {
		<-l.in
	}
	l.buf = l.buf[:0]
	if again {
		l.forget()
	}
}

// pace is how many bytes are written at a time; a timer has no finer grain than a few bytes at high speeds.
const pace = 4

// send writes b as fast as the line would carry it.
func (l *panelLine) send(ctx context.Context, b []byte, baud int) error {
	for len(b) > 0 && ctx.Err() == nil {
		n := min(pace, len(b))
		if _, err := l.master.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
		pause(ctx, time.Duration(n)*10*time.Second/time.Duration(baud)) // 10 bits a byte
	}
	return ctx.Err()
}

// answer waits for an acknowledgement or a reject; 0 when none came in time.
func (l *panelLine) answer(ctx context.Context, wait time.Duration) (galaxy.FC, error) {
	t := time.NewTimer(wait)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-t.C:
			return 0, nil
		case c := <-l.in:
			l.buf = append(l.buf, c)
		}
		for len(l.buf) > 0 {
			f, n, err := galaxy.Decode(l.buf)
			if err == galaxy.ErrShort {
				break
			}
			l.buf = l.buf[n:]
			switch {
			case err != nil:
			case f.FC == galaxy.FCAck, f.FC == galaxy.FCAltAck, f.FC == galaxy.FCReject, f.FC == galaxy.FCAltReject:
				return f.FC, nil
			}
		}
	}
}

// expect wants exactly these bytes next.
func (l *panelLine) expect(ctx context.Context, want []byte, wait time.Duration) error {
	t := time.NewTimer(wait)
	defer t.Stop()
	var got []byte
	for len(got) < len(want) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			return fmt.Errorf("got % X within %v, want % X", got, wait, want)
		case c := <-l.in:
			got = append(got, c)
		}
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("got % X, want % X", got, want)
	}
	return nil
}
