package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"sitewatch/cmd/cli"
	"sitewatch/edge/config"
)

// gateway runs one command line in this process.
func gateway(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var o, e bytes.Buffer
	status = cli.Run(t.Context(), "gateway", "", &commands{}, args, &o, &e)
	return status, o.String(), e.String()
}

func TestEveryProblemAtOnceAndNothingStarted(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "gateway.yaml")
	bad := `site: {id: 0417, name: X, timezone: Mars/Base}
data: ` + dir + `/data
listne: 127.0.0.1:8480
panels:
  - {id: intruder, driver: galaxy-sia, port: tcp-listen://:99999, settings: {baud: 12345, ack_form: loud}}
cameras:
  - {id: door, name: One, main: "rtsp://10.0.0.1/main", password_file: ` + dir + `/missing.pw}
  - {id: door, name: Two, main: "http://10.0.0.1/main"}
uplink: {soc: "soc.example:7443"}
`
	if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"check", "run"} {
		status, _, stderr := gateway(t, command, "--config", file)
		if status != cli.ExitConfig {
			t.Errorf("%s: exit status %d, want %d", command, status, cli.ExitConfig)
		}
		for _, want := range []string{"gateway.yaml:1: site.id", "site.timezone", "gateway.yaml:3: listne", "gateway.yaml:5: panels[0].port",
			"panels[0].settings.ack_form", "gateway.yaml:7: cameras[0].password_file", "gateway.yaml:8: cameras[1].id", "cameras[1].main"} {
			if !strings.Contains(stderr, want) {
				t.Errorf("%s does not name %q:\n%s", command, want, stderr)
			}
		}
		if _, err := os.Stat(dir + "/data"); err == nil {
			t.Errorf("%s made the data directory of a configuration that it refused", command)
		}
	}
}

func TestWrongArguments(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "gateway.yaml")
	good := "site: {id: \"0417\", name: X, timezone: Europe/London}\ndata: " + dir + "/data\nuplink: {soc: \"127.0.0.1:1\"}\n"
	if err := os.WriteFile(file, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{}, {"fly"}, {"run", "--fast"}, {"check", "--config", dir + "/none.yaml"}, {"enrol", "--config", file},
		{"enrol", "--config", file, "--token", "garbage"}, {"enrol", "--config", file, "--token", "x", "--soc", "nonsense"},
		{"clip", "--config", file, "../../etc/passwd", dir + "/out.mp4"},
	} {
		if status, _, stderr := gateway(t, args...); status != cli.ExitConfig || stderr == "" {
			t.Errorf("gateway %v: exit status %d, %q; want %d and a reason", args, status, stderr, cli.ExitConfig)
		}
	}
	if status, stdout, stderr := gateway(t, "check", "--config", file); status != 0 || !strings.Contains(stdout, "no problems") {
		t.Errorf("check: exit status %d, %q, %q", status, stdout, stderr)
	}
	status, stdout, _ := gateway(t, "check", "--print", "--config", file)
	if status != 0 || !strings.Contains(stdout, "before: 10s") {
		t.Errorf("check --print: exit status %d:\n%s", status, stdout)
	}
	if status, _, stderr := gateway(t, "status", "--config", file); status != cli.ExitFailed || !strings.Contains(stderr, "gateway run") {
		t.Errorf("status without a gateway: exit status %d, %q; want %d and what to do", status, stderr, cli.ExitFailed)
	}
}

// TestOnePortForTwoPanels: two drivers on one line would each take the other's answers; also where the line has two names.
func TestOnePortForTwoPanels(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "gateway.yaml")
	if err := os.WriteFile(filepath.Join(dir, "tty"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "tty"), filepath.Join(dir, "by-id")); err != nil {
		t.Fatal(err)
	}
	head := "site: {id: \"0417\", name: X, timezone: Europe/London}\ndata: " + dir + "/data\nuplink: {soc: \"127.0.0.1:1\"}\npanels:\n"
	for _, tt := range []struct{ first, second, want string }{
		{dir + "/tty", dir + "/by-id", "gateway.yaml:6: panels[1].port"},
		{"tcp-listen://0.0.0.0:10002", "tcp-listen://127.0.0.1:10002", "gateway.yaml:6: panels[1].port"},
		{dir + "/tty", dir + "/other", ""},
	} {
		text := head + "  - {id: a, driver: galaxy-sia, port: \"" + tt.first + "\"}\n  - {id: b, driver: galaxy-sia, port: \"" + tt.second + "\"}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		status, _, stderr := gateway(t, "check", "--config", file)
		if want := tt.want != ""; (status == cli.ExitConfig) != want || !strings.Contains(stderr, tt.want) {
			t.Errorf("%s and %s: exit status %d, %q; want %q", tt.first, tt.second, status, stderr, tt.want)
		}
		if tt.want != "" && !strings.Contains(stderr, "panel a") {
			t.Errorf("%s and %s: %q does not name the other panel", tt.first, tt.second, stderr)
		}
	}
}

