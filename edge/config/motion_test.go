package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sitewatch/edge"
)

const withRules = site + uplink + `
cameras: [{id: door, main: "rtsp://c/m", role: door,
  motion: {sensitivity: high, min_size: 0.5%, regions: [[[0, 0.25], [1, 0.25], [1, 1], [0, 1]]], masks: [[[0, 0], [0.5, 0], [0, 0.5]], [[1, 1], [0.9, 1], [1, 0.9]]]}}, {id: chapel, main: "rtsp://d/m", role: chapel}]
motion:
  rules:
    - {name: street, cameras: [door], when: unset, send: false}
    - {name: night, roles: [chapel, stock-room], days: [mon, sun], from: "20:00", to: "07:00", send: true}
    - {name: set, when: set, send: true}
`

func TestMotionRules(t *testing.T) {
	g, ps := parseGateway("gateway.yaml", []byte(withRules), nil)
	if len(ps) > 0 {
		t.Fatalf("problems in a sound file:\n%s", lines(ps))
	}
	want := []MotionRule{
		{Name: "street", Cameras: []edge.CameraID{"door"}, When: "unset"},
		{Name: "night", Roles: []string{"chapel", "stock-room"}, When: "any", Send: true,
			Hours: Hours{Days: []time.Weekday{time.Monday, time.Sunday}, From: 20 * time.Hour, To: 7 * time.Hour}},
		{Name: "set", When: "set", Send: true},
	}
	if d := cmp.Diff(want, g.Motion); d != "" {
		t.Errorf("rules (-want +got):\n%s", d)
	}
	look := Look{Sensitivity: "high", MinSize: 0.5, Regions: []Polygon{{{0, 0.25}, {1, 0.25}, {1, 1}, {0, 1}}},
		Masks: []Polygon{{{0, 0}, {0.5, 0}, {0, 0.5}}, {{1, 1}, {0.9, 1}, {1, 0.9}}}}
	if d := cmp.Diff(look, g.Cameras[0].Look); d != "" {
		t.Errorf("look (-want +got):\n%s", d)
	}
	if g.Cameras[1].Role != "chapel" {
		t.Errorf("role: got %q, want chapel", g.Cameras[1].Role)
	}
	var b strings.Builder
	if err := g.Print(&b); err != nil {
		t.Fatal(err)
	}
	again, ps := parseGateway("printed", []byte(b.String()), nil)
	if len(ps) > 0 {
		t.Fatalf("printed:\n%s\nproblems:\n%s", b.String(), lines(ps))
	}
	if d := cmp.Diff(g, again, append(ignore, cmpopts.EquateEmpty())...); d != "" {
		t.Errorf("printed and loaded again (-want +got):\n%s", d)
	}
	none, ps := parseGateway("gateway.yaml", []byte(least+"motion: {rules: []}\n"), nil)
	if len(ps) > 0 || len(none.Motion) != 0 {
		t.Errorf("no rules: got %v %s, want none", none.Motion, lines(ps))
	}
}

func TestMotionRuleProblems(t *testing.T) {
	_, ps := parseGateway("gateway.yaml", []byte(least+`
motion:
  rules:
    - {name: a, roles: [kitchen], when: sometimes, send: perhaps}
    - {name: a, cameras: [attic], days: [monday], from: "25:00", to: "07:00"}
`), nil)
	got := lines(ps)
	for _, want := range []string{
		`motion.rules[0].roles[0]: "kitchen" is unknown`, `motion.rules[0].when`, `motion.rules[0].send: is neither true nor false`,
		`motion.rules[1].name: "a" is the name of two rules`, `motion.rules[1].cameras`, `motion.rules[1].days[0]: "monday" is unknown`,
		`motion.rules[1].from: "25:00" is no time of day`, `motion.rules[1].send: is missing`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no complaint %q in:\n%s", want, got)
		}
	}
}

func TestLookProblems(t *testing.T) {
	_, ps := parseGateway("gateway.yaml", []byte(site+uplink+`
cameras:
  - {id: a, main: "rtsp://c/m", motion: {sensitivity: extreme, min_size: 5, regions: [[[0, 0], [1, 1]]], masks: [[[0, 0], [1, 2], [0, 1]]]}}
  - {id: b, main: "rtsp://c/m", motion: {min_size: 99%, regions: [[[0, 0], [1, a], [0, 1]], 7]}}
`), nil)
	got := lines(ps)
	for _, want := range []string{
		`cameras[0].motion.sensitivity`, `cameras[0].motion.min_size`, `cameras[0].motion.regions[0]: is no list of 3 to 32 corners`,
		`cameras[0].motion.masks[0]: has a corner`, `cameras[1].motion.min_size: "99%" is no share`, `cameras[1].motion.regions[0]: has a corner`,
		`cameras[1].motion.regions[1]: is no list`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no complaint %q in:\n%s", want, got)
		}
	}
}

// A camera that looks at nothing would be found out on the night of a burglary.
func TestLookThatSeesNothingIsAProblem(t *testing.T) {
	for look, blind := range map[string]bool{
		"{masks: [[[0, 0], [1, 0], [1, 1], [0, 1]]]}":                                            true,
		"{regions: [[[0, 0], [0.5, 0.5], [1, 1]]]}":                                              true,
		"{regions: [[[0.2, 0.2], [0.4, 0.2], [0.3, 0.4]]], masks: [[[0, 0], [1, 0], [0.5, 1]]]}": true,
		"{masks: [[[0, 0], [1, 0], [1, 0.5], [0, 0.5]], [[0, 0.5], [1, 0.5], [1, 1], [0, 1]]]}":  true,
		"{masks: [[[0, 0], [1, 0], [1, 0.98], [0, 0.98]]]}":                                      false,
		"{regions: [[[0, 0], [1, 1], [1, 0], [0, 1]]]}":                                          false,
		"{masks: [[[0, 0], [1, 0], [1, 0.005], [0, 0.005]]]}":                                    false,
		"{regions: [], masks: []}":                                                               false,
	} {
		_, ps := parseGateway("gateway.yaml", []byte(site+uplink+"\ncameras: [{id: a, main: \"rtsp://c/m\", motion: "+look+"}]\n"), nil)
		if got := lines(ps); strings.Contains(got, "cameras[0].motion: leaves nothing of the picture") != blind || !blind && len(ps) > 0 {
			t.Errorf("%s: got %q, want a problem: %v", look, got, blind)
		}
	}
}
