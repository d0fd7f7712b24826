package rs485

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"sitewatch/edge"
)

func openPTY(t *testing.T) (master *os.File, path string) {
	t.Helper()
	m, s, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	path = s.Name()
	s.Close()
	return m, path
}

func mustOpen(t *testing.T, path string) *Port {
	t.Helper()
	p, err := Open(path, Options{Baud: 9600, Format: "8N1", Direction: Auto, Clock: edge.NewSystemClock()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func readN(t *testing.T, p *Port, n int) []byte {
	t.Helper()
	var got []byte
	b := make([]byte, 16)
	for len(got) < n {
		k, err := p.Read(b)
		if err != nil {
			t.Fatalf("read after %d of %d bytes: %v", len(got), n, err)
		}
		got = append(got, b[:k]...)
	}
	return got
}

func TestReadAndWrite(t *testing.T) {
	m, path := openPTY(t)
	p := mustOpen(t, path)
	// All byte values, FF among them: the kernel doubles it and Read must undo that.
	var all []byte
	for i := range 256 {
		all = append(all, byte(i))
	}
	all = append(all, 0xFF, 0xFF, 0x00, 0xFF)
	go m.Write(all)
	if got := readN(t, p, len(all)); !bytes.Equal(got, all) {
		t.Errorf("read %x, want %x", got, all)
	}
	if n, err := p.Write(all); n != len(all) || err != nil {
		t.Fatalf("write: %d, %v", n, err)
	}
	got := make([]byte, 0, len(all))
	b := make([]byte, 64)
	for len(got) < len(all) {
		n, err := m.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b[:n]...)
	}
	if !bytes.Equal(got, all) {
		t.Errorf("the other end read %x, want %x", got, all)
	}
}

func TestQuietLineIsNotUnplugged(t *testing.T) {
	m, path := openPTY(t)
	p := mustOpen(t, path)
	done := make(chan error, 1)
	go func() {
		_, err := p.Read(make([]byte, 1))
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("read of a quiet line ended: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	m.Write([]byte{1})
	if err := <-done; err != nil {
		t.Errorf("read: %v", err)
	}
}

func TestUnpluggedEndsReadAtOnce(t *testing.T) {
	m, path := openPTY(t)
	p := mustOpen(t, path)
	done := make(chan error, 1)
	go func() {
		_, err := p.Read(make([]byte, 1))
		done <- err
	}()
	<-time.After(150 * time.Millisecond)
	m.Close()
	select {
	case err := <-done:
		if !errors.Is(err, ErrUnplugged) {
			t.Errorf("read: %v, want ErrUnplugged", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("read did not notice that the adapter is gone")
	}
	if _, err := p.Write([]byte{1}); !errors.Is(err, ErrUnplugged) {
		t.Errorf("write: %v, want ErrUnplugged", err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestCloseEndsRead(t *testing.T) {
	_, path := openPTY(t)
	p := mustOpen(t, path)
	done := make(chan error, 1)
	go func() {
		_, err := p.Read(make([]byte, 1))
		done <- err
	}()
	<-time.After(50 * time.Millisecond)
	closed := make(chan error, 1)
	go func() { closed <- p.Close() }()
	for range 2 {
		select {
		case err := <-done:
			if !errors.Is(err, os.ErrClosed) {
				t.Errorf("read: %v, want os.ErrClosed", err)
			}
		case err := <-closed:
			if err != nil {
				t.Errorf("close: %v", err)
			}
		case <-time.After(time.Minute):
			t.Fatal("close or read hangs")
		}
	}
	if err := p.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

func TestCloseEndsWriteToFullLine(t *testing.T) {
	_, path := openPTY(t)
	p := mustOpen(t, path)
	done := make(chan error, 1)
	go func() {
		_, err := p.Write(make([]byte, 1<<20)) // nobody reads the other end
		done <- err
	}()
	<-time.After(100 * time.Millisecond)
	p.Close()
	select {
	case err := <-done:
		if err == nil {
			t.Error("a write of 1 MiB to a line that nobody reads said that it was done")
		}
	case <-time.After(time.Minute):
		t.Fatal("write hangs after close")
	}
}

func TestSecondOpenIsRefused(t *testing.T) {
	_, path := openPTY(t)
	p := mustOpen(t, path)
	if q, err := Open(path, Options{Baud: 9600, Format: "8N1", Clock: edge.NewSystemClock()}); !errors.Is(err, ErrBusy) {
		if err == nil {
			q.Close()
		}
		t.Errorf("second open: %v, want ErrBusy", err)
	}
	// A symlink is the same tty.
	link := t.TempDir() + "/panel"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(link, Options{Baud: 9600, Format: "8N1", Clock: edge.NewSystemClock()}); !errors.Is(err, ErrBusy) {
		t.Errorf("open through a link: %v, want ErrBusy", err)
	}
	p.Close()
	mustOpen(t, path).Close()
}

func TestOpenErrors(t *testing.T) {
	o := Options{Baud: 9600, Format: "8N1", Clock: edge.NewSystemClock()}
	if _, err := Open(t.TempDir()+"/none", o); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing device: %v, want os.ErrNotExist", err)
	}
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, o); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("regular file: %v, want ENOTTY", err)
	}
	_, path := openPTY(t)
	o.Direction = On
	if _, err := Open(path, o); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("direction on, driver cannot: %v, want ENOTTY", err)
	}
}

func TestLineSettings(t *testing.T) {
	_, path := openPTY(t)
	p, err := Open(path, Options{Baud: 1200, Format: "7E2", Direction: Auto, Clock: edge.NewSystemClock()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	err = control(p.ctl, func(fd int) error {
		tio, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return err
		}
		if tio.Iflag&unix.IGNPAR != 0 || tio.Iflag&unix.PARMRK == 0 || tio.Iflag&unix.INPCK == 0 {
			t.Errorf("iflag %#x: want PARMRK and INPCK without IGNPAR", tio.Iflag)
		}
		// A pty forces CS8 and clears PARENB; speed and stop bits stay as asked.
		if tio.Cflag&unix.CSTOPB == 0 || tio.Cflag&unix.CBAUD != unix.B1200 {
			t.Errorf("cflag %#x: want two stop bits at 1200 baud", tio.Cflag)
		}
		if tio.Lflag&(unix.ECHO|unix.ICANON|unix.ISIG) != 0 {
			t.Errorf("lflag %#x: want a raw line", tio.Lflag)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestUnescape(t *testing.T) {
	tests := []struct {
		name string
		in   []byte
		want []byte
		bad  []int // indices in want that were damaged
	}{
		{"plain", []byte{1, 2, 3}, []byte{1, 2, 3}, nil},
		{"doubled FF", []byte{1, 0xFF, 0xFF, 2}, []byte{1, 0xFF, 2}, nil},
		{"two FF", []byte{0xFF, 0xFF, 0xFF, 0xFF}, []byte{0xFF, 0xFF}, nil},
		{"parity error", []byte{1, 0xFF, 0x00, 0x42, 2}, []byte{1, 0x42, 2}, []int{1}},
		{"break", []byte{0xFF, 0x00, 0x00, 7}, []byte{0, 7}, []int{0}},
		{"damaged FF then data", []byte{0xFF, 0x00, 0xFF, 9}, []byte{0xFF, 9}, []int{0}},
		{"FF then 00 as data", []byte{0xFF, 0xFF, 0x00, 5}, []byte{0xFF, 0, 5}, nil},
		{"lone FF of a line without marks", []byte{0xFF, 0x41, 0x42}, []byte{0xFF, 0x41, 0x42}, nil},
	}
	for _, tt := range tests {
		for _, step := range []int{1, 2, len(tt.in)} {
			var u unescaper
			var got []byte
			var bad []int
			for i := 0; i < len(tt.in); i += step {
				src := tt.in[i:min(i+step, len(tt.in))]
				for len(src) > 0 {
					var dst [3]byte
					n, used, b := u.next(dst[:], src)
					got = append(got, dst[:n]...)
					if b {
						bad = append(bad, len(got)-1)
					}
					src = src[used:]
				}
			}
			if !bytes.Equal(got, tt.want) || len(bad) != len(tt.bad) || (len(bad) > 0 && bad[0] != tt.bad[0]) {
				t.Errorf("%s, %d at a time: got %x bad %v, want %x bad %v", tt.name, step, got, bad, tt.want, tt.bad)
			}
		}
	}
}

func TestFormatAndBaud(t *testing.T) {
	for _, f := range []Format{"8N1", "7E1", "7E2", "8E1", "8O1", "8N2"} {
		if err := f.Check(); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
	for _, f := range []Format{"", "8n1", "9N1", "8N3", "8M1", "8N1 "} {
		if f.Check() == nil {
			t.Errorf("%q was accepted", f)
		}
	}
	if CheckBaud(9600) != nil || CheckBaud(9601) == nil || CheckBaud(0) == nil {
		t.Error("CheckBaud accepts what it should refuse, or the reverse")
	}
}

// TestSettingsChangedBehindOurBack: with VTIME 0 every read comes back at once and empty, which must not become a busy loop.
func TestSettingsChangedBehindOurBack(t *testing.T) {
	_, path := openPTY(t)
	p := mustOpen(t, path)
	done := make(chan error, 1)
	go func() {
		_, err := p.Read(make([]byte, 1))
		done <- err
	}()
	err := control(p.ctl, func(fd int) error {
		tio, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return err
		}
		tio.Cc[unix.VMIN], tio.Cc[unix.VTIME] = 0, 0
		return unix.IoctlSetTermios(fd, unix.TCSETS, tio)
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if !errors.Is(err, ErrUnplugged) {
			t.Errorf("read: %v, want ErrUnplugged", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("read goes on for ever")
	}
}

func TestBreak(t *testing.T) {
	m, path := openPTY(t)
	p := mustOpen(t, path)
	if err := p.Break(); err != nil {
		t.Errorf("break: %v", err)
	}
	m.Close()
	if err := p.Break(); err == nil {
		t.Error("a break was sent on a line that is gone")
	}
}
