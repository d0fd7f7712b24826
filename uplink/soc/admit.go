package soc

import (
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"sitewatch/edge"
)

// Why a box's certificate is not taken.
var (
	ErrNoCertificate = errors.New("a client certificate is needed; enrol the box first")
	ErrForeign       = errors.New("the client certificate is not by an authority of this SOC; enrol the box first")
	ErrMalformed     = errors.New("the client certificate is not one of a box")
	ErrRevoked       = errors.New("the client certificate has been revoked")
)

// standing is what a box's certificate is worth.
type standing struct {
	site      edge.SiteID
	cert      *x509.Certificate
	pub       *ecdsa.PublicKey
	authority *authority // that signed it
	expired   bool       // taken all the same: its owner was away for longer than it lasts
	early     bool       // valid only from later on by our clock, which therefore is wrong
}

// admit judges a certificate whose owner has shown in the TLS handshake that it has the key. It is not left to crypto/tls,
// because a box that was off for months must deliver what it has kept: that the certificate has expired is noted, not
// punished. A certificate from the future can only come from a clock of ours that was wrong, then or now, which is no fault
// of the box: also noted.
func (ca *CA) admit(chain []*x509.Certificate) (standing, error) {
	if len(chain) == 0 {
		return standing{}, ErrNoCertificate
	}
	c := chain[0]
	by := ca.signer(c)
	if by == nil {
		return standing{}, ErrForeign
	}
	pub, ok := c.PublicKey.(*ecdsa.PublicKey)
	switch {
	case c.IsCA || len(c.UnhandledCriticalExtensions) > 0 || !ok:
		return standing{}, ErrMalformed
	case !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth):
		return standing{}, fmt.Errorf("%w: it is not for clients", ErrMalformed)
	case len(c.URIs) != 1:
		return standing{}, fmt.Errorf("%w: it names %d sites", ErrMalformed, len(c.URIs))
	}
	site, ok := edge.SiteOfURI(c.URIs[0])
	if !ok {
		return standing{}, fmt.Errorf("%w: it names no site", ErrMalformed)
	}
	if ca.revokes(site, c) {
		return standing{}, fmt.Errorf("%w; when the box may come back, enrol it with a new token of `soc claim --site %s`", ErrRevoked, site)
	}
	now := ca.clock.Now().Wall
	return standing{site: site, cert: c, pub: pub, authority: by, expired: now.After(c.NotAfter), early: now.Before(c.NotBefore)}, nil
}

// signer is the authority that signed c and has not been retired, nil when there is none.
func (ca *CA) signer(c *x509.Certificate) *authority {
	for _, a := range ca.trusted() {
		if c.CheckSignatureFrom(a.cert) == nil {
			return a
		}
	}
	return nil
}

// expires is when the certificate ends.
func (s standing) expires() time.Time { return s.cert.NotAfter }
