package uplink_test

import (
	"context"
	"net"
	"sync"
)

// dam is a line that lets so many bytes of the box through until it is opened: what is more waits at the box.
type dam struct {
	mu     sync.Mutex
	left   int
	opened chan struct{}
}

func newDam(left int) *dam { return &dam{left: left, opened: make(chan struct{})} }

func (d *dam) open() { close(d.opened) }

func (d *dam) dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	return &dammed{Conn: conn, dam: d, closed: make(chan struct{})}, err
}

// dammed is a connection over a dam.
type dammed struct {
	net.Conn
	dam    *dam
	closed chan struct{}
	once   sync.Once
}

func (c *dammed) Write(b []byte) (int, error) {
	c.dam.mu.Lock()
	c.dam.left -= len(b)
	full := c.dam.left < 0
	c.dam.mu.Unlock()
	if full {
		select {
		case <-c.dam.opened:
		case <-c.closed:
		}
	}
	return c.Conn.Write(b)
}

func (c *dammed) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
