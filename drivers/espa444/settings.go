package espa444

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sitewatch/drivers/panel"
	"sitewatch/drivers/rs485"
	"sitewatch/edge"
)

const (
	maxRules   = 256
	maxPattern = 512
)

// notFromPanels are the kinds that the box and the SOC say of themselves: a rule that made one would hide what the panel said.
const notFromPanels = `amended panel-lost path-lost site-lost camera-lost camera-frozen camera-covered camera-moved camera-defocused
	motion clip-ready clip-lost disk-full disk-failing clock-bad task-failed command-done events-lost started stopped updated
	outage journal-replaced intruder-confirmed hold-up-confirmed unconfirmed`

// readSettings reads all settings of the driver; what is wrong is collected in s.
func readSettings(s *panel.Settings) (own byte, r *rules) {
	addr := s.String("address", "2")
	if len(addr) != 1 || addr[0] < '0' || addr[0] > '9' {
		s.Problem("address", fmt.Sprintf("%q is not the address of a station", addr), `one digit from "0" to "9"; a paging system is usually "2"`)
		addr = "2"
	}
	format := rs485.Format(s.String("format", "7E2"))
	if format.Check() == nil && !slices.Contains([]rs485.Format{"7E1", "7E2", "8N1"}, format) {
		s.Problem("format", fmt.Sprintf("%s is not used by ESPA 4.4.4", format), "write 7E2, 7E1 or 8N1, as the panel is set")
	}
	parts := s.List("rules")
	if len(parts) > maxRules {
		s.Problem("rules", fmt.Sprintf("there are %d rules", len(parts)), fmt.Sprintf("at most %d: let one rule fit many zones with the group (?P<zone>[0-9]+)", maxRules))
	}
	var site []rule
	for _, p := range parts {
		if ru, ok := readRule(p); ok {
			site = append(site, ru)
		}
	}
	return addr[0], newRules(site)
}

func readRule(s *panel.Settings) (ru rule, ok bool) {
	ok = true
	if !s.Has("match") && !s.Has("address") {
		s.Bad("a rule has neither match nor address, so that it would fit every message", `for example {match: "FIRE ZONE (?P<zone>[0-9]+)", kind: fire}`)
		ok = false
	}
	ru.text = pattern(s, "match", &ok)
	ru.address = pattern(s, "address", &ok)
	ru.zone = edge.ZoneID(s.String("zone", ""))
	ru.partition = edge.PartitionID(s.String("partition", ""))
	ru.kind = edge.Kind(s.String("kind", ""))
	switch hint := `for example fire, fire-prealarm, fire-fault, omit, test; what is over has "-restored" added`; {
	case ru.kind == "":
		s.Problem("kind", "a rule must say what kind of event it makes", hint)
		ok = false
	case !edge.KnownKind(ru.kind):
		s.Problem("kind", fmt.Sprintf("%q is not a kind of event", ru.kind), hint)
		ok = false
	case slices.Contains(strings.Fields(notFromPanels), string(ru.kind.Base())):
		s.Problem("kind", fmt.Sprintf("%q is nothing that a panel says", ru.kind), hint)
		ok = false
	}
	return ru, ok
}

// pattern reads a regular expression; nil when absent or wrong.
func pattern(s *panel.Settings, key string, ok *bool) *regexp.Regexp {
	if !s.Has(key) {
		return nil
	}
	text := s.String(key, "")
	bad := func(what, hint string) *regexp.Regexp {
		s.Problem(key, what, hint)
		*ok = false
		return nil
	}
	switch {
	case text == "":
		if _, isText := s.Any(key).(string); isText {
			return bad("an empty pattern fits every message", "write what stands in the panel's text, or leave the key out")
		}
		*ok = false
		return nil // String has said it
	case len(text) > maxPattern:
		return bad(fmt.Sprintf("the pattern is over %d characters", maxPattern), "split it into several rules")
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return bad(fmt.Sprintf("it does not compile: %v", err), `RE2 syntax; put a backslash before ( ) [ ] . * + ? that shall stand for themselves`)
	}
	for _, name := range re.SubexpNames() {
		if name != "" && (key != "match" || name != "zone" && name != "partition" && name != "text") {
			return bad(fmt.Sprintf("the group %q means nothing", name), "the groups of match are zone, partition and text; others stay without a name")
		}
	}
	return re
}
