package modbus

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

// python is Debian's: another one on the path does not have Debian's packages.
const python = "/usr/bin/python3"

// TestLive asks slaves of an implementation that is not ours, pymodbus, through the ports that the box uses: a serial line, the
// same frames over TCP, and Modbus TCP.
func TestLive(t *testing.T) {
	if err := exec.Command(python, "-c", "import pymodbus, serial_asyncio").Run(); err != nil {
		t.Skip("the live peer is not here: apt-get install python3-pymodbus python3-serial-asyncio socat")
	}
	if _, err := exec.LookPath("socat"); err != nil {
		t.Skip("the live peer's line is not here: apt-get install socat")
	}
	pty := func(path string) string { return "pty,raw,echo=0,link=" + path }
	appears := func(t *testing.T, path string) {
		waitFor(t, path, func() bool { _, err := os.Lstat(path); return err == nil })
	}
	t.Run("serial", func(t *testing.T) {
		box, bus := filepath.Join(t.TempDir(), "box"), filepath.Join(t.TempDir(), "bus")
		start(t, exec.Command("socat", pty(box), pty(bus)), "")
		appears(t, box)
		appears(t, bus)
		live(t, box, bus)
	})
	t.Run("RTU over TCP", func(t *testing.T) {
		bus, port := filepath.Join(t.TempDir(), "bus"), freePort(t)
		start(t, exec.Command("socat", pty(bus), fmt.Sprintf("tcp-listen:%d,bind=127.0.0.1,reuseaddr", port)), "")
		appears(t, bus)
		live(t, fmt.Sprintf("tcp://127.0.0.1:%d", port), bus)
	})
	t.Run("Modbus TCP", func(t *testing.T) {
		port := freePort(t)
		live(t, fmt.Sprintf("modbus-tcp://127.0.0.1:%d", port), fmt.Sprint(port))
	})
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// start runs a program until the test ends. With ready it waits for that line, and returns the program's input.
func start(t *testing.T, cmd *exec.Cmd, ready string) io.Writer {
	t.Helper()
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if ready != "" {
		if line, err := bufio.NewReader(out).ReadString('\n'); line != ready+"\n" {
			t.Fatalf("%s said %q, %v", cmd.Path, line, err)
		}
	}
	return in
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 24000 { // two minutes
		if ok() {
			return
		}
		<-tick.C
	}
	t.Fatalf("%s did not come", what)
}

// live runs a line to slaves that are started on the device or TCP port at, and changes what they say.
func live(t *testing.T, port, at string) {
	slaves := start(t, exec.Command(python, "testdata/slaves.py", at), "ready")
	got := &sink{}
	l, err := panel.NewLine(panel.LineOptions{Panel: "contacts", Driver: Driver, Port: port, Sink: got, Clock: edge.NewSystemClock(),
		Log: slog.New(slog.DiscardHandler), Location: time.UTC, Report: func(context.Context, edge.Event) error { return nil },
		Settings: jsonOf(t, `{"slaves":[{"address":1,"profile":"waveshare-8di"},{"address":3,"profile":"alarmline2"},{"address":9,"profile":"waveshare-8di","timeout":"50ms"}]}`).(map[string]any)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error { return l.Run(ctx) })
	defer func() {
		stop()
		if err := g.Wait(); err != nil {
			t.Errorf("the line ended with %v", err)
		}
	}()
	has := func(what string) func() bool {
		return func() bool {
			got.mu.Lock()
			defer got.mu.Unlock()
			for _, s := range got.said {
				if s == what {
					return true
				}
			}
			return false
		}
	}
	waitFor(t, "the state of the inputs", has("-1-8"))
	waitFor(t, "the state of the detectors", has("-3-2/fire-fault"))
	waitFor(t, "the loss of the slave that is not there", has("+slave-9/device-lost:Modbus slave 9 (waveshare-8di): no answer"))
	fmt.Fprintln(slaves, "1 2 2 1")
	waitFor(t, "input 3", has("+1-3"))
	fmt.Fprintln(slaves, "3 4 1 65535")
	waitFor(t, "the fault of zone 2", has("+3-2/fire-fault:cable fault"))
	fmt.Fprintln(slaves, "3 4 0 120")
	waitFor(t, "the fire in zone 1", has("+3-1/fire:alarm at 120 m"))
	fmt.Fprintln(slaves, "1 2 2 0")
	waitFor(t, "the return of input 3", has("-1-3"))
	if c := l.Stats(); c.State != panel.Connected || c.Rejects > 0 {
		t.Errorf("the line is %+v", c)
	}
}
