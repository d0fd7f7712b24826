package soc

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
)

// live are the connections that boxes have now, so that one whose certificate is revoked can be ended at once, and those of
// everybody else, who could take the place of boxes.
type live struct {
	mu     sync.Mutex
	conns  map[*liveConn]struct{}
	guests int
	stay   time.Duration // of a guest
}

// Who shows no certificate that counts can enrol, which takes a second. The connections of such guests are few, and end whatever
// is open on them.
const (
	maxGuests = 128
	guestStay = time.Minute
)

var errGuests = errors.New("too many connections without a certificate that this SOC takes")

// guestConn is a connection of somebody who has shown no certificate that counts.
type guestConn struct {
	net.Conn
	end  *time.Timer
	left sync.Once
	in   *live
}

// Close ends the connection.
func (c *guestConn) Close() error {
	c.left.Do(func() {
		c.end.Stop()
		c.in.mu.Lock()
		defer c.in.mu.Unlock()
		c.in.guests--
	})
	return c.Conn.Close()
}

// guest takes the connection of one, nil when there are too many.
func (l *live) guest(conn, raw net.Conn) net.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.guests >= maxGuests {
		return nil
	}
	l.guests++
	// The raw one: TLS would wait for a guest that does not read.
	return &guestConn{Conn: conn, in: l, end: time.AfterFunc(l.stay, func() { raw.Close() })}
}

// liveConn is a connection on which a box has shown a certificate.
type liveConn struct {
	net.Conn
	raw  net.Conn
	cert *x509.Certificate
	in   *live
}

// Close ends the connection.
func (c *liveConn) Close() error {
	c.in.mu.Lock()
	delete(c.in.conns, c)
	c.in.mu.Unlock()
	return c.Conn.Close()
}

// all are the present connections.
func (l *live) all() []*liveConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]*liveConn, 0, len(l.conns))
	for c := range l.conns {
		out = append(out, c)
	}
	return out
}

// watched makes TLS credentials note each connection.
type watched struct {
	credentials.TransportCredentials
	live  *live
	admit func(chain []*x509.Certificate) (standing, error)
}

// ServerHandshake is TLS's, and notes the connection.
func (w *watched) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := w.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return conn, info, err
	}
	t, ok := info.(credentials.TLSInfo)
	if !ok {
		return conn, info, nil
	}
	if _, err := w.admit(t.State.PeerCertificates); err != nil {
		g := w.live.guest(conn, raw)
		if g == nil {
			raw.Close()
			return nil, nil, errGuests
		}
		return g, info, nil // somebody who enrols, or is told why he is not let in
	}
	c := &liveConn{Conn: conn, raw: raw, cert: t.State.PeerCertificates[0], in: w.live}
	w.live.mu.Lock()
	defer w.live.mu.Unlock()
	if w.live.conns == nil {
		w.live.conns = map[*liveConn]struct{}{}
	}
	w.live.conns[c] = struct{}{}
	return c, info, nil
}

// Clone copies the credentials; what they note stays one.
func (w *watched) Clone() credentials.TransportCredentials {
	return &watched{w.TransportCredentials.Clone(), w.live, w.admit}
}

// runTrust looks whether somebody has changed what is trusted, and ends the connections of boxes that are not any more.
func (s *Server) runTrust(ctx context.Context) {
	t := time.NewTicker(trustEvery)
	defer t.Stop()
	broken, unsaved, seen := "", false, s.trusted
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			if err := s.boxes.flush(0); err != nil {
				s.o.Log.Warn("with what some boxes came last is not recorded", "err", err)
			}
			return
		}
		reads, err := s.ca.refresh()
		switch {
		case err != nil && err.Error() != broken:
			s.o.Log.Error("what is trusted cannot be read; what was read before stays in force", "err", err)
			broken = err.Error()
		case err == nil:
			broken = ""
		}
		if reads == seen {
			// When a whole estate has come with certificates that are not known it takes many turns: a revocation must not wait
			// for the disk.
			err := s.boxes.flush(flushMost)
			if err != nil && !unsaved {
				s.o.Log.Error("with what boxes come is not recorded; it is tried again", "err", err)
			}
			unsaved = err != nil
			continue
		}
		seen = reads
		s.o.Log.Info("what is trusted has changed")
		for _, c := range s.live.all() {
			if st, err := s.ca.admit([]*x509.Certificate{c.cert}); err != nil {
				s.metrics.refused.WithLabelValues("certificate").Inc()
				s.o.Log.Warn("a box's connection is ended", "site", siteIn(c.cert), "err", err)
				c.raw.Close() // and not TLS's, which would wait for a box that does not read
			} else if _, err := s.ca.Server(); err != nil {
				s.o.Log.Error("the SOC's own certificate cannot be made", "site", st.site, "err", err)
			}
		}
	}
}
