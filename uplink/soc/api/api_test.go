package api

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
)

// front is the API over a real ledger.
type front struct {
	t      testing.TB
	led    *ledger.SQLite
	srv    *httptest.Server
	api    *API
	clips  string
	id     edge.JournalID
	seq    edge.Seq
	nudged []edge.SiteID
}

func (f *front) Online(site edge.SiteID) (time.Time, bool) { return at(99), site == "0417" }
func (f *front) Paths(site edge.SiteID) []ledger.Path {
	return []ledger.Path{{Site: site, Name: "mobile", Heard: at(98), Lost: true}, {Site: site, Name: "broadband", Heard: at(99)}}
}
func (f *front) Certificate(edge.SiteID) (expires time.Time, expired, revoked, known bool) {
	return at(0), true, false, true
}
func (f *front) Nudge(site edge.SiteID) { f.nudged = append(f.nudged, site) }

func at(s int) time.Time { return time.Date(2026, 11, 23, 12, 0, s, 125e6, time.UTC) }

func newFront(t testing.TB) *front {
	f := &front{t: t, clips: t.TempDir(), id: edge.JournalID(strings.Repeat("ab", 16))}
	log := slog.New(slog.DiscardHandler)
	var err error
	if f.led, err = ledger.Open(t.Context(), ledger.Options{Path: filepath.Join(t.TempDir(), "ledger.db"), Log: log}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { f.led.Run(ctx) })
	f.api = New(Options{Ledger: f.led, Presence: f, Certificates: f, Clock: edge.NewSystemClock(), Log: log, Gatherer: prometheus.NewRegistry(),
		ClipPath: func(site edge.SiteID, id edge.ClipID, part edge.FilePart) string {
			return filepath.Join(f.clips, fmt.Sprintf("%s-%d", id, part))
		},
		Arriving: func(_ edge.SiteID, id edge.ClipID) string { return filepath.Join(f.clips, string(id)+".part") }})
	f.srv = httptest.NewServer(f.api.Handler())
	t.Cleanup(func() {
		f.srv.CloseClientConnections()
		f.srv.Close()
		stop()
		wg.Wait()
		f.led.Close()
	})
	if _, err := f.led.Hello(t.Context(), ledger.Hello{Site: "0417", Kind: "shop", Name: "Demo", Version: "1", Journal: f.id, At: at(0)}); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *front) event(e edge.Event) edge.Seq {
	f.t.Helper()
	f.seq++
	e.V, e.Site, e.Journal, e.Seq, e.Lane, e.Clock = 1, "0417", f.id, f.seq, e.Kind.Lane(), edge.ClockSynced
	e.Occurred, e.Recorded.Wall = at(1), at(2)
	body, err := e.Encode()
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := f.led.Append(f.t.Context(), ledger.Batch{Site: "0417", Journal: f.id, Entries: []ledger.Entry{
		{Seq: e.Seq, Lane: e.Lane, Body: body, Event: e, Received: at(3)}}}); err != nil {
		f.t.Fatal(err)
	}
	return e.Seq
}

