package rs485

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sitewatch/edge"
)

// fakeTalker notes what the transceiver is told and what the other end of the line has got by then.
type fakeTalker struct {
	did  []string
	fail string
}

func (f *fakeTalker) step(name string) error {
	f.did = append(f.did, name)
	if f.fail == name {
		return errors.New(name + " fails")
	}
	return nil
}

func (f *fakeTalker) send(on bool) error {
	if on {
		return f.step("talk")
	}
	return f.step("listen")
}

func (f *fakeTalker) drain() error { return f.step("drain") }

// TestRTSAroundEachWrite: RTS rises before the first byte and falls when the last one is out, also when that went wrong: a
// transceiver that stays on the line keeps everybody else silent.
func TestRTSAroundEachWrite(t *testing.T) {
	m, path := openPTY(t)
	p := mustOpen(t, path)
	f := &fakeTalker{}
	p.talk = f
	if n, err := p.Write([]byte{1, 2, 3}); n != 3 || err != nil {
		t.Fatalf("write: %d, %v", n, err)
	}
	if want := []string{"talk", "drain", "listen"}; !slices.Equal(f.did, want) {
		t.Errorf("did %v, want %v", f.did, want)
	}
	b := make([]byte, 8)
	if n, err := m.Read(b); err != nil || !bytes.Equal(b[:n], []byte{1, 2, 3}) {
		t.Errorf("the other end has % X, %v", b[:n], err)
	}
	f.did, f.fail = nil, "drain"
	if _, err := p.Write([]byte{4}); err == nil {
		t.Error("a write whose end is not known said that it was done")
	}
	if want := []string{"talk", "drain", "listen"}; !slices.Equal(f.did, want) {
		t.Errorf("after a failure: did %v, want %v", f.did, want)
	}
	f.did, f.fail = nil, "talk"
	if n, err := p.Write([]byte{5}); n != 0 || err == nil {
		t.Errorf("without RTS %d bytes were sent, %v", n, err)
	}
}

// TestRTSWithoutTheLine: a port that has no RTS, as a pty, is refused when it is opened, not at the first alarm.
func TestRTSWithoutTheLine(t *testing.T) {
	_, path := openPTY(t)
	p, err := Open(path, Options{Baud: 9600, Format: "8N1", Direction: RTS, Clock: edge.NewSystemClock()})
	if err == nil {
		p.Close()
	}
	if !errors.Is(err, unix.ENOTTY) && !errors.Is(err, unix.EINVAL) {
		t.Errorf("open: %v, want that there is no RTS", err)
	}
}

// TestAdapterComesBackUnderItsName: the adapter is pulled and comes back as another device under the same link; what had it open
// is told so at once, and opening the same name again gives the new one.
func TestAdapterComesBackUnderItsName(t *testing.T) {
	m, path := openPTY(t)
	link := t.TempDir() + "/usb-panel"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	p := mustOpen(t, link)
	done := make(chan error, 1)
	go func() {
		_, err := p.Read(make([]byte, 1))
		done <- err
	}()
	m.Close()
	select {
	case err := <-done:
		if !errors.Is(err, ErrUnplugged) {
			t.Errorf("read: %v, want ErrUnplugged", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("read did not notice")
	}
	p.Close()
	m2, path2 := openPTY(t)
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path2, link); err != nil {
		t.Fatal(err)
	}
	q := mustOpen(t, link)
	go m2.Write([]byte{0x46, 0xFF, 0x00})
	if got := readN(t, q, 3); !bytes.Equal(got, []byte{0x46, 0xFF, 0x00}) {
		t.Errorf("read % X", got)
	}
}
