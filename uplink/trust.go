package uplink

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

// tls is the box's side of mutual TLS: it believes the authorities of its certificate and the one name. Both are looked up
// when a connection is made, so that what has been renewed counts from the next one on.
func (id *Identity) tls(clock edge.Clock) *tls.Config {
	return clientTLS(clock, id.present)
}

func (c *credential) config(clock edge.Clock) *tls.Config {
	return clientTLS(clock, func() *credential { return c })
}

func clientTLS(clock edge.Clock, present func() *credential) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		ServerName:         wire.ServerName,
		InsecureSkipVerify: true, // VerifyConnection does it: the box's clock may be wrong
		VerifyConnection: func(cs tls.ConnectionState) error {
			c := present()
			return verifySOC(cs.PeerCertificates, c.cas, clock, c.leaf.NotBefore)
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return present().tls(), nil },
	}
}

// floored is a clock that knows a time which surely has passed, as edge.BoxClock does.
type floored interface{ Floor() time.Time }

// maxChain bounds what the box looks at before it knows with whom it speaks.
const maxChain = 16

// verifySOC checks that the chain is the SOC's by one of the authorities. A box whose clock is wrong must still report, so
// that the chain need not be valid now, but at some time that is not before the oldest one that it can be: what the clock
// has as its floor, else past. So a clock that was never set and one that runs years ahead keep nobody out, while a
// certificate that has surely ended does. What a thief of the SOC's key could gain by an end that is not kept is nothing:
// the key lies beside the authority's.
func verifySOC(chain, cas []*x509.Certificate, clock edge.Clock, past time.Time) error {
	if len(chain) == 0 || len(chain) > maxChain {
		return fmt.Errorf("the SOC presents %d certificates", len(chain))
	}
	if f, ok := clock.(floored); ok {
		past = f.Floor()
	}
	opts := x509.VerifyOptions{DNSName: wire.ServerName, Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool()}
	times := []time.Time{past}
	if now := clock.Now().Wall; now.After(past) {
		times = []time.Time{now, past}
	}
	for _, c := range cas {
		opts.Roots.AddCert(c)
		times = append(times, c.NotBefore)
	}
	for i, c := range chain {
		if i > 0 {
			opts.Intermediates.AddCert(c)
		}
		times = append(times, c.NotBefore)
	}
	var first error
	for _, t := range times {
		if t.Before(past) {
			continue
		}
		opts.CurrentTime = t
		_, err := chain[0].Verify(opts)
		if err == nil {
			return nil
		}
		if first == nil || t.Equal(past) {
			first = err // at the oldest time it is no matter of this box's clock
		}
	}
	if leaf := chain[0]; leaf.NotAfter.Before(past) {
		return fmt.Errorf("the SOC's certificate ended on %s, and it is surely later than %s", leaf.NotAfter.Format(time.DateOnly), past.Format(time.DateOnly))
	}
	if errors.As(first, new(x509.UnknownAuthorityError)) {
		return fmt.Errorf("the SOC's certificate is not by an authority that this box knows: %w", first)
	}
	return first
}
