package uplink

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

// RenewOptions say how patient a box is with its certificate.
type RenewOptions struct {
	// Spread is within what time of learning that it should a box renews, so that not all of an estate come at once; 0: 10 min.
	Spread time.Duration
	// Again is about how long it waits after a failed try; 0: 1 h.
	Again time.Duration
}

const (
	renewAge     = 61 * 24 * time.Hour // of a certificate, which counts from a day before it was made
	renewLeft    = 30 * 24 * time.Hour // before its end
	renewTimeout = 20 * time.Second
)

// renewAt is when a certificate should be replaced: at 60 of its 90 days.
func renewAt(c *x509.Certificate) time.Time {
	at := c.NotAfter.Add(-min(renewLeft, c.NotAfter.Sub(c.NotBefore)/3))
	if aged := c.NotBefore.Add(renewAge); aged.Before(at) {
		return aged
	}
	return at
}

// renewal decides when to renew. The time that counts is the SOC's, which makes the certificates and tells it with every
// heartbeat: a box whose own clock is wrong renews neither never nor all the time.
type renewal struct {
	o    RenewOptions
	wake chan struct{} // capacity 1: the SOC has told something; one look sees the newest

	mu       sync.Mutex
	soc      time.Time // the SOC's time at `at`
	at       edge.Stamp
	trust    []byte // what the SOC says that the box should have; empty: it does not say
	pending  bool   // it is time, and a try waits for its turn
	since    edge.Stamp
	wait     time.Duration
	failures int
}

func newRenewal(o RenewOptions) *renewal {
	if o.Spread == 0 {
		o.Spread = 10 * time.Minute
	}
	if o.Again == 0 {
		o.Again = time.Hour
	}
	return &renewal{o: o, wake: make(chan struct{}, 1)}
}

// tell takes what the SOC says of itself in a Welcome or a heartbeat.
func (r *renewal) tell(now edge.Stamp, socMS int64, trust []byte) {
	if len(trust) != 32 {
		return
	}
	r.mu.Lock()
	r.soc, r.at, r.trust = time.UnixMilli(socMS), now, trust
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// due says whether to try now. A true takes the turn: the next one comes after done or failed.
func (r *renewal) due(now edge.Stamp, c *credential) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	gone, _ := now.Since(r.at)
	have := c.digest()
	soc := r.soc.Add(gone)
	// One that is of the SOC's future was made while its clock was wrong.
	if string(r.trust) == string(have[:]) && soc.Before(renewAt(c.leaf)) && !soc.Before(c.leaf.NotBefore) {
		r.pending = false
		return false
	}
	if !r.pending {
		r.pending, r.since, r.wait = true, now, rand.N(r.o.Spread)
	}
	waited, ok := now.Since(r.since)
	if ok && waited < r.wait {
		return false
	}
	r.later(now)
	return true
}

// later puts the next try off; the caller holds mu.
func (r *renewal) later(now edge.Stamp) {
	r.since, r.wait = now, r.o.Again/2+rand.N(r.o.Again)
}

// ended notes how a try ended and says whether that is worth a line in the log: the first failure and the end of them.
func (r *renewal) ended(now edge.Stamp, err error) (first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.later(now)
	if err == nil {
		r.pending, r.failures = false, 0
		return true
	}
	r.failures++
	return r.failures == 1
}

// runRenew renews the certificate over the live connection when it is time. Nothing that goes wrong here ends the session.
func (l *link) runRenew(ctx context.Context, addr string) error {
	for {
		select {
		case <-l.renewal.wake:
		case <-ctx.Done():
			return nil
		}
		old := l.o.Identity.present()
		if !l.renewal.due(l.o.Clock.Now(), old) {
			continue
		}
		next, err := l.renew(ctx, addr, old)
		if ctx.Err() != nil {
			return nil
		}
		switch say := l.renewal.ended(l.o.Clock.Now(), err); {
		case err == nil:
			l.o.Log.Info("the box's certificate is renewed", "ends", next.leaf.NotAfter)
		case say:
			l.o.Log.Warn("the box's certificate could not be renewed; the present one is used, and it is tried again every hour",
				"ends", old.leaf.NotAfter, "err", plain(err))
		}
	}
}

// renew asks for a certificate for the same key and makes it the box's when three things are sure: it is one, the SOC
// could be believed under the authorities that come with it, and the SOC takes it.
func (l *link) renew(ctx context.Context, addr string, old *credential) (*credential, error) {
	csr, err := request(old.site, old.key)
	if err != nil {
		return nil, err
	}
	var p peer.Peer
	reply, err := askRenew(ctx, l.conn, csr, grpc.Peer(&p))
	if err != nil {
		return nil, err
	}
	next, err := old.successor(reply)
	if err != nil {
		return nil, err
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return nil, errors.New("the connection is not TLS")
	}
	if err := verifySOC(info.State.PeerCertificates, next.cas, l.o.Clock, next.leaf.NotBefore); err != nil {
		return nil, fmt.Errorf("the SOC sent authorities by which it could not be believed itself: %w", err)
	}
	// On a connection of its own, beside the live one: this shows that the new certificate works before the old one is given
	// up, and tells the SOC that the box has it.
	var dialed atomic.Pointer[error]
	cc, err := dial(addr, credentials.NewTLS(next.config(l.o.Clock)), l.path.dialer(l.o, tosEvents, &dialed))
	if err != nil {
		return nil, err
	}
	defer cc.Close()
	if _, err := askRenew(ctx, cc, csr); err != nil {
		return nil, fmt.Errorf("the SOC does not take the certificate that it has made: %w", err)
	}
	if err := l.o.Identity.replace(old, next); err != nil {
		return nil, err
	}
	return next, nil
}

func askRenew(ctx context.Context, cc *grpc.ClientConn, csr []byte, opts ...grpc.CallOption) (*wire.RenewReply, error) {
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	return wire.NewUplinkClient(cc).Renew(ctx, &wire.RenewRequest{Csr: csr}, opts...)
}

// successor is the credential that a reply makes of this one.
func (c *credential) successor(r *wire.RenewReply) (*credential, error) {
	cas, err := parseCAs(r.GetCas())
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(r.GetCertificate())
	if err != nil {
		return nil, fmt.Errorf("the new certificate: %w", err)
	}
	next, err := newCredential(c.key, leaf, cas)
	if err != nil {
		return nil, err
	}
	if next.site != c.site {
		return nil, fmt.Errorf("the SOC sent a certificate of site %s", next.site)
	}
	return next, nil
}

// CertificateEnds is when the box's present certificate ends.
func (c *Client) CertificateEnds() time.Time { return c.o.Identity.Expires() }

// hinted is a clock that can use the SOC's time, as edge.BoxClock does.
type hinted interface {
	Hint(asked edge.Stamp, soc time.Time) bool
}

// hint gives the SOC's time, an answer to what was sent at asked, to a clock that can use it.
func (c *Client) hint(asked edge.Stamp, socMS int64) {
	if h, ok := c.o.Clock.(hinted); ok {
		h.Hint(asked, time.UnixMilli(socMS))
	}
}
