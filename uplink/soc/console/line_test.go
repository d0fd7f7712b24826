package console_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"sitewatch/edge"
)

// front stands between the browser and a desk: it can be put before another one, play the event stream itself, count
// what is asked of it, and give the page less patience.
type front struct {
	t   testing.TB
	url string

	mu     sync.Mutex
	to     *url.URL
	stream http.HandlerFunc // nil: the desk's own
	opened int              // streams
	asked  map[string]int   // by path
	now    int              // questions about clips that have no answer yet
	most   int
	swap   map[string][2]string // by path: what to replace, with what
}

// newFront comes before the browser: the page is closed first, and its streams with it.
func newFront(t testing.TB, d *desk) *front {
	f := &front{t: t, asked: map[string]int{}, swap: map[string][2]string{}}
	f.before(d)
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	f.url = srv.URL
	return f
}

func (f *front) before(d *desk) {
	to, err := url.Parse(d.url)
	if err != nil {
		f.t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.to = to
}

// plays sets who plays the event stream from the next connection on.
func (f *front) plays(h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stream = h
}

func (f *front) streams() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.opened
}

func (f *front) count(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[path]
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	proxy, play, path := httputil.NewSingleHostReverseProxy(f.to), f.stream, r.URL.EscapedPath()
	swap, swaps := f.swap[path]
	clip := strings.HasPrefix(path, "/api/v1/clips/")
	f.asked[path]++
	if clip {
		f.now++
		f.most = max(f.most, f.now)
	}
	streams := path == "/api/v1/events/stream"
	if streams {
		f.opened++
	}
	f.mu.Unlock()
	if clip {
		defer func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.now--
		}()
	}
	if streams && play != nil {
		w.Header().Set("Content-Type", "text/event-stream")
		play(w, r)
		return
	}
	proxy.FlushInterval = -1
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	if swaps {
		r.Header.Del("Range")
		proxy.ModifyResponse = func(resp *http.Response) error {
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				return err
			}
			if !strings.Contains(string(b), swap[0]) {
				f.t.Errorf("%s has no %q", path, swap[0])
			}
			b = []byte(strings.Replace(string(b), swap[0], swap[1], 1))
			resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(string(b))), int64(len(b))
			resp.Header.Set("Content-Length", fmt.Sprint(len(b)))
			return nil
		}
	}
	proxy.ServeHTTP(w, r)
}

// say sends a piece of an event stream.
func say(w http.ResponseWriter, text string) {
	io.WriteString(w, text)
	http.NewResponseController(w).Flush()
}

const (
	isLive = `document.getElementById("link").dataset.state === "live"`
	isDown = `document.getElementById("link").dataset.state === "down" && !document.getElementById("down").hidden && document.title.startsWith("NOT CONNECTED")`
)

func TestALineThatSaysNothingIsShownAsLost(t *testing.T) {
	d := newDesk(t)
	d.site("0417", "Demo High Street", true)
	f := newFront(t, d)
	ctx := browser(t)
	f.swap["/static/line.js"] = [2]string{"silent = 27_000", "silent = 1500"}
	alive := make(chan struct{})
	f.plays(func(w http.ResponseWriter, r *http.Request) {
		say(w, "retry: 1000\n\n")
		select {
		case <-alive:
		case <-r.Context().Done():
		}
		say(w, "event: alive\ndata: {}\n\n")
		<-r.Context().Done() // the line is up, and nothing comes any more
	})
	if err := chromedp.Do(ctx, chromedp.Navigate(f.url+"/"), until(isLive),
		chromedp.Evaluate[chromedp.Void](`window.opened = performance.now()`), until(`performance.now() > window.opened + 2500`)); err != nil {
		t.Fatal(err)
	}
	if state := read(t, ctx, chromedp.Evaluate[string](`document.getElementById("link").dataset.state`)); state != "live" || f.streams() != 1 {
		t.Errorf("a SOC that never says that it is alive: state %s after %d streams, want live after 1", state, f.streams())
	}
	f.plays(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "not yet", http.StatusServiceUnavailable) })
	close(alive)
	if err := chromedp.Do(ctx, until(isDown)); err != nil {
		t.Fatalf("a dead line looks live: %v", err)
	}
	d.event(edge.Event{Site: "0417", Kind: edge.KindFire, Zone: "12"}, 0)
	f.plays(nil)
	if err := chromedp.Do(ctx, until(isLive), until(`document.querySelectorAll("#urgent .card[data-kind=fire]").length === 1`)); err != nil {
		t.Fatalf("the page does not connect again: %v", err)
	}
}

