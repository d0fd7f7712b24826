package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const twoPaths = site + `
cameras: [{id: door, main: "rtsp://c/m"}]
uplink:
  soc: ["soc-1.example:7443", "soc-2.example:7443"]
  limit: 4Mbit/s
  paths:
    - {name: broadband, interface: eth0}
    - {name: mobile, interface: wwan0, bulk: stills, limit: 256kbit/s, soc: "soc-m.example:7443"}
  schedule:
    - {days: [mon, sat], from: "08:00", to: "20:30", limit: 1Mbit/s}
    - {from: "22:00", to: "06:00", limit: 8Mbit/s}
    - {days: [sun], from: "23:00", to: "01:00", limit: 16kbit/s}
`

func TestPathsAndSchedule(t *testing.T) {
	g, ps := parseGateway("gateway.yaml", []byte(twoPaths), nil)
	if len(ps) > 0 {
		t.Fatalf("problems in a sound file:\n%s", lines(ps))
	}
	want := []Path{
		{Name: "broadband", Interface: "eth0", SOC: []string{"soc-1.example:7443", "soc-2.example:7443"}, Bulk: "all"},
		{Name: "mobile", Interface: "wwan0", SOC: []string{"soc-m.example:7443"}, Bulk: "stills", Limit: 256e3},
	}
	if d := cmp.Diff(want, g.Uplink.Paths); d != "" {
		t.Errorf("paths (-want +got):\n%s", d)
	}
	for at, want := range map[string]Rate{
		"2026-11-23 07:59": 4e6, // a Monday
		"2026-11-23 08:00": 1e6,
		"2026-11-23 20:29": 1e6,
		"2026-11-23 20:30": 4e6,
		"2026-11-23 23:00": 4e6, // a span never raises the limit
		"2026-11-24 08:00": 4e6, // a Tuesday
		"2026-11-29 22:59": 4e6, // a Sunday
		"2026-11-29 23:00": 16e3,
		"2026-11-30 00:59": 16e3, // the Monday after, still Sunday's span
		"2026-11-30 01:00": 4e6,
	} {
		when, err := time.ParseInLocation("2006-01-02 15:04", at, g.Site.Location)
		if err != nil {
			t.Fatal(err)
		}
		if got := g.Uplink.LimitAt(when); got != want {
			t.Errorf("limit at %s: got %s, want %s", at, got, want)
		}
	}
	var b strings.Builder
	if err := g.Print(&b); err != nil {
		t.Fatal(err)
	}
	if again, ps := parseGateway("printed", []byte(b.String()), nil); len(ps) > 0 || cmp.Diff(g.Uplink, again.Uplink) != "" {
		t.Errorf("printed and loaded again: %s%s", cmp.Diff(g.Uplink, again.Uplink), lines(ps))
	}
}
