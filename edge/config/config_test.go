package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sitewatch/edge"
)

var drivers = []string{"galaxy-sia", "modbus", "espa444", "osdp"}

var ignore = []cmp.Option{cmpopts.IgnoreUnexported(Gateway{}, SOC{}), cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })}

func lines(ps []Problem) string {
	var b strings.Builder
	for _, p := range ps {
		b.WriteString(p.String() + "\n")
	}
	return b.String()
}

func TestLoadGateway(t *testing.T) {
	g, ps := LoadGateway("testdata/gateway.yaml", drivers...)
	if len(ps) > 0 {
		t.Fatalf("problems in a sound file:\n%s", lines(ps))
	}
	loc, _ := time.LoadLocation("Europe/London")
	want := &Gateway{
		Site:   Site{ID: "0417", Name: "Demo High Street", Kind: "shop", Timezone: "Europe/London", Location: loc},
		Data:   "/var/lib/sitewatch",
		Listen: "127.0.0.1:8480",
		Panels: []Panel{
			{ID: "intruder", Driver: "galaxy-sia", Port: "/dev/serial/by-id/usb-x",
				Settings: map[string]any{"baud": 9600, "format": "8N1", "rs485": "auto", "ack_form": "plain"},
				Cameras:  []edge.CameraID{"door"},
				Zones: map[edge.ZoneID]Zone{"1011": {Name: "Stock room", Kind: edge.KindIntruder, Partition: "1", Route: "interior",
					Cameras: []edge.CameraID{"stockroom", "aisle"}}}},
			{ID: "contacts", Driver: "modbus", Port: "/dev/ttyUSB1",
				Settings: map[string]any{"baud": 9600, "format": "8N1", "slaves": []any{
					map[string]any{"address": 1, "profile": "waveshare-8di", "points": map[string]any{"1": "201", "2": "202"}}}},
				Zones: map[edge.ZoneID]Zone{"201": {Name: "Hold-up till 1", Kind: edge.KindHoldUp}, "202": {Name: "Fire panel contact", Kind: edge.KindFire}}},
			{ID: "fire", Driver: "espa444", Port: "/dev/ttyUSB2",
				Settings: map[string]any{"baud": 9600, "format": "7E2", "address": "2", "rules": []any{
					map[string]any{"match": "FIRE ZONE (?P<zone>[0-9]+)", "kind": "fire"}}},
				Zones: map[edge.ZoneID]Zone{}},
			{ID: "io", Driver: "osdp", Port: "/dev/ttyUSB3",
				Settings: map[string]any{"baud": 9600, "devices": []any{
					map[string]any{"address": 1, "scbk_file": "/etc/sitewatch/osdp-1.key", "inputs": map[string]any{"3": "301"}}}},
				Kinds: map[string]edge.Kind{"BX": edge.KindIntruder, "BM": "zone-fault-restored"},
				Zones: map[edge.ZoneID]Zone{"301": {Name: "Back door", Kind: edge.KindIntruder}}},
		},
		Cameras: []Camera{
			{ID: "stockroom", Name: "Stock room", Main: "rtsp://camera-1.local/main", Sub: "rtsp://camera-1.local/sub", User: "sitewatch",
				PasswordFile: "/etc/sitewatch/stockroom.pw", Transport: "tcp", Record: "alarm", Look: Look{Sensitivity: "normal"}},
			{ID: "aisle", Name: "aisle", Main: "rtsp://camera-2.local:8554/main?channel=1", Transport: "tcp", Record: "alarm", Look: Look{Sensitivity: "normal"}},
			{ID: "door", Name: "door", Main: "rtsp://[fd00::3]/main", Transport: "udp", Record: "continuous", Segments: 8 * GiB, Audio: true, Look: Look{Sensitivity: "normal"}},
		},
		Clips: Clips{Before: 10 * time.Second, After: 20 * time.Second},
		Alarms: Alarms{ConfirmWindow: 45 * time.Minute, HoldUpWindow: 20 * time.Hour, Swinger: 5, Storm: 200, AfterSet: 10 * time.Second,
			Engineer: 10 * time.Minute, WalkTest: 4 * time.Hour},
		Motion: []MotionRule{{Name: "set", When: "set", Send: true}},
		Limits: Limits{Journal: GiB, Clips: 20 * GiB, Segments: 100 * GiB},
		Uplink: Uplink{Limit: 1e6, Paths: []Path{{SOC: []string{"soc.example:7443"}, Bulk: "all"}}},
	}
	if d := cmp.Diff(want, g, ignore...); d != "" {
		t.Errorf("loaded (-want +got):\n%s", d)
	}
	if got, want := g.Problem("panels[1].settings.slaves[0].address", "is 0", "use 1 to 247").String(),
		"testdata/gateway.yaml:12: panels[1].settings.slaves[0].address: is 0: use 1 to 247"; got != want {
		t.Errorf("problem of a setting: got %q, want %q", got, want)
	}
	if got, want := g.Problem("panels[0].settings.parity.x", "is missing", "").Line, 8; got != want {
		t.Errorf("line of a setting that is not there: got %d, want %d, that of settings", got, want)
	}
}

