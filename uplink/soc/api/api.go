// Package api serves what the ledger knows to people and programs at the SOC: JSON, server-sent events, clips, health
// and metrics, and, at /, the console that it is given.
//
// It has no accounts yet, so it serves loopback names only and refuses requests that a page of another origin makes a
// browser send. Every field of an answer is present; what is not known is empty. Handlers run on their requests'
// goroutines; a reader that is slow loses its stream and nothing else.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
	"sitewatch/uplink/soc/preview"
)

// Presence knows which boxes are connected.
type Presence interface {
	Online(site edge.SiteID) (seen time.Time, connected bool)
	Nudge(site edge.SiteID) // there is a new command for it
	// Paths are the ways by which the box is connected, and, marked as lost, those by which it was.
	Paths(site edge.SiteID) []ledger.Path
}

// Certificates knows with what the boxes have come.
type Certificates interface {
	// Certificate is until when the one is good that the site's box was last seen with, and what it is worth now.
	Certificate(site edge.SiteID) (expires time.Time, expired, revoked, known bool)
}

// Options of the API.
type Options struct {
	Ledger   ledger.Ledger
	Presence Presence
	// Certificates may be nil: then nothing is known of them.
	Certificates Certificates

	ClipPath func(site edge.SiteID, id edge.ClipID, part edge.FilePart) string
	// Arriving is the file in which a clip is that is on its way, "" for none; nil: none is shown before it is complete.
	Arriving func(site edge.SiteID, id edge.ClipID) string
	Previews *preview.Maker // nil: none are made
	Console  http.Handler   // serves / and what is below it
	Clock    edge.Clock
	Log      *slog.Logger
	Gatherer prometheus.Gatherer
}

// API serves HTTP.
type API struct {
	o       Options
	looks   looks
	streams chan struct{} // capacity maxStreams: one place per open event stream
}

const (
	maxConns   = 512
	maxStreams = 64
	maxBody    = 16 << 10

	// queryTimeout bounds what one request may make the ledger do: the next one waits for its reader.
	queryTimeout = 10 * time.Second
)

// New makes the API.
func New(o Options) *API { return &API{o: o, streams: make(chan struct{}, maxStreams)} }

// CheckListen refuses an address that others than this machine could reach.
func CheckListen(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("http address %q: %w", addr, err)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return edge.WithHint(fmt.Errorf("http address %q is not loopback", addr),
		"the console has no accounts yet: listen on 127.0.0.1 and put a proxy with both in front")
}

// Run serves on ln, which must be loopback, until ctx ends, and closes ln.
func (a *API) Run(ctx context.Context, ln net.Listener) error {
	if err := CheckListen(ln.Addr().String()); err != nil {
		ln.Close()
		return err
	}
	srv := &http.Server{
		Handler:           a.Handler(),
		BaseContext:       func(net.Listener) context.Context { return ctx }, // ends the event streams
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      30 * time.Second, // streams and files set their own
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(a.o.Log.Handler(), slog.LevelDebug),
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := srv.Serve(netutil.LimitListener(ln, maxConns)); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve http: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-gctx.Done()
		sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		if srv.Shutdown(sctx) != nil {
			return srv.Close() // somebody reads a clip slowly; they can ask again
		}
		return nil
	})
	return g.Wait()
}

// Handler is the API without a listener.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", soon(a.health))
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.o.Gatherer, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /api/v1/sites", soon(a.sites))
	mux.HandleFunc("GET /api/v1/sites/{id}/gaps", soon(a.gaps))
	mux.HandleFunc("GET /api/v1/events", soon(a.events))
	mux.HandleFunc("GET /api/v1/events/stream", a.stream)
	mux.HandleFunc("GET /api/v1/clips/{id}", a.clip)
	mux.HandleFunc("GET /api/v1/clips/{id}/evidence", soon(a.clipEvidence))
	mux.HandleFunc("GET /api/v1/custody", soon(a.custody))
	mux.HandleFunc("POST /api/v1/sites/{id}/commands", soon(a.postCommand))
	mux.HandleFunc("GET /api/v1/commands/{id}", soon(a.command))
	for _, p := range []string{"/healthz", "/metrics", "/api/v1/sites", "/api/v1/sites/{id}/gaps", "/api/v1/events", "/api/v1/events/stream", "/api/v1/clips/{id}", "/api/v1/clips/{id}/evidence", "/api/v1/custody", "/api/v1/commands/{id}"} {
		mux.HandleFunc(p, notAllowed("GET, HEAD"))
	}
	mux.HandleFunc("/api/v1/sites/{id}/commands", notAllowed("POST"))
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, "there is nothing at this address")
	})
	if a.o.Console != nil {
		mux.Handle("/", a.o.Console)
	}
	return guard(mux)
}

// soon gives a request's questions to the ledger their time. What a handler sends afterwards has a deadline of its own.
func soon(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
		defer cancel()
		h(w, r.WithContext(ctx))
	}
}

func notAllowed(allow string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		fail(w, http.StatusMethodNotAllowed, "the method "+r.Method+" is not possible here")
	}
}

func (a *API) health(w http.ResponseWriter, r *http.Request) {
	if _, _, err := a.o.Ledger.Head(r.Context()); err != nil {
		a.trouble(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "ok")
}

func reply(w http.ResponseWriter, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic("api: an answer does not marshal: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	w.Write(append(b, '\n'))
}

func fail(w http.ResponseWriter, code int, sentence string) {
	reply(w, code, map[string]string{"error": sentence})
}

// trouble is for errors of our own: they are logged here and not told.
func (a *API) trouble(w http.ResponseWriter, r *http.Request, err error) {
	switch r.Context().Err() {
	case context.DeadlineExceeded:
		a.o.Log.Warn("a request took the ledger too long", "path", r.URL.Path, "err", err)
		w.Header().Set("Retry-After", "5")
		fail(w, http.StatusServiceUnavailable, "the SOC's ledger has not answered in time: ask again, or for less")
		return
	case context.Canceled:
		return // nobody is listening
	}
	if errors.Is(err, ledger.ErrNotFound) {
		fail(w, http.StatusNotFound, "there is nothing with this id")
		return
	}
	a.o.Log.Error("a request failed", "path", r.URL.Path, "err", err)
	fail(w, http.StatusInternalServerError, "the SOC cannot read its ledger at the moment")
}

// items is a list as the API gives it.
type items struct {
	Items any           `json:"items"`
	Next  *ledger.Index `json:"next,omitempty"`
	Head  *ledger.Index `json:"head,omitempty"` // newest index, for who asks for what is after one that does not exist
}
