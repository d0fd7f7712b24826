package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sitewatch/cmd/cli"
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