const site = "site: {id: \"0417\", name: Demo, timezone: Europe/London}\n"
const uplink = "uplink: {soc: \"127.0.0.1:7443\"}\n"
const least = site + uplink + "cameras: [{id: door, main: \"rtsp://camera/main\"}]\n"

func TestDefaults(t *testing.T) {
	g, ps := parseGateway("gateway.yaml", []byte(least), nil)
	if len(ps) > 0 {
		t.Fatal(lines(ps))
	}
	if g.Data != "/var/lib/sitewatch" || g.Listen != "127.0.0.1:8480" || g.Site.Kind != "shop" || g.Clips != (Clips{10 * time.Second, 20 * time.Second}) ||
		g.Limits != (Limits{Journal: GiB, Clips: 20 * GiB}) || g.Uplink.Limit != 0 {
		t.Errorf("defaults: got %+v", g)
	}
	if want := (Alarms{30 * time.Minute, 8 * time.Hour, 3, 20, 2 * time.Minute, 4 * time.Hour, time.Hour}); g.Alarms != want {
		t.Errorf("alarms: got %+v, want %+v", g.Alarms, want)
	}
	if c := g.Cameras[0]; c.Transport != "tcp" || c.Record != "alarm" || c.Audio || c.Name != "door" {
		t.Errorf("defaults of a camera: got %+v", c)
	}
}

func TestPrintLoadsToTheSame(t *testing.T) {
	g, ps := LoadGateway("testdata/gateway.yaml", drivers...)
	if len(ps) > 0 {
		t.Fatal(lines(ps))
	}
	var b bytes.Buffer
	if err := g.Print(&b); err != nil {
		t.Fatal(err)
	}
	again, ps := parseGateway("printed", b.Bytes(), drivers)
	if len(ps) > 0 {
		t.Fatalf("printed:\n%s\nproblems:\n%s", b.String(), lines(ps))
	}
	if d := cmp.Diff(g, again, append(ignore, cmpopts.EquateEmpty())...); d != "" {
		t.Errorf("printed and loaded again (-want +got):\n%s\n%s", d, b.String())
	}
}

