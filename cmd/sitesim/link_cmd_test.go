package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sitewatch/cmd/cli"
)

// output may be written by several commands at once.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func sitesim(ctx context.Context, args ...string) (status int, out *output) {
	out = &output{}
	return cli.Run(ctx, "sitesim", "", &commands{}, args, out, out), out
}

func TestLinkRefusesWhatCannotBe(t *testing.T) {
	for _, tt := range []struct{ flag, value, says string }{
		{"--rate", "fast", "write it like 2mbit"},
		{"--queue", "many", "write it like 256KiB"},
		{"--loss", "150%", "more than all"},
		{"--at", "soon down", "for example '30s down'"},
		{"--at", "3s sideways", "say 'rate 1mbit'"},
	} {
		if status, out := sitesim(t.Context(), "link", tt.flag, tt.value); status != cli.ExitConfig || !strings.Contains(out.String(), tt.says) {
			t.Errorf("%s %s ends with %d and %q, want %d and %q", tt.flag, tt.value, status, out, cli.ExitConfig, tt.says)
		}
	}
}

// Both commands see only their side's device, reach each other over the line, and nothing of them is left.
func TestLinkRunsCommandsAndLeavesNothing(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to make network namespaces: sudo go test -run Link ./cmd/sitesim")
	}
	pids := filepath.Join(t.TempDir(), "pids")
	sleeper := fmt.Sprintf("echo $$ >>%s; exec sleep 1000", pids)

	status, out := sitesim(t.Context(), "link", "--at", "0s rate 1mbit", "--exec-a", "cat /proc/net/dev; echo side A is over", "--exec-b", sleeper)
	if status != 0 || !strings.Contains(out.String(), "line0") || strings.Contains(out.String(), "eth0") || !strings.Contains(out.String(), "side A is over") ||
		!strings.Contains(out.String(), "own lateness") {
		t.Errorf("ended with %d and %s", status, out)
	}
	if status, out := sitesim(t.Context(), "link", "--exec-a", "exit 3", "--exec-b", sleeper); status != cli.ExitFailed || !strings.Contains(out.String(), "exit status 3") {
		t.Errorf("a command that failed: ended with %d and %s", status, out)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	began := func() int { b, _ := os.ReadFile(pids); return len(strings.Fields(string(b))) }
	before := began() // now: whoever counts may be later than both
	go func() {
		for ; began() < before+2 && ctx.Err() == nil; <-time.After(10 * time.Millisecond) {
		}
		interrupt()
	}()
	if status, out := sitesim(ctx, "link", "--exec-a", sleeper, "--exec-b", sleeper); status != 0 {
		t.Errorf("interrupted: ended with %d and %s", status, out)
	}
	b, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range strings.Fields(string(b)) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
			t.Errorf("process %d is still there: %v", pid, err)
		}
	}
}