func (f *front) do(method, path string, head map[string]string, body string) (int, http.Header, string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute) // an event stream that should have been refused never ends
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, f.srv.URL+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	for k, v := range head {
		r.Header.Set(k, v)
		if k == "Host" {
			r.Host = v
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(r) // follows no redirect
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

func (f *front) get(path string) string {
	f.t.Helper()
	code, _, body := f.do("GET", path, nil, "")
	if code != 200 {
		f.t.Errorf("%s: %d %s", path, code, body)
	}
	return body
}

func TestEventHasEveryField(t *testing.T) {
	f := newFront(t)
	f.event(edge.Event{Kind: edge.KindStarted, Held: "swinger"}) // whatever a box says of it
	f.event(edge.Event{Kind: edge.KindIntruderConfirmed, Code: "BV", Panel: "p", Partition: "1", Zone: "1011", ZoneName: "Stock", Text: "T", Why: "W",
		Corroborated: "video", Cameras: []edge.CameraID{"door"}, Clips: []edge.ClipRef{{ID: edge.ClipID(strings.Repeat("cd", 16)), Camera: "door", From: at(0), To: at(9)}}, Raw: []byte{0xab, 1}})
	want := `{"items":[{"index":1,"site":"0417","journal":"abababababababababababababababab","seq":1,"lane":"routine","kind":"started","code":"","panel":"","partition":"","zone":"","zone_name":"","text":"","why":"","cameras":[],"confirmed":false,"corroborated":"","held":"swinger","amends":0,"occurred_at":"2026-11-23T12:00:01.125Z","clock":"synced","recorded_at":"2026-11-23T12:00:02.125Z","received_at":"2026-11-23T12:00:03.125Z","late":false,"clips":[],"raw":""},` +
		`{"index":2,"site":"0417","journal":"abababababababababababababababab","seq":2,"lane":"urgent","kind":"intruder-confirmed","code":"BV","panel":"p","partition":"1","zone":"1011","zone_name":"Stock","text":"T","why":"W","cameras":["door"],"confirmed":true,"corroborated":"video","held":"","amends":0,"occurred_at":"2026-11-23T12:00:01.125Z","clock":"synced","recorded_at":"2026-11-23T12:00:02.125Z","received_at":"2026-11-23T12:00:03.125Z","late":false,"clips":["cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"],"raw":"ab01"}]}` + "\n"
	if diff := cmp.Diff(want, f.get("/api/v1/events")); diff != "" {
		t.Error(diff)
	}
	want = `{"items":[{"id":"0417","name":"Demo","kind":"shop","connected":true,"last_seen":"2026-11-23T12:01:39.125Z","version":"1","journals":[{"id":"abababababababababababababababab","watermarks":{"urgent":2,"routine":1,"bulk":1},"last_seq":2,"gaps":[]}],"paths":[{"path":"broadband","connected":true,"last_seen":"2026-11-23T12:01:39.125Z"},{"path":"mobile","connected":false,"last_seen":"2026-11-23T12:01:38.125Z"}],"certificate":{"expires_at":"2026-11-23T12:00:00.125Z","expired":true,"revoked":false}}]}` + "\n"
	if diff := cmp.Diff(want, f.get("/api/v1/sites")); diff != "" {
		t.Error(diff)
	}
	want = `{"id":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd","site":"0417","camera":"door","event":{"journal":"abababababababababababababababab","seq":2},"from":"2026-11-23T12:00:00.125Z","to":"2026-11-23T12:00:09.125Z","state":"wanted","reason":"","bytes":0,"sha256":"","growing":false,"codec":"","mime":""}` + "\n"
	if diff := cmp.Diff(want, f.get("/api/v1/clips/"+strings.Repeat("cd", 16))); diff != "" {
		t.Error(diff)
	}
}

func TestGaps(t *testing.T) {
	f := newFront(t)
	f.event(edge.Event{Kind: edge.KindFire})
	f.event(edge.Event{Kind: edge.KindSet})
	const id = "abababababababababababababababab"
	want := `{"items":[{"journal":"` + id + `","first":1,"last":2,"present":2,"complete":true,"missing":[],"conflicts":[]}]}` + "\n"
	if diff := cmp.Diff(want, f.get("/api/v1/sites/0417/gaps")); diff != "" {
		t.Error(diff)
	}
	f.seq = 7
	f.event(edge.Event{Kind: edge.KindEventsLost, Gap: &edge.Gap{From: 3, To: 5, Events: 3, Reason: "the journal was full"}})
	f.event(edge.Event{Kind: edge.KindFire})
	if err := f.led.Told(t.Context(), "0417", f.id, 11); err != nil {
		t.Fatal(err)
	}
	f.seq = 0
	f.event(edge.Event{Kind: edge.KindTamper}) // under a number that is taken
	want = `{"items":[{"journal":"` + id + `","first":1,"last":11,"present":4,"complete":false,"missing":[` +
		`{"from":3,"to":5,"reason":"the journal was full"},{"from":6,"to":7,"reason":"not received, and the box did not say why"},{"from":10,"to":11,"reason":"not yet received"}],` +
		`"conflicts":[{"seq":1,"reason":"the box gave this number to two events; the SOC keeps both and shows the second under its own journal"}]}]}` + "\n"
	if diff := cmp.Diff(want, f.get("/api/v1/sites/0417/gaps")); diff != "" {
		t.Error(diff)
	}
	// In pages: of many spans each once.
	for i := range 50 {
		f.seq = edge.Seq(20 + 2*i)
		f.event(edge.Event{Kind: edge.KindFire})
	}
	type answer struct {
		Items []struct {
			Present, Last uint64
			Missing       []struct{ From, To uint64 }
		}
		Next *uint64
	}
	var pages, missing, last uint64
	for path := "/api/v1/sites/0417/gaps?limit=10"; path != ""; pages++ {
		var a answer
		if err := json.Unmarshal([]byte(f.get(path)), &a); err != nil || len(a.Items) != 1 || len(a.Items[0].Missing) > 10 {
			t.Fatal(a, err)
		}
		for _, g := range a.Items[0].Missing {
			if g.From <= last {
				t.Errorf("%d comes after %d", g.From, last)
			}
			missing, last = missing+g.To-g.From+1, g.To
		}
		if path = ""; a.Next != nil {
			path = fmt.Sprintf("/api/v1/sites/0417/gaps?limit=10&after=%d", *a.Next)
		} else if missing+a.Items[0].Present != a.Items[0].Last {
			t.Errorf("%d are missing of %+v", missing, a.Items[0])
		}
	}
	if pages < 5 {
		t.Errorf("%d pages", pages)
	}
	for path, want := range map[string]int{"sites/0999/gaps": 404, "sites/..%2Fx/gaps": 404, "sites/0417/gaps?after=-1": 400, "sites/0417/gaps?after=9223372036854775807": 400,
		"sites/0417/gaps?limit=0": 400, "sites/0417/gaps?limit=1001": 400, "sites/0417/gaps?journal=x": 400, "sites/0417/gaps?after=9223372036854775806": 200} {
		if code, _, body := f.do("GET", "/api/v1/"+path, nil, ""); code != want || want != 200 && !strings.Contains(body, `{"error":"`) {
			t.Errorf("%s: %d %s, want %d", path, code, body, want)
		}
	}
	if code, head, _ := f.do("POST", "/api/v1/sites/0417/gaps", nil, ""); code != 405 || head.Get("Allow") == "" {
		t.Errorf("POST: %d", code)
	}
}

func TestPaging(t *testing.T) {
	f := newFront(t)
	for range 250 {
		f.event(edge.Event{Kind: edge.KindSet})
	}
	var seen []ledger.Index
	after := ledger.Index(0)
	for pages := 1; ; pages++ {
		var next ledger.Index
		raw := f.get(fmt.Sprintf("/api/v1/events?limit=50&after=%d&site=0417&lane=routine&kind=set", after))
		var strict map[string]json.RawMessage
		if err := json.Unmarshal([]byte(raw), &strict); err != nil {
			t.Fatal(err)
		}
		for _, m := range []string{`"next":null`, `"next":0`} {
			if strings.Contains(raw, m) {
				t.Fatalf("%s in an answer", m)
			}
		}
		// stamps do not unmarshal; only the index is of interest
		var lean struct {
			Items []struct{ Index ledger.Index }
		}
		if err := json.Unmarshal([]byte(raw), &lean); err != nil {
			t.Fatal(err)
		}
		for _, e := range lean.Items {
			seen = append(seen, e.Index)
		}
		n, more := strict["next"]
		if !more {
			if pages != 5 {
				t.Errorf("%d pages, want 5: the last full page must say that it is the end", pages)
			}
			break
		}
		if err := json.Unmarshal(n, &next); err != nil {
			t.Fatal(err)
		}
		after = next
	}
	if len(seen) != 250 || !slices.IsSorted(seen) {
		t.Errorf("%d events, sorted %v", len(seen), slices.IsSorted(seen))
	}
}

func TestErrors(t *testing.T) {
	f := newFront(t)
	id := strings.Repeat("ef", 16)
	json1 := map[string]string{"Content-Type": "application/json"}
	good := fmt.Sprintf(`{"kind":"clip","camera":"door","from":"2026-11-23T12:00:00Z","to":"2026-11-23T12:01:00Z","expires":"%s"}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	for name, tt := range map[string]struct {
		method, path string
		head         map[string]string
		body         string
		want         int
	}{
		"limit 0":                 {"GET", "/api/v1/events?limit=0", nil, "", 400},
		"limit 1001":              {"GET", "/api/v1/events?limit=1001", nil, "", 400},
		"limit of words":          {"GET", "/api/v1/events?limit=ten", nil, "", 400},
		"after -1":                {"GET", "/api/v1/events?after=-1", nil, "", 400},
		"after empty":             {"GET", "/api/v1/events?after=", nil, "", 400},
		"after over 2^63":         {"GET", "/api/v1/events?after=99999999999999999999", nil, "", 400},
		"lane":                    {"GET", "/api/v1/events?lane=fast", nil, "", 400},
		"site":                    {"GET", "/api/v1/events?site=a/b", nil, "", 400},
		"unknown parameter":       {"GET", "/api/v1/events?lan=urgent", nil, "", 400},
		"parameter twice":         {"GET", "/api/v1/events?limit=1&limit=2", nil, "", 400},
		"stream after words":      {"GET", "/api/v1/events/stream?after=x", nil, "", 400},
		"stream bad last id":      {"GET", "/api/v1/events/stream", map[string]string{"Last-Event-ID": "x"}, "", 400},
		"clip unknown":            {"GET", "/api/v1/clips/" + id, nil, "", 404},
		"clip unknown mp4":        {"GET", "/api/v1/clips/" + id + ".mp4", nil, "", 404},
		"clip unknown jpg":        {"GET", "/api/v1/clips/" + id + ".jpg", nil, "", 404},
		"clip of letters":         {"GET", "/api/v1/clips/nonsense", nil, "", 404},
		"clip traversal":          {"GET", "/api/v1/clips/..%2f..%2f..%2fetc%2fpasswd", nil, "", 404},
		"clip traversal mp4":      {"GET", "/api/v1/clips/%2e%2e%2fca%2fca-key.pem.mp4", nil, "", 404},
		"clip with a zero byte":   {"GET", "/api/v1/clips/%00", nil, "", 404},
		"command unknown":         {"GET", "/api/v1/commands/" + id, nil, "", 404},
		"command of letters":      {"GET", "/api/v1/commands/x", nil, "", 404},
		"nothing":                 {"GET", "/api/v1/nothing", nil, "", 404},
		"nothing below":           {"GET", "/api/v1/sites/0417", nil, "", 404},
		"post events":             {"POST", "/api/v1/events", nil, "", 405},
		"delete clip":             {"DELETE", "/api/v1/clips/" + id, nil, "", 405},
		"get commands of a site":  {"GET", "/api/v1/sites/0417/commands", nil, "", 405},
		"post healthz":            {"POST", "/healthz", nil, "", 405},
		"command, no JSON type":   {"POST", "/api/v1/sites/0417/commands", map[string]string{"Content-Type": "text/plain"}, good, 415},
		"command, no site":        {"POST", "/api/v1/sites/0999/commands", json1, good, 404},
		"command, rubbish":        {"POST", "/api/v1/sites/0417/commands", json1, "{", 400},
		"command, two":            {"POST", "/api/v1/sites/0417/commands", json1, good + good, 400},
		"command, unknown field":  {"POST", "/api/v1/sites/0417/commands", json1, strings.Replace(good, "{", `{"force":true,`, 1), 400},
		"command, kind":           {"POST", "/api/v1/sites/0417/commands", json1, strings.Replace(good, `"clip"`, `"unset"`, 1), 400},
		"command, camera":         {"POST", "/api/v1/sites/0417/commands", json1, strings.Replace(good, "door", "do or", 1), 400},
		"command, backwards":      {"POST", "/api/v1/sites/0417/commands", json1, strings.Replace(good, "12:01:00", "11:00:00", 1), 400},
		"command, too long":       {"POST", "/api/v1/sites/0417/commands", json1, strings.Replace(good, "12:01:00", "22:01:00", 1), 400},
		"command, expired":        {"POST", "/api/v1/sites/0417/commands", json1, strings.Replace(good, `"expires":"20`, `"expires":"19`, 1), 400},
		"command, huge":           {"POST", "/api/v1/sites/0417/commands", json1, strings.Repeat(" ", maxBody) + good, 400},
		"foreign host":            {"GET", "/api/v1/sites", map[string]string{"Host": "rebound.example:8080"}, "", 403},
		"foreign origin":          {"POST", "/api/v1/sites/0417/commands", map[string]string{"Content-Type": "application/json", "Origin": "http://evil.example"}, good, 403},
		"origin null":             {"GET", "/api/v1/sites", map[string]string{"Origin": "null"}, "", 403},
		"origin of another port":  {"GET", "/api/v1/sites", map[string]string{"Origin": "http://127.0.0.1:1"}, "", 403},
		"fetched from elsewhere":  {"GET", "/api/v1/sites", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, "", 403},
		"host that looks like it": {"GET", "/api/v1/sites", map[string]string{"Host": "localhost.evil.example"}, "", 403},
	} {
		code, head, body := f.do(tt.method, tt.path, tt.head, tt.body)
		var e struct{ Error string }
		if err := json.Unmarshal([]byte(body), &e); code != tt.want || err != nil || e.Error == "" || head.Get("Content-Type") != "application/json" {
			t.Errorf("%s: got %d %s, want %d with an error", name, code, body, tt.want)
		}
	}
	if code, _, body := f.do("GET", "/api/v1/sites", map[string]string{"Host": "localhost:8080", "Origin": "http://localhost:8080"}, ""); code != 200 {
		t.Errorf("localhost: %d %s", code, body)
	}
	f.get("/healthz")
	f.get("/metrics")
	if len(f.nudged) != 0 {
		t.Errorf("refused commands went on: %v", f.nudged)
	}
}

// A parameter that is wrong must not select something else: each is refused with a sentence that says what is wrong.
func TestBadParametersAreNamed(t *testing.T) {
	f := newFront(t)
	f.event(edge.Event{Kind: edge.KindFire})
	f.event(edge.Event{Kind: "from-a-newer-box"})
	clip := "/api/v1/clips/" + strings.Repeat("ef", 16)
	head := map[string]string{"Content-Type": "application/json"}
	for _, tt := range []struct{ method, path, says string }{
		{"GET", "/api/v1/events?kind=", `kind \"\"`},
		{"GET", "/api/v1/events?kind", `kind \"\"`},
		{"GET", "/api/v1/events?kind=Fire", `kind \"Fire\"`},
		{"GET", "/api/v1/events?kind=nope", `kind \"nope\"`},
		{"GET", "/api/v1/events?kind=fire-restored-restored", "fire-restored-restored"},
		{"GET", "/api/v1/events?kind=from-a-newer-box", "from-a-newer-box"},
		{"GET", "/api/v1/events?kind=" + strings.Repeat("x", 5000), "xxx"},
		{"GET", "/api/v1/events?site=%zz", `%zz`},
		{"GET", "/api/v1/events?limit=1;after=1", "semicolon"},
		{"GET", "/api/v1/events?;", "semicolon"},
		{"GET", "/api/v1/events?after=%2B1", "after"},
		{"GET", "/api/v1/events?after=-0", "after"},
		{"GET", "/api/v1/events?after=0x1", "after"},
		{"GET", "/api/v1/events?after=9223372036854775808", "after"},
		{"GET", "/api/v1/events?limit=%2B1", "limit"},
		{"GET", "/api/v1/events?limit=", "limit"},
		{"GET", "/api/v1/events/stream?after=%2B1", "after"},
		{"GET", "/api/v1/events/stream?after=", "after"},
		{"GET", "/api/v1/events/stream?after=%zz", "%zz"},
		{"GET", "/api/v1/events/stream?;", "semicolon"},
		{"GET", "/api/v1/sites?%zz", "%zz"},
		{"GET", "/api/v1/sites?x=1", `\"x\"`},
		{"GET", clip + "?a=%zz", "%zz"},
		{"GET", clip + ".mp4?;", "semicolon"},
		{"GET", "/api/v1/commands/" + strings.Repeat("ef", 16) + "?;", "semicolon"},
		{"POST", "/api/v1/sites/0417/commands?%zz", "%zz"},
		{"POST", "/api/v1/sites/0417/commands?camera=door", `\"camera\"`},
	} {
		code, _, body := f.do(tt.method, tt.path, head, "{}")
		if code != 400 || !strings.HasPrefix(body, `{"error":"`) || !strings.Contains(body, tt.says) || len(body) > 400 {
			t.Errorf("%s %.80s: got %d %.500s, want 400 that says %s", tt.method, tt.path, code, body, tt.says)
		}
	}
	for path, want := range map[string]int{"?kind=fire": 1, "?kind=fire-restored": 0, "?kind=outage": 0, "?after=01": 1, "?limit=1000&": 2, "?site=%30417": 2} {
		if got := strings.Count(f.get("/api/v1/events"+path), `"index":`); got != want {
			t.Errorf("%s: %d events, want %d", path, got, want)
		}
	}
	if code, _, body := f.do("GET", "/api/v1/events/stream?after=%2B1", map[string]string{"Last-Event-ID": "1"}, ""); code != 400 {
		t.Errorf("a bad after with a good Last-Event-ID: %d %s", code, body)
	}
	if code, _, body := f.do("GET", "/api/v1/events/stream?after=1", map[string]string{"Last-Event-ID": "+1"}, ""); code != 400 {
		t.Errorf("a bad Last-Event-ID: %d %s", code, body)
	}
}

func TestCommandIsStoredAndTold(t *testing.T) {
	f := newFront(t)
	code, _, body := f.do("POST", "/api/v1/sites/0417/commands", map[string]string{"Content-Type": "application/json"},
		fmt.Sprintf(`{"kind":"clip","camera":"door","from":"2026-11-23T12:00:00Z","to":"2026-11-23T12:01:00Z","expires":"%s"}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
	var r struct{ ID string }
	if err := json.Unmarshal([]byte(body), &r); err != nil || code/100 != 2 || r.ID == "" {
		t.Fatalf("got %d %s", code, body)
	}
	if !slices.Equal(f.nudged, []edge.SiteID{"0417"}) {
		t.Errorf("nudged %v", f.nudged)
	}
	if got := f.get("/api/v1/commands/" + r.ID); !strings.Contains(got, `"state":"sent","outcome":""`) {
		t.Errorf("got %s", got)
	}
	if err := f.led.CommandOutcome(t.Context(), "0417", edge.CommandID(r.ID), edge.CommandDone, "cut"); err != nil {
		t.Fatal(err)
	}
	if got := f.get("/api/v1/commands/" + r.ID); !strings.Contains(got, `"state":"done","outcome":"cut"`) {
		t.Errorf("got %s", got)
	}
}

func TestClipFiles(t *testing.T) {
	f := newFront(t)
	id := edge.ClipID(strings.Repeat("12", 16))
	f.event(edge.Event{Kind: edge.KindFire, Clips: []edge.ClipRef{{ID: id, Camera: "door", From: at(0), To: at(9)}}})
	film, path := bytes.Repeat([]byte("0123456789"), 1000), "/api/v1/clips/"+string(id)
	for _, ext := range []string{".mp4", ".jpg"} {
		if code, _, _ := f.do("GET", path+ext, nil, ""); code != 404 {
			t.Errorf("%s before there is one: %d", ext, code)
		}
	}
	if err := os.WriteFile(filepath.Join(f.clips, string(id)+"-2"), film, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.led.ClipStored(t.Context(), "0417", id, edge.PartClip, int64(len(film)), sha256.Sum256(film)); err != nil {
		t.Fatal(err)
	}
	if got := f.get(path + ".mp4"); got != string(film) {
		t.Errorf("got %d bytes", len(got))
	}
	code, head, body := f.do("GET", path+".mp4", map[string]string{"Range": "bytes=9990-"}, "")
	if code != 206 || body != "0123456789" || head.Get("Content-Range") != "bytes 9990-9999/10000" || head.Get("Content-Type") != "video/mp4" {
		t.Errorf("a range: %d %q %v", code, body, head)
	}
	for ranges, size := range map[string]string{"bytes=20000-": "bytes */10000", "bytes=10000-10001": "bytes */10000", "bytes=x": "", "seconds=1-2": ""} {
		code, head, body := f.do("GET", path+".mp4", map[string]string{"Range": ranges}, "")
		var e struct{ Error string }
		if err := json.Unmarshal([]byte(body), &e); err != nil || code != 416 || e.Error == "" || head.Get("Content-Type") != "application/json" ||
			head.Get("Content-Range") != size || head.Get("Content-Length") != strconv.Itoa(len(body)) || head.Get("ETag") != "" {
			t.Errorf("%s: got %d %q %v", ranges, code, body, head)
		}
		if code, head, body := f.do("HEAD", path+".mp4", map[string]string{"Range": ranges}, ""); code != 416 || body != "" || head.Get("Content-Range") != size {
			t.Errorf("HEAD %s: got %d %q %v", ranges, code, body, head)
		}
	}
	tag := `"` + fmt.Sprintf("%x", sha256.Sum256(film)) + `"`
	if code, head, body := f.do("GET", path+".mp4", map[string]string{"If-None-Match": tag}, ""); code != 304 || body != "" || head.Get("ETag") != tag {
		t.Errorf("a film that the player has: %d %q %v", code, body, head)
	}
	if code, head, body := f.do("GET", path+".mp4", map[string]string{"Range": "bytes=0-1,10-11"}, ""); code != 206 ||
		!strings.HasPrefix(head.Get("Content-Type"), "multipart/byteranges") || !strings.Contains(body, "Content-Range: bytes 10-11/10000") {
		t.Errorf("two ranges: %d %q %v", code, body, head)
	}
	if code, head, _ := f.do("HEAD", path+".mp4", nil, ""); code != 200 || head.Get("Content-Length") != "10000" {
		t.Errorf("HEAD: %d %v", code, head)
	}
}

// listen opens an event stream and returns what comes on it as "id:kind:text".
func (f *front) listen(path, last string) (next func() string) {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), "GET", f.srv.URL+path, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { resp.Body.Close() })
	if ct := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || ct != "text/event-stream" {
		f.t.Fatalf("got %d %s", resp.StatusCode, ct)
	}
	in := bufio.NewScanner(resp.Body)
	in.Buffer(nil, 1<<20)
	return f.follow(in)
}

// follow returns what comes as "id:kind:text".
func (f *front) follow(in *bufio.Scanner) (next func() string) {
	return func() string {
		f.t.Helper()
		id := ""
		for in.Scan() {
			if v, ok := strings.CutPrefix(in.Text(), "id: "); ok {
				id = v
			}
			if v, ok := strings.CutPrefix(in.Text(), "data: "); ok {
				var e struct {
					Index int
					Kind  string
					Text  string
				}
				if err := json.Unmarshal([]byte(v), &e); err != nil || strconv.Itoa(e.Index) != id {
					f.t.Fatalf("id %s, data %s, %v", id, v, err)
				}
				return id + ":" + e.Kind + ":" + e.Text
			}
		}
		f.t.Fatalf("the stream has ended: %v", in.Err())
		return ""
	}
}

func TestStream(t *testing.T) {
	f := newFront(t)
	for range 450 { // more than two pages
		f.event(edge.Event{Kind: edge.KindSet})
	}
	fire := f.event(edge.Event{Kind: edge.KindFire}) // index 451
	all := f.listen("/api/v1/events/stream", "")
	for i := range 450 {
		if got := all(); got != fmt.Sprintf("%d:set:", i+1) {
			t.Fatalf("got %s at %d", got, i+1)
		}
	}
	expect := func(next func() string, want ...string) {
		t.Helper()
		for _, w := range want {
			if got := next(); got != w {
				t.Fatalf("got %s, want %s", got, w)
			}
		}
	}
	expect(all, "451:fire:")
	f.event(edge.Event{Kind: edge.KindTamper})
	f.event(edge.Event{Kind: edge.KindAmended, Amends: fire, Text: "LOFT"})
	both := []string{all(), all(), all()} // folded at once, so the amended event and its amendment are one commit
	slices.Sort(both)
	if want := []string{"451:fire:LOFT", "452:tamper:", "453:amended:LOFT"}; !slices.Equal(both, want) {
		t.Errorf("got %v, want %v", both, want)
	}
	// Who was away hears what was amended meanwhile, although its index is older.
	away := f.listen("/api/v1/events/stream?after=452", "")
	expect(away, "451:fire:LOFT", "453:amended:LOFT")
	// A browser that reconnects repeats the old address; its Last-Event-ID counts.
	back := f.listen("/api/v1/events/stream?after=1", "453")
	f.event(edge.Event{Kind: "cancel"})
	expect(back, "451:fire:LOFT", "454:cancel:") // amended in the commit of 453: once too often does no harm
	expect(away, "454:cancel:")
}

func TestStreamsAreBounded(t *testing.T) {
	f := newFront(t)
	f.event(edge.Event{Kind: edge.KindSet})
	for range maxStreams {
		f.listen("/api/v1/events/stream?after=0", "")()
	}
	if code, _, _ := f.do("GET", "/api/v1/events/stream", nil, ""); code != 503 {
		t.Errorf("got %d, want 503", code)
	}
}

func TestOnlyLoopbackIsServed(t *testing.T) {
	for addr, want := range map[string]bool{"127.0.0.1:8080": true, "[::1]:8080": true, "localhost:8080": true, "127.9.9.9:1": true,
		"0.0.0.0:8080": false, ":8080": false, "192.168.1.4:8080": false, "[::]:80": false, "soc.example:80": false, "8080": false} {
		if err := CheckListen(addr); (err == nil) != want {
			t.Errorf("%s: got %v", addr, err)
		}
	}
	ln, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := New(Options{Log: slog.New(slog.DiscardHandler)}).Run(t.Context(), ln); err == nil {
		t.Error("0.0.0.0 is served")
	}
}
