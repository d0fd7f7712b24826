package rtsp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"sitewatch/video"
)

// beating is a connection that is read on beats, and its other end.
func beating(t *testing.T, run bool) (c *beatConn, camera net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if camera, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); camera.Close() })
	pulse := video.NewPulse()
	if run {
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { pulse.Run(ctx) })
		t.Cleanup(func() { cancel(); wg.Wait() })
	}
	c, ok := onBeats(conn, pulse).(*beatConn)
	if !ok {
		t.Fatal("a connection of the kernel has no beats")
	}
	return c, camera
}

func TestBytesComeWholeOnBeats(t *testing.T) {
	c, camera := beating(t, true)
	head, body := []byte("asked and answered"), make([]byte, 3*lowWater+5)
	for i := range body {
		body[i] = byte(i * i >> 4)
	}
	if _, err := camera.Write(head); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(head))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, head) {
		t.Fatalf("before: got %q, %v", got, err)
	}
	c.steady.Store(true)
	var wg sync.WaitGroup
	wg.Go(func() {
		for b := body; len(b) > 0; b = b[min(1400, len(b)):] {
			if _, err := camera.Write(b[:min(1400, len(b))]); err != nil {
				t.Error(err)
			}
		}
		camera.Close()
	})
	all, err := io.ReadAll(c)
	wg.Wait()
	if err != nil || !bytes.Equal(all, body) {
		t.Errorf("got %d bytes and %v, want the %d that were sent and their end", len(all), err, len(body))
	}
	if !c.beats || c.buf != nil {
		t.Errorf("beats is %v, want it on; a buffer is held: %v", c.beats, c.buf != nil)
	}
}

// Nobody beats here, and nothing comes.
func TestCloseEndsAReadThatWaitsForABeat(t *testing.T) {
	c, _ := beating(t, false)
	c.steady.Store(true)
	read := make(chan error)
	go func() {
		_, err := c.Read(make([]byte, 1))
		read <- err
	}()
	waitFor(t, "a read that waits", func() bool { return waits("(*beatConn).fill(") })
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-read; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read of a closed connection = %v", err)
	}
}

// waits says whether a goroutine waits in a select of the function.
func waits(function string) bool {
	b := make([]byte, 1<<20)
	for g := range strings.SplitSeq(string(b[:runtime.Stack(b, true)]), "\n\n") {
		state, calls, _ := strings.Cut(g, "\n")
		if strings.Contains(state, "[select") && strings.Contains(calls, function) {
			return true
		}
	}
	return false
}

func TestPacketsWakeNobody(t *testing.T) {
	c, camera := beating(t, true)
	c.steady.Store(true)
	if _, err := camera.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Fatalf("Read = %d, %v", n, err)
	}
	var low int
	var err error
	if e := c.raw.Control(func(fd uintptr) { low, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	const packet = 1500 // the kernel may allow less than lowWater: half the limit of tcp_rmem
	if low <= packet {
		t.Errorf("the kernel wakes for %d bytes, which a packet has; want %d", low, lowWater)
	}
}

func TestWithoutAPulseTheConnectionIsItself(t *testing.T) {
	c, _ := beating(t, false)
	if got := onBeats(c.Conn, nil); got != c.Conn {
		t.Errorf("got %T, want the connection", got)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if got := onBeats(a, video.NewPulse()); got != a {
		t.Errorf("got %T, want the pipe", got)
	}
}
