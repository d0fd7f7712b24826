package api

import (
	"bufio"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
)

// slow is a ledger that answers a question about events only when nobody waits any more.
type slow struct{ ledger.Ledger }

func (slow) Head(context.Context) (ledger.Index, ledger.Change, error) { return 5, 5, nil }
func (slow) Changed() <-chan struct{}                                  { return nil }
func (slow) Changes(context.Context, ledger.Change, int) ([]ledger.Event, error) {
	return nil, nil
}
func (slow) Events(ctx context.Context, _ ledger.Query) ([]ledger.Event, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// patient is a response whose deadlines may be set.
type patient struct{ *httptest.ResponseRecorder }

func (patient) SetWriteDeadline(time.Time) error { return nil }

func bare(l ledger.Ledger) http.Handler {
	return New(Options{Ledger: l, Clock: edge.NewSystemClock(), Log: slog.New(slog.DiscardHandler), Gatherer: prometheus.NewRegistry()}).Handler()
}

func ask(ctx context.Context, method, path string) *http.Request {
	r := httptest.NewRequestWithContext(ctx, method, path, nil)
	r.Host = "localhost"
	return r
}

func TestAQuestionThatTakesTooLongIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		w := patient{httptest.NewRecorder()}
		bare(slow{}).ServeHTTP(w, ask(ctx, "GET", "/api/v1/events"))
		if w.Code != 503 || !strings.Contains(w.Body.String(), `{"error":"`) || w.Header().Get("Retry-After") == "" {
			t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
		}
		w = patient{httptest.NewRecorder()}
		bare(slow{}).ServeHTTP(w, ask(ctx, "GET", "/api/v1/events/stream"))
		if ctx.Err() != nil {
			t.Error("an event stream waits for the ledger for ever")
		}
	})
}

func TestAQuietStreamShowsThatItIsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 31*time.Second)
		defer cancel()
		w := patient{httptest.NewRecorder()}
		bare(slow{}).ServeHTTP(w, ask(ctx, "GET", "/api/v1/events/stream?after=6&alive=event"))
		if got := w.Body.String(); strings.Count(got, "event: alive\ndata: {}\n\n") < 2 || strings.Count(got, ": alive\n\n") < 2 {
			t.Errorf("in 31 s came %q", got)
		}
	})
	synctest.Test(t, func(t *testing.T) { // who did not ask for it takes every data for an event of a box
		ctx, cancel := context.WithTimeout(t.Context(), 31*time.Second)
		defer cancel()
		w := patient{httptest.NewRecorder()}
		bare(slow{}).ServeHTTP(w, ask(ctx, "GET", "/api/v1/events/stream?after=6"))
		if got := w.Body.String(); strings.Contains(got, "data: {}") || strings.Count(got, ": alive\n\n") < 2 {
			t.Errorf("in 31 s came %q", got)
		}
	})
}

func TestNoEventTravelsInBulk(t *testing.T) {
	w := httptest.NewRecorder()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	bare(slow{}).ServeHTTP(w, ask(ctx, "GET", "/api/v1/events?lane=bulk&limit=1000"))
	if w.Code != 200 || w.Body.String() != `{"items":[]}`+"\n" {
		t.Errorf("got %d %s, want an empty list without asking the ledger", w.Code, w.Body)
	}
}

func TestAWrongLaneIsNotRepeatedInFull(t *testing.T) {
	f := newFront(t)
	code, _, body := f.do("GET", "/api/v1/events?lane="+strings.Repeat("x", 8000), nil, "")
	if code != 400 || len(body) > 200 || !strings.Contains(body, "urgent, routine or bulk") {
		t.Errorf("got %d and %d bytes", code, len(body))
	}
}