// TestCheckListens: what arrives and what was expected, of a panel at the wrong speed, a silent one and a good one.
func TestCheckListens(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "gateway.yaml")
	text := "site: {id: \"0417\", name: X, timezone: Europe/London}\ndata: " + dir + "/data\nuplink: {soc: \"127.0.0.1:1\"}\npanels:\n"
	good := []byte{0x46, 0x23, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x9B}
	var sent [3]*os.File
	for i, id := range []string{"good", "wrong", "mute"} {
		m, s, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		defer s.Close()
		sent[i] = m
		text += "  - {id: " + id + ", driver: galaxy-sia, port: \"" + s.Name() + "\"}\n"
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		for _, m := range sent {
			awaitOpen(t, m)
		}
		sent[0].Write(good)
		sent[1].Write([]byte{0x80, 0x93, 0x11, 0x80, 0x93})
	}()
	status, stdout, stderr := gateway(t, "check", "--config", file, "--listen", "8s")
	if status != cli.ExitFailed || !strings.Contains(stderr, "not every panel is heard") {
		t.Errorf("exit status %d, %q", status, stderr)
	}
	for _, want := range []string{"9 bytes, 1 good frames", "no frame checks: baud or A/B swapped?", "80 93 11 80 93", "Expected: Honeywell Galaxy", "no byte has come"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("it does not say %q:\n%s", want, stdout)
		}
	}
	if n, err := unix.IoctlGetInt(int(sent[0].Fd()), unix.TIOCINQ); err != nil || n > 0 {
		t.Errorf("%d bytes were sent to a panel that was only listened to (%v)", n, err)
	}
}

// What may be recorded of a camera is a matter of the disk: little of it is advice, and never keeps a box from starting.
func TestRecordingForMinutesIsAdvice(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "gateway.yaml")
	for _, tt := range []struct{ limit, quota, want string }{
		{"64MiB", "", "limits.segments of 64MiB is 4 minutes of 1 cameras"},
		{"64GiB", "", ""},
		{"64GiB", ", segments: 128MiB", "camera b may record 128MiB, 8 minutes"},
	} {
		text := `site: {id: "0417", name: X, timezone: Europe/London}
data: ` + dir + `/data
limits: {journal: 1MiB, clips: 1MiB, segments: ` + tt.limit + `}
cameras:
  - {id: a, main: "rtsp://10.0.0.1/main"}
  - {id: b, main: "rtsp://10.0.0.2/main", record: continuous` + tt.quota + `}
uplink: {soc: "soc.example:7443"}
`
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		g, problems := config.LoadGateway(file)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if got := scarce(g); !strings.HasPrefix(got, tt.want) || (got == "") != (tt.want == "") {
			t.Errorf("%s%s: got %q, want %q", tt.limit, tt.quota, got, tt.want)
		}
	}
}

func TestStatusOfAnotherSiteIsNoAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"another site":       {http.StatusOK, `{"site": "0999"}`, "is of site 0999"},
		"a gateway in need":  {http.StatusInternalServerError, `{"error": "the journal cannot be read"}`, "the journal cannot be read"},
		"another web server": {http.StatusOK, `<html>`, "is no gateway"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				io.WriteString(w, c.body)
			}))
			defer srv.Close()
			file := filepath.Join(t.TempDir(), "gateway.yaml")
			text := "site: {id: \"0417\", name: X, timezone: Europe/London}\ndata: /nowhere\nlisten: " + strings.TrimPrefix(srv.URL, "http://") + "\nuplink: {soc: \"127.0.0.1:1\"}\n"
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if status, stdout, stderr := gateway(t, "status", "--config", file); status != cli.ExitFailed || !strings.Contains(stderr, c.want) || stdout != "" {
				t.Errorf("exit status %d, %q, %q; want %d and %q on standard error", status, stdout, stderr, cli.ExitFailed, c.want)
			}
		})
	}
}

// awaitOpen waits until somebody has opened the other end of the line: it echoes nothing any more.
func awaitOpen(t *testing.T, m *os.File) {
	for t.Context().Err() == nil {
		if s, err := unix.IoctlGetTermios(int(m.Fd()), unix.TCGETS); err == nil && s.Lflag&unix.ECHO == 0 {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
}