func TestARestoredLedgerIsReadAnew(t *testing.T) {
	old := func(t *testing.T) *desk {
		d := newDesk(t)
		d.site("0417", "Demo High Street", true)
		d.event(edge.Event{Site: "0417", Kind: edge.KindStarted}, 0)
		d.event(edge.Event{Site: "0417", Kind: edge.KindIntruder, Zone: "1011"}, 0)
		return d
	}
	reborn := func(t *testing.T, more int) *desk {
		d := newDesk(t)
		d.site("0417", "Demo High Street", true)
		for range more {
			d.event(edge.Event{Site: "0417", Kind: edge.KindSet}, 0)
		}
		d.site("0981", "Harbour Road", true)
		d.event(edge.Event{Site: "0981", Kind: edge.KindFire, Zone: "12"}, 0)
		return d
	}
	for name, row := range map[string]struct {
		more int
		says string // when given, the stream says it and stays open
	}{
		"the new alarm has the index of the old one":    {more: 1},
		"the ledger has grown past what the page knows": {more: 5},
		"the ledger is shorter":                         {more: 0},
		"the stream says reset":                         {more: 1, says: "event: reset\nid: 1\ndata: {\"head\":1}\n\n"},
		"an alarm comes under the index of another":     {more: 1, says: `data: {"index":2,"site":"0981","journal":"x","seq":1,"lane":"urgent","kind":"fire","clips":[]}` + "\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			d := old(t)
			after := reborn(t, row.more)
			f := newFront(t, d)
			ctx := browser(t)
			speak := make(chan struct{})
			if row.says != "" {
				f.plays(func(w http.ResponseWriter, r *http.Request) {
					say(w, "retry: 1000\n\n")
					select {
					case <-speak:
					case <-r.Context().Done():
					}
					say(w, row.says)
					<-r.Context().Done()
				})
			}
			if err := chromedp.Do(ctx, chromedp.Navigate(f.url+"/"), until(isLive), until(`document.querySelectorAll("#urgent .card[data-kind=intruder]").length === 1`),
				chromedp.Evaluate[chromedp.Void](`window.loadedOnce = true`)); err != nil {
				t.Fatal(err)
			}
			if row.says == "" { // by the stream the page has heard of the newest event, too
				if err := chromedp.Do(ctx, until(`document.querySelectorAll("#routine .row").length === 1`)); err != nil {
					t.Fatal(err)
				}
			}
			f.before(after)
			f.plays(nil)
			close(speak)
			if row.says == "" {
				d.stop()
			}
			if err := chromedp.Do(ctx, until(isLive), until(`window.loadedOnce === undefined`), until(isLive),
				until(`[...document.querySelectorAll("#urgent .card")].map((n) => n.dataset.kind).join() === "fire"`)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestAFloodHidesNoAlarm(t *testing.T) {
	ctx := browser(t)
	d := newDesk(t)
	d.site("0417", "Demo High Street", true)
	d.flood("0417", edge.KindTamper, 700)
	d.event(edge.Event{Site: "0417", Kind: edge.KindFire, Zone: "12"}, 0)
	d.flood("0417", edge.KindMotion, 1100)
	if err := chromedp.Do(ctx, chromedp.Navigate(d.url+"/"), until(isLive), until(`document.querySelectorAll("#routine .row").length === 200`),
		until(`document.querySelector("#urgent .card")?.dataset.kind === "fire"`)); err != nil {
		t.Fatalf("the fire is hidden: %v", err)
	}
	got := read(t, ctx, chromedp.Evaluate[string](`[document.querySelectorAll("#urgent .card").length, document.querySelector("#urgent").lastElementChild.dataset.index, document.querySelector("#routine").firstElementChild.dataset.index].join()`))
	if want := "200,502,1801"; got != want {
		t.Errorf("number of cards, oldest of them and newest row are %s, want %s", got, want)
	}
}

func TestClipsAreAskedForOneByOneAndMoreAndMoreRarely(t *testing.T) {
	d := newDesk(t)
	d.site("0417", "Demo High Street", true)
	f := newFront(t, d)
	ctx := browser(t)
	f.swap["/static/queue.js"] = [2]string{"const often = 2000; // between two about one clip, for the first minute: the still comes within seconds\nconst young = 60_000;", "const often = 200; const young = 0;"}
	var clips []edge.ClipRef
	for range 12 {
		clips = append(clips, ref("door"))
	}
	lost := ref("aisle")
	d.event(edge.Event{Site: "0417", Kind: edge.KindIntruder, Zone: "1011", Cameras: []edge.CameraID{"door"}, Clips: append(clips, lost)}, 0)
	d.event(edge.Event{Site: "0417", Kind: edge.KindClipLost, Clip: &edge.ClipFact{ID: lost.ID, Camera: "aisle", Reason: "no picture"}}, 0)
	f.plays(func(w http.ResponseWriter, r *http.Request) {
		say(w, `data: {"index":3,"site":"0417","journal":"x","seq":9,"lane":"urgent","kind":"fire","clips":["a/b?c"]}`+"\n\n")
		<-r.Context().Done()
	})
	if err := chromedp.Do(ctx, chromedp.Navigate(f.url+"/"), until(isLive), chromedp.Evaluate[chromedp.Void](`window.opened = performance.now()`),
		until(`performance.now() > window.opened + 6000`)); err != nil {
		t.Fatal(err)
	}
	first, gone := f.count("/api/v1/clips/"+string(clips[0].ID)), f.count("/api/v1/clips/"+string(lost.ID))
	if first < 2 || first > 9 {
		t.Errorf("a clip that does not come was asked for %d times in 6 s, want 2 to 9", first)
	}
	if gone != 1 {
		t.Errorf("a clip that is lost was asked for %d times, want 1", gone)
	}
	if f.count("/api/v1/clips/a%2Fb%3Fc") == 0 {
		t.Error("an id is not escaped in the address")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.most != 1 {
		t.Errorf("%d questions about clips at once, want 1", f.most)
	}
}

func TestWhatIsSaidOfAnAlarm(t *testing.T) {
	ctx := browser(t)
	d := newDesk(t)
	d.site("0417", "Demo High Street", true)
	at := func(kind edge.Kind, zone edge.ZoneID) edge.Event {
		return edge.Event{Site: "0417", Kind: kind, Panel: "intruder", Partition: "1", Zone: zone}
	}
	seen, held := at(edge.KindIntruder, "1011"), at(edge.KindIntruder, "1012")
	seen.Corroborated, held.Held = "video", "swinger"
	other := at(edge.KindIntruder, "1015")
	other.Partition = "2"
	for _, e := range []edge.Event{at(edge.KindFire, "1"), at(edge.KindFire, "2"), other, seen, held, at(edge.KindFire.Restored(), "1"), at(edge.KindFire, "1"),
		at(edge.KindIntruder.Restored(), "1011"), at(edge.KindCancel, ""), at(edge.KindFire.Restored(), "")} {
		d.event(e, 0)
	}
	if err := chromedp.Do(ctx, chromedp.Navigate(d.url+"/"), until(isLive), until(`document.querySelectorAll("#urgent .card").length === 8`), until(`document.querySelectorAll("#routine .row").length === 2`)); err != nil {
		t.Fatal(err)
	}
	said := `.map((n) => [n.dataset.index, ...[...n.querySelectorAll(".badge")].map((b) => b.textContent.replace(/ [0-9:]+$/, "")).sort()].join("+")).join()`
	if got, want := read(t, ctx, chromedp.Evaluate[string](`[...document.querySelectorAll("#urgent .card")]`+said)), "10,8,7,6,4+cancelled+restored+seen on video,3,2,1+restored"; got != want {
		t.Errorf("on arrival before the page: got %s, want %s", got, want)
	}
	if got, want := read(t, ctx, chromedp.Evaluate[string](`[...document.querySelectorAll("#routine .row")]`+said)), "9,5+held: repeats"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	d.event(at(edge.KindFire.Restored(), "2"), 0)
	if err := chromedp.Do(ctx, until(`document.querySelector("#urgent .card[data-index='2'] .badge.restored") !== null`)); err != nil {
		t.Errorf("a restore that comes later is not shown on its alarm: %v", err)
	}
}
