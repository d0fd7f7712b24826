package modbus

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

// says reads registers or inputs by a profile, and returns the conditions that are not inactive.
func says(t testing.TB, slave string, data ...uint16) string {
	t.Helper()
	b := settingsOf(t, "["+slave+"]").slaves[0].blocks[0]
	raw := make([]byte, b.req.size())
	for i, v := range data {
		if b.req.FC.bits() {
			raw[i] = byte(v)
		} else {
			binary.BigEndian.PutUint16(raw[2*i:], v)
		}
	}
	var out []string
	for _, p := range b.points {
		now := make([]tri, len(p.conds))
		text := p.source.read(raw, now)
		for i, c := range p.conds {
			name := string(p.zone) + "/" + string(c.kind) + string(c.usual)
			switch now[i] {
			case active:
				out = append(out, strings.TrimSuffix(name+":"+text, ":"))
			case unknown:
				out = append(out, name+"?")
			}
		}
	}
	return strings.Join(out, " ")
}

func TestProfiles(t *testing.T) {
	few := func(name string) string { return fmt.Sprintf(`{"address":1,"profile":%q,"count":2}`, name) }
	of := func(name, more string) string { return fmt.Sprintf(`{"address":1,"profile":%q%s}`, name, more) }
	eol := `,"count":1,"eol":{"short":"0-99","normal":"100-499","alarm":"500-899","open":"900-65535"}`
	for _, tt := range []struct {
		name, slave string
		data        []uint16
		want        string
	}{
		{"inputs", of("waveshare8di", ""), []uint16{0b10000101}, "1-1/ 1-3/ 1-8/"},
		{"inverted inputs", of("waveshare-8di", `,"invert":["3","4"]`), []uint16{0b101}, "1-1/ 1-4/"},
		{"all inverted", of("waveshare-8di", `,"invert":"all"`), []uint16{0xFC}, "1-1/ 1-2/"},
		{"fire contacts at rest", of("generic-contacts-fire", ""), []uint16{0b0010}, ""},
		{"fire contacts, dead panel", of("generic-contacts-fire", ""), []uint16{0}, "1-2/fire-fault"},
		{"fire contacts, all", of("generic-contacts-fire", ""), []uint16{0b1101}, "1-1/fire 1-2/fire-fault 1-3/omit 1-4/fire-prealarm"},
		{"fire contacts, fault wired the other way", of("generic-contacts-fire", `,"invert":["2"]`), []uint16{2}, "1-2/fire-fault"},
		{"intruder contacts", of("generic-contacts-intruder", ""), []uint16{0xFF},
			"1-1/intruder 1-2/intruder-confirmed 1-3/hold-up 1-4/set 1-5/tamper 1-6/zone-fault 1-7/line-fault 1-8/"},
		{"pair, healthy", of("waveshare-8di", `,"pairs":{"1":"2"},"count":2`), []uint16{1}, ""},
		{"pair, alarm", of("waveshare-8di", `,"pairs":{"1":"2"},"count":2`), []uint16{2}, "1-1/"},
		{"pair, cut", of("waveshare-8di", `,"pairs":{"1":"2"},"count":2`), []uint16{0}, "1-1/? 1-1/zone-fault:both contacts open: cable cut"},
		{"pair, short", of("waveshare-8di", `,"pairs":{"1":"2"},"count":2`), []uint16{3}, "1-1/? 1-1/zone-fault:both contacts closed: short or crossed wires"},
		{"loop, normal", of("analogue-eol", eol), []uint16{300}, ""},
		{"loop, alarm", of("analogue-eol", eol), []uint16{500}, "1-1/"},
		{"loop, short", of("analogue-eol", eol), []uint16{99}, "1-1/? 1-1/tamper:the loop is short: 99"},
		{"loop, open", of("analogue-eol", eol+`,"eol_fault":"zone-fault"`), []uint16{900}, "1-1/? 1-1/zone-fault:the loop is open: 900"},
		{"loop, between the bands", of("analogue-eol", `,"count":1,"eol":{"normal":"100-499","alarm":"600-899"}`), []uint16{550}, "1-1/? 1-1/tamper:the loop's level is in no band: 550"},
		{"alarmline", of("alarmline2", ""), []uint16{0, 0xFFFF, 1, 3}, "1-2/fire-fault:cable fault 1-2/fire?"},
		{"alarmline, alarm at one metre and at the last", of("alarmline2", ""), []uint16{1, 0xFFFE}, "1-1/fire:alarm at 1 m 1-2/fire:alarm at 65534 m"},
		{"notifier, all quiet and not there", few("notifier-modbusgw-zones"), []uint16{0x1400, 0x00FF}, strings.Join([]string{
			"1-2/fire?", "1-2/intruder?", "1-2/zone-fault?", "1-2/lone-worker?", "1-2/gas?", "1-2/omit?", "1-2/unknown?", "1-2/fire-prealarm?", "1-2/fire-fault?"}, " ")},
		{"notifier, fire and trouble", few("notifier-modbusgw-zones"), []uint16{0x2C10, 0x4400}, "1-1/fire 1-1/fire-fault 1-2/fire-prealarm"},
		{"notifier, no fire without bit 11", few("notifier-modbusgw-zones"), []uint16{0x0010, 0x0200}, "1-2/omit"},
		{"notifier, a type that nobody knows", few("notifier-modbusgw-zones"), []uint16{0x0899, 0x0872}, "1-1/fire 1-2/unknown:activation that is no fire"},
		{"notifier, fire and gas", few("notifier-modbusgw-zones"), []uint16{0x08EA, 0x0820}, "1-1/fire 1-1/gas 1-2/intruder"},
	} {
		if got := says(t, tt.slave, tt.data...); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestNotifierEveryType: whatever is active, something is said: no type of event falls between the rows.
func TestNotifierEveryType(t *testing.T) {
	for v := range 0xFF {
		if got := says(t, `{"address":1,"profile":"notifier-modbusgw-zones","count":1}`, 0x0800|uint16(v)); got == "" {
			t.Errorf("event type %02X says nothing", v)
		}
	}
}

// TestSiteNamesContacts: the zone's own kind counts, so the driver says none; what only it knows it says as what is usual. A
// fire panel's own words are kept.
func TestSiteNamesContacts(t *testing.T) {
	for _, tt := range []struct{ slave, kind, usual string }{
		{`{"address":1,"profile":"generic-contacts-fire","points":{"1":"x"}}`, "", "fire"},
		{`{"address":1,"profile":"waveshare-8di","points":{"1":"x"}}`, "", ""},
		{`{"address":1,"profile":"alarmline2","points":{"1":"x"}}`, "fire-fault", ""},
	} {
		p := settingsOf(t, "["+tt.slave+"]").slaves[0].blocks[0].points[0]
		sig := p.conds[0].signal(p.zone, active, "")
		if string(sig.Kind) != tt.kind || string(sig.Usual) != tt.usual || sig.Zone != "x" || sig.Active != (tt.kind == "") || !sig.State {
			t.Errorf("%s: signal %+v", tt.slave, sig)
		}
	}
}

const ownProfile = `
name: mine
blocks:
  - fc: 3
    start: 40101
    base: 1
    count: 4
    decode: bits
    points:
      - {point: a, at: 40101, bit: 0, kind: fire}
      - {point: b, at: 40101, bit: 1, kind: gas, invert: true}
      - {point: c, at: 40104, states: [{is: 7, kind: tamper}]}
`

func TestOwnProfile(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) string {
		file := filepath.Join(dir, "p.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	if got := says(t, fmt.Sprintf(`{"address":2,"profile":%q}`, write(ownProfile)), 1, 0, 0, 7); got != "2-a/fire 2-b/gas 2-c/tamper" {
		t.Errorf("says %q", got)
	}
	change := func(from, to string) string { return strings.Replace(ownProfile, from, to, 1) }
	for name, tt := range map[string]struct{ text, want string }{
		"two points of one bit":         {change("bit: 1", "bit: 0"), "overlaps"},
		"a bit and its whole register":  {change("at: 40104", "at: 40101"), "overlaps"},
		"two points of one name":        {change("point: b", "point: a"), "overlaps"},
		"unknown key":                   {change("base:", "bsae:"), "bsae"},
		"a function that writes":        {change("fc: 3", "fc: 6"), "fc: 6 is not one of the functions that read"},
		"outside of what is read":       {change("at: 40104", "at: 40105"), "at: it must say a place from 40101 to 40104"},
		"no such kind":                  {change("kind: gas", "kind: gaz"), `nothing is known as "gaz"`},
		"too many":                      {change("count: 4", "count: 126"), "1 to 125"},
		"a kind that nobody says":       {change("kind: gas, ", ""), "kind: it says nothing"},
		"a register without states":     {change("{is: 7, kind: tamper}", ""), "states: a register needs them"},
		"a state that says nothing":     {change("is: 7, ", ""), "one of bit, is, or from and to"},
		"a state that cannot be":        {change("is: 7", "mask: 8, is: 7"), "it can never match"},
		"no blocks":                     {"name: mine\n", "blocks: 0 of them"},
		"no YAML":                       {"\t{", "[1:1]"},
		"a poll that looks like a loss": {change("count: 4", "count: 4\n    poll: 1m"), "poll must be"},
	} {
		s := panel.NewSettings(map[string]any{"slaves": []any{map[string]any{"address": 2, "profile": write(tt.text)}}})
		readSettings(s)
		all := fmt.Sprint(s.Problems())
		if !strings.Contains(all, tt.want) || !strings.Contains(all, "settings.slaves[0].profile") {
			t.Errorf("%s: problems %s, want ...%s...", name, all, tt.want)
		}
	}
}

func TestSettingsSayEverythingAtOnce(t *testing.T) {
	settings := jsonOf(t, `{"echo":"maybe","timeout":"1ms","slaves":[
		{"address":0,"profile":"waveshare-8di"},
		{"address":248,"profile":"waveshare-8di"},
		{"address":4,"profile":"waveshare"},
		{"address":5,"profile":"waveshare-8di","points":{"1":"201","2":"201","9":"203","3":"5-4"},"invert":["11"],"pairs":{"5":"6","6":"7"}},
		{"address":5,"profile":"analogue-eol","poll":"1h","debounce":"1m"},
		{"address":6,"profile":"analogue-eol","eol":{"normal":"10-20","short":"15-30","loose":"1-2","open":"x"}},
		{"address":7,"profile":"alarmline2","pairs":{"1":"2"},"start":9,"colour":"red"},
		{"profile":"waveshare-8di","priority":"low","points":{"1":"no spaces"}},
		{"address":8}]}`).(map[string]any)
	got := map[string]string{}
	for _, p := range panel.Check(Driver, "modbus-tcp://box:502", settings) {
		got[p.Path] += p.What + ";"
		if p.Hint == "" {
			t.Errorf("%s: %s: no hint", p.Path, p.What)
		}
	}
	for path, what := range map[string]string{
		"settings.echo": "maybe", "settings.timeout": "1ms",
		"settings.slaves[0].address": "0 is not an address", "settings.slaves[1].address": "248", "settings.slaves[2].profile": `no profile is called "waveshare"`,
		"settings.slaves[3].points.2": `zone "201" is also that of point 1 of slave 5`, "settings.slaves[3].points.9": "no point",
		"settings.slaves[3].points.4": `zone "5-4" is also that of point 3`,
		"settings.slaves[3].invert":   `no point "11"`, "settings.slaves[3].pairs.5": "two pairs",
		"settings.slaves[4].address": "two slaves have the address 5", "settings.slaves[4].poll": "1h", "settings.slaves[4].debounce": "1m0s", "settings.slaves[4].eol": "needs the bands",
		"settings.slaves[5].eol.short": "overlaps", "settings.slaves[5].eol.loose": "no such state", "settings.slaves[5].eol.open": "not a range", "settings.slaves[5].eol": "needed",
		"settings.slaves[6].pairs.1": "two inputs", "settings.slaves[6].start": "cannot be changed", "settings.slaves[6].colour": "not a setting",
		"settings.slaves[7].address": "not an address", "settings.slaves[7].priority": "low", "settings.slaves[7].points.1": "not a zone's id",
		"settings.slaves[8].profile": "no profile",
	} {
		if !strings.Contains(got[path], what) {
			t.Errorf("%s: %q, want ...%s...", path, got[path], what)
		}
	}
	if p := panel.Check(Driver, "/dev/ttyUSB0", nil); len(p) != 1 || p[0].Path != "settings.slaves" {
		t.Errorf("without slaves: %v", p)
	}
	if p := panel.Check(Driver, "tcp-listen://0.0.0.0:5", jsonOf(t, one).(map[string]any)); len(p) != 1 || p[0].Path != "port" {
		t.Errorf("a slave does not dial: %v", p)
	}
}

// TestCodesOfProfilesAgree: a code that a profile gives means what the profile calls it.
func TestCodesOfProfilesAgree(t *testing.T) {
	codes := 0
	for name, p := range builtIn() {
		for _, b := range p.Blocks {
			for _, m := range b.States {
				if m.On == "" && m.Off == "" {
					continue
				}
				codes++
				if on, off := edge.KindOfSIA(m.On, false), edge.KindOfSIA(m.Off, false); on != m.Kind || off != m.Kind.Restored() {
					t.Errorf("%s: %s and %s are %s and %s, not %s", name, m.On, m.Off, on, off, m.Kind)
				}
			}
		}
	}
	if codes < 10 {
		t.Errorf("%d codes: that is not all profiles", codes)
	}
}
