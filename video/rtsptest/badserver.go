package rtsptest

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// BadServer is a bad camera at an address. It answers at every path.
type BadServer struct {
	bad Bad
	ln  net.Listener
}

// Listen opens a port for the camera; Run must be called, and ends it. Port 0 picks one.
func (b Bad) Listen(addr string) (*BadServer, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for RTSP: %w", err)
	}
	return &BadServer{bad: b, ln: ln}, nil
}

// Addr returns host and port.
func (s *BadServer) Addr() string { return s.ln.Addr().String() }

// URL returns where path is served.
func (s *BadServer) URL(path string) string { return "rtsp://" + s.Addr() + "/" + path }

// maxPeers bounds the connections at a time; more are closed at once.
const maxPeers = 64

// Run serves until ctx ends.
func (s *BadServer) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer context.AfterFunc(ctx, func() { s.ln.Close() })()
	defer s.ln.Close()
	places := make(chan struct{}, maxPeers)
	for {
		conn, err := s.ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("bad camera: %w", err)
		}
		select {
		case places <- struct{}{}:
			wg.Go(func() {
				defer func() { <-places }()
				s.bad.Serve(ctx, conn)
			})
		default:
			conn.Close()
		}
	}
}
