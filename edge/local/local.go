// Package local serves the box's own pages on a loopback address: health for the service manager, metrics for a scraper,
// the status as JSON for 'gateway status' and as a page for the installer.
//
// It only reads: no page changes anything, so it needs no accounts, and it refuses to listen where others could reach it.
// What it shows is given by functions in Options, called once per request with a deadline; a page never waits for a
// camera or the SOC. Run is the only goroutine owner; everything else may be called from any goroutine.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"sitewatch/edge"
)

// Options are what a Server needs.
type Options struct {
	Listen string // loopback host:port
	Log    *slog.Logger
	// Metrics is what /metrics shows.
	Metrics prometheus.Gatherer
	// Status is what /api/v1/status and the page show. It is called from several goroutines and heeds ctx.
	Status func(ctx context.Context) (Status, error)
	// Health returns why the box is not well, one sentence each; none when it is. As Status it is called from several goroutines.
	Health func(ctx context.Context) []string
	// Motions searches what cameras saw move, for /api/v1/motion.
	Motions func(ctx context.Context, q MotionQuery) ([]Motion, error)
	// Listening, when not nil, is told the address as soon as connections are accepted.
	Listening func(net.Addr)
}

// Server serves the pages while Run runs.
type Server struct {
	o    Options
	page http.Handler
}

// Bounds for a client on the box itself: a browser, curl, a scraper.
const (
	maxConns     = 32
	maxHeader    = 16 << 10
	readTimeout  = 10 * time.Second
	writeTimeout = 30 * time.Second
	idleTimeout  = time.Minute
	askTimeout   = 5 * time.Second // for Status and Health
	stopTimeout  = 5 * time.Second
)

// New checks o and makes a server that does not listen yet.
func New(o Options) (*Server, error) {
	if o.Log == nil || o.Metrics == nil || o.Status == nil || o.Health == nil || o.Motions == nil {
		return nil, errors.New("local: Log, Metrics, Status, Health and Motions are needed")
	}
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("local: listen address %q: %w", o.Listen, err)
	}
	if !loopback(host) {
		return nil, edge.WithHint(fmt.Errorf("local: %q is not a loopback address", o.Listen), "the pages have no accounts: listen on 127.0.0.1")
	}
	s := &Server{o: o}
	s.page = s.routes()
	return s, nil
}

// loopback says whether host can mean this machine only.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// Run listens and serves until ctx ends; then requests in hand get a few seconds. It may be called again after it returned.
func (s *Server) Run(ctx context.Context) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.o.Listen)
	if err != nil {
		return edge.WithHint(fmt.Errorf("local pages: %w", err), "see what else listens there, or change listen in gateway.yaml")
	}
	srv := &http.Server{
		Handler:           s.page,
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
	}
	if s.o.Listening != nil {
		s.o.Listening(l.Addr())
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := srv.Serve(netutil.LimitListener(l, maxConns)); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("local pages: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if err := srv.Shutdown(stop); err != nil {
			srv.Close() // a client that will not end does not keep the box from stopping
		}
		return nil
	})
	return group.Wait()
}
