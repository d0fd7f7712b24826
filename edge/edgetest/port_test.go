package edgetest

import (
	"errors"
	"io"
	"net"
	"testing"

	"golang.org/x/sync/errgroup"
)

func TestPortFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		fault Fault
		want  string
	}{
		"pass":          {Pass, "hello"},
		"lose":          {Lose, ""},
		"repeat":        {Repeat, "hellohello"},
		"drop first":    {Drop(0), "ello"},
		"drop last":     {Drop(-1), "hell"},
		"drop too far":  {Drop(9), "hello"},
		"flip":          {Flip(1, 0x20), "hEllo"},
		"truncate":      {Truncate(2), "he"},
		"truncate more": {Truncate(9), "hello"},
		"noise":         {Prefix('x', 'y'), "xyhello"},
	} {
		for _, dir := range []string{"read", "write"} {
			a, b := net.Pipe()
			p := NewPort(a)
			var got []byte
			var g errgroup.Group
			if dir == "read" {
				p.OnRead(tt.fault)
				g.Go(func() (err error) { got, err = io.ReadAll(p); return err })
				b.Write([]byte("hello"))
				b.Write([]byte("|")) // the next message is as it was sent
				b.Close()
			} else {
				p.OnWrite(tt.fault)
				g.Go(func() (err error) { got, err = io.ReadAll(b); return err })
				p.Write([]byte("hello"))
				p.Write([]byte("|"))
				p.Close()
			}
			if err := g.Wait(); err != nil || string(got) != tt.want+"|" {
				t.Errorf("%s on %s: got %q, %v, want %q", name, dir, got, err, tt.want+"|")
			}
		}
	}
}

func TestPortMute(t *testing.T) {
	a, b := net.Pipe()
	p := NewPort(a)
	p.Mute(true)
	if n, err := p.Write([]byte("gone")); n != 4 || err != nil { // nobody reads: it would block if it were sent
		t.Errorf("write on a mute line: %d, %v", n, err)
	}
	p.Mute(false)
	var g errgroup.Group
	g.Go(func() error { _, err := b.Write([]byte("back")); return err })
	buf := make([]byte, 2) // shorter than the message
	if _, err := io.ReadFull(p, buf); err != nil || string(buf) != "ba" {
		t.Errorf("read %q, %v", buf, err)
	}
	if _, err := io.ReadFull(p, buf); err != nil || string(buf) != "ck" {
		t.Errorf("read %q, %v", buf, err)
	}
	g.Wait()
	b.Close()
	if _, err := p.Read(buf); !errors.Is(err, io.EOF) {
		t.Errorf("read after the end: %v", err)
	}
}
