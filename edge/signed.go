package edge

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
)

// Signed is a statement that a box has signed (P12): a checkpoint or a manifest. What it says is trusted only after Check.
type Signed struct {
	Body        []byte // compact JSON, kept unchanged: the signature covers these bytes
	Signature   []byte // ECDSA P-256 in ASN.1 over the SHA-256 of Body
	Certificate []byte // DER, of the key that signed
}

// Bounds of a Signed that comes from outside.
const (
	MaxSignedBytes      = 64 << 10
	MaxSignatureBytes   = 256
	MaxCertificateBytes = 8 << 10
)

// Signer is a box's key with the certificate that says whose it is.
type Signer struct {
	Key         crypto.Signer // ECDSA P-256
	Certificate []byte        // DER
}

// Fingerprint is the SHA-256 of the certificate, by which a statement names it.
func (s Signer) Fingerprint() HexBytes { return Fingerprint(s.Certificate) }

// Fingerprint is the SHA-256 of a certificate in DER.
func Fingerprint(der []byte) HexBytes {
	sum := sha256.Sum256(der)
	return sum[:]
}

// Sign signs v as compact JSON. Which statement it is says its first field, so that no signature serves for another.
func (s Signer) Sign(v any) (Signed, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return Signed{}, err
	}
	if len(body) > MaxSignedBytes {
		return Signed{}, fmt.Errorf("a statement of %d bytes is over the limit of %d", len(body), MaxSignedBytes)
	}
	sum := sha256.Sum256(body)
	sig, err := s.Key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return Signed{}, fmt.Errorf("sign: %w", err)
	}
	return Signed{Body: body, Signature: sig, Certificate: s.Certificate}, nil
}

// Trust is whom a certificate may come from: the authorities that are believed, and others for which one of them vouches.
type Trust struct {
	Roots   []*x509.Certificate
	Between []*x509.Certificate
}

// What Check finds wrong.
var (
	ErrBadSignature   = errors.New("the signature does not fit")
	ErrBadCertificate = errors.New("the certificate is not one of a box")
	ErrUntrusted      = errors.New("the certificate is not by a trusted authority")
)

// FitsLong is Fits for a body that may be longer than a statement; whoever read it has bounded it.
func (s Signed) FitsLong() error {
	c, err := x509.ParseCertificate(s.Certificate)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadCertificate, err)
	}
	return s.fits(c)
}

// Fits says whether the signature is by the key of the certificate beside it. Whose that is it leaves open.
func (s Signed) Fits() error {
	if len(s.Body) > MaxSignedBytes || len(s.Signature) > MaxSignatureBytes || len(s.Certificate) > MaxCertificateBytes {
		return fmt.Errorf("%w: it is too long", ErrBadSignature)
	}
	return s.FitsLong()
}

func (s Signed) fits(c *x509.Certificate) error {
	pub, ok := c.PublicKey.(*ecdsa.PublicKey)
	if !ok || pub.Curve != elliptic.P256() {
		return fmt.Errorf("%w: its key is not ECDSA P-256", ErrBadCertificate)
	}
	if sum := sha256.Sum256(s.Body); !ecdsa.VerifyASN1(pub, sum[:], s.Signature) {
		return ErrBadSignature
	}
	return nil
}

// Check says which site's box has signed. That a certificate has expired does not count: it shows whose the key is, and it was
// good when the box got it; a box may sign while it is cut off, and evidence is looked at years later.
func (s Signed) Check(t Trust) (SiteID, error) {
	if len(s.Body) > MaxSignedBytes || len(s.Signature) > MaxSignatureBytes || len(s.Certificate) > MaxCertificateBytes {
		return "", fmt.Errorf("%w: it is too long", ErrBadSignature)
	}
	c, err := x509.ParseCertificate(s.Certificate)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrBadCertificate, err)
	}
	site, err := t.Site(c)
	if err != nil {
		return "", err
	}
	return site, s.fits(c)
}

// Site is the site whose box has the certificate.
func (t Trust) Site(c *x509.Certificate) (SiteID, error) {
	pub, ok := c.PublicKey.(*ecdsa.PublicKey)
	switch {
	case !ok || pub.Curve != elliptic.P256():
		return "", fmt.Errorf("%w: its key is not ECDSA P-256", ErrBadCertificate)
	case c.IsCA || len(c.UnhandledCriticalExtensions) > 0 || !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth):
		return "", ErrBadCertificate
	case len(c.URIs) != 1:
		return "", fmt.Errorf("%w: it names %d sites", ErrBadCertificate, len(c.URIs))
	}
	site, ok := SiteOfURI(c.URIs[0])
	if !ok {
		return "", fmt.Errorf("%w: it names no site", ErrBadCertificate)
	}
	if !t.Vouches(c) {
		return "", ErrUntrusted
	}
	return site, nil
}

// Vouches says whether the certificate is by one of the authorities, whatever it is for.
func (t Trust) Vouches(c *x509.Certificate) bool {
	return t.signed(c, t.Roots) || slices.ContainsFunc(t.Between, func(b *x509.Certificate) bool {
		return c.CheckSignatureFrom(b) == nil && t.signed(b, t.Roots)
	})
}

func (t Trust) signed(c *x509.Certificate, by []*x509.Certificate) bool {
	return slices.ContainsFunc(by, func(ca *x509.Certificate) bool { return c.CheckSignatureFrom(ca) == nil })
}

// SiteURI is the name of a site in its box's certificate.
func SiteURI(site SiteID) *url.URL {
	return &url.URL{Scheme: "sitewatch", Host: "site", Path: "/" + string(site)}
}

// SiteOfURI is the reverse of SiteURI; ok is false for anything that is not the name of a site.
func SiteOfURI(u *url.URL) (site SiteID, ok bool) {
	if u.Scheme != "sitewatch" || u.Host != "site" || len(u.Path) < 2 || u.RawQuery != "" || u.Fragment != "" {
		return "", false
	}
	return SiteID(u.Path[1:]), ValidID(u.Path[1:])
}

// decodeSigned reads a statement of the type; anything else is refused, so that no signature serves for another.
func decodeSigned(body []byte, kind string, v any) error {
	if len(body) > MaxSignedBytes {
		return fmt.Errorf("it has %d bytes, over the limit of %d", len(body), MaxSignedBytes)
	}
	if !bytes.HasPrefix(body, []byte(`{"type":"`+kind+`",`)) {
		return fmt.Errorf("it does not begin as a %q does", kind)
	}
	return json.Unmarshal(body, v)
}
