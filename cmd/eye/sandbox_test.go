package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inSandbox, when it is set, makes of this test program an eye that has been taken over.
const inSandbox = "SITEWATCH_TEST_SANDBOX"

// inherited is what of cmd.ExtraFiles comes first.
const inherited = 3

// attempts are what code in a decoder would try. Each must fail.
var attempts = map[string]func() error{
	"open a file":           func() error { _, err := os.Open("/etc/hostname"); return err },
	"make a file":           func() error { return os.WriteFile("/tmp/sitewatch-sandbox-test", nil, 0o600) },
	"list a directory":      func() error { _, err := os.ReadDir("/"); return err },
	"make a socket":         func() error { _, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); return err },
	"start a program":       func() error { return exec.Command("/bin/true").Run() },
	"look into the gateway": func() error { return unix.PtraceAttach(os.Getppid()) },
	"end the gateway":       func() error { return unix.Kill(os.Getppid(), 0) },
	"make memory executable": func() error {
		_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
		return err
	},
	"raise a limit": func() error { return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 4096, Max: 4096}) },
}

func TestSandboxedChild(t *testing.T) {
	if os.Getenv(inSandbox) == "" {
		return // TestSandbox runs it
	}
	if err := standBack(); err != nil {
		fmt.Println("of usual priority:", err)
	}
	if err := confine(); err != nil {
		fmt.Println("not confined:", err)
		os.Exit(1)
	}
	for name, try := range attempts {
		if err := try(); err == nil {
			fmt.Printf("could %s\n", name)
		} else if !errors.Is(err, syscall.EPERM) {
			fmt.Printf("%s: %v, want EPERM\n", name, err)
		}
	}
	if _, err := unix.Read(inherited, make([]byte, 1)); !errors.Is(err, unix.EBADF) {
		fmt.Printf("read what the gateway had inherited: %v, want EBADF\n", err)
	}
	done := make(chan bool) // threads and memory are still to be had
	for range 20 {
		go func() { done <- len(bytes.Repeat([]byte{1}, 1<<20)) > 0 }()
	}
	for range 20 {
		<-done
	}
	fmt.Println("alive")
	os.Exit(0)
}

func TestSandbox(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestSandboxedChild$")
	cmd.Env = append(os.Environ(), inSandbox+"=1")
	secret, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	cmd.ExtraFiles = []*os.File{secret}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "alive" {
		t.Errorf("got %v and %q, want an eye that can do nothing and lives", err, out)
	}
}
