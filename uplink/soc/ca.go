package soc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
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

// CA is whom one SOC trusts: its certificate authorities, of which one issues, and what it has revoked. The keys never leave
// the machine; the fingerprint of the issuing authority is in every token. Several processes may use the folder at once:
// what one changes the others see at their next look.
type CA struct {
	dir   string
	clock edge.Clock

	mu      sync.Mutex
	all     []*authority // as authorities.json has them, without the retired ones' certificates
	revoked revocations
	seen    [2]os.FileInfo // of the two files when they were read; nil: not there
	reads   uint64         // of the files
	server  *tls.Certificate
}

const (
	caLife     = 30 * 365 * 24 * time.Hour
	boxLife    = 90 * 24 * time.Hour // renewed at 60 days
	serverLife = 397 * 24 * time.Hour
	serverLeft = 60 * 24 * time.Hour // renewed when less is left
	backdate   = 24 * time.Hour      // a box's clock may be behind ours
)

// OpenCA loads the CA from dir or makes it there; two processes that come at once get the same one.
func OpenCA(dir string, clock edge.Clock) (*CA, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open CA: %w", err)
	}
	ca := &CA{dir: dir, clock: clock}
	unlock, err := ca.lock()
	if err != nil {
		return nil, fmt.Errorf("open CA: %w", err)
	}
	defer unlock()
	_, err = os.Lstat(ca.path(firstAuthority + ".pem"))
	_, serr := os.Lstat(ca.path(stateFile))
	if errors.Is(err, fs.ErrNotExist) && errors.Is(serr, fs.ErrNotExist) {
		_, err = ca.makeAuthority(firstAuthority, nil)
	} else {
		err = nil
	}
	if err == nil {
		_, err = ca.refresh()
	}
	if err != nil {
		return nil, edge.WithHint(fmt.Errorf("open CA in %s: %w", dir, err), "restore the folder from a backup: a new authority would lock every box out")
	}
	return ca, nil
}

func (ca *CA) lock() (func(), error) { return durable.Lock(ca.path(".lock")) }

func (ca *CA) path(name string) string { return filepath.Join(ca.dir, name) }

// refresh reads the files again when they have changed. It returns how often they have been read: who compares that with
// what he saw before knows of every change, whoever has come upon it. What cannot be read changes nothing.
func (ca *CA) refresh() (reads uint64, err error) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	defer func() { reads = ca.reads }()
	var now [2]os.FileInfo
	for i, name := range []string{stateFile, revokedFile} {
		if now[i], err = os.Stat(ca.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
	}
	if ca.all != nil && same(now[0], ca.seen[0]) && same(now[1], ca.seen[1]) {
		return 0, nil
	}
	as, err := ca.readAuthorities()
	if err != nil {
		return 0, err
	}
	var all []*authority
	for _, e := range as.Authorities {
		a := &authority{name: e.Name, state: e.State}
		if e.State != AuthorityRetired {
			if a, err = ca.loadAuthority(e); err != nil {
				return 0, err
			}
		}
		all = append(all, a)
	}
	revoked, err := ca.readRevoked()
	if err != nil {
		return 0, err
	}
	ca.all, ca.revoked, ca.seen, ca.server = all, revoked, now, nil
	ca.reads++
	return 0, nil
}

// same says whether a file is the one that was read: every change makes a new one and renames it.
func same(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// trusted are the authorities that count now, the issuing one first.
func (ca *CA) trusted() []*authority {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	return trusted(ca.all)
}

func (ca *CA) issuing() *authority { return ca.trusted()[0] }

// Fingerprint is the SHA-256 of the issuing authority's certificate.
func (ca *CA) Fingerprint() [32]byte { return ca.issuing().fingerprint() }

// Digest is what a box should have by now, as Welcome tells it.
func (ca *CA) Digest() []byte {
	d := digest(ca.trusted())
	return d[:]
}

// Bundle is what a box shall trust.
func (ca *CA) Bundle() [][]byte { return rawOf(ca.trusted()) }

// Server returns the SOC's own certificate with the authorities behind it, and makes a new one in good time before it
// ends, so that a SOC which is never restarted keeps being reachable.
func (ca *CA) Server() (*tls.Certificate, error) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ts := trusted(ca.all)
	now := ca.clock.Now().Wall
	fresh := func(c *x509.Certificate) bool {
		return now.Add(serverLeft).Before(c.NotAfter) || c.NotAfter.Equal(ts[0].cert.NotAfter)
	}
	if ca.server != nil && fresh(ca.server.Leaf) {
		return ca.server, nil
	}
	leaf, key, err := loadPair(ca.path("server.pem"), ca.path("server-key.pem"))
	if err != nil || !fresh(leaf) || leaf.CheckSignatureFrom(ts[0].cert) != nil {
		if leaf, key, err = ca.newServer(ts[0], now); err != nil {
			return nil, fmt.Errorf("make the server's certificate: %w", err)
		}
	}
	ca.server = &tls.Certificate{Certificate: chain(leaf, ts), PrivateKey: key, Leaf: leaf}
	return ca.server, nil
}

// chain is what the SOC presents: a box finds in it a way to whichever authority it knows, and the one that its token names.
func chain(leaf *x509.Certificate, ts []*authority) [][]byte {
	out := [][]byte{leaf.Raw, ts[0].cert.Raw}
	if ts[0].cross != nil {
		out = append(out, ts[0].cross.Raw)
	}
	for _, a := range ts[1:] {
		if a.state == AuthorityAccepted {
			out = append(out, a.cert.Raw)
		}
	}
	return out
}

func (ca *CA) newServer(by *authority, now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: wire.ServerName},
		DNSNames:     []string{wire.ServerName},
		// Valid since its authority is: a box whose clock was never set checks with a time that has surely passed instead.
		NotBefore:   by.cert.NotBefore,
		NotAfter:    earlier(now.Add(serverLife), by.cert.NotAfter),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, by.cert, &key.PublicKey, by.key)
	if err != nil {
		return nil, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	return leaf, key, savePair(ca.path("server.pem"), ca.path("server-key.pem"), der, key)
}

// Issue makes the certificate of a site's box. have is the one by which the box asks, nil for a token. ErrRevoked when that has
// been revoked since its owner was let in: what is made here counts as later than every revocation so far.
func (ca *CA) Issue(site edge.SiteID, pub *ecdsa.PublicKey, have *x509.Certificate) (*x509.Certificate, error) {
	if _, err := ca.refresh(); err != nil {
		return nil, err
	}
	ca.mu.Lock()
	by, mark, revoked := trusted(ca.all)[0], ca.revoked.Sites[site].Until, ca.isRevoked(site)
	ca.mu.Unlock()
	if revoked && have != nil && !have.NotBefore.After(mark) {
		return nil, ErrRevoked
	}
	now := ca.clock.Now().Wall
	from := now.Add(-backdate).Truncate(time.Second)
	if revoked && !from.After(mark) {
		from = mark.Add(time.Second) // made in the second of the revocation, or our clock has gone back: it must count as later
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: string(site)},
		URIs:         []*url.URL{edge.SiteURI(site)},
		NotBefore:    from,
		NotAfter:     earlier(now.Add(boxLife), by.cert.NotAfter),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, by.cert, pub, by.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
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
