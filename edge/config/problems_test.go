package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Every row gives all of its file's problems, in order.
func TestGatewayProblems(t *testing.T) {
	for _, tt := range []struct{ name, file, want string }{
		{"everything wrong at once", `
site: {id: 0417, kind: "no word", timezone: Mars/Base}
data: var/lib
listen: 0.0.0.0:8480
colour: blue
panels:
  - {id: a, driver: galaxy-sai, port: ttyUSB0}
  - {id: a, driver: modbus, port: "tcp-listen://0.0.0.0:99999", cameras: [dor]}
  - {id: b, driver: modbus, port: "serial://x"}
cameras:
  - {id: door, main: "http://camera/main"}
  - {id: door, main: "rtsp://u:hush@camera/main", password: hush, transport: tpc, record: always, audio: loud}
clips: {before: 10, after: 6m}
limits: {journal: 64, clips: 10KiB, segments: 1MB}
uplink: {soc: soc.example, limit: fast}
`, `
gateway.yaml:2: site.id: 0417 without quotes is a number for YAML: put it in quotes: "0417"
gateway.yaml:2: site.kind: "no word" is no word: use shop or funeral
gateway.yaml:2: site.name: is missing: give the name that operators know the shop by
gateway.yaml:2: site.timezone: "Mars/Base" is unknown: give it like Europe/London
gateway.yaml:3: data: "var/lib" is no absolute path: begin it with /: a service has no directory of its own
gateway.yaml:4: listen: "0.0.0.0" is not a loopback address: the pages have no accounts: listen on 127.0.0.1:8480 and come in by ssh -L
gateway.yaml:5: colour: unknown key: keys here are site, data, listen, panels, cameras, clips, alarms, motion, limits, uplink
gateway.yaml:7: panels[0].driver: "galaxy-sai" is unknown: did you mean galaxy-sia?
gateway.yaml:7: panels[0].port: "ttyUSB0" is no absolute path: name the device like /dev/serial/by-id/usb-...
gateway.yaml:8: panels[1].cameras: there is no camera "dor": did you mean door?
gateway.yaml:8: panels[1].id: "a" is used twice, first in line 7: give each panel its own id
gateway.yaml:8: panels[1].port: port "99999" is not 1 to 65535: write it like tcp-listen://0.0.0.0:10002
gateway.yaml:9: panels[2].port: serial:// is unknown: use a device's path, tcp-listen://, tcp://, modbus-tcp://
gateway.yaml:11: cameras[0].main: is no RTSP address: write it like rtsp://camera-1.local/main
gateway.yaml:12: cameras[1].audio: is neither on nor off: use on or off
gateway.yaml:12: cameras[1].id: "door" is used twice, first in line 11: give each camera its own id
gateway.yaml:12: cameras[1].main: has a user or a password in it: put the name in user, the password in a file of its own, and that file's path in password_file
gateway.yaml:12: cameras[1].password: unknown key: did you mean password_file?
gateway.yaml:12: cameras[1].record: "always" is unknown: use alarm or continuous
gateway.yaml:12: cameras[1].transport: "tpc" is unknown: use tcp or udp
gateway.yaml:13: clips.after: 6m0s is too long: use at most 5m0s
gateway.yaml:13: clips.before: 10 has no unit: write it like 10s or 2m
gateway.yaml:14: limits.clips: 10KiB is too little: use at least 1MiB
gateway.yaml:14: limits.journal: 64 has no unit: write it like 64MiB or 20GiB
gateway.yaml:14: limits.segments: "MB" is no unit; units are B, KiB, MiB, GiB, TiB: write it like 64MiB or 20GiB
gateway.yaml:15: uplink.limit: "fast" is no number with a unit: write it like 256kbit/s or 1Mbit/s
gateway.yaml:15: uplink.soc: "soc.example" is not host:port: name the SOC like soc.example:7443
`},
		{"what alarms mean", `
site: {id: "1", name: Demo, timezone: Europe/London}
uplink: {soc: "127.0.0.1:7443"}
cameras: [{id: door, main: "rtsp://camera/main"}]
panels:
  - id: a
    driver: modbus
    port: /dev/ttyUSB0
    kinds:
      FA: test
      HA: intruder
      PA: test
      MA: test
      GA: test
      BV: intruder
      FR: test
      bx: intruder
      BXX: intruder
      BX: intrudr
      BY: motion
      BZ: "-restored"
      BA: 7
      TA: test
      ZZ: fire
alarms: {confirm_window: 29m, hold_up_window: 21h, swinger: 0, storm: 1000, after_set: 5, engineer: 13h, walk_test: 1s, swingers: 3}
`, `
gateway.yaml:10: panels[0].kinds.FA: FA is fire at every site: remove it: such alarms are never weakened
gateway.yaml:11: panels[0].kinds.HA: HA is hold-up at every site: remove it: such alarms are never weakened
gateway.yaml:12: panels[0].kinds.PA: PA is panic at every site: remove it: such alarms are never weakened
gateway.yaml:13: panels[0].kinds.MA: MA is lone-worker at every site: remove it: such alarms are never weakened
gateway.yaml:14: panels[0].kinds.GA: GA is gas at every site: remove it: such alarms are never weakened
gateway.yaml:15: panels[0].kinds.BV: BV is intruder-confirmed at every site: remove it: such alarms are never weakened
gateway.yaml:16: panels[0].kinds.FR: FR is fire-restored at every site: remove it: such alarms are never weakened
gateway.yaml:17: panels[0].kinds.bx: "bx" is no SIA code: write two capitals, such as BX
gateway.yaml:18: panels[0].kinds.BXX: "BXX" is no SIA code: write two capitals, such as BX
gateway.yaml:19: panels[0].kinds.BX: "intrudr" is no kind that a panel says: did you mean intruder?
gateway.yaml:20: panels[0].kinds.BY: "motion" is no kind that a panel says: kinds are fire, hold-up, duress, panic, lone-worker, gas, intruder, tamper, fire-prealarm, fire-fault, zone-fault, zone-masked, mains-lost, battery-low, psu-fault, device-lost, line-fault, set, part-set, unset, cancel, reset, engineer, walk-test, test, unknown, omit, set-failed, set-late, unset-late, alarm-after-set, wrong-code, clock-changed, log-overflow, power-up, path-lost, and each with -restored
gateway.yaml:21: panels[0].kinds.BZ: "-restored" is no kind that a panel says: kinds are fire, hold-up, duress, panic, lone-worker, gas, intruder, tamper, fire-prealarm, fire-fault, zone-fault, zone-masked, mains-lost, battery-low, psu-fault, device-lost, line-fault, set, part-set, unset, cancel, reset, engineer, walk-test, test, unknown, omit, set-failed, set-late, unset-late, alarm-after-set, wrong-code, clock-changed, log-overflow, power-up, path-lost, and each with -restored
gateway.yaml:22: panels[0].kinds.BA: 7 without quotes is a number for YAML: put it in quotes: "7"
gateway.yaml:25: alarms.after_set: 5 has no unit: write it like 10s or 2m
gateway.yaml:25: alarms.confirm_window: 29m0s is too little: use 30m0s to 1h0m0s
gateway.yaml:25: alarms.engineer: 13h0m0s is too much: use 10m0s to 12h0m0s
gateway.yaml:25: alarms.hold_up_window: 21h0m0s is too much: use 8h0m0s to 20h0m0s
gateway.yaml:25: alarms.storm: 1000 is too much: use 5 to 200
gateway.yaml:25: alarms.swinger: 0 is too little: use 1 to 20
gateway.yaml:25: alarms.swingers: unknown key: did you mean swinger?
gateway.yaml:25: alarms.walk_test: 1s is too little: use 5m0s to 4h0m0s
`},
		{"nothing of what is needed", "panels: [{}]\ncameras: [{}]\n", `
gateway.yaml:1: panels[0].driver: is missing: name the panel's driver, such as galaxy-sia
gateway.yaml:1: panels[0].id: is missing: give each panel an id, such as intruder
gateway.yaml:1: panels[0].port: is missing: name the serial port like /dev/serial/by-id/usb-..., or tcp-listen://0.0.0.0:10002
gateway.yaml:1: site: is missing: add site with id, name and timezone
gateway.yaml:1: uplink: is missing: add uplink: {soc: HOST:7443}
gateway.yaml:2: cameras[0].id: is missing: give each camera an id, such as stockroom
gateway.yaml:2: cameras[0].main: is missing: give the camera's address like rtsp://camera-1.local/main
`},
		{"zones", least + `panels:
  - id: p
    driver: galaxy-sia
    port: /dev/ttyS0
    zones:
      1011: {name: x}
      "1012": {kind: intrduer, route: roof, partition: 1, cameras: [door, door, till, 7]}
      "1012": {}
      "a b": {colour: x}
      "1013": Stock room
      1014: {kind: intrudr, colour: x, cameras: [till]}
      1.5: {route: roof}
      "1014": {}
`, `
gateway.yaml:9: panels[0].zones.1011: 1011 without quotes is no string for YAML: put it in quotes: "1011":
gateway.yaml:10: panels[0].zones.1012.cameras: there is no camera "till": add it to cameras
gateway.yaml:10: panels[0].zones.1012.cameras[1]: "door" is named twice: name it once
gateway.yaml:10: panels[0].zones.1012.cameras[3]: 7 without quotes is a number for YAML: put it in quotes: "7"
gateway.yaml:10: panels[0].zones.1012.kind: "intrduer" is no kind of zone: did you mean intruder?
gateway.yaml:10: panels[0].zones.1012.partition: 1 without quotes is a number for YAML: put it in quotes: "1"
gateway.yaml:10: panels[0].zones.1012.route: "roof" is unknown: use interior, perimeter, entry or external
gateway.yaml:11: panels[0].zones.1012: is given twice, first in line 10: keep one of them
gateway.yaml:12: panels[0].zones.a b: "a b" is no zone id: use 1 to 32 letters, digits and hyphens, not starting with a hyphen
gateway.yaml:12: panels[0].zones.a b.colour: unknown key: keys here are name, kind, partition, route, cameras
gateway.yaml:13: panels[0].zones.1013: is a string, want a mapping: write keys with values, as in the example in README.md
gateway.yaml:14: panels[0].zones.1014: 1014 without quotes is no string for YAML: put it in quotes: "1014":
gateway.yaml:14: panels[0].zones.1014.cameras: there is no camera "till": add it to cameras
gateway.yaml:14: panels[0].zones.1014.colour: unknown key: keys here are name, kind, partition, route, cameras
gateway.yaml:14: panels[0].zones.1014.kind: "intrudr" is no kind of zone: did you mean intruder?
gateway.yaml:15: panels[0].zones.1.5: 1.5 without quotes is no string for YAML: put it in quotes: "1.5":
gateway.yaml:15: panels[0].zones.1.5: "1.5" is no zone id: use 1 to 32 letters, digits and hyphens, not starting with a hyphen
gateway.yaml:15: panels[0].zones.1.5.route: "roof" is unknown: use interior, perimeter, entry or external
gateway.yaml:16: panels[0].zones.1014: is given twice, first in line 14: keep one of them
`},
		{"keys that are no strings", least + "1: x\npanels: [{id: a, driver: modbus, port: /dev/x, settings: {slaves: [{points: {1: \"201\", 2: 0417}}]}}]\n", `
gateway.yaml:4: 1: 1 without quotes is no string for YAML: put it in quotes: "1":
gateway.yaml:4: 1: unknown key: keys here are site, data, listen, panels, cameras, clips, alarms, motion, limits, uplink
gateway.yaml:5: panels[0].settings.slaves[0].points.1: 1 without quotes is no string for YAML: put it in quotes: "1":
gateway.yaml:5: panels[0].settings.slaves[0].points.2: 2 without quotes is no string for YAML: put it in quotes: "2":
gateway.yaml:5: panels[0].settings.slaves[0].points.2: 0417 is no plain number: write digits alone, or put it in quotes if it is text
`},
		{"two panels on one port", least + "panels: [{id: a, driver: d, port: /dev/x}, {id: b, driver: d, port: /dev/x}]\n",
			"\ngateway.yaml:4: panels[1].port: \"/dev/x\" is used twice, first in line 4: give each panel its own port\n"},
		{"settings that are no values", least + "panels: [{id: a, driver: d, port: /dev/x, settings: {a: 0417, b: .inf, 3: x}}]\n", `
gateway.yaml:4: panels[0].settings.3: 3 without quotes is no string for YAML: put it in quotes: "3":
gateway.yaml:4: panels[0].settings.a: 0417 is no plain number: write digits alone, or put it in quotes if it is text
gateway.yaml:4: panels[0].settings.b: .inf is no plain number: write digits alone, or put it in quotes if it is text
`},
		{"little room for one camera", site + uplink + "limits: {segments: 1GiB}\ncameras: [{id: door, main: \"rtsp://c/m\", record: continuous, segments: 1MiB}]\n",
			"gateway.yaml:4: cameras[0].segments: 1MiB is too little: use at least 64MiB, or leave it out: then limits.segments alone counts\n"},
		{"continuous without room", site + uplink + "cameras: [{id: door, main: \"rtsp://c/m\", record: continuous}]\n",
			"\ngateway.yaml:3: cameras[0].record: continuous recording has no room: give limits.segments, such as 100GiB, or record: alarm\n"},
		{"a password without a user", site + uplink + "cameras: [{id: door, main: \"rtsp://c/m\", password_file: pw}]\n", `
gateway.yaml:3: cameras[0].password_file: "pw" is no absolute path: begin it with /: a service has no directory of its own
gateway.yaml:3: cameras[0].password_file: is given without a user: add user: NAME
`},
		{"how a camera is recognised", site + uplink + "cameras:\n" +
			"  - {id: a, main: \"rtsps://c/m\", ca_file: ca.pem, certificate_sha256: abc}\n" +
			"  - {id: b, main: \"rtsp://c/m\", ca_file: /ca.pem, basic: maybe}\n", `
gateway.yaml:4: cameras[0].ca_file: "ca.pem" is no absolute path: begin it with /: a service has no directory of its own
gateway.yaml:4: cameras[0].certificate_sha256: is no SHA-256 in 64 hex digits: take it from: openssl x509 -in camera.pem -outform der | sha256sum
gateway.yaml:4: cameras[0].certificate_sha256: is given beside ca_file: keep one of them
gateway.yaml:5: cameras[1].basic: is neither on nor off: use on or off
gateway.yaml:5: cameras[1].ca_file: is for TLS, and the camera's address is not: begin the address with rtsps://
`},
		{"an uplink without address", site + "cameras: [{id: door, main: \"rtsp://c/m\"}]\nuplink: {limit: 1kbit/s}\n", `
gateway.yaml:3: uplink.limit: 1kbit/s is too little: use 0 for no limit or at least 8kbit/s
gateway.yaml:3: uplink.soc: is missing: name the SOC like soc.example:7443
`},
		{"paths", site + "cameras: [{id: door, main: \"rtsp://c/m\"}]\nuplink:\n  paths:\n" +
			"    - {name: mobile, interface: \"a/b\", bulk: some, soc: [\"a:1\", \"a:1\", b]}\n" +
			"    - {name: mobile, soc: []}\n" +
			"    - {interface: eth0, soc: \"a:1\"}\n" +
			"    - {name: two, interface: eth0, soc: [\"a:1\"], speed: 9}\n", `
gateway.yaml:5: uplink.paths[0].bulk: "some" is unknown: use none, stills or all
gateway.yaml:5: uplink.paths[0].interface: "a/b" is no name of a network interface: ` + "`ip link` lists them" + `
gateway.yaml:5: uplink.paths[0].soc[1]: "a:1" is named twice: name it once
gateway.yaml:5: uplink.paths[0].soc[2]: "b" is not host:port: name the SOC like soc.example:7443
gateway.yaml:6: uplink.paths[1].name: "mobile" is the name of two paths: give each its own
gateway.yaml:6: uplink.paths[1].soc: names 0 addresses: name 1 to 4
gateway.yaml:7: uplink.paths[2].name: is missing: name it like broadband or mobile
gateway.yaml:8: uplink.paths[3]: takes the same way as path : give it another interface or another address of the SOC
gateway.yaml:8: uplink.paths[3].speed: unknown key: keys here are name, interface, soc, bulk, limit
`},
		{"a schedule", least[:len(site)] + "cameras: [{id: door, main: \"rtsp://c/m\"}]\nuplink:\n  soc: a:1\n  schedule:\n" +
			"    - {days: [monday, tue], from: \"8:00\", to: \"24:00\", limit: 0}\n    - {from: 08:00}\n", `
gateway.yaml:6: uplink.schedule[0].days[0]: "monday" is unknown: use sun, mon, tue, wed, thu, fri or sat
gateway.yaml:6: uplink.schedule[0].from: "8:00" is no time of day: write it in quotes like "08:00"
gateway.yaml:6: uplink.schedule[0].limit: 0 is too little: use at least 8kbit/s
gateway.yaml:6: uplink.schedule[0].to: "24:00" is no time of day: write it in quotes like "08:00"
gateway.yaml:7: uplink.schedule[1].limit: is missing: write it like 512kbit/s
gateway.yaml:7: uplink.schedule[1].to: is missing: write it in quotes like "08:00"
`},
		{"a clip of nothing", least + "clips: {before: 0s, after: 0s}\n", "\ngateway.yaml:4: clips: a clip would last less than a second: give before and after, such as 10s and 20s\n"},
		{"less than nothing", least + "clips: {before: -5s}\n", "\ngateway.yaml:4: clips.before: \"-5s\" is less than nothing: write it like 10s or 2m\n"},
		{"ids that are no strings", strings.Replace(least, `"0417"`, "true", 1), "\ngateway.yaml:1: site.id: true without quotes is true or false for YAML: put it in quotes: \"true\"\n"},
		{"lists and mappings mixed up", site + uplink + "panels: {a: b}\ncameras: [[]]\nlimits: []\n", `
gateway.yaml:3: panels: is a mapping (key: value), want a list: begin each item with "- "
gateway.yaml:4: cameras[0]: is a list, want a mapping: write keys with values, as in the example in README.md
gateway.yaml:4: cameras[0].id: is missing: give each camera an id, such as stockroom
gateway.yaml:4: cameras[0].main: is missing: give the camera's address like rtsp://camera-1.local/main
gateway.yaml:5: limits: is a list, want a mapping: write keys with values, as in the example in README.md
`},
		{"not YAML", "site: {id: \"1\"\ndata: x\n", "\ngateway.yaml:2: not YAML: ',' or '}' must be specified: check brackets, colons and that lines are indented by spaces\n"},
		{"a tab", "site:\n\tid: x\n", "\ngateway.yaml:2: not YAML: found character '\t' that cannot start any token: check brackets, colons and that lines are indented by spaces\n"},
		{"a bare word", "hello\n", "\ngateway.yaml:1: is a string, want a mapping: write keys with values, as in the example in README.md\n"},
		{"nothing", "", "\ngateway.yaml: the file is empty: start from the example in README.md\n"},
		{"comments only", "# hello\n\n", "\ngateway.yaml: the file is empty: start from the example in README.md\n"},
		{"two documents", least + "---\ndata: /x\n", "\ngateway.yaml:5: a second document begins: keep one document and remove the line \"---\"\n"},
		{"an alias bomb", "a: &a [x, x]\nb: &b [*a, *a]\n", `
gateway.yaml:1: anchors (&) and aliases (*) are not allowed: write the value out, in quotes if it is text
gateway.yaml:2: anchors (&) and aliases (*) are not allowed: write the value out, in quotes if it is text
gateway.yaml:2: anchors (&) and aliases (*) are not allowed: write the value out, in quotes if it is text
gateway.yaml:2: anchors (&) and aliases (*) are not allowed: write the value out, in quotes if it is text
`},
		{"a tag", "site: !!map {}\n", "\ngateway.yaml:1: tags (!) are not allowed: write the value out, in quotes if it is text\n"},
		{"a long list of words", strings.Repeat("- a\n", 30000), "\ngateway.yaml: the file has 60000 words and signs, more than 50000: no site needs that many\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, ps := parseGateway("gateway.yaml", []byte(tt.file), drivers)
			if tt.name == "two panels on one port" || tt.name == "settings that are no values" {
				_, ps = parseGateway("gateway.yaml", []byte(tt.file), nil)
			}
			if d := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), lines(ps)); d != "" {
				t.Errorf("problems (-want +got):\n%s", d)
			}
			if strings.Contains(lines(ps), "hush") {
				t.Error("a problem shows a password")
			}
		})
	}
}

