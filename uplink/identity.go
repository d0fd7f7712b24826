package uplink

import (
	"crypto/ecdsa"
	"crypto/elliptic"
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
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/durable"
	"sitewatch/uplink/wire"
)

// ErrNotEnrolled means that the box has no certificate yet.
var ErrNotEnrolled = errors.New("the box is not enrolled")

// Identity is who the box is: its key, which never leaves it, its certificate, and the CA of the SOC that it trusts.
type Identity struct {
	Site edge.SiteID // as the certificate says
	cert tls.Certificate
	ca   *x509.Certificate
	key  *ecdsa.PrivateKey
}

const (
	keyFile  = "key.pem"
	certFile = "cert.pem"
	caFile   = "ca.pem"
)

// LoadIdentity reads what Enrol left in dir. ErrNotEnrolled when there is none.
func LoadIdentity(dir string) (*Identity, error) {
	certPEM, err := os.ReadFile(filepath.Join(dir, certFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, edge.WithHint(ErrNotEnrolled, "get a token with `soc claim --site ID` and run `gateway enrol --token TOKEN`")
	}
	if err != nil {
		return nil, fmt.Errorf("load identity: %w", err)
	}
	id := &Identity{}
	if id.key, err = loadKey(filepath.Join(dir, keyFile)); err != nil {
		return nil, fmt.Errorf("load identity: %w", err)
	}
	if id.ca, err = loadCert(filepath.Join(dir, caFile)); err != nil {
		return nil, fmt.Errorf("load identity: %w", err)
	}
	block, _ := pem.Decode(certPEM)
	if block == nil {
		return nil, fmt.Errorf("load identity: %s holds no certificate", certFile)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("load identity: %w", err)
	}
	if err := id.adopt(leaf); err != nil {
		return nil, fmt.Errorf("load identity: %w", err)
	}
	return id, nil
}

// adopt takes the certificate when it fits the key and the CA and names a site.
func (id *Identity) adopt(leaf *x509.Certificate) error {
	if pub, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || !pub.Equal(&id.key.PublicKey) {
		return errors.New("the certificate is not for the box's key")
	}
	if err := leaf.CheckSignatureFrom(id.ca); err != nil {
		return fmt.Errorf("the certificate is not by the SOC's CA: %w", err)
	}
	if len(leaf.URIs) != 1 {
		return errors.New("the certificate names no site")
	}
	site, ok := wire.SiteOfURI(leaf.URIs[0])
	if !ok {
		return errors.New("the certificate names no site")
	}
	id.Site = site
	id.cert = tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: id.key, Leaf: leaf}
	return nil
}

// Sign signs data with the box's key: ECDSA P-256 in ASN.1 over the SHA-256 of data.
func (id *Identity) Sign(data []byte) ([]byte, error) {
	sum := sha256.Sum256(data)
	return ecdsa.SignASN1(rand.Reader, id.key, sum[:])
}

// Certificate is the box's certificate, with which signatures are checked.
func (id *Identity) Certificate() *x509.Certificate { return id.cert.Leaf }

// tls is the box's side of mutual TLS: it believes its one CA and the one name.
func (id *Identity) tls(clock edge.Clock) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(id.ca)
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		ServerName:   wire.ServerName,
		RootCAs:      pool,
		Certificates: []tls.Certificate{id.cert},
		Time:         func() time.Time { return plausible(clock.Now(), id.cert.Leaf.NotBefore) },
	}
}

// plausible is the time to check certificates with. A box whose clock was never set (dead battery, no NTP yet) must still
// report: it uses the oldest time that it can know to be past. The SOC's certificate is valid since its CA is.
func plausible(now edge.Stamp, past time.Time) time.Time {
	if now.ClockState() == edge.ClockUnset || now.Wall.Before(past) {
		return past
	}
	return now.Wall
}

// makeKey loads the box's key or makes it. It is kept when an enrolment fails: the same key may ask again.
func makeKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := loadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, durable.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

func loadKey(path string) (*ecdsa.PrivateKey, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key", filepath.Base(path))
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%s holds no ECDSA P-256 key", filepath.Base(path))
	}
	return key, nil
}

func loadCert(path string) (*x509.Certificate, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s holds no certificate", filepath.Base(path))
	}
	return x509.ParseCertificate(block.Bytes)
}

func saveCert(path string, der []byte) error {
	return durable.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}
