package console_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/prometheus/client_golang/prometheus"

	"sitewatch/edge"
	"sitewatch/uplink/soc"
	"sitewatch/uplink/soc/api"
	"sitewatch/uplink/soc/console"
	"sitewatch/uplink/soc/ledger"
	"sitewatch/uplink/soc/preview"
)

// desk is a SOC without its line to the boxes: ledger, API and console on loopback.
type desk struct {
	t     testing.TB
	led   *ledger.SQLite
	clips string
	url   string
	seq   map[edge.SiteID]edge.Seq
	id    edge.JournalID
	stop  func() // of the HTTP server

	mu     sync.Mutex
	online map[edge.SiteID]bool
	paths  map[edge.SiteID][]ledger.Path
}

func (d *desk) Online(site edge.SiteID) (time.Time, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Now(), d.online[site]
}

func (d *desk) Nudge(edge.SiteID) {}

func (d *desk) Paths(site edge.SiteID) []ledger.Path {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.paths[site]
}

func newDesk(t testing.TB) *desk {
	d := &desk{t: t, clips: t.TempDir(), seq: map[edge.SiteID]edge.Seq{}, id: edge.JournalID(edge.NewID()), online: map[edge.SiteID]bool{}}
	log := slog.New(slog.DiscardHandler)
	var err error
	if d.led, err = ledger.Open(t.Context(), ledger.Options{Path: filepath.Join(t.TempDir(), "ledger.db"), Log: log}); err != nil {
		t.Fatal(err)
	}
	page, err := console.New(console.Options{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	previews, err := preview.New(preview.Options{Dir: t.TempDir(), Room: func() (uint64, error) { return 1 << 30, nil }, Clock: edge.NewSystemClock(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	web := api.New(api.Options{Ledger: d.led, Presence: d, Console: page, Clock: edge.NewSystemClock(), Log: log, Gatherer: prometheus.NewRegistry(),
		ClipPath: func(site edge.SiteID, id edge.ClipID, part edge.FilePart) string {
			return soc.ClipPath(d.clips, site, id, part)
		},
		Arriving: func(site edge.SiteID, id edge.ClipID) string { return soc.Arriving(d.clips, site, id) }, Previews: previews})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.url = "http://" + ln.Addr().String()
	lctx, lstop := context.WithCancel(context.Background())
	hctx, hstop := context.WithCancel(context.Background())
	var lwg, hwg sync.WaitGroup
	lwg.Go(func() { d.led.Run(lctx) })
	hwg.Go(func() {
		if err := web.Run(hctx, ln); err != nil {
			t.Errorf("http: %v", err)
		}
	})
	d.stop = func() { hstop(); hwg.Wait() }
	t.Cleanup(func() {
		d.stop()
		lstop()
		lwg.Wait()
		d.led.Close()
	})
	return d
}

// site makes the site known, as a box that connects does.
func (d *desk) site(id edge.SiteID, name string, online bool) {
	d.t.Helper()
	d.mu.Lock()
	d.online[id] = online
	d.mu.Unlock()
	if _, err := d.led.Hello(d.t.Context(), ledger.Hello{Site: id, Kind: "shop", Name: name, Version: "1.0", Journal: d.id, At: time.Now()}); err != nil {
		d.t.Fatal(err)
	}
}

// event takes in an event that was recorded age ago.
func (d *desk) event(e edge.Event, age time.Duration) edge.Seq {
	d.t.Helper()
	d.append(e.Site, d.entry(e, age))
	return d.seq[e.Site]
}

func (d *desk) entry(e edge.Event, age time.Duration) ledger.Entry {
	d.t.Helper()
	d.seq[e.Site]++
	now := time.Now()
	e.V, e.Journal, e.Seq, e.Lane = 1, d.id, d.seq[e.Site], e.Kind.Lane()
	if e.Held != "" {
		e.Lane = edge.Routine
	}
	if e.Clock == "" {
		e.Clock = edge.ClockSynced
	}
	e.Occurred, e.Recorded = now.Add(-age), edge.Stamp{Wall: now.Add(-age)}
	body, err := e.Encode()
	if err != nil {
		d.t.Fatal(err)
	}
	return ledger.Entry{Seq: e.Seq, Lane: e.Lane, Body: body, Event: e, Received: now, Late: age > 30*time.Second}
}

func (d *desk) append(site edge.SiteID, entries ...ledger.Entry) {
	d.t.Helper()
	if _, err := d.led.Append(d.t.Context(), ledger.Batch{Site: site, Journal: d.id, Entries: entries}); err != nil {
		d.t.Fatal(err)
	}
}

// flood takes in n events of a kind at once.
func (d *desk) flood(site edge.SiteID, kind edge.Kind, n int) {
	d.t.Helper()
	entries := make([]ledger.Entry, n)
	for i := range entries {
		entries[i] = d.entry(edge.Event{Site: site, Kind: kind}, 0)
	}
	d.append(site, entries...)
}

func ref(camera edge.CameraID) edge.ClipRef {
	return edge.ClipRef{ID: edge.ClipID(edge.NewID()), Camera: camera, From: time.Now().Add(-10 * time.Second), To: time.Now()}
}

// file stores a still or clip as the receiver does.
func (d *desk) file(site edge.SiteID, id edge.ClipID, part edge.FilePart, data []byte) {
	d.t.Helper()
	path := soc.ClipPath(d.clips, site, id, part)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o640); err != nil {
		d.t.Fatal(err)
	}
	if err := d.led.ClipStored(d.t.Context(), site, id, part, int64(len(data)), sha256.Sum256(data)); err != nil {
		d.t.Fatal(err)
	}
}

// film makes a real fragmented H.264 MP4 and a JPEG of its first picture.
func film(t testing.TB) (clip, still []byte) {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is not installed: apt-get install ffmpeg")
	}
	dir := t.TempDir()
	run := func(out string, args ...string) []byte {
		path := filepath.Join(dir, out)
		if b, err := exec.Command("ffmpeg", append(append([]string{"-v", "error", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=15:duration=4"}, args...), path)...).CombinedOutput(); err != nil {
			t.Fatalf("ffmpeg: %v: %s", err, b)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return run("clip.mp4", "-c:v", "libx264", "-preset", "ultrafast", "-g", "15", "-pix_fmt", "yuv420p", "-movflags", "frag_keyframe+empty_moov+default_base_moof"),
		run("still.jpg", "-frames:v", "1", "-pix_fmt", "yuvj420p")
}

// browser opens a headless Chromium that talks to nobody else.
func browser(t testing.TB) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("no Chromium is installed: apt-get install chromium")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-first-run", true), chromedp.WindowSize(1440, 1000), chromedp.UserDataDir(t.TempDir()))
	actx, acancel := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, cancel := chromedp.NewContext(actx)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("close the browser: %v", err)
		}
		cancel()
		acancel()
	})
	return ctx
}

// until waits in the browser for an expression to be true. It asks from outside: the page's policy forbids eval.
func until(expr string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, tab *chromedp.Target) (v chromedp.Void, err error) {
		deadline := time.After(3 * time.Minute)
		for {
			ok, err := chromedp.Evaluate[bool]("!!("+expr+")")(ctx, tab)
			if ok {
				return v, nil
			}
			select {
			case <-deadline:
				return v, fmt.Errorf("not true within three minutes: %s (%w)", expr, err)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
}

func TestAlarmArrivesAndItsClipPlays(t *testing.T) {
	clip, still := film(t)
	ctx := browser(t)
	d := newDesk(t)
	d.site("0417", "Demo High Street", true)
	d.event(edge.Event{Site: "0417", Kind: edge.KindStarted}, 0)
	if err := chromedp.Do(ctx, chromedp.Navigate(d.url+"/"),
		until(`document.getElementById("link").dataset.state === "live"`),
		until(`document.querySelectorAll("#routine .row").length === 1`),
		chromedp.Evaluate[chromedp.Void](`window.loadedOnce = true`)); err != nil {
		t.Fatal(err)
	}
	door, aisle := ref("door"), ref("aisle")
	seq := d.event(edge.Event{Site: "0417", Kind: edge.KindIntruder, Code: "BA", Panel: "intruder", Partition: "1", Zone: "1011", ZoneName: "Stock room",
		Why: "Intruder detected in the stock room while the site is set.", Cameras: []edge.CameraID{"door", "aisle"}, Clips: []edge.ClipRef{door, aisle}}, 0)
	if err := chromedp.Do(ctx, until(`document.querySelector("#urgent .card[data-kind=intruder] .zone")?.textContent === "Stock room"`),
		until(`document.querySelector("#urgent .card .waiting").textContent === "Clip wanted"`)); err != nil {
		t.Fatalf("the alarm does not appear: %v", err)
	}
	d.event(edge.Event{Site: "0417", Kind: edge.KindAmended, Amends: seq, Text: "PIR STOCKROOM<b>"}, 0)
	if err := chromedp.Do(ctx, until(`document.querySelector("#urgent .card .text").textContent === "PIR STOCKROOM<b>"`),
		until(`document.querySelectorAll("#urgent .card").length === 1`)); err != nil {
		t.Fatalf("the text does not appear in place: %v", err)
	}
	d.file("0417", door.ID, edge.PartStill, still)
	if err := chromedp.Do(ctx, until(`document.querySelector("#urgent .card img").naturalWidth === 640`)); err != nil {
		t.Fatalf("the still does not appear: %v", err)
	}
	d.file("0417", door.ID, edge.PartClip, clip)
	if err := chromedp.Do(ctx, until(`!document.querySelector("#urgent .card .play").hidden`),
		chromedp.Click(chromedp.CSS("#urgent .card .play")),
		until(`document.querySelector("#urgent .card video")?.currentTime > 0.5`),
		until(`document.querySelector("#urgent .card video").videoWidth === 640`),
		until(`window.loadedOnce === true`)); err != nil {
		t.Fatalf("the clip does not play: %v", err)
	}
}

func read[T any](t testing.TB, ctx context.Context, a chromedp.Action[T]) T {
	t.Helper()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestDisconnectedIsSaidPlainly(t *testing.T) {
	ctx := browser(t)
	d := newDesk(t)
	d.site("0417", "Demo High Street", true)
	if err := chromedp.Do(ctx, chromedp.Navigate(d.url+"/"), until(`document.getElementById("link").dataset.state === "live"`)); err != nil {
		t.Fatal(err)
	}
	d.stop()
	if err := chromedp.Do(ctx, until(`document.getElementById("link").dataset.state === "down" && !document.getElementById("down").hidden`)); err != nil {
		t.Fatalf("a SOC that is gone is not shown: %v", err)
	}
}

// TestHistoryBadgesAndOrder shows what an operator finds after opening the page; with SITEWATCH_SCREENSHOT set to a file
// it leaves a picture there.
func TestHistoryBadgesAndOrder(t *testing.T) {
	clip, still := film(t)
	ctx := browser(t)
	d := newDesk(t)
	d.site("0417", "Demo High Street", true)
	d.site("0981", "Harbour Road", false)
	d.site("F-033", "Elm Funeral Care", true)
	d.event(edge.Event{Site: "0417", Kind: edge.KindSet, Code: "CL", Partition: "1", User: "004"}, 4*time.Minute)
	d.event(edge.Event{Site: "0417", Kind: edge.KindMotion, Why: "Motion at the door camera for 4 s.", Cameras: []edge.CameraID{"door"}}, 0)
	d.event(edge.Event{Site: "0981", Kind: edge.KindTamper, Code: "TA", Panel: "intruder", Zone: "1002", ZoneName: "Keypad lid",
		Why: "The lid of the keypad was opened.", Clock: edge.ClockDrifting}, 41*time.Minute)
	d.event(edge.Event{Site: "0981", Kind: edge.KindPathLost.Restored(), Why: "The line to the SOC is back."}, 0)
	a, b := ref("till-1"), ref("door")
	d.event(edge.Event{Site: "F-033", Kind: edge.KindHoldUp, Code: "HA", Panel: "contacts", Zone: "201", ZoneName: "Hold-up till 1",
		Why: "The hold-up button at till 1 was pressed.", Cameras: []edge.CameraID{"till-1", "door"}, Clips: []edge.ClipRef{a, b}}, 0)
	d.file("F-033", a.ID, edge.PartStill, still)
	d.file("F-033", a.ID, edge.PartClip, clip)
	c := ref("stockroom")
	d.event(edge.Event{Site: "0417", Kind: edge.KindIntruderConfirmed, Code: "BV", Panel: "intruder", Partition: "1", Zone: "1012", ZoneName: "Rear corridor",
		Text: "PIR REAR CORRIDOR", Why: "A second detector has confirmed the intruder within 30 minutes.", Cameras: []edge.CameraID{"stockroom"}, Clips: []edge.ClipRef{c}}, 0)
	d.file("0417", c.ID, edge.PartStill, still)
	e := ref("shop-floor")
	d.event(edge.Event{Site: "0417", Kind: edge.KindFire, Code: "FA", Panel: "fire", Zone: "12", ZoneName: "Shop floor",
		Why: "The fire panel reports a fire.", Cameras: []edge.CameraID{"shop-floor"}, Clips: []edge.ClipRef{e}}, 0)
	d.event(edge.Event{Site: "0417", Kind: edge.KindClipLost, Clip: &edge.ClipFact{ID: e.ID, Camera: "shop-floor", Reason: "the camera has sent no picture for 40 s"}}, 0)
	d.event(edge.Event{Site: "0417", Kind: edge.KindTamper.Restored(), Code: "TR", Panel: "intruder", Zone: "1002", ZoneName: "Keypad lid"}, 0)

	if err := chromedp.Do(ctx, chromedp.Navigate(d.url+"/"),
		until(`document.querySelectorAll("#urgent .card").length === 5`),
		until(`document.querySelectorAll("#sites li").length === 3`),
		until(`document.querySelectorAll("#urgent img:not([hidden])").length === 2`),
		until(`document.querySelector("#urgent .card[data-kind=fire] .waiting").textContent.startsWith("No clip: the camera")`)); err != nil {
		t.Fatal(err)
	}
	kinds := read(t, ctx, chromedp.Evaluate[string](`[...document.querySelectorAll("#urgent .kind")].map((n) => n.textContent).join()`))
	badges := read(t, ctx, chromedp.Evaluate[string](`[...document.querySelectorAll("#urgent .card")].map((n) => [...n.querySelectorAll(".badge")].map((b) => b.className.replace("badge ", "")).join("+")).join()`))
	page := read(t, ctx, chromedp.FullScreenshot(100))
	if want := "Tamper restored,Fire,Intruder confirmed,Hold-up,Tamper"; kinds != want {
		t.Errorf("got %s, want %s", kinds, want)
	}
	if want := ",,confirmed,,late+badclock"; badges != want {
		t.Errorf("badges are %s, want %s", badges, want)
	}
	if path := os.Getenv("SITEWATCH_SCREENSHOT"); path != "" {
		if err := os.WriteFile(path, page, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLinesAndWhatTheSOCSaysOfThem(t *testing.T) {
	ctx := browser(t)
	d := newDesk(t)
	d.site("0417", "Demo High Street", true)
	d.site("0418", "Harbour Road", true)
	d.site("0981", "Elm Road", false)
	d.mu.Lock()
	d.paths = map[edge.SiteID][]ledger.Path{"0417": {{Name: "broadband", Heard: time.Now()}, {Name: "mobile", Heard: time.Now().Add(-5 * time.Minute), Lost: true}},
		"0418": {{Heard: time.Now()}}, "0981": {{Name: "broadband", Lost: true}}}
	d.mu.Unlock()
	raise := func(evs ...edge.Event) {
		t.Helper()
		for i := range evs {
			evs[i].Occurred, evs[i].Recorded = time.Now(), edge.Stamp{Wall: time.Now(), Synced: true}
		}
		if _, err := d.led.Raise(t.Context(), ledger.Raising{At: time.Now(), Events: evs}); err != nil {
			t.Fatal(err)
		}
	}
	raise(edge.Event{Site: "0981", Kind: edge.KindSiteLost, Why: "The box has not been heard since 03:00."},
		edge.Event{Site: "0417", Kind: edge.KindPathLost, Path: "mobile", Why: "Nothing has come by the path mobile since 03:00."},
		edge.Event{Site: "0418", Kind: edge.KindJournalReplaced, Why: "The box has another journal."},
		edge.Event{Kind: edge.KindOutage, Text: "0500 One", Why: "1 site"})
	if err := chromedp.Do(ctx, chromedp.Navigate(d.url+"/"), until(`document.querySelectorAll("#urgent .card").length === 2`),
		until(`document.querySelectorAll("#routine .row").length === 2`), until(`document.querySelectorAll("#sites li").length === 3`)); err != nil {
		t.Fatal(err)
	}
	raise(edge.Event{Kind: edge.KindAmended, Amends: 1, Text: "0500 One, 0501 Two", Why: "2 of 2 sites"}, edge.Event{Site: "0981", Kind: edge.KindSiteLost.Restored()},
		edge.Event{Kind: edge.KindOutage.Restored(), Why: "All are back."})
	if err := chromedp.Do(ctx, until(`document.querySelectorAll("#urgent .card").length === 4`),
		until(`document.querySelectorAll("#urgent .card")[2].querySelector(".text").textContent === "0500 One, 0501 Two"`)); err != nil {
		t.Fatal(err)
	}
	for want, expr := range map[string]string{
		"Many sites restored,Site restored,Many sites lost,Site lost":             `[...document.querySelectorAll("#urgent .kind")].map((n) => n.textContent).join()`,
		"Box or its disk replaced,Path to SOC lost":                               `[...document.querySelectorAll("#routine .kind")].map((n) => n.textContent).join()`,
		"false 0981 Elm Road,partly 0417 Demo High Street,true 0418 Harbour Road": `[...document.querySelectorAll("#sites li")].map((n) => n.dataset.connected + " " + n.querySelector(".name").textContent).join()`,
		"mobile silent for 5 min,connected":                                       `[...document.querySelectorAll("#sites .state")].slice(1).map((n) => n.textContent).join()`,
		"Many sites lost":                                                         `document.querySelectorAll("#urgent .card")[2].getAttribute("aria-label").split(", ")[0]`,
	} {
		if got := read(t, ctx, chromedp.Evaluate[string](expr)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if path := os.Getenv("SITEWATCH_SCREENSHOT_LINES"); path != "" {
		if err := os.WriteFile(path, read(t, ctx, chromedp.FullScreenshot(100)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPolicyForbidsInlineScripts(t *testing.T) {
	h, err := console.New(console.Options{Version: "<script>x</script>"})
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) *http.Response {
		w := &recorder{head: http.Header{}}
		r, err := http.NewRequest("GET", path, nil)
		if err != nil {
			t.Fatal(err)
		}
		h.ServeHTTP(w, r)
		return &http.Response{StatusCode: w.code, Header: w.head, Status: w.body.String()}
	}
	r := get("/")
	if csp := r.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "script-src 'self'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy is %q", csp)
	}
	if strings.Contains(r.Status, "<script>x") {
		t.Error("the page contains what it was given unescaped")
	}
	for path, want := range map[string]int{"/": 200, "/static/console.js": 200, "/static/../console.go": 404, "/other": 404} {
		if got := get(path).StatusCode; got != want && !(want == 404 && got >= 300 && got < 500) {
			t.Errorf("%s: got %d, want %d", path, got, want)
		}
	}
}

type recorder struct {
	head http.Header
	code int
	body strings.Builder
}

func (r *recorder) Header() http.Header { return r.head }
func (r *recorder) WriteHeader(c int)   { r.code = c }
func (r *recorder) Write(b []byte) (int, error) {
	if r.code == 0 {
		r.code = 200
	}
	return r.body.Write(b)
}
