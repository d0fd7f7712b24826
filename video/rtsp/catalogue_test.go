package rtsp

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
	"sitewatch/video"
	"sitewatch/video/rtsptest"
)

// troubles are what is said of the cameras that are no use. A camera that is not here plays.
var troubles = map[string]string{
	"mute":                   "no pictures|no answer",
	"web-page":               "closed|ended at the other side",
	"hangs-up-at-once":       "closed|ended at the other side",
	"stalls-after-describe":  "no pictures|no answer",
	"stalls-after-setup":     "no pictures|no answer",
	"busy":                   "503",
	"broken-inside":          "500",
	"wrong-path":             "path",
	"wrong-password":         "refused the user or the password",
	"forbidden":              "refused the user or the password",
	"basic-only":             "Basic",
	"odd-digest":             "refused|authentication",
	"redirect-loop":          "sends us on",
	"redirect-elsewhere":     "sends us on|127.0.0.2",
	"wrong-cseq":             "no pictures|no answer",
	"body-too-long":          "no pictures|no answer",
	"body-too-short":         "SDP|no H.264",
	"endless-header":         "header",
	"endless-line":           "header|exceeds|too long|buffer",
	"endless-body":           "Content-Length",
	"sdp-malformed":          "SDP",
	"sdp-empty":              "SDP|no H.264",
	"sdp-huge":               "Content-Length",
	"sdp-no-video":           "no H.264",
	"mjpeg-only":             "no H.264",
	"refuses-rtp":            "over TCP, and no RTP comes over UDP: the camera refuses",
	"no-transport":           "[Tt]ransport",
	"silent-from-the-start":  "no pictures",
	"silent":                 "no pictures",
	"stalls-in-a-picture":    "no pictures",
	"drops-in-a-gop":         "closed|ended at the other side",
	"says-goodbye":           "no pictures|BYE",
	"garbage":                ".",
	"other-payload-type":     "no pictures|cannot be used",
	"rubbish-payloads":       "no pictures|cannot be used",
	"fragment-without-end":   "no pictures|cannot be used",
	"fragment-without-start": "no pictures|cannot be used",
	"one-byte-fragments":     "access unit|fragments|no pictures",
	"unit-of-200-mb":         "access unit|Mbit/s|fragments|bytes",
	"no-sets":                "parameter sets|cannot be used",
	"giant-picture":          "16384x16384",
	"thousand-a-second":      "pictures a second",
	"many-nal-units":         "NAL units|cannot be used",
}

// visit is how a Source fared with a camera.
type visit struct {
	units []video.AccessUnit
	err   error // why it ended; nil when it gave as many pictures as were wanted
	took  time.Duration
}

// look lets a Source look at url until it has given so many pictures or ends by itself.
func look(ctx context.Context, name, url, passwords string, pictures int) (v visit) {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	begun := time.Now()
	sink := &enough{want: pictures, done: cancel}
	stall, keyframe := patience(name)
	o := Options{URL: url, User: "u", PasswordFile: passwords, Clock: edge.NewSystemClock(), Sink: sink, StallAfter: stall, KeyframeAfter: keyframe, UDPWait: stall}
	source := NewSource(o)
	source.dial = (&net.Dialer{}).DialContext // the network is this machine, which may be busy
	err := source.Run(ctx)
	if len(sink.units) < pictures {
		v.err = err
	}
	v.units, v.took = sink.units, time.Since(begun)
	return v
}

// patience is StallAfter and KeyframeAfter for a camera or its dialogue: short where they are what ends it, so long that a busy
// machine never meets them where they are not.
func patience(name string) (stall, keyframe time.Duration) {
	camera := strings.TrimSuffix(filepath.Base(name), ".dialogue")
	why := troubles[camera]
	stall, keyframe = 2*time.Minute, 2*time.Minute
	if strings.Contains(why, "cannot be used") {
		keyframe = 400 * time.Millisecond
	}
	if strings.Contains(why, "no pictures") {
		stall = 2 * time.Second
	} else if name != camera && (why == "" || beyond[camera]) {
		stall = 20 * time.Second // the file ends, and is silent
	}
	return stall, keyframe
}

// enough is a Sink that calls done when it has what it wants. It is read after the Source has ended.
type enough struct {
	seen
	want int
	done func()
}

func (e *enough) OnUnit(u video.AccessUnit, p video.Params) {
	if len(e.units) < e.want {
		e.seen.OnUnit(u, p)
	} else {
		e.done()
	}
}