func TestDeepFilesAreRefused(t *testing.T) {
	for _, file := range []string{
		strings.Repeat("[", 100_000), strings.Repeat("{a: ", 10_000), strings.Repeat("- ", 20_000) + "a",
		strings.Repeat("? ", 20_000), strings.Repeat("&a ", 10_000) + "a", strings.Repeat("!!a ", 10_000) + "a", strings.Repeat(": ", 20_000),
		strings.Repeat("\"", 20_000),
	} {
		if _, ps := parseGateway("gateway.yaml", []byte(file), nil); len(ps) == 0 || len(ps) > 20 {
			t.Errorf("%.20q...: got %d problems", file, len(ps))
		}
	}
	var b strings.Builder
	for i := range 100 {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	if _, ps := parseGateway("gateway.yaml", []byte(b.String()), nil); !strings.Contains(lines(ps), "too many levels") {
		t.Errorf("100 levels: got %s", lines(ps))
	}
}

func TestSOC(t *testing.T) {
	s, ps := parseSOC("soc.yaml", []byte("data: /srv/soc\n"))
	want := &SOC{Data: "/srv/soc", Uplink: "0.0.0.0:7443", HTTP: "127.0.0.1:8080", Ledger: "sqlite", Clips: "file:///srv/soc/clips", Heartbeat: 10 * time.Second}
	if d := cmp.Diff(want, s, ignore...); d != "" || len(ps) > 0 {
		t.Errorf("defaults (-want +got):\n%s%s", d, lines(ps))
	}
	if got := s.ClipsDir(); got != "/srv/soc/clips" {
		t.Errorf("clips directory: got %q", got)
	}
	var b strings.Builder
	if err := s.Print(&b); err != nil {
		t.Fatal(err)
	}
	if again, ps := parseSOC("printed", []byte(b.String())); len(ps) > 0 || cmp.Diff(s, again, ignore...) != "" {
		t.Errorf("printed and loaded again: %s%s", cmp.Diff(s, again, ignore...), lines(ps))
	}
	for _, tt := range []struct{ name, file, want string }{
		{"everything wrong at once", "data: srv\nuplink: :7443\nhttp: 0.0.0.0:8080\nledger: postgres://u:hush@h/db\nclips: s3://bucket\nhttps: x\n", `
soc.yaml:1: data: "srv" is no absolute path: begin it with /: a service has no directory of its own
soc.yaml:2: uplink: ":7443" names no host: write it like 0.0.0.0:7443
soc.yaml:3: http: "0.0.0.0" is not a loopback address: the console has no accounts and no TLS yet: listen on 127.0.0.1:8080 and put both in front of it
soc.yaml:4: ledger: a PostgreSQL ledger is not built yet: use sqlite
soc.yaml:5: clips: an S3 store is not built yet: use file:///var/lib/sitewatch-soc/clips
soc.yaml:6: https: unknown key: did you mean http?
`},
		{"other wrongs", "ledger: mysql:hush\nclips: /srv/clips\nhttp: localhost\n", `
soc.yaml:1: ledger: is unknown: use sqlite
soc.yaml:2: clips: is no file:// address: use file:///var/lib/sitewatch-soc/clips
soc.yaml:3: http: "localhost" is not host:port: write it like 127.0.0.1:8080
`},
		{"a heartbeat that no mobile line bears", "heartbeat: 1s\n", "\nsoc.yaml:1: heartbeat: 1s is out of range: use 2s to 1m; 10s suits most lines\n"},
		{"clips without a directory", "clips: file://host/x\n", "\nsoc.yaml:1: clips: is no absolute directory: use file:///var/lib/sitewatch-soc/clips\n"},
	} {
		_, ps := parseSOC("soc.yaml", []byte(tt.file))
		if d := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), lines(ps)); d != "" {
			t.Errorf("%s: problems (-want +got):\n%s", tt.name, d)
		}
	}
}

// What can be read of a file with problems is there for the checks of others, so that a person hears of everything at once.
func TestMoreChecksOfAFileWithProblems(t *testing.T) {
	g, ps := parseGateway("gateway.yaml", []byte(least+"colour: blue\npanels: [{id: a, driver: modbus, port: ttyUSB0, settings: {baud: 1}}]\n"), drivers)
	if g == nil || len(g.Panels) != 1 || g.Panels[0].Settings["baud"] != 1 {
		t.Fatalf("got %+v", g)
	}
	ps = Join(ps, g.Problem("panels[0].settings.baud", "1 is no rate", ""), g.Problem("panels[0].port", "is bad", ""))
	want := `gateway.yaml:4: colour: unknown key: keys here are site, data, listen, panels, cameras, clips, alarms, motion, limits, uplink
gateway.yaml:5: panels[0].port: "ttyUSB0" is no absolute path: name the device like /dev/serial/by-id/usb-...
gateway.yaml:5: panels[0].settings.baud: 1 is no rate
`
	if d := cmp.Diff(want, lines(ps)); d != "" {
		t.Errorf("problems (-want +got):\n%s", d)
	}
}
