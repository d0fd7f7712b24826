package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"sitewatch/cmd/cli"
	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

const siteYAML = `site: {id: "0417", name: X, timezone: Europe/London}
uplink: {soc: "127.0.0.1:1"}
`

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestReplayTellsWhatItMeans: signals, events and their sentences, with the zones of the configuration, and nothing is left behind.
func TestReplayTellsWhatItMeans(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	file := write(t, "gateway.yaml", siteYAML+"data: "+filepath.Join(t.TempDir(), "data")+`
panels:
  - {id: intruder, driver: galaxy-sia, port: /dev/ttyUSB0, zones: {"1011": {name: Stock room, kind: intruder}}}
`)
	wire := write(t, "night.wire", `# A night.
< 4E 4E 74 69 31 31 3A 34 36 2F 42 41 31 30 31 31 F7
= signal kind=intruder
> 00 38 C7   # acknowledged
< +10h 4E 4E 74 69 31 31 3A 34 37 2F 42 52 31 30 31 31 E5
> 00 39 C6   # it is not refused
! sink fails
< 4E 4E 74 69 31 31 3A 34 36 2F 42 41 31 30 31 31 F7
`)
	status, stdout, stderr := gateway(t, "replay", wire, "--config", file)
	if status != 0 {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	at := 0
	for _, want := range []string{"# A night.", "< 4E 4E", "signal  kind=intruder code=BA zone=1011", "event 1 intruder, urgent  Intruder alarm in Stock room (zone 1011)",
		"> 00 38 C7   # acknowledged", "signal  kind=intruder-restored", "> 00 38 C7   here the transcript has 00 39 C6", "not stored: the transcript says"} {
		i := strings.Index(stdout[at:], want)
		if i < 0 {
			t.Fatalf("%q does not come in its turn:\n%s", want, stdout)
		}
		at += i
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	for _, args := range [][]string{{"replay", file}, {"replay", wire, "--driver", "acme"}, {"replay", wire, "--config", file, "--panel", "fire"}, {"replay", "/none"}} {
		if status, _, stderr := gateway(t, args...); status != cli.ExitConfig || stderr == "" {
			t.Errorf("%v: exit status %d, %q", args, status, stderr)
		}
	}
}

// TestCaptureIsATranscript: what goes over the line can be parsed and replayed; the event was not acknowledged, so the panel still
// has it; and the port that another program has is not taken.
func TestCaptureIsATranscript(t *testing.T) {
	m, s, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	defer s.Close()
	file := write(t, "gateway.yaml", siteYAML+"data: "+filepath.Join(t.TempDir(), "data")+`
panels:
  - {id: intruder, driver: galaxy-sia, port: "`+s.Name()+`", settings: {baud: 9600, ack_form: ackreq}}
`)
	go func() {
		awaitOpen(t, m)
		m.Write([]byte{0x46, 0x23, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x9B})
		for n := 0; n < 3 && t.Context().Err() == nil; <-time.After(10 * time.Millisecond) { // until it is answered
			n, _ = unix.IoctlGetInt(int(m.Fd()), unix.TIOCINQ)
		}
		m.Write([]byte{0x4E, 0x4E, 0x74, 0x69, 0x31, 0x31, 0x3A, 0x34, 0x36, 0x2F, 0x42, 0x41, 0x31, 0x30, 0x31, 0x31, 0xF7})
	}()
	out := filepath.Join(t.TempDir(), "line.wire")
	if status, _, stderr := gateway(t, "capture", "--config", file, "--panel", "intruder", "--for", "8s", "--out", out); status != 0 {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := panel.ParseTranscript(text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	var steps []string
	for _, st := range tr.Steps {
		steps = append(steps, string(rune(st.Op)))
	}
	if got := strings.Join(steps, ""); got != "#@<><" || !strings.Contains(string(text), "< +") || !strings.Contains(string(text), "40 38 87") || strings.Contains(string(text), "baud") {
		t.Errorf("steps %s:\n%s", got, text)
	}
	if n, err := unix.IoctlGetInt(int(m.Fd()), unix.TIOCINQ); err != nil || n != 3 {
		t.Errorf("%d bytes were sent, want the account's acknowledgement alone (%v)", n, err)
	}
	if status, stdout, _ := gateway(t, "replay", out); status != 0 || !strings.Contains(stdout, "Intruder alarm in zone 1011") {
		t.Errorf("replayed: exit status %d\n%s", status, stdout)
	}
	if err := unix.Flock(int(s.Fd()), unix.LOCK_EX); err != nil { // as a gateway does
		t.Fatal(err)
	}
	if status, _, stderr := gateway(t, "capture", "--config", file, "--panel", "intruder", "--for", "1s"); status != cli.ExitFailed || !strings.Contains(stderr, "stop the gateway") {
		t.Errorf("a port in use: exit status %d, %q", status, stderr)
	}
}

// TestCaptureKeepsNoSecret: a login that comes in two pieces is put together before it is masked; so is a key.
func TestCaptureKeepsNoSecret(t *testing.T) {
	at := func(ms int) edge.Stamp { return edge.Stamp{Mono: time.Duration(ms) * time.Millisecond, Boot: "b"} }
	r := recorder{mask: func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("SECRET"), []byte("000000")) }}
	r.settings(map[string]any{"remote_code_file": "/etc/sitewatch/code", "ack_form": "plain", "baud": 9600, "devices": []any{map[string]any{"scbk_file": "/k"}}, "n": 3})
	r.wire(at(0), true, []byte("aSECRETb"))
	r.wire(at(5), false, []byte("xSEC"))
	r.wire(at(20), false, []byte("RETy"))
	r.wire(at(500), false, []byte("z"))
	text, err := r.text()
	if err != nil {
		t.Fatal(err)
	}
	want := "@ ack_form=plain\n# setting devices names a file with a secret and is left out\n@ n=3\n> 61 30 30 30 30 30 30 62\n< +5ms 78 30 30 30 30 30 30 79\n< +480ms 7A\n"
	if string(text) != want {
		t.Errorf("got\n%swant\n%s", text, want)
	}
	for i := range 200000 {
		r.wire(at(1000+i*100), false, []byte("some bytes of a line that never ends"))
	}
	if text, err = r.text(); err != nil || len(text) > panel.MaxTranscriptBytes {
		t.Errorf("a capture of %d bytes, %v", len(text), err)
	}
	if _, err := panel.ParseTranscript(text); err != nil {
		t.Errorf("a full capture: %v", err)
	}
}
