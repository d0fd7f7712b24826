package soc

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/durable"
	"sitewatch/uplink/wire"
)

// Why a token is not taken.
var (
	ErrTokenUnknown = errors.New("the token is not known here")
	ErrTokenUsed    = errors.New("the token has been used by another box")
	ErrTokenExpired = errors.New("the token has expired")
	ErrTokenSite    = errors.New("the token is for another site")
	ErrRequest      = errors.New("the certificate request is not acceptable")
)

const (
	claimLife = 24 * time.Hour
	claimKeep = 30 * 24 * time.Hour // after its end, so that a late try hears "expired" and not "unknown"
)

// Claims are the tokens of one SOC: a folder with a file for each, named by the digest of its secret. The secret itself
// is not kept. Several processes may use the folder at once.
type Claims struct {
	dir   string
	ca    *CA
	clock edge.Clock
}

// claim is the content of a claim's file.
type claim struct {
	Site        edge.SiteID   `json:"site"`
	Expires     time.Time     `json:"expires"`
	Key         edge.HexBytes `json:"key,omitempty"`         // SHA-256 of the public key that used it
	Certificate edge.HexBytes `json:"certificate,omitempty"` // what that key got
}

// OpenClaims opens the folder dir, making it when it is missing.
func OpenClaims(dir string, ca *CA, clock edge.Clock) (*Claims, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open claims: %w", err)
	}
	return &Claims{dir: dir, ca: ca, clock: clock}, nil
}

// Claim makes a token for the site, as `soc claim` prints it. data is the SOC's data folder; a SOC may be running there.
func Claim(data string, site edge.SiteID, clock edge.Clock) (wire.Token, error) {
	ca, err := OpenCA(filepath.Join(data, "ca"), clock)
	if err != nil {
		return wire.Token{}, err
	}
	c, err := OpenClaims(filepath.Join(data, "claims"), ca, clock)
	if err != nil {
		return wire.Token{}, err
	}
	return c.New(site)
}

// New makes a token for the site that can be used once within a day.
func (c *Claims) New(site edge.SiteID) (wire.Token, error) {
	var t wire.Token
	if !edge.ValidID(string(site)) {
		return t, edge.WithHint(fmt.Errorf("site id %q is not valid", site), "use 1 to 32 letters, digits and hyphens")
	}
	unlock, err := c.lock()
	if err != nil {
		return t, err
	}
	defer unlock()
	c.clean()
	t = wire.NewToken(c.ca.Fingerprint(), site)
	if err := c.save(c.path(t.Secret[:]), &claim{Site: site, Expires: c.clock.Now().Wall.Add(claimLife)}); err != nil {
		return t, fmt.Errorf("make a claim: %w", err)
	}
	return t, nil
}

// Redeem gives a certificate for the site to who knows the secret. The same key gets the same certificate again: its
// first reply may have been lost.
func (c *Claims) Redeem(_ context.Context, site edge.SiteID, secret, csr []byte) ([]byte, error) {
	req, pub, err := requested(csr)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(req.RawSubjectPublicKeyInfo)
	key := sum[:]
	unlock, err := c.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	path := c.path(secret)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrTokenUnknown
	}
	if err != nil {
		return nil, fmt.Errorf("read claim: %w", err)
	}
	var cl claim
	if err := json.Unmarshal(b, &cl); err != nil {
		return nil, fmt.Errorf("read claim %s: %w", filepath.Base(path), err)
	}
	switch {
	case cl.Site != site:
		return nil, ErrTokenSite
	case len(cl.Key) > 0 && bytes.Equal(cl.Key, key):
		if cert, err := x509.ParseCertificate(cl.Certificate); err != nil || c.ca.revokes(site, cert) {
			return nil, ErrTokenUsed
		}
		return cl.Certificate, nil
	case len(cl.Key) > 0:
		return nil, ErrTokenUsed
	case !c.clock.Now().Wall.Before(cl.Expires):
		return nil, ErrTokenExpired
	}
	cl.Key = key
	cert, err := c.ca.Issue(site, pub, nil)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate: %w", err)
	}
	cl.Certificate = cert.Raw
	if err := c.save(path, &cl); err != nil {
		return nil, fmt.Errorf("use the claim: %w", err)
	}
	return cl.Certificate, nil
}

// requested checks a certificate request. Of its content only the key becomes part of a certificate: the claim or the present
// certificate says for which site.
func requested(csr []byte) (*x509.CertificateRequest, *ecdsa.PublicKey, error) {
	if len(csr) > 8<<10 {
		return nil, nil, fmt.Errorf("%w: %d bytes", ErrRequest, len(csr))
	}
	r, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %v", ErrRequest, err)
	}
	pub, ok := r.PublicKey.(*ecdsa.PublicKey)
	if !ok || pub.Curve != elliptic.P256() {
		return nil, nil, fmt.Errorf("%w: the key is not ECDSA P-256", ErrRequest)
	}
	if err := r.CheckSignature(); err != nil {
		return nil, nil, fmt.Errorf("%w: %v", ErrRequest, err)
	}
	return r, pub, nil
}

// void ends the unused tokens of a site: whoever has one could else enrol a box that has just been shut out.
func (c *Claims) void(site edge.SiteID) error {
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	now := c.clock.Now().Wall
	return c.each(func(path string, cl *claim) error {
		if cl.Site != site || len(cl.Key) > 0 || !now.Before(cl.Expires) {
			return nil
		}
		cl.Expires = now
		return c.save(path, cl)
	})
}

// each hands over every claim that can be read. What cannot be read is left for a person.
func (c *Claims) each(do func(path string, cl *claim) error) error {
	files, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".json") {
			continue
		}
		path := filepath.Join(c.dir, f.Name())
		b, err := os.ReadFile(path)
		var cl claim
		if err != nil || json.Unmarshal(b, &cl) != nil {
			continue
		}
		if err := do(path, &cl); err != nil {
			return err
		}
	}
	return nil
}

func (c *Claims) lock() (func(), error) { return durable.Lock(filepath.Join(c.dir, ".lock")) }

// path names a claim by the digest of its secret: who reads the folder learns no token.
func (c *Claims) path(secret []byte) string {
	sum := sha256.Sum256(secret)
	return filepath.Join(c.dir, hex.EncodeToString(sum[:])+".json")
}

func (c *Claims) save(path string, cl *claim) error {
	b, err := json.Marshal(cl)
	if err != nil {
		return err
	}
	return durable.WriteFile(path, append(b, '\n'), 0o600)
}

// clean removes claims that ended long ago.
func (c *Claims) clean() {
	old := c.clock.Now().Wall.Add(-claimKeep)
	c.each(func(path string, cl *claim) error {
		if cl.Expires.Before(old) {
			os.Remove(path)
		}
		return nil
	})
}
