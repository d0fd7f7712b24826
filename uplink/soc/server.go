// Package soc is the receiver: it lets boxes in by certificate, takes their events, stills and clips, and keeps them.
//
// A box speaks for the site in its certificate and for no other. An ack leaves only after the ledger has committed; a
// clip's file is named only after its digest has been checked and the file synced. Nothing that a box sends can end the
// process or make it grow. The sub-packages hold the ledger, the JSON API and the console.
// Options and Server are for one goroutine to set up and Run; Online and Nudge may be called from any.
package soc

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/auth"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/selector"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/netutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
	"sitewatch/uplink/wire"
)

// Options of a receiver.
type Options struct {
	Data     string // folder of the CA and the claims
	Clips    string // folder of the clips' files
	Ledger   ledger.Ledger
	Clock    edge.Clock
	Log      *slog.Logger
	Registry prometheus.Registerer

	Heartbeat    time.Duration // both ways; 0: 10 s
	MinFreeBytes uint64        // no clip is taken while the disk has less; 0: 1 GiB
}

// Server is the receiver.
type Server struct {
	wire.UnimplementedEnrolmentServer
	wire.UnimplementedUplinkServer

	o       Options
	ca      *CA
	claims  *Claims
	boxes   *boxes
	live    live
	trusted uint64 // what the CA's refresh returned before the first box came
	hub     *hub
	store   *store
	repeats repeats
	metrics metrics
	grpcm   *grpcprom.ServerMetrics
	streams sync.WaitGroup // readers and writers of streams, which end with their handlers
}

const (
	maxConns   = 16384 // 3,100 boxes with two connections each, and room for those that reconnect
	maxStreams = 8     // per connection and per site
)

// New opens the CA (made on the first run) and the folders. It starts nothing.
func New(o Options) (*Server, error) {
	if o.Heartbeat == 0 {
		o.Heartbeat = 10 * time.Second
	}
	if o.MinFreeBytes == 0 {
		o.MinFreeBytes = 1 << 30
	}
	ca, err := OpenCA(filepath.Join(o.Data, "ca"), o.Clock)
	if err != nil {
		return nil, err
	}
	if _, err := ca.Server(); err != nil {
		return nil, err
	}
	claims, err := OpenClaims(filepath.Join(o.Data, "claims"), ca, o.Clock)
	if err != nil {
		return nil, err
	}
	known, err := openBoxes(ca)
	if known == nil {
		return nil, err
	}
	if err != nil {
		o.Log.Error("what some boxes have is not known; it is written anew when they come", "err", err)
	}
	st, err := openStore(o.Clips, o.MinFreeBytes)
	if err != nil {
		return nil, err
	}
	reads, err := ca.refresh()
	if err != nil {
		return nil, err
	}
	s := &Server{trusted: reads, o: o, ca: ca, claims: claims, boxes: known, hub: newHub(), store: st, repeats: repeats{clock: o.Clock}, live: live{stay: guestStay}, metrics: newMetrics(), grpcm: grpcprom.NewServerMetrics()}
	st.aside = func(site edge.SiteID, final string, kept, gone int64) {
		s.repeats.say(o.Log.Warn, "aside "+final, "a box sends another film of a clip that is not stored; the longest stays until it is",
			"site", site, "clip", strings.TrimSuffix(filepath.Base(final), ".mp4"), "kept", kept, "gone", gone)
	}
	for _, c := range append(s.metrics.all(), s.grpcm) {
		if err := o.Registry.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return s, nil
}

// Run serves boxes on ln until ctx ends, and closes ln.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	g := s.grpcServer()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var trust sync.WaitGroup // and what else goes on beside the boxes
	trust.Go(func() { s.runTrust(ctx) })
	trust.Go(func() { s.runRepeats(ctx) })
	trust.Go(func() { s.runTidy(ctx) })
	stop := context.AfterFunc(ctx, g.Stop) // streams never end by themselves: there is nothing to wait for
	err := g.Serve(netutil.LimitListener(ln, maxConns))
	if stop() {
		g.Stop()
	}
	g.Stop() // waits for a Stop under way, and that for the handlers
	s.streams.Wait()
	ended := ctx.Err() != nil
	cancel()
	trust.Wait()
	if ended {
		return nil
	}
	return fmt.Errorf("serve boxes: %w", err)
}

func (s *Server) grpcServer() *grpc.Server {
	logger := logging.LoggerFunc(func(ctx context.Context, lvl logging.Level, msg string, fields ...any) {
		s.o.Log.Log(ctx, slog.Level(lvl), msg, fields...)
	})
	logOpts := []logging.Option{logging.WithLogOnEvents(logging.FinishCall), logging.WithLevels(levelOf),
		logging.WithDisableLoggingFields(logging.SystemTag[0], logging.ComponentFieldKey)}
	rec := recovery.WithRecoveryHandlerContext(func(_ context.Context, p any) error {
		s.metrics.panics.Inc()
		s.o.Log.Error("a handler panicked", "err", p)
		return status.Error(codes.Internal, "internal error")
	})
	known := selector.MatchFunc(func(_ context.Context, c interceptors.CallMeta) bool {
		return c.FullMethod() != wire.Enrolment_Enrol_FullMethodName
	})
	g := grpc.NewServer(
		grpc.Creds(&watched{credentials.NewTLS(s.tls()), &s.live, s.admit}),
		grpc.MaxRecvMsgSize(wire.MaxMessageBytes),
		grpc.MaxSendMsgSize(wire.MaxMessageBytes),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(16<<10),
		grpc.ConnectionTimeout(20*time.Second),
		grpc.WaitForHandlers(true),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 2 * s.o.Heartbeat, Timeout: s.o.Heartbeat, MaxConnectionIdle: 2 * time.Minute}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		// Buffers are per connection and there are thousands of them.
		grpc.ReadBufferSize(8<<10), grpc.WriteBufferSize(4<<10),
		grpc.ChainUnaryInterceptor(
			s.grpcm.UnaryServerInterceptor(),
			logging.UnaryServerInterceptor(logger, logOpts...),
			recovery.UnaryServerInterceptor(rec),
			selector.UnaryServerInterceptor(auth.UnaryServerInterceptor(s.authenticate), known),
		),
		grpc.ChainStreamInterceptor(
			s.grpcm.StreamServerInterceptor(),
			logging.StreamServerInterceptor(logger, logOpts...),
			recovery.StreamServerInterceptor(rec),
			selector.StreamServerInterceptor(auth.StreamServerInterceptor(s.authenticate), known),
		),
	)
	wire.RegisterEnrolmentServer(g, s)
	wire.RegisterUplinkServer(g, s)
	s.grpcm.InitializeMetrics(g)
	return g
}

// tls lets everybody shake hands, since a box without certificate must be able to enrol. Who shows a certificate proves
// that he has its key; authenticate decides the rest, by rules that crypto/tls does not have.
func (s *Server) tls() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ClientAuth: tls.RequestClientCert,
		Time:       func() time.Time { return s.o.Clock.Now().Wall },
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			s.look()
			return s.ca.Server()
		},
	}
}

// levelOf keeps boxes that come and go out of the way of what somebody should look at.
func levelOf(c codes.Code) logging.Level {
	switch c {
	case codes.OK, codes.Canceled, codes.Unavailable, codes.DeadlineExceeded:
		return logging.LevelInfo
	case codes.Internal, codes.Unknown, codes.DataLoss:
		return logging.LevelError
	}
	return logging.LevelWarn
}
