package soc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/durable"
	"sitewatch/uplink/wire"
)

// CA is the certificate authority of one SOC. Its key never leaves the machine; its fingerprint is in every token.
type CA struct {
	dir   string
	clock edge.Clock
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey

	mu     sync.Mutex
	server *tls.Certificate
}

const (
	caLife     = 30 * 365 * 24 * time.Hour
	boxLife    = 20 * 365 * 24 * time.Hour // boxes run unattended for years
	serverLife = 397 * 24 * time.Hour
	serverLeft = 60 * 24 * time.Hour // renewed when less is left
	backdate   = 24 * time.Hour      // a box's clock may be behind ours
)

// OpenCA loads the CA from dir or makes it there; two processes that come at once get the same one.
func OpenCA(dir string, clock edge.Clock) (*CA, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open CA: %w", err)
	}
	unlock, err := durable.Lock(filepath.Join(dir, ".lock"))
	if err != nil {
		return nil, fmt.Errorf("open CA: %w", err)
	}
	defer unlock()
	ca := &CA{dir: dir, clock: clock}
	ca.cert, ca.key, err = loadPair(ca.path("ca.pem"), ca.path("ca-key.pem"))
	if errors.Is(err, fs.ErrNotExist) {
		err = ca.create()
	}
	if err != nil {
		return nil, fmt.Errorf("open CA in %s: %w", dir, err)
	}
	return ca, nil
}

// Fingerprint is the SHA-256 of the CA's certificate.
func (ca *CA) Fingerprint() [32]byte { return sha256.Sum256(ca.cert.Raw) }

func (ca *CA) path(name string) string { return filepath.Join(ca.dir, name) }

// create is called under the lock when there is no certificate. The certificate is written last: a key without one is
// left from a run that was cut short before anybody could have seen the CA, and is replaced.
func (ca *CA) create() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := ca.clock.Now().Wall
	tmpl := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "Sitewatch SOC"},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return err
	}
	if ca.cert, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	ca.key = key
	return savePair(ca.path("ca.pem"), ca.path("ca-key.pem"), der, key)
}

// Server returns the SOC's own certificate with the CA behind it, and makes a new one in good time before it ends,
// so that a SOC which is never restarted keeps being reachable.
func (ca *CA) Server() (*tls.Certificate, error) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	now := ca.clock.Now().Wall
	fresh := func(c *x509.Certificate) bool { return now.Add(serverLeft).Before(c.NotAfter) }
	if ca.server != nil && fresh(ca.server.Leaf) {
		return ca.server, nil
	}
	leaf, key, err := loadPair(ca.path("server.pem"), ca.path("server-key.pem"))
	if err != nil || !fresh(leaf) || leaf.CheckSignatureFrom(ca.cert) != nil {
		if leaf, key, err = ca.newServer(now); err != nil {
			return nil, fmt.Errorf("make the server's certificate: %w", err)
		}
	}
	ca.server = &tls.Certificate{Certificate: [][]byte{leaf.Raw, ca.cert.Raw}, PrivateKey: key, Leaf: leaf}
	return ca.server, nil
}

func (ca *CA) newServer(now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: wire.ServerName},
		DNSNames:     []string{wire.ServerName},
		// Valid since the CA is: a box whose clock was never set checks with the time of its enrolment instead.
		NotBefore:   ca.cert.NotBefore,
		NotAfter:    now.Add(serverLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		return nil, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	return leaf, key, savePair(ca.path("server.pem"), ca.path("server-key.pem"), der, key)
}

// Issue makes the certificate of a site's box.
func (ca *CA) Issue(site edge.SiteID, pub *ecdsa.PublicKey) ([]byte, error) {
	now := ca.clock.Now().Wall
	return x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: string(site)},
		URIs:         []*url.URL{wire.SiteURI(site)},
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(boxLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca.cert, pub, ca.key)
}

func serial() *big.Int {
	var b [16]byte
	rand.Read(b[:])
	b[0] &= 0x7f // positive, RFC 5280 §4.1.2.2
	return new(big.Int).SetBytes(b[:])
}

func savePair(certPath, keyPath string, cert []byte, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(keyPath, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return err
	}
	return durable.WriteFile(certPath, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o644)
}

func loadPair(certPath, keyPath string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	c, err := os.ReadFile(certPath)
	if err != nil {
		return nil, nil, err
	}
	k, err := os.ReadFile(keyPath)
	if err != nil {
		return nil, nil, fmt.Errorf("there is a certificate but its key cannot be read: %v", err) // never taken for "make a new one"
	}
	pair, err := tls.X509KeyPair(c, k)
	if err != nil {
		return nil, nil, err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, nil, fmt.Errorf("%s holds no ECDSA key", keyPath)
	}
	return pair.Leaf, key, nil
}
