package main

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestStolenBoxIsShutOutAndItsSuccessorComesBack with the real programs, none of which is restarted: revoked at the SOC's
// command line, refused within seconds, enrolled anew beside the running gateway.
func TestStolenBoxIsShutOutAndItsSuccessorComesBack(t *testing.T) {
	t.Parallel()
	s := newSite(t, panelOnly)
	l := plug(t, s.dir+"/panel")
	s.startGateway()
	s.waitEvent("the start", 20*time.Second, kind("started"))
	status := func() string { return s.output("gateway", "status", "--config", s.dir+"/gateway.yaml") }
	if want := "good until " + time.Now().Add(90*24*time.Hour).UTC().Format("2006-01-"); !strings.Contains(status(), want) {
		t.Errorf("the status says %q, want %q", status(), want)
	}
	s.output("soc", "revoke", "--config", s.dir+"/soc.yaml", "--site", "0417", "--why", "stolen")
	s.until("the box is refused, and says why", 15*time.Second, func() bool { return strings.Contains(status(), "has been revoked") })
	l.must(blkAccount, ack)
	l.must(blkIntruder, ack) // the panel is none the worse for it
	var sites struct {
		Items []struct {
			Connected   bool `json:"connected"`
			Certificate struct {
				ExpiresAt time.Time `json:"expires_at"`
				Expired   bool      `json:"expired"`
				Revoked   bool      `json:"revoked"`
			} `json:"certificate"`
		} `json:"items"`
	}
	if err := s.get("/sites", &sites); err != nil || len(sites.Items) != 1 || sites.Items[0].Connected || !sites.Items[0].Certificate.Revoked {
		t.Errorf("the SOC shows %+v, %v", sites, err)
	}
	if n := s.count("intruder"); n != 0 {
		t.Errorf("%d alarms of a revoked box are at the SOC", n)
	}
	token := s.output("soc", "claim", "--config", s.dir+"/soc.yaml", "--site", "0417")
	s.output("gateway", "enrol", "--config", s.dir+"/gateway.yaml", "--token", strings.TrimSpace(token))
	s.waitEvent("the alarm that waited", 30*time.Second, kind("intruder"))
	if err := s.get("/sites", &sites); err != nil || sites.Items[0].Certificate.Revoked || sites.Items[0].Certificate.Expired || time.Until(sites.Items[0].Certificate.ExpiresAt) < 89*24*time.Hour {
		t.Errorf("the SOC shows %+v, %v", sites, err)
	}
}

// TestGatewayWhoseMachineClockCannotBe runs a gateway that was built, as it believes, in 200 days: the machine's clock shows
// less, as one at 1970 would. It delivers all the same, and says what its times are worth.
func TestGatewayWhoseMachineClockCannotBe(t *testing.T) {
	t.Parallel()
	s := newSite(t, panelOnly)
	bin := t.TempDir()
	flags := fmt.Sprintf("-X sitewatch/cmd/cli.BuiltAt=%d", time.Now().Add(200*24*time.Hour).Unix())
	if out, err := exec.Command("go", "build", "-ldflags", flags, "-o", bin+"/", "sitewatch/cmd/gateway").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.bin = bin
	l := plug(t, s.dir+"/panel")
	s.startGateway()
	l.must(blkAccount, ack)
	l.must(blkIntruder, ack)
	e := s.waitEvent("the alarm", 20*time.Second, kind("intruder"))
	if e.Clock != "unset" || e.Late {
		t.Errorf("the alarm says that the clock is %s, late %v", e.Clock, e.Late)
	}
	if out := s.output("gateway", "status", "--config", s.dir+"/gateway.yaml"); !strings.Contains(out, "clock unset") {
		t.Errorf("the status says %q", out)
	}
}
