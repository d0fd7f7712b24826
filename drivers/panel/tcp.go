package panel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/edge"
)

const (
	dialTimeout = 10 * time.Second
	// sendTimeout: the few bytes of an acknowledgement fit in any socket buffer; a peer that takes none is gone.
	sendTimeout = 10 * time.Second
	// maxConnections is how many connections one panel may have at a time. A panel has one, or two when it dials anew
	// before the old one has died. Above it the one that has been quiet the longest goes: what is idle or dead never
	// keeps a delivering panel out.
	maxConnections = 4
)

// keepAlive finds a panel that lost power without a word in about a minute.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}

// tcpPort is a connection whose writes cannot hang.
type tcpPort struct {
	net.Conn
	mu    sync.Mutex
	last  edge.Stamp // of the last bytes; guarded by mu
	clock edge.Clock // nil: nobody asks for last
}

func (p *tcpPort) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if n > 0 && p.clock != nil {
		p.mu.Lock()
		p.last = p.clock.Now()
		p.mu.Unlock()
	}
	return n, err
}

func (p *tcpPort) Write(b []byte) (int, error) {
	t := time.AfterFunc(sendTimeout, func() { p.Conn.Close() })
	defer t.Stop()
	return p.Conn.Write(b)
}

func (p *tcpPort) quietSince() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last.Mono
}

// runListen accepts the panel's connections and serves each.
func (l *Line) runListen(ctx context.Context) error {
	for retry := newRetry(TCPListen); ctx.Err() == nil; retry.wait(ctx) {
		var lc net.ListenConfig
		lis, err := lc.Listen(ctx, "tcp", l.spec.Address)
		if err != nil {
			if ctx.Err() == nil {
				l.lost(edge.WithHint(err, "stop the other program that listens there, or correct the panel's port in the configuration"), false)
			}
			continue
		}
		l.mu.Lock()
		l.address = lis.Addr().String()
		l.mu.Unlock()
		l.isOpen(0, false)
		if err := l.runAccept(ctx, lis); ctx.Err() == nil {
			l.lost(fmt.Errorf("listening stopped: %w", err), false)
		}
	}
	return nil
}

func (l *Line) runAccept(ctx context.Context, lis net.Listener) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		<-ctx.Done()
		lis.Close()
		return nil
	})
	var conns connections
	g.Go(func() error {
		for {
			c, err := lis.Accept()
			if err != nil {
				if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
					return net.ErrClosed
				}
				l.log.Warn("cannot accept the panel's connection", "err", err) // out of descriptors: it may pass
				sleep(ctx, time.Second)
				continue
			}
			if t, ok := c.(*net.TCPConn); ok {
				t.SetKeepAliveConfig(keepAlive)
			}
			p := &tcpPort{Conn: c, clock: l.o.Clock, last: l.o.Clock.Now()}
			conns.add(p)
			g.Go(func() error {
				defer conns.remove(p)
				l.serve(ctx, p)
				return nil // one connection's end is no reason to close the others
			})
		}
	})
	return g.Wait()
}

// serve runs a session on one connection. Its end is no loss unless the panel is there and cannot be understood.
func (l *Line) serve(ctx context.Context, p *tcpPort) {
	defer p.Close()
	l.isOpen(+1, false)
	err := l.session(ctx, p)
	l.isOpen(-1, false)
	if ctx.Err() == nil && errors.Is(err, ErrNotUnderstood) {
		l.lost(err, true)
		return
	}
	l.log.Debug("connection ended", "peer", p.RemoteAddr(), "err", err)
}

// connections are those of one panel.
type connections struct {
	mu   sync.Mutex
	open []*tcpPort
}

func (c *connections) add(p *tcpPort) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= maxConnections {
		quietest := 0
		for i, o := range c.open {
			if o.quietSince() < c.open[quietest].quietSince() {
				quietest = i
			}
		}
		c.open[quietest].Close() // its session ends and removes what is no longer in the list
		c.open = append(c.open[:quietest], c.open[quietest+1:]...)
	}
	c.open = append(c.open, p)
}

func (c *connections) remove(p *tcpPort) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, o := range c.open {
		if o == p {
			c.open = append(c.open[:i], c.open[i+1:]...)
			return
		}
	}
}
