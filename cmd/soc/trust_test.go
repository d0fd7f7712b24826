package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sitewatch/edge"
	"sitewatch/uplink"
)

func must(t *testing.T, args ...string) string {
	t.Helper()
	status, out, errs := program(t, args...)
	if status != 0 {
		t.Fatalf("%v: %d %s%s", args, status, out, errs)
	}
	return out
}

// uplinkOf is the address for boxes in a configuration.
func uplinkOf(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`uplink: "(.*)"`).FindStringSubmatch(string(b))[1]
}

func enrol(t *testing.T, path, site string) {
	t.Helper()
	tok := must(t, "claim", "--config", path, "--site", site)
	_, err := uplink.Enrol(t.Context(), uplink.EnrolOptions{Dir: t.TempDir(), SOC: uplinkOf(t, path), Token: tok, Site: edge.SiteID(site), Clock: edge.NewSystemClock()})
	if err != nil {
		t.Fatal(err)
	}
}

// The operator's whole procedure, on the command line, beside a receiver that runs.
func TestAuthorityIsReplacedOnTheCommandLine(t *testing.T) {
	path, addr := written(t)
	start(t, path, addr)
	enrol(t, path, "0417")
	enrol(t, path, "0418")
	if out := must(t, "ca", "show", "--config", path); !strings.Contains(out, "issuing") || !strings.Contains(out, "2 boxes: 0417 0418") {
		t.Errorf("show: %q", out)
	}
	says := func(want string, args ...string) {
		t.Helper()
		if status, out, errs := program(t, args...); status != 1 || !strings.Contains(errs, want) {
			t.Errorf("%v: %d %q %q, want %q", args, status, out, errs, want)
		}
	}
	says("soc ca new", "ca", "switch", "--config", path)
	says("soc ca new", "ca", "retire", "--config", path)
	must(t, "ca", "new", "--config", path)
	says("soc ca switch", "ca", "new", "--config", path)
	if out := must(t, "check", "--config", path); !strings.Contains(out, "ca-2 waits") || !strings.Contains(out, "no problems") {
		t.Errorf("check: %q", out)
	}
	must(t, "ca", "switch", "--config", path)
	enrol(t, path, "0419") // by the new one, from the receiver that has not been restarted
	says("2 boxes: 0417 0418", "ca", "retire", "--config", path)
	must(t, "revoke", "--config", path, "--site", "0418", "--why", "closed")
	says("1 boxes: 0417", "ca", "retire", "--config", path)
	must(t, "ca", "retire", "--config", path, "--force")
	if out := must(t, "ca", "show", "--config", path); !strings.Contains(out, "retired") || !strings.Contains(out, "1 boxes: 0419") {
		t.Errorf("show: %q", out)
	}
}

func TestRevokeOnTheCommandLine(t *testing.T) {
	path, addr := written(t)
	start(t, path, addr)
	dir := t.TempDir()
	tok := must(t, "claim", "--config", path, "--site", "0417")
	o := uplink.EnrolOptions{Dir: dir, SOC: uplinkOf(t, path), Token: tok, Site: "0417", Clock: edge.NewSystemClock()}
	if _, err := uplink.Enrol(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if out := must(t, "revoke", "--config", path, "--site", "0417"); !strings.Contains(out, "soc claim --site 0417") {
		t.Errorf("says %q", out)
	}
	if _, err := uplink.Enrol(t.Context(), o); err == nil || !strings.Contains(err.Error(), "used") {
		t.Errorf("the used token gives the revoked certificate again: %v", err)
	}
	o.Token = must(t, "claim", "--config", path, "--site", "0417")
	if _, err := uplink.Enrol(t.Context(), o); err != nil {
		t.Errorf("a new token: %v", err)
	}
	for _, args := range [][]string{{"revoke", "--config", path}, {"revoke", "--config", path, "--site", "../x"}, {"ca"}} {
		if status, _, _ := program(t, args...); status != 2 {
			t.Errorf("%v: status %d, want 2", args, status)
		}
	}
	data := filepath.Dir(path) + "/data/ca/revoked.json"
	if err := os.WriteFile(data, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, errs := program(t, "check", "--config", path); status != 1 || !strings.Contains(errs, "revoked.json") || !strings.Contains(errs, "backup") {
		t.Errorf("check of a damaged file: %d %q", status, errs)
	}
	r, err := http.Get("http://" + addr + "/api/v1/sites")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if b, err := io.ReadAll(r.Body); err != nil || !json.Valid(b) {
		t.Errorf("the running receiver has stopped to answer: %s, %v", b, err)
	}
}