// visitAll looks at many cameras, a few at a time: most of what they do is waiting.
func visitAll(t *testing.T, names []string, serve func(ctx context.Context, name string) (url string, run func() error, err error), pictures func(name string) int) map[string]visit {
	t.Helper()
	passwords := passwordFile(t, "hall und rauch")
	var mu sync.Mutex
	visits := map[string]visit{}
	var g errgroup.Group
	g.SetLimit(48)
	for _, name := range names {
		g.Go(func() error {
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			defer wg.Wait()
			defer cancel()
			url, run, err := serve(ctx, name)
			if err != nil {
				return err
			}
			wg.Go(func() {
				if err := run(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
			v := look(ctx, name, url, passwords, pictures(name))
			mu.Lock()
			visits[name] = v
			mu.Unlock()
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return visits
}

func catalogue() (names []string) {
	for _, b := range rtsptest.Catalogue() {
		names = append(names, b.Name)
	}
	return names
}

// checkTrouble says whether why is what a person should read of the camera.
func checkTrouble(t *testing.T, name string, err error) {
	t.Helper()
	if err == nil {
		t.Fatalf("it plays, want trouble: %s", troubles[name])
	}
	why := err.Error()
	if !regexp.MustCompile(troubles[name]).MatchString(why) {
		t.Errorf("it is told as %q, want %s", why, troubles[name])
	}
	if len(why) > 300 || strings.ContainsAny(why, "\r\n\x00") || strings.Contains(why, "hall und rauch") {
		t.Errorf("nobody should read %q", why)
	}
}

// Each camera of the catalogue is looked at alone, and so is the dialogue of it: that is played as it was recorded and ends as the
// camera does, or for want of pictures where the file ends.
func TestEachBadCamera(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	defer func() {
		if err := edgetest.Leaked(ignore); err != nil {
			t.Error(err)
		}
	}()
	names := catalogue()
	for _, name := range catalogue() {
		names = append(names, dialogueFile(name))
	}
	visits := visitAll(t, names, func(ctx context.Context, name string) (string, func() error, error) {
		if filepath.Ext(name) != "" {
			return serveDialogue(ctx, name)
		}
		b, err := rtsptest.BadNamed(name)
		if err != nil {
			return "", nil, err
		}
		s, err := b.Listen("127.0.0.1:0")
		if err != nil {
			return "", nil, err
		}
		return s.URL("main"), func() error { return s.Run(ctx) }, nil
	}, func(name string) int {
		switch {
		case troubles[name] != "" || filepath.Ext(name) != "":
			return 1 << 20 // it ends by itself
		case name == "loses-packets":
			return 15 // few GOPs are whole
		case strings.Contains(name, "keepalive"):
			return 450 // a second longer than they let a client be silent
		}
		return 45
	})
	for _, b := range rtsptest.Catalogue() {
		t.Run(b.Name, func(t *testing.T) {
			if (troubles[b.Name] == "") != b.Plays {
				t.Fatalf("the catalogue says plays %v, and its trouble is %q", b.Plays, troubles[b.Name])
			}
			v := visits[b.Name]
			v.check(t)
			switch {
			case b.Plays && v.err != nil:
				t.Errorf("got %d pictures and then %v, want it to play", len(v.units), v.err)
			case !b.Plays:
				checkTrouble(t, b.Name, v.err)
			}
		})
		t.Run(b.Name+".dialogue", func(t *testing.T) {
			v := visits[dialogueFile(b.Name)]
			v.check(t)
			switch {
			case b.Name == "udp-only": // what goes over UDP is in no dialogue
				checkTrouble(t, "refuses-rtp", v.err)
			case b.Plays && len(v.units) == 0:
				t.Errorf("got no picture and %v", v.err)
			case !b.Plays && !beyond[b.Name]:
				checkTrouble(t, b.Name, v.err)
			}
		})
	}
}

// beyond are those whose trouble lies beyond the end of the dialogue.
var beyond = map[string]bool{"garbage": true, "thousand-a-second": true, "no-sets": true}

// check is what holds for every camera.
func (v visit) check(t *testing.T) {
	t.Helper()
	t.Logf("%d pictures in %v: %v", len(v.units), v.took.Round(time.Millisecond), v.err)
	if errors.Is(v.err, context.DeadlineExceeded) {
		t.Fatalf("it was looked at for %v, and got %d pictures", v.took, len(v.units))
	}
	if len(v.units) > 0 && !v.units[0].Keyframe {
		t.Error("its first picture is no key picture")
	}
}

// serveDialogue opens a port at which the dialogue of a file is played, to one client at a time.
func serveDialogue(ctx context.Context, file string) (url string, run func() error, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", nil, err
	}
	d, err := rtsptest.ParseDialogue(string(text))
	if err != nil {
		return "", nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	return "rtsp://" + ln.Addr().String() + "/main", func() error {
		defer context.AfterFunc(ctx, func() { ln.Close() })()
		defer ln.Close()
		for {
			conn, err := ln.Accept()
			if err != nil {
				return nil // ctx has ended
			}
			d.Serve(ctx, conn)
		}
	}, nil
}
