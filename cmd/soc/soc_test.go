package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sitewatch/cmd/cli"
	"sitewatch/uplink/wire"
)

// TestMain is the program itself when it is asked to: tests kill it as no goroutine can be killed.
func TestMain(m *testing.M) {
	if os.Getenv("SITEWATCH_SOC_MAIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

// program runs the program to its end.
func program(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var o, e bytes.Buffer
	status = cli.Run(t.Context(), "soc", "", &commands{}, args, &o, &e)
	return status, o.String(), e.String()
}

// written is a configuration on free ports.
func written(t *testing.T) (path, http string) {
	t.Helper()
	dir := t.TempDir()
	// Not of the ports that the kernel gives to whoever asks: nobody else takes them before the program does.
	addr := func() string {
		for {
			ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(5000)))
			if err == nil {
				defer ln.Close()
				return ln.Addr().String()
			}
		}
	}
	http = addr()
	uplink := addr()
	for uplink == http {
		uplink = addr()
	}
	path = filepath.Join(dir, "soc.yaml")
	if err := os.WriteFile(path, fmt.Appendf(nil, "data: %s/data\nuplink: %q\nhttp: %q\n", dir, uplink, http), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, http
}

func TestClaimPrintsTheTokenAlone(t *testing.T) {
	path, _ := written(t)
	status, out, errs := program(t, "claim", "--config", path, "--site", "0417")
	if status != 0 || errs != "" || strings.Count(out, "\n") != 1 {
		t.Fatalf("got %d, %q, %q", status, out, errs)
	}
	if tok, err := wire.ParseToken(out); err != nil || tok.Site != "0417" {
		t.Errorf("got %+v, %v", tok, err)
	}
}

func TestExitStatus(t *testing.T) {
	good, _ := written(t)
	bad := filepath.Join(t.TempDir(), "soc.yaml")
	if err := os.WriteFile(bad, []byte("data: relative\nhttp: 0.0.0.0:80\ncolour: blue\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args []string
		want int
		says []string
	}{
		"version":          {[]string{"version"}, 0, []string{"soc "}},
		"check":            {[]string{"check", "--config", good}, 0, []string{"no problems"}},
		"all problems":     {[]string{"check", "--config", bad}, 2, []string{"soc.yaml:1", "soc.yaml:2", "soc.yaml:3"}},
		"run refuses":      {[]string{"run", "--config", bad}, 2, []string{"colour"}},
		"no configuration": {[]string{"run", "--config", bad + "x"}, 2, []string{"soc.yamlx"}},
		"no command":       {nil, 2, nil},
		"unknown flag":     {[]string{"run", "--colour"}, 2, nil},
		"claim, no site":   {[]string{"claim", "--config", good}, 2, []string{"--site"}},
		"claim, bad site":  {[]string{"claim", "--config", good, "--site", "../x"}, 2, []string{"../x"}},
	} {
		status, out, errs := program(t, tt.args...)
		if status != tt.want {
			t.Errorf("%s: status %d, want %d (%s%s)", name, status, tt.want, out, errs)
		}
		for _, s := range tt.says {
			if !strings.Contains(out+errs, s) {
				t.Errorf("%s: says %q, want something of %q", name, out+errs, s)
			}
		}
	}
}

// start runs the program as a process and waits until it serves.
func start(t *testing.T, path, addr string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "run", "--config", path)
	cmd.Env = append(os.Environ(), "SITEWATCH_SOC_MAIN=1")
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for range 9000 { // three minutes
		if r, err := http.Get("http://" + addr + "/healthz"); err == nil {
			r.Body.Close()
			return cmd
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Fatal("the program does not serve")
	return nil
}

func TestProcessIsKilledComesBackAndStopsCleanly(t *testing.T) {
	path, addr := written(t)
	first := start(t, path, addr)
	status, out, errs := program(t, "claim", "--config", path, "--site", "0417")
	if status != 0 {
		t.Fatalf("claim beside a running SOC: %d %s", status, errs)
	}
	before, err := wire.ParseToken(out)
	if err != nil {
		t.Fatal(err)
	}
	if status, _, errs := program(t, "run", "--config", path); status != 1 || !strings.Contains(errs, "another soc") {
		t.Errorf("a second SOC on the same data: %d %s", status, errs)
	}
	r, err := http.Get("http://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil || !bytes.Contains(page, []byte("<title>Sitewatch</title>")) {
		t.Errorf("no console: %v", err)
	}
	first.Process.Kill()
	first.Wait()
	second := start(t, path, addr)
	_, out, _ = program(t, "claim", "--config", path, "--site", "0417")
	if after, err := wire.ParseToken(out); err != nil || after.CA != before.CA {
		t.Errorf("the CA has changed (%v)", err)
	}
	// A browser that holds a stream open does not hold up the end.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+addr+"/api/v1/events/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	second.Process.Signal(syscall.SIGTERM)
	if err := second.Wait(); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	if ctx.Err() != nil {
		t.Error("it took a minute to stop")
	}
}
