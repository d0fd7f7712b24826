package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/jpeg"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sitewatch/cmd/cli"
	"sitewatch/edge"
	"sitewatch/edge/config"
	"sitewatch/video/onviftest"
)

// onePicture is a small JPEG.
func onePicture() []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 16, 9)), nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// startONVIF runs a camera that speaks ONVIF until the test ends.
func startONVIF(t *testing.T, opt onviftest.Options) *onviftest.Device {
	t.Helper()
	opt.Addr, opt.Clock = "127.0.0.1:0", edge.NewSystemClock()
	if opt.Streams == nil {
		opt.Streams = []onviftest.Stream{{Token: "sub", Name: "sub", Codec: "H264", Width: 640, Height: 360, FPS: 10, URI: "rtsp://127.0.0.1:554/live?stream=1&a=b"},
			{Token: "main", Name: "main", Codec: "H265", Width: 2688, Height: 1520, FPS: 25, URI: "rtsp://127.0.0.1:554/live?stream=0"}}
	}
	if opt.Snapshot == nil {
		opt.Snapshot = onePicture
	}
	d, err := onviftest.Listen(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Errorf("device: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return d
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// found is what a reader of the JSON relies on.
type found struct {
	Items []struct {
		Address, Host, Make, Model, Firmware, Serial, Error string
		Events                                              bool
		ClockAhead                                          *int64 `json:"clock_ahead_ms"`
		Notes                                               []string
		Profiles                                            []struct {
			Codec              string
			Width, Height, FPS int
		}
		Cameras []struct {
			ID, Main, Sub, Picture string
			Configured             bool
		}
	}
	Sheet string
}

// discover waits for an answer for as long as the test of a silent camera may wait for none.
func discover(t *testing.T, timeout string, args ...string) (f found, status int, stderr string) {
	t.Helper()
	status, stdout, stderr := gateway(t, append([]string{"discover", "--json", "--timeout", timeout}, args...)...)
	if err := json.Unmarshal([]byte(stdout), &f); err != nil {
		t.Fatalf("%v: %q, %q", err, stdout, stderr)
	}
	return f, status, stderr
}

func TestDiscover(t *testing.T) {
	pw, dir := writeFile(t, "pw", "hush hush\n"), filepath.Join(t.TempDir(), "pictures")
	good := startONVIF(t, onviftest.Options{User: "sitewatch", Password: "hush hush", Serial: "C1", Name: "Stock room"})
	same := startONVIF(t, onviftest.Options{Make: onviftest.Axis, Auth: onviftest.Digest, User: "sitewatch", Password: "hush hush", Serial: "C2", Name: "Stock room", Quirks: onviftest.ForeignXAddr | onviftest.NoSnapshot})
	other := startONVIF(t, onviftest.Options{User: "sitewatch", Password: "another"})
	silent := startONVIF(t, onviftest.Options{Quirks: onviftest.Silent})
	endless := startONVIF(t, onviftest.Options{Quirks: onviftest.Endless})
	var args []string
	for _, h := range []string{good.Addr(), same.URL(), other.Addr(), endless.Addr(), "127.0.0.1:1"} {
		args = append(args, "--host", h)
	}
	f, status, stderr := discover(t, "1m", append(args, "--user", "sitewatch", "--password-file", pw, "--pictures", dir)...)
	if status != 0 || len(f.Items) != 5 {
		t.Fatalf("exit status %d, %d items, %s", status, len(f.Items), stderr)
	}
	a, b := f.Items[0], f.Items[1]
	if a.Error != "" || a.Make != "HIKVISION" || a.Serial != "C1" || a.Firmware == "" || !a.Events || a.ClockAhead == nil || len(a.Profiles) != 2 || len(a.Notes) != 0 {
		t.Errorf("got %+v", a)
	}
	if len(a.Cameras) != 1 || a.Cameras[0].Main != "rtsp://127.0.0.1:554/live?stream=0" || a.Cameras[0].Sub != "rtsp://127.0.0.1:554/live?stream=1&a=b" || a.Cameras[0].Configured {
		t.Fatalf("got cameras %+v", a.Cameras)
	}
	if p, err := os.ReadFile(a.Cameras[0].Picture); err != nil || !bytes.Equal(p, onePicture()) || filepath.Dir(a.Cameras[0].Picture) != dir {
		t.Errorf("the picture is %s, %v", a.Cameras[0].Picture, err)
	}
	if b.Error != "" || len(b.Cameras) != 1 || b.Cameras[0].Picture != "" || len(b.Notes) != 3 {
		t.Errorf("got %+v, want no picture, notes of why, and one of the foreign address", b)
	}
	if a.Cameras[0].ID != "stock-room" || b.Cameras[0].ID != "stock-room-2" {
		t.Errorf("got ids %s and %s", a.Cameras[0].ID, b.Cameras[0].ID)
	}
	for i, want := range map[int]string{2: "refused the user or the password", 3: "longer than", 4: "refused"} {
		if e := f.Items[i].Error; !strings.Contains(e, want) || len(f.Items[i].Cameras) != 0 {
			t.Errorf("%s: got %q, want %q", f.Items[i].Address, e, want)
		}
	}
	sheet, err := os.ReadFile(f.Sheet)
	if err != nil || !strings.Contains(string(sheet), `src="stock-room.jpg"`) || !strings.Contains(string(sheet), "refused the user") {
		t.Errorf("the sheet %s: %v\n%s", f.Sheet, err, sheet)
	}
	if n := other.Refused(); n > 2 {
		t.Errorf("the camera with another password was asked %d times", n)
	}
	f, _, stderr = discover(t, "300ms", "--host", silent.Addr(), "--pictures", t.TempDir())
	if len(f.Items) != 1 || !strings.Contains(f.Items[0].Error, "time") || len(f.Items[0].Cameras) != 0 {
		t.Errorf("a silent one: got %+v, %s", f.Items, stderr)
	}
}

// A camera that gives no picture by ONVIF is looked at by its stream, with the real programs.
func TestDiscoverTakesAPictureOutOfTheStream(t *testing.T) {
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	pw := writeFile(t, "pw", "hush\n")
	sim := exec.CommandContext(t.Context(), filepath.Join(bin, "sitesim"), "camera", "--listen", "127.0.0.1:0", "--name", "till", "--user", "sitewatch", "--password-file", pw)
	out, err := sim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Process.Kill(); sim.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	address, _, ok := strings.Cut(line, " ")
	if err != nil || !ok {
		t.Fatalf("%q, %v", line, err)
	}
	d := startONVIF(t, onviftest.Options{User: "sitewatch", Password: "hush", Quirks: onviftest.NoSnapshot, Name: "Till",
		Streams: []onviftest.Stream{{Token: "main", Name: "main", Codec: "H264", Width: 960, Height: 540, URI: address}}})
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "gateway"), "discover", "--json", "--host", d.Addr(), "--user", "sitewatch", "--password-file", pw, "--timeout", "1m", "--pictures", t.TempDir())
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var f found
	if err := json.Unmarshal(stdout.Bytes(), &f); err != nil || len(f.Items) != 1 || len(f.Items[0].Cameras) != 1 {
		t.Fatalf("%v: %s", err, stdout.String())
	}
	p, err := os.Open(f.Items[0].Cameras[0].Picture)
	if err != nil {
		t.Fatalf("%v: %+v", err, f.Items[0].Notes)
	}
	defer p.Close()
	if c, err := jpeg.DecodeConfig(p); err != nil || c.Width != 960 || c.Height != 540 {
		t.Errorf("got %+v, %v", c, err)
	}
}

// What is printed for gateway.yaml loads, and then the camera is known and asked with the user that the file names.
func TestDiscoverPrintsWhatTheConfigurationTakes(t *testing.T) {
	pw := writeFile(t, "pw", "hush\n")
	d := startONVIF(t, onviftest.Options{User: "sitewatch", Password: "hush", Auth: onviftest.Token, Serial: "C1", Name: `Till "1": <b>front</b>`})
	status, stdout, stderr := gateway(t, "discover", "--timeout", "1m", "--host", d.Addr(), "--user", "sitewatch", "--password-file", pw, "--pictures", t.TempDir())
	_, yaml, ok := strings.Cut(stdout, "\ncameras:\n")
	if status != 0 || !ok {
		t.Fatalf("exit status %d: %s\n%s", status, stdout, stderr)
	}
	if !strings.Contains(stdout, "H265 2688x1520 25/s") || !strings.Contains(stdout, "DS-2CD2143G2-I") {
		t.Errorf("got %s", stdout)
	}
	file := writeFile(t, "gateway.yaml", "site: {id: \"0417\", name: X, timezone: Europe/London}\ndata: "+t.TempDir()+"\nuplink: {soc: \"127.0.0.1:1\"}\ncameras:\n"+yaml)
	g, problems := config.LoadGateway(file)
	if len(problems) > 0 {
		t.Fatalf("%v\n%s", problems, yaml)
	}
	if c := g.Cameras[0]; c.ONVIF != d.URL() || c.User != "sitewatch" || c.PasswordFile != pw || c.Sub == "" || c.Name != `Till "1": <b>front</b>` {
		t.Errorf("got %+v", c)
	}
	f, status, stderr := discover(t, "1m", "--config", file, "--host", d.Addr(), "--pictures", t.TempDir())
	if status != 0 || len(f.Items) != 1 || len(f.Items[0].Cameras) != 1 || !f.Items[0].Cameras[0].Configured || f.Items[0].Cameras[0].ID != string(g.Cameras[0].ID) {
		t.Errorf("exit status %d, %+v, %s", status, f, stderr)
	}
}

func TestDiscoverFindsNothing(t *testing.T) {
	s := &discovery{cmd: &discoverCmd{}, items: []item{}} // others may run devices on every interface of this machine
	var b strings.Builder
	if err := s.printJSON(&b); err != nil || !strings.Contains(b.String(), `"items": []`) {
		t.Errorf("got %s, %v", b.String(), err)
	}
	if err := s.verdict(); err == nil || !strings.Contains(err.Error(), "VLAN") || !strings.Contains(err.Error(), "--host") {
		t.Errorf("got %v, want what to look at", err)
	}
	for _, args := range [][]string{{"--host", "http://u:hush@camera"}, {"--user", "x"}, {"--timeout", "1ms"}, {"--config", "/nonexistent/gateway.yaml"}} {
		if status, _, stderr := gateway(t, append([]string{"discover"}, args...)...); status != cli.ExitConfig || stderr == "" || strings.Contains(stderr, "hush") {
			t.Errorf("%v: exit status %d, %q", args, status, stderr)
		}
	}
	if status, _, stderr := gateway(t, "discover", "--interface", "no-such-0", "--timeout", "200ms"); status != cli.ExitFailed || !strings.Contains(stderr, "no-such-0") {
		t.Errorf("exit status %d, %q", status, stderr)
	}
}

func TestProposedIDs(t *testing.T) {
	for _, c := range []struct {
		it   item
		want string
	}{
		{item{Host: "192.168.1.64", Name: "HIKVISION DS-2CD", Make: "HIKVISION"}, "camera-1-64"},
		{item{Host: "192.168.1.64", Name: "Back Door (left)"}, "back-door-left"},
		{item{Host: "camera-1.local"}, "camera-1"},
		{item{Host: "fe80::1%eth0"}, "camera-1-eth0"},
		{item{Host: "192.168.1.64", Name: "Ладен"}, "camera-1-64"},
		{item{Host: "192.168.1.64", Name: "a very long name that nobody should have given"}, "a-very-long-name-that-nobody"},
		{item{Host: "10.0.0.1", Name: "7"}, "camera-0-1"},
	} {
		if got := proposal(c.it); got != c.want || !edge.ValidID(got) {
			t.Errorf("%+v: got %s, want %s", c.it, got, c.want)
		}
	}
}
