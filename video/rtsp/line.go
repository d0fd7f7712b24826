package rtsp

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"sitewatch/video"
)

// line is the TCP connection below a client. The client waits for a TLS handshake without end, and cannot be closed meanwhile: so a
// camera has to give its first answer in time.
type line struct {
	within  time.Duration
	pulse   *video.Pulse
	away    bool                                                              // where it goes a camera has said
	connect func(ctx context.Context, network, addr string) (net.Conn, error) // nil: over the network

	mu    sync.Mutex
	conn  net.Conn  // nil: not connected, or answered
	beats *beatConn // nil: not connected, or it is read as any
	timer *time.Timer
	own   bool // it went to this machine
}

func (l *line) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	connect := l.connect
	if connect == nil {
		connect = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	conn, err := connect(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	conn = onBeats(conn, l.pulse)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.own = own(conn); l.own && l.away {
		return nil, errors.Join(toOurselves(), conn.Close())
	}
	l.conn, l.timer = conn, time.AfterFunc(l.within, l.hurry)
	l.beats, _ = conn.(*beatConn)
	return conn, nil
}

// own says whether the other end of a connection is on this machine.
func own(conn net.Conn) bool {
	here, ok1 := conn.LocalAddr().(*net.TCPAddr)
	there, ok2 := conn.RemoteAddr().(*net.TCPAddr)
	return ok1 && ok2 && (there.IP.IsLoopback() || there.IP.Equal(here.IP))
}

// steady says that nothing is asked any more that somebody waits for: from now on pictures come.
func (l *line) steady() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.beats != nil {
		l.beats.steady.Store(true)
	}
}

// answered takes the limit away.
func (l *line) answered() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		l.timer.Stop()
		l.conn = nil
	}
}

func (l *line) ownMachine() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.own
}

// hurry ends the wait for the first answer.
func (l *line) hurry() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		_ = l.conn.SetReadDeadline(time.Unix(1, 0)) // it fails when the connection has ended
	}
}
