package onvif_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
	"sitewatch/video"
	"sitewatch/video/onvif"
	"sitewatch/video/onviftest"
)

func TestMain(m *testing.M) { edgetest.Main(m) }

const secret = "hush: hush, \"quiet\" & <still>"

func passwordFile(t testing.TB, password string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(path, []byte(password+"\r\nnot this\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func picture(w, h int) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, w, h)), nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

var streams = []onviftest.Stream{
	{Token: "Profile_2", Name: "subStream", Codec: "H264", Width: 640, Height: 360, FPS: 15, URI: "rtsp://127.0.0.1:8554/Streaming/Channels/102?transportmode=unicast&profile=Profile_2"},
	{Token: "Profile_1", Name: "main & first", Codec: "H265", Width: 2688, Height: 1520, FPS: 25, URI: "rtsp://127.0.0.1:8554/Streaming/Channels/101"},
	{Token: "Profile_3", Name: "third", Codec: "H264", Width: 1280, Height: 720, FPS: 25, URI: "rtsp://127.0.0.1:8554/Streaming/Channels/103"},
	{Token: "Profile_4", Name: "pictures", Codec: "JPEG", Width: 640, Height: 480, FPS: 5, URI: "rtsp://127.0.0.1:8554/Streaming/Channels/104"},
}

// start runs a device until the test ends.
func start(t testing.TB, opt onviftest.Options) *onviftest.Device {
	t.Helper()
	if opt.Addr == "" {
		opt.Addr = "127.0.0.1:0"
	}
	if opt.Streams == nil {
		opt.Streams = streams
	}
	if opt.Snapshot == nil {
		opt.Snapshot = func() []byte { return picture(640, 360) }
	}
	opt.Clock = edge.NewSystemClock()
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

// patience is for a machine that has much else to do: who waits for something that comes waits as long.
const patience = 2 * time.Minute

func open(t testing.TB, address, user, password string) *onvif.Device {
	t.Helper()
	opt := onvif.Options{Address: address, User: user, Clock: edge.NewSystemClock(), Timeout: patience}
	if user != "" {
		opt.PasswordFile = passwordFile(t, password)
	}
	d, err := onvif.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// seen is all that is asked of a device.
type seen struct {
	info     onvif.Information
	offset   time.Duration
	channels []onvif.Channel
	main     string
	sub      string
	size     video.Size
	doubts   []string
}

func ask(ctx context.Context, d *onvif.Device) (s seen, err error) {
	if s.offset, _, err = d.Sync(ctx); err != nil {
		return s, err
	}
	if s.info, err = d.Information(ctx); err != nil {
		return s, err
	}
	ps, err := d.Profiles(ctx)
	if err != nil {
		return s, err
	}
	s.channels = onvif.Channels(ps)
	if len(s.channels) == 0 {
		return s, errors.New("no channel")
	}
	if s.main, err = d.StreamURI(ctx, s.channels[0].Main); err != nil {
		return s, err
	}
	if sub := s.channels[0].Sub; sub != nil {
		if s.sub, err = d.StreamURI(ctx, *sub); err != nil {
			return s, err
		}
	}
	_, s.size, err = d.Snapshot(ctx, s.channels[0].Main)
	s.doubts = d.Doubts()
	return s, err
}

func TestDevices(t *testing.T) {
	const all = "rtsp://127.0.0.1:8554/Streaming/Channels/101 rtsp://127.0.0.1:8554/Streaming/Channels/102?transportmode=unicast&profile=Profile_2"
	const old = "rtsp://127.0.0.1:8554/Streaming/Channels/103 rtsp://127.0.0.1:8554/Streaming/Channels/102?transportmode=unicast&profile=Profile_2"
	for name, c := range map[string]struct {
		opt    onviftest.Options
		want   string
		doubts int
	}{
		"a Hikvision":                                   {onviftest.Options{}, all, 0},
		"a Hikvision that wants tokens":                 {onviftest.Options{Auth: onviftest.Token}, all, 0},
		"an Axis":                                       {onviftest.Options{Make: onviftest.Axis, Auth: onviftest.Digest}, all, 0},
		"an Axis with SHA-256":                          {onviftest.Options{Make: onviftest.Axis, Auth: onviftest.DigestSHA256, Quirks: onviftest.HTMLRefusal}, all, 0},
		"a Dahua":                                       {onviftest.Options{Make: onviftest.Dahua, Quirks: onviftest.Chunked}, all, 0},
		"a Dahua that wants tokens":                     {onviftest.Options{Make: onviftest.Dahua, Auth: onviftest.Token, Quirks: onviftest.Chunked | onviftest.NoMedia2}, old, 0},
		"a clock that was never set":                    {onviftest.Options{Auth: onviftest.Token, Quirks: onviftest.Time1970}, all, 0},
		"a clock ten years ahead":                       {onviftest.Options{Auth: onviftest.Token, Ahead: 87600 * time.Hour}, all, 0},
		"no time at all":                                {onviftest.Options{Quirks: onviftest.NoTime}, all, 0},
		"faults with 200 and answers as HTML":           {onviftest.Options{Auth: onviftest.Token, Quirks: onviftest.Faults200 | onviftest.HTMLType | onviftest.NoServices}, old, 0},
		"paths for addresses":                           {onviftest.Options{Quirks: onviftest.RelativeXAddr}, all, 0},
		"an address of IPv6 first":                      {onviftest.Options{Quirks: onviftest.IPv6First}, all, 0},
		"two addresses":                                 {onviftest.Options{Make: onviftest.Dahua, Quirks: onviftest.TwoXAddrs}, all, 0},
		"addresses of another host":                     {onviftest.Options{Quirks: onviftest.ForeignXAddr}, all, 2},
		"a bare & in an address":                        {onviftest.Options{Quirks: onviftest.BareAmpersand}, all, 0},
		"bytes before and after":                        {onviftest.Options{Quirks: onviftest.Garbage}, all, 0},
		"a page for a refusal":                          {onviftest.Options{Auth: onviftest.Digest, Quirks: onviftest.HTMLRefusal}, all, 0},
		"a user and a password in the stream's address": {onviftest.Options{Quirks: onviftest.SecretInURI, Password: "plain"}, all, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c.opt.User, c.opt.Serial = "sitewatch", "C1234"
			if c.opt.Password == "" {
				c.opt.Password = secret
			}
			dev := start(t, c.opt)
			s, err := ask(t.Context(), open(t, dev.URL(), "sitewatch", c.opt.Password))
			if err != nil {
				t.Fatal(err)
			}
			if got := s.main + " " + s.sub; got != c.want {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
			if s.info.Serial != "C1234" || s.info.Make == "" || s.info.Model == "" || s.info.Firmware == "" {
				t.Errorf("got %+v", s.info)
			}
			if s.size.Width != 640 || s.size.Height != 360 {
				t.Errorf("got a picture of %v", s.size)
			}
			if len(s.doubts) != c.doubts {
				t.Errorf("got %q, want %d doubts", s.doubts, c.doubts)
			}
			want := c.opt.Ahead
			if c.opt.Quirks&onviftest.Time1970 != 0 {
				want = s.offset
				if s.offset > -40*365*24*time.Hour {
					t.Errorf("the clock is %v ahead, want decades behind", s.offset)
				}
			}
			if d := s.offset - want; d.Abs() > patience {
				t.Errorf("the clock is %v ahead, want %v", s.offset, want)
			}
		})
	}
}

func TestNobodyIsAskedForAUserByAnOpenDevice(t *testing.T) {
	dev := start(t, onviftest.Options{})
	if _, err := ask(t.Context(), open(t, dev.URL(), "", "")); err != nil {
		t.Fatal(err)
	}
}

// A camera locks out after five wrong passwords or so: nothing may use them up.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		auth  onviftest.Auth
		user  string
		want  error
		tries int
	}{
		"wrong password, tokens":          {onviftest.Token, "sitewatch", onvif.ErrRefused, 1},
		"wrong password, digest":          {onviftest.Digest, "sitewatch", onvif.ErrRefused, 2},
		"wrong password, either":          {onviftest.Either, "sitewatch", onvif.ErrRefused, 2},
		"wrong password, digest, SHA-256": {onviftest.DigestSHA256, "sitewatch", onvif.ErrRefused, 2},
		"no user, tokens":                 {onviftest.Token, "", onvif.ErrAsks, 1},
		"no user, digest":                 {onviftest.Digest, "", onvif.ErrAsks, 1},
		"Basic alone":                     {onviftest.Basic, "sitewatch", onvif.ErrBasic, 1},
	} {
		t.Run(name, func(t *testing.T) {
			dev := start(t, onviftest.Options{User: "sitewatch", Password: secret, Auth: c.auth})
			_, err := ask(t.Context(), open(t, dev.URL(), c.user, "wrong"))
			if !errors.Is(err, c.want) || edge.HintOf(err) == "" {
				t.Errorf("got %v, want %v and what to do", err, c.want)
			}
			if dev.Refused() > c.tries {
				t.Errorf("the device refused %d requests, want at most %d", dev.Refused(), c.tries)
			}
			if err != nil && strings.Contains(err.Error(), "wrong, ") {
				t.Errorf("the password is in %q", err)
			}
		})
	}
}

func TestBadDevices(t *testing.T) {
	for name, c := range map[string]struct {
		quirks  onviftest.Quirk
		want    error
		timeout time.Duration
	}{
		"a web server":           {onviftest.NotONVIF, onvif.ErrNotONVIF, patience},
		"an answer without end":  {onviftest.Endless, nil, patience},
		"silence":                {onviftest.Silent, nil, 300 * time.Millisecond},
		"an answer with DOCTYPE": {onviftest.Doctype, nil, patience},
	} {
		t.Run(name, func(t *testing.T) {
			dev := start(t, onviftest.Options{Quirks: c.quirks})
			d, err := onvif.Open(onvif.Options{Address: dev.URL(), Clock: edge.NewSystemClock(), Timeout: c.timeout})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			_, err = ask(t.Context(), d)
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			t.Log(err)
		})
	}
}

func TestNoSnapshot(t *testing.T) {
	dev := start(t, onviftest.Options{Quirks: onviftest.NoSnapshot})
	if _, err := ask(t.Context(), open(t, dev.URL(), "", "")); !errors.Is(err, onvif.ErrMissing) {
		t.Errorf("got %v, want ErrMissing", err)
	}
	dev = start(t, onviftest.Options{Snapshot: func() []byte { return []byte("<html>no picture</html>") }})
	if _, err := ask(t.Context(), open(t, dev.URL(), "", "")); err == nil || !strings.Contains(err.Error(), "no JPEG") {
		t.Errorf("got %v, want that it is no JPEG", err)
	}
}

// What the camera sends us to must learn nothing.
func TestRedirectsAreNotFollowed(t *testing.T) {
	visited := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visited = true }))
	defer other.Close()
	dev := start(t, onviftest.Options{Quirks: onviftest.Redirect, Elsewhere: other.URL + "/onvif/device_service"})
	_, err := ask(t.Context(), open(t, dev.URL(), "sitewatch", secret))
	if err == nil || visited || edge.HintOf(err) == "" {
		t.Errorf("got %v, visited %v", err, visited)
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	for _, a := range []string{"", "camera", "ftp://camera/x", "http://", "http://user:hush@camera/onvif/device_service", "http:camera", "http://[::1"} {
		_, err := onvif.Open(onvif.Options{Address: a, Clock: edge.NewSystemClock()})
		if err == nil || edge.HintOf(err) == "" || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: got %v", a, err)
		}
	}
}