func TestUnits(t *testing.T) {
	for in, want := range map[string]Size{"0": 0, "64MiB": 64 * MiB, "1.5GiB": 1536 * MiB, "20 GiB": 20 * GiB, "7B": 7} {
		if got, err := parseSize(in); err != nil || got != want {
			t.Errorf("size %q: got %v, %v, want %v", in, got, err, want)
		}
	}
	for in, want := range map[string]Rate{"0": 0, "256kbit/s": 256_000, "1Mbit/s": 1_000_000, "2.5Gbit/s": 2_500_000_000} {
		if got, err := parseRate(in); err != nil || got != want {
			t.Errorf("rate %q: got %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "64", "64MB", "MiB", "-1MiB", "1e3MiB", "999999999999999TiB", "1MiB x"} {
		if got, err := parseSize(in); err == nil {
			t.Errorf("size %q: got %v, want an error", in, got)
		}
	}
	for v, want := range map[Size]string{0: "0", 64 * MiB: "64MiB", 1536 * MiB: "1536MiB", 1025: "1025B"} {
		if got := v.String(); got != want {
			t.Errorf("size %d: got %q, want %q", int64(v), got, want)
		}
	}
}

// Also as openssl prints it.
func TestCertificateAsItIsPrinted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	printed := strings.TrimSuffix(strings.Repeat("AB:0C:", 16), ":")
	if err := os.WriteFile(file, []byte(site+uplink+"cameras:\n- {id: a, main: \"rtsps://h/m\", certificate_sha256: "+printed+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g, ps := LoadGateway(file)
	if len(ps) > 0 {
		t.Fatal(lines(ps))
	}
	if got, want := g.Cameras[0].CertificateSHA256, strings.Repeat("ab0c", 16); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNearest(t *testing.T) {
	words := []string{"password_file", "transport", "cameras", "before"}
	for in, want := range map[string]string{"password": "password_file", "trasnport": "transport", "Cameras": "cameras", "camera": "cameras", "zzz": "", "b": "", strings.Repeat("x", 1000): ""} {
		if got := nearest(in, words); got != want {
			t.Errorf("nearest to %q: got %q, want %q", in, got, want)
		}
	}
}

func TestCheckFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, s string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	good, empty, big := write("good", "secret\n"), write("empty", ""), write("big", strings.Repeat("x", 5000))
	file := write("gateway.yaml", site+uplink+"data: "+good+"\ncameras:\n"+
		"- {id: a, main: \"rtsp://h/m\", user: u, password_file: "+good+"}\n"+
		"- {id: b, main: \"rtsp://h/m\", user: u, password_file: "+empty+"}\n"+
		"- {id: c, main: \"rtsp://h/m\", user: u, password_file: "+big+"}\n"+
		"- {id: d, main: \"rtsp://h/m\", user: u, password_file: "+dir+"/absent}\n"+
		"- {id: e, main: \"rtsp://h/m\", user: u, password_file: "+dir+"}\n"+
		"- {id: f, main: \"rtsp://h/m\", user: u}\n"+
		"- {id: g, main: \"rtsps://h/m\", ca_file: "+good+"}\n")
	g, ps := LoadGateway(file)
	if len(ps) > 0 {
		t.Fatal(lines(ps))
	}
	const hint = "write the camera's password into it, readable by the service alone"
	want := []Problem{
		{file, 3, "data", good + " is no directory", "name a directory on the data partition"},
		{file, 6, "cameras[1].password_file", empty + " is empty", hint},
		{file, 7, "cameras[2].password_file", big + " is larger than 4KiB", hint},
		{file, 8, "cameras[3].password_file", dir + "/absent: no such file or directory", hint},
		{file, 9, "cameras[4].password_file", dir + " is no regular file", hint},
		{file, 11, "cameras[6].ca_file", good + " holds no certificate", "write the certificate of the camera's authority into it, as PEM"},
	}
	if d := cmp.Diff(want, g.CheckFiles()); d != "" {
		t.Errorf("CheckFiles (-want +got):\n%s", d)
	}
}

func TestLoadWithoutAFile(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big.yaml")
	if err := os.WriteFile(big, bytes.Repeat([]byte("# x\n"), MaxBytes/4+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir + "/absent": dir + "/absent: no such file or directory: name the file with --config FILE\n",
		dir:             dir + ": is no regular file: name the file with --config FILE\n",
		big:             big + ": is larger than 1MiB: no site needs that much; is it the right file?\n",
	} {
		g, ps := LoadGateway(path)
		if got := lines(ps); g != nil || got != want {
			t.Errorf("gateway: got %v, %q, want %q", g, got, want)
		}
		s, ps := LoadSOC(path)
		if got := lines(ps); s != nil || got != want {
			t.Errorf("soc: got %v, %q, want %q", s, got, want)
		}
	}
}
