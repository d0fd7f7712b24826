package espa444

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

func check(settings map[string]any) (out []string) {
	for _, p := range panel.Check(Driver, "/dev/ttyUSB2", settings) {
		out = append(out, p.Path+": "+p.What)
		if p.Hint == "" {
			out = append(out, p.Path+" has no hint")
		}
	}
	return out
}

func TestSettingsOfTheManual(t *testing.T) {
	for _, format := range []string{"7E1", "7E2", "8N1"} {
		if p := check(map[string]any{"baud": 9600, "format": format, "address": "2", "silence": "30s", "rules": []any{
			map[string]any{"match": "FIRE ZONE (?P<zone>[0-9]+)", "kind": "fire"},
			map[string]any{"match": "(?i)clear (?P<partition>.) (?P<text>.*)", "address": "^7", "kind": "fire-restored", "zone": "1", "partition": "2"},
		}}); len(p) > 0 {
			t.Errorf("%s: %q", format, p)
		}
	}
	if p := check(nil); len(p) > 0 {
		t.Errorf("no settings: %q", p)
	}
}

// TestAllProblemsAtOnce: each has its place.
func TestAllProblemsAtOnce(t *testing.T) {
	rule := func(kv ...any) map[string]any {
		m := map[string]any{}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i].(string)] = kv[i+1]
		}
		return m
	}
	got := check(map[string]any{
		"address": "12", "format": "8E1", "colour": "red",
		"rules": []any{
			rule("match", "FIRE (", "kind", "fire"),
			rule("match", "FIRE", "kind", "fier"),
			rule("match", "FIRE"),
			rule("kind", "fire"),
			rule("match", "FIRE (?P<zon>[0-9])", "kind", "fire", "priority", 1),
			rule("match", "FIRE", "kind", "amended"),
			rule("match", "", "kind", "fire"),
			rule("match", 7, "kind", "fire"),
			rule("match", "FIRE", "address", "(?P<zone>1)", "kind", "fire", "zone", 3),
			rule("match", strings.Repeat("A", maxPattern+1), "kind", "fire"),
			"FIRE",
			rule("match", "FIRE", "kind", "clip-lost-restored"),
		},
	})
	for _, want := range []string{
		"settings.address: ", "settings.format: ", "settings.colour: ",
		"settings.rules[0].match: it does not compile", `settings.rules[1].kind: "fier" is not a kind`, "settings.rules[2].kind: a rule must say",
		"settings.rules[3]: a rule has neither", `settings.rules[4].match: the group "zon"`, `settings.rules[4].priority: `,
		`settings.rules[5].kind: "amended" is nothing that a panel says`, "settings.rules[6].match: an empty pattern", "settings.rules[7].match: 7 is not a text",
		`settings.rules[8].address: the group "zone"`, "settings.rules[8].zone: 3 is not a text", "settings.rules[9].match: the pattern is over",
		"settings.rules[10]: ", `settings.rules[11].kind: "clip-lost-restored" is nothing`,
	} {
		i := slices.IndexFunc(got, func(s string) bool { return strings.HasPrefix(s, want) })
		if i < 0 {
			t.Errorf("nothing begins with %q", want)
			continue
		}
		got = slices.Delete(got, i, i+1)
	}
	if len(got) > 0 {
		t.Errorf("too much: %q", got)
	}
	if p := check(map[string]any{"address": 2}); len(p) != 1 || !strings.Contains(p[0], "is not a text") {
		t.Errorf("an address without quotes: %q", p)
	}
	if p := check(map[string]any{"rules": slices.Repeat([]any{rule("match", "FIRE", "kind", "fire")}, maxRules+1)}); len(p) != 1 {
		t.Errorf("too many rules: %q", p)
	}
}

// TestEveryPanelKindMayBeMade: a rule may make what a panel can say, and its restore, and nothing that the box says of itself.
func TestEveryPanelKindMayBeMade(t *testing.T) {
	for _, k := range strings.Fields("fire fire-prealarm fire-fault omit test tamper hold-up panic lone-worker gas intruder device-lost mains-lost battery-low reset unknown") {
		for _, k := range []edge.Kind{edge.Kind(k), edge.Kind(k).Restored()} {
			if p := check(map[string]any{"rules": []any{map[string]any{"match": "X", "kind": string(k)}}}); len(p) > 0 {
				t.Errorf("%s: %q", k, p)
			}
		}
	}
	for _, k := range strings.Fields(notFromPanels) {
		if !edge.KnownKind(edge.Kind(k)) {
			t.Errorf("%s is no kind", k)
		}
	}
}

// TestSiteRules: in their order, before all defaults, whatever the priority.
func TestSiteRules(t *testing.T) {
	s := panel.NewSettings(map[string]any{"rules": []any{
		map[string]any{"match": "KITCHEN", "address": "^7$", "kind": "test", "zone": "k"},
		map[string]any{"match": "ZONE (?P<zone>[0-9]+) PART (?P<partition>[0-9])", "kind": "tamper", "partition": "9"},
		map[string]any{"match": "ENDE", "kind": "fire-restored"},
		map[string]any{"match": "KITCHEN", "kind": "gas"},
	}})
	_, r := readSettings(s)
	for _, tt := range []struct {
		text, addr, want string
		reset            bool
	}{
		{"FIRE KITCHEN ZONE 4", "7", "test zone k partition ", false},
		{"FIRE KITCHEN ZONE 4", "71", "gas zone 4 partition ", false},
		{"FIRE ZONE 5 PART 2", "7", "tamper zone 5 partition 9", false},
		{"FIRE ZONE 5 PART 2", "7", "tamper-restored zone 5 partition 9", true},
		{"ENDE ZONE 3", "7", "fire-restored zone 3 partition ", false},
		{"ENDE ZONE 3", "7", "fire-restored zone 3 partition ", true},
		{"FIRE ZONE 6", "7", "fire zone 6 partition ", false},
	} {
		v := r.classify(message{text: tt.text, address: tt.addr, priority: '1', reset: tt.reset})
		if got := fmt.Sprintf("%s zone %s partition %s", v.kind, v.zone, v.partition); got != tt.want {
			t.Errorf("%q to %s: %s, want %s", tt.text, tt.addr, got, tt.want)
		}
	}
}
