package uplink

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/durable"
	"sitewatch/uplink/wire"
)

// ErrNotEnrolled means that the box has no certificate yet.
var ErrNotEnrolled = errors.New("the box is not enrolled")

// Identity is who the box is: its key, which never leaves it, its certificate, and the authorities of the SOC that it
// trusts. The certificate changes while the program runs, by renewal or by `gateway enrol` beside it; the site does not.
// It may be used from any goroutine.
type Identity struct {
	Site edge.SiteID // as the certificate says
	dir  string

	mu   sync.Mutex
	now  *credential
	seen os.FileInfo // of the certificate's file when it was read
}

// credential is one certificate with what belongs to it; it never changes.
type credential struct {
	site edge.SiteID
	key  *ecdsa.PrivateKey
	leaf *x509.Certificate
	cas  []*x509.Certificate // the first is the one that signed leaf
}

const (
	keyFile  = "key.pem"
	certFile = "cert.pem" // the certificate, then the authorities: whole, or as it was before
	caFile   = "ca.pem"   // the authorities again; of use when an early version has written cert.pem without them
)

// LoadIdentity reads what Enrol left in dir. ErrNotEnrolled when there is none.
func LoadIdentity(dir string) (*Identity, error) {
	id := &Identity{dir: dir}
	c, seen, err := id.read()
	if errors.Is(err, fs.ErrNotExist) && seen == nil {
		return nil, edge.WithHint(ErrNotEnrolled, "get a token with `soc claim --site ID` and run `gateway enrol --token TOKEN`")
	}
	if err != nil {
		return nil, edge.WithHint(fmt.Errorf("load identity from %s: %w", dir, err),
			"restore the folder, or get a token with `soc claim --site ID` and run `gateway enrol --token TOKEN`")
	}
	id.Site, id.now, id.seen = c.site, c, seen
	return id, nil
}

// read reads the files; the FileInfo is nil when there is no certificate.
func (id *Identity) read() (*credential, os.FileInfo, error) {
	path := filepath.Join(id.dir, certFile)
	seen, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	certs, err := loadCerts(path)
	if err != nil {
		return nil, seen, err
	}
	key, err := loadKey(filepath.Join(id.dir, keyFile))
	if err != nil {
		return nil, seen, err
	}
	leaf, cas := certs[0], certs[1:]
	if len(cas) == 0 {
		if cas, err = loadCerts(filepath.Join(id.dir, caFile)); err != nil {
			return nil, seen, fmt.Errorf("the SOC's authority: %w", err)
		}
	}
	c, err := newCredential(key, leaf, cas)
	return c, seen, err
}

// newCredential takes the certificate when it fits the key and an authority and names a site.
func newCredential(key *ecdsa.PrivateKey, leaf *x509.Certificate, cas []*x509.Certificate) (*credential, error) {
	if pub, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || !pub.Equal(&key.PublicKey) {
		return nil, errors.New("the certificate is not for the box's key")
	}
	if len(leaf.URIs) != 1 {
		return nil, errors.New("the certificate names no site")
	}
	site, ok := edge.SiteOfURI(leaf.URIs[0])
	if !ok {
		return nil, errors.New("the certificate names no site")
	}
	c := &credential{site: site, key: key, leaf: leaf}
	signed := false
	for _, ca := range cas {
		switch {
		case !ca.IsCA:
			return nil, errors.New("what should be the SOC's authority is none")
		case !signed && leaf.CheckSignatureFrom(ca) == nil:
			signed = true
			c.cas = append([]*x509.Certificate{ca}, c.cas...)
		default:
			c.cas = append(c.cas, ca)
		}
	}
	if !signed {
		return nil, errors.New("the certificate is not by the SOC's authority")
	}
	return c, nil
}

// present is the certificate to use now. A newer one in the folder is taken up; one that cannot be read, or is of another
// site, is not, and the present one stays.
func (id *Identity) present() *credential {
	id.mu.Lock()
	defer id.mu.Unlock()
	fi, err := os.Stat(filepath.Join(id.dir, certFile))
	if err != nil || id.seen != nil && os.SameFile(fi, id.seen) && fi.ModTime().Equal(id.seen.ModTime()) {
		return id.now
	}
	if c, seen, err := id.read(); err == nil && c.site == id.Site {
		id.now, id.seen = c, seen
	}
	return id.now
}

// errReplaced means that somebody has enrolled the box anew while its certificate was being renewed.
var errReplaced = errors.New("the box has been enrolled anew meanwhile")

// replace makes next the identity, durably, in the place of old.
func (id *Identity) replace(old, next *credential) error {
	unlock, err := lockIdentity(id.dir)
	if err != nil {
		return err
	}
	defer unlock()
	if id.present() != old {
		return errReplaced
	}
	if err := next.save(id.dir); err != nil {
		return err
	}
	id.present()
	return nil
}

// lockIdentity keeps a renewal and `gateway enrol` from writing at the same time.
func lockIdentity(dir string) (func(), error) { return durable.Lock(filepath.Join(dir, ".lock")) }

// save writes the certificate and the authorities in one file, so that a kill leaves the old or the new; the second file
// is a copy.
func (c *credential) save(dir string) error {
	var cas bytes.Buffer
	for _, ca := range c.cas {
		pem.Encode(&cas, &pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw}) // a Buffer takes all
	}
	leaf := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.leaf.Raw})
	if err := durable.WriteFile(filepath.Join(dir, certFile), append(leaf, cas.Bytes()...), 0o644); err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(dir, caFile), cas.Bytes(), 0o644)
}

// digest is what the SOC compares with its own: see Trust in PROTOCOL.md.
func (c *credential) digest() [32]byte {
	raw := make([][]byte, len(c.cas))
	for i, ca := range c.cas {
		raw[i] = ca.Raw
	}
	return wire.TrustDigest(c.cas[0].Raw, raw)
}

func (c *credential) tls() *tls.Certificate {
	return &tls.Certificate{Certificate: [][]byte{c.leaf.Raw}, PrivateKey: c.key, Leaf: c.leaf}
}

// Sign signs data with the box's key: ECDSA P-256 in ASN.1 over the SHA-256 of data.
func (id *Identity) Sign(data []byte) ([]byte, error) {
	sum := sha256.Sum256(data)
	return ecdsa.SignASN1(rand.Reader, id.present().key, sum[:])
}

// Signer is the box's key with its present certificate, for what has to name the certificate.
func (id *Identity) Signer() edge.Signer {
	c := id.present()
	return edge.Signer{Key: c.key, Certificate: c.leaf.Raw}
}

// Certificate is the box's present certificate, with which signatures are checked.
func (id *Identity) Certificate() *x509.Certificate { return id.present().leaf }

// Expires is when the present certificate ends. The SOC takes an expired one all the same; it says that renewing fails.
func (id *Identity) Expires() time.Time { return id.present().leaf.NotAfter }
