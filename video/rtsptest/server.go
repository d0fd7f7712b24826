// Package rtsptest is an RTSP server full of cameras, for tests, demonstrations and training.
//
// It is a real server (gortsplib over TCP, UDP and TLS, Digest) that sends real H.264, H.265 and sound, and it can misbehave as cameras do: stall with
// the connection open, die, come back, send rubbish, leave the parameter sets out of the description.
// A Server runs in Run; its other methods and those of Camera may be called from any goroutine.
package rtsptest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/auth"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"
)

// Options describe a Server.
type Options struct {
	Addr           string      // "127.0.0.1:0" picks a port
	User, Password string      // empty user: everybody may look
	Basic          bool        // offer Basic authentication only, which a careful client refuses
	SHA256         bool        // offer Digest with SHA-256 only, else MD5
	UDP            bool        // send RTP over UDP too to who asks for it
	TLS            *tls.Config // speak RTSPS
}

// Server is made by Listen.
type Server struct {
	opt    Options
	ln     net.Listener
	server *gortsplib.Server

	mu    sync.Mutex
	paths map[string]*Camera
	conns map[*gortsplib.ServerConn]bool
	down  bool
}

// Listen opens the server's port and answers from then on; Run must be called, and ends it.
func Listen(opt Options) (*Server, error) {
	ln, err := net.Listen("tcp", opt.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen for RTSP: %w", err)
	}
	s := &Server{opt: opt, ln: ln, paths: map[string]*Camera{}, conns: map[*gortsplib.ServerConn]bool{}}
	method := auth.VerifyMethodDigestMD5
	switch {
	case opt.Basic:
		method = auth.VerifyMethodBasic
	case opt.SHA256:
		method = auth.VerifyMethodDigestSHA256
	}
	s.server = &gortsplib.Server{
		Handler:     (*handler)(s),
		RTSPAddress: ln.Addr().String(),
		AuthMethods: []auth.VerifyMethod{method},
		Listen:      func(string, string) (net.Listener, error) { return ln, nil },
		TLSConfig:   opt.TLS,
	}
	if opt.UDP {
		if err := s.listenUDP(); err != nil {
			ln.Close()
			return nil, err
		}
	}
	if err := s.server.Start(); err != nil {
		ln.Close()
		return nil, fmt.Errorf("start RTSP server: %w", err)
	}
	return s, nil
}

// Addr returns host and port.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// URL returns where path is served.
func (s *Server) URL(path string) string {
	if s.opt.TLS != nil {
		return "rtsps://" + s.Addr() + "/" + path
	}
	return "rtsp://" + s.Addr() + "/" + path
}

// listenUDP takes an even port and the one after it.
func (s *Server) listenUDP() error {
	host, _, err := net.SplitHostPort(s.Addr())
	if err != nil {
		return err
	}
	for range 100 {
		rtp, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
		if err != nil {
			return fmt.Errorf("listen for RTP: %w", err)
		}
		port := rtp.LocalAddr().(*net.UDPAddr).Port
		if port%2 == 0 {
			rtcpAddr := net.JoinHostPort(host, strconv.Itoa(port+1))
			if rtcp, err := net.ListenPacket("udp", rtcpAddr); err == nil {
				open := map[string]net.PacketConn{rtp.LocalAddr().String(): rtp, rtcpAddr: rtcp}
				s.server.UDPRTPAddress, s.server.UDPRTCPAddress = rtp.LocalAddr().String(), rtcpAddr
				s.server.ListenPacket = func(_, addr string) (net.PacketConn, error) {
					if c := open[addr]; c != nil {
						return c, nil
					}
					return nil, fmt.Errorf("%s is not one of the ports", addr)
				}
				return nil
			}
		}
		rtp.Close()
	}
	return errors.New("no two UDP ports are free")
}

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	stopped := make(chan error, 1)
	wg.Go(func() { stopped <- s.server.Wait() })
	defer wg.Wait()
	defer s.server.Close()
	select {
	case <-ctx.Done():
		return nil
	case err := <-stopped:
		return fmt.Errorf("RTSP server: %w", err)
	}
}

// Camera adds a camera that is seen at each of paths, "stockroom/main".
func (s *Server) Camera(paths ...string) *Camera {
	c := &Camera{server: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range paths {
		s.paths[strings.Trim(p, "/")] = c
	}
	return c
}

// SetDown makes every camera unreachable: connections are cut and new ones are cut at once, until it is set up again.
func (s *Server) SetDown(down bool) {
	s.mu.Lock()
	s.down = down
	var cut []*gortsplib.ServerConn
	if down {
		for c := range s.conns {
			cut = append(cut, c)
		}
	}
	s.mu.Unlock()
	for _, c := range cut {
		c.Close()
	}
}

// handler is the Server as gortsplib sees it.
type handler Server

func (h *handler) OnConnOpen(ctx *gortsplib.ServerHandlerOnConnOpenCtx) {
	h.mu.Lock()
	down := h.down
	h.conns[ctx.Conn] = true
	h.mu.Unlock()
	if down {
		ctx.Conn.Close()
	}
}

func (h *handler) OnConnClose(ctx *gortsplib.ServerHandlerOnConnCloseCtx) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, ctx.Conn)
}

// find answers for DESCRIBE and SETUP alike.
func (h *handler) find(conn *gortsplib.ServerConn, req *base.Request, path string) (*base.Response, *gortsplib.ServerStream, error) {
	if h.opt.User != "" && !conn.VerifyCredentials(req, h.opt.User, h.opt.Password) {
		return &base.Response{StatusCode: base.StatusUnauthorized}, nil, liberrors.ErrServerAuth{}
	}
	h.mu.Lock()
	c := h.paths[strings.Trim(path, "/")]
	h.mu.Unlock()
	if c == nil {
		return &base.Response{StatusCode: base.StatusNotFound}, nil, nil
	}
	stream := c.current()
	if stream == nil { // it has no picture yet
		return &base.Response{StatusCode: base.StatusServiceUnavailable}, nil, nil
	}
	return &base.Response{StatusCode: base.StatusOK}, stream, nil
}

func (h *handler) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return h.find(ctx.Conn, ctx.Request, ctx.Path)
}

func (h *handler) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if !h.opt.UDP && ctx.Transport.Protocol != gortsplib.ProtocolTCP {
		return &base.Response{StatusCode: base.StatusUnsupportedTransport}, nil, nil
	}
	return h.find(ctx.Conn, ctx.Request, ctx.Path)
}

func (h *handler) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	return &base.Response{StatusCode: base.StatusOK}, nil
}
