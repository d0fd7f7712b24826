package rtsp

import (
	"context"
	"net"
	"sync"
	"time"
)

// line is the TCP connection below a client. The client waits for a TLS handshake without end, and cannot be closed meanwhile: so a
// camera has to give its first answer in time.
type line struct {
	within time.Duration

	mu    sync.Mutex
	conn  net.Conn // nil: not connected, or answered
	timer *time.Timer
}

func (l *line) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn, l.timer = conn, time.AfterFunc(l.within, l.hurry)
	return conn, nil
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

// hurry ends the wait for the first answer.
func (l *line) hurry() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		_ = l.conn.SetReadDeadline(time.Unix(1, 0)) // it fails when the connection has ended
	}
}