// TestAReaderOfALedgerThatWasRestored knows an index that is not there any more.
func TestAReaderOfALedgerThatWasRestored(t *testing.T) {
	f := newFront(t)
	for range 3 {
		f.event(edge.Event{Kind: edge.KindSet})
	}
	if got := f.get("/api/v1/events?after=3"); got != `{"items":[]}`+"\n" {
		t.Errorf("who waits at the head gets %s", got)
	}
	for _, q := range []string{"after=4", "after=9223372036854775807", "after=4&lane=bulk", "after=4&kind=fire&site=0417"} {
		if got := f.get("/api/v1/events?" + q); got != `{"items":[],"head":3}`+"\n" {
			t.Errorf("%s: got %s", q, got)
		}
	}
	for name, head := range map[string]string{"/api/v1/events/stream?after=7": "", "/api/v1/events/stream": "7"} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", f.srv.URL+name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if head != "" {
			r.Header.Set("Last-Event-ID", head)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		in := bufio.NewScanner(resp.Body)
		var got []string
		for in.Scan() {
			if in.Text() == "" && len(got) > 1 {
				break
			}
			if in.Text() != "" {
				got = append(got, in.Text())
			}
		}
		if strings.Join(got, "|") != `retry: 1000|event: reset|id: 3|data: {"head":3}` {
			t.Errorf("%s: got %q", name, got)
		}
	}
	live := f.listenAfterReset("/api/v1/events/stream?after=7")
	f.event(edge.Event{Kind: edge.KindFire})
	if got := live(); got != "4:fire:" {
		t.Errorf("after a reset comes %s", got)
	}
}

// listenAfterReset is listen on a stream whose first data is of an event reset.
func (f *front) listenAfterReset(path string) (next func() string) {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), "GET", f.srv.URL+path, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { resp.Body.Close() })
	in := bufio.NewScanner(resp.Body)
	for in.Scan() && !strings.HasPrefix(in.Text(), "data: ") {
	}
	return f.follow(in)
}

func TestHeadOfAStreamTakesNoPlace(t *testing.T) {
	f := newFront(t)
	f.event(edge.Event{Kind: edge.KindSet})
	for range maxStreams - 1 {
		f.listen("/api/v1/events/stream?after=0", "")()
	}
	if code, head, _ := f.do("HEAD", "/api/v1/events/stream", nil, ""); code != 200 || head.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %d %v", code, head)
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", f.srv.URL+"/api/v1/events/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("got %d, want the last place to be free", resp.StatusCode)
	}
}

func TestAFileThatIsGoneIsNotFound(t *testing.T) {
	f := newFront(t)
	id := edge.ClipID(strings.Repeat("ef", 16))
	f.event(edge.Event{Kind: edge.KindFire, Clips: []edge.ClipRef{{ID: id, Camera: "door"}}})
	for _, part := range []edge.FilePart{edge.PartClip, edge.PartStill} {
		if err := f.led.ClipStored(t.Context(), "0417", id, part, 4, [32]byte{1}); err != nil {
			t.Fatal(err)
		}
	}
	if files, err := os.ReadDir(f.clips); err != nil || len(files) != 0 {
		t.Fatal(files, err)
	}
	for _, ext := range []string{".mp4", ".jpg"} {
		if code, _, body := f.do("GET", "/api/v1/clips/"+string(id)+ext, nil, ""); code != 404 || !strings.Contains(body, `"error"`) {
			t.Errorf("%s: got %d %s", ext, code, body)
		}
	}
}

func TestAClipThatNoBoxCutsIsNotAskedFor(t *testing.T) {
	f := newFront(t)
	post := func(d time.Duration) (int, string) {
		to := time.Now().UTC()
		body := `{"kind":"clip","camera":"door","from":"` + to.Add(-d).Format(time.RFC3339) + `","to":"` + to.Format(time.RFC3339) +
			`","expires":"` + to.Add(time.Hour).Format(time.RFC3339) + `"}`
		code, _, answer := f.do("POST", "/api/v1/sites/0417/commands", map[string]string{"Content-Type": "application/json"}, body)
		return code, answer
	}
	if code, answer := post(10 * time.Minute); code >= 300 {
		t.Errorf("10 minutes: %d %s", code, answer)
	}
	if code, answer := post(10*time.Minute + time.Second); code != 400 || !strings.Contains(answer, "10 minutes") {
		t.Errorf("over 10 minutes: %d %s", code, answer)
	}
}
