package soc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sitewatch/edge"
)

// clock is set by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() edge.Stamp {
	c.mu.Lock()
	defer c.mu.Unlock()
	return edge.Stamp{Wall: c.now, Synced: true}
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)} }

func request(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func newClaims(t *testing.T, clk edge.Clock) (*Claims, string) {
	t.Helper()
	data := t.TempDir()
	ca, err := OpenCA(filepath.Join(data, "ca"), clk)
	if err != nil {
		t.Fatal(err)
	}
	c, err := OpenClaims(filepath.Join(data, "claims"), ca, clk)
	if err != nil {
		t.Fatal(err)
	}
	return c, data
}

func TestTokenIsGoodForOneKey(t *testing.T) {
	clk := newClock()
	c, data := newClaims(t, clk)
	tok, err := Claim(data, "0417", clk)
	if err != nil {
		t.Fatal(err)
	}
	if tok.CA != c.ca.Fingerprint() || tok.Site != "0417" {
		t.Errorf("token is %+v", tok)
	}
	csr := request(t)
	if _, err := c.Redeem(t.Context(), "0418", tok.Secret[:], csr); !errors.Is(err, ErrTokenSite) {
		t.Errorf("another site gives %v", err)
	}
	first, err := c.Redeem(t.Context(), "0417", tok.Secret[:], csr)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(first)
	if err != nil || cert.Subject.CommonName != "0417" || len(cert.URIs) != 1 || cert.URIs[0].String() != "sitewatch://site/0417" {
		t.Errorf("certificate is for %v, %v, %v", cert.Subject, cert.URIs, err)
	}
	clk.add(25 * time.Hour) // the first reply was lost, and the box was off for a day
	again, err := c.Redeem(t.Context(), "0417", tok.Secret[:], csr)
	if err != nil || string(again) != string(first) {
		t.Errorf("the same key gets another certificate (%v)", err)
	}
	if _, err := c.Redeem(t.Context(), "0417", tok.Secret[:], request(t)); !errors.Is(err, ErrTokenUsed) {
		t.Errorf("another key gives %v", err)
	}
	if _, err := c.Redeem(t.Context(), "0417", []byte("guess"), csr); !errors.Is(err, ErrTokenUnknown) {
		t.Errorf("a guessed secret gives %v", err)
	}
}

func TestTokenExpires(t *testing.T) {
	clk := newClock()
	c, _ := newClaims(t, clk)
	tok, err := c.New("0417")
	if err != nil {
		t.Fatal(err)
	}
	clk.add(claimLife)
	if _, err := c.Redeem(t.Context(), "0417", tok.Secret[:], request(t)); !errors.Is(err, ErrTokenExpired) {
		t.Errorf("got %v", err)
	}
	clk.add(claimKeep + time.Second)
	if _, err := c.New("0417"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Redeem(t.Context(), "0417", tok.Secret[:], request(t)); !errors.Is(err, ErrTokenUnknown) {
		t.Errorf("an old claim is still there: %v", err)
	}
}

func TestSecretIsNotKept(t *testing.T) {
	c, data := newClaims(t, newClock())
	tok, err := c.New("0417")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(data, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files, filepath.Join(data, "ca", "ca-key.pem")) {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), string(tok.Secret[:])) || strings.Contains(string(b)+f, edge.HexBytes(tok.Secret[:]).String()) {
			t.Errorf("%s has the secret", f)
		}
		if st, err := os.Stat(f); err != nil || st.Mode().Perm()&0o077 != 0 && strings.Contains(f, "key") {
			t.Errorf("%s may be read by others: %v", f, st.Mode())
		}
	}
}

func TestRequestsAreChecked(t *testing.T) {
	c, _ := newClaims(t, newClock())
	tok, err := c.New("0417")
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaCSR, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	forged := request(t)
	forged[len(forged)-1] ^= 1
	for name, csr := range map[string][]byte{"empty": nil, "rubbish": []byte("x"), "rsa": rsaCSR, "not signed by its key": forged, "huge": make([]byte, 9<<10)} {
		if _, err := c.Redeem(t.Context(), "0417", tok.Secret[:], csr); !errors.Is(err, ErrRequest) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := c.Redeem(t.Context(), "0417", tok.Secret[:], request(t)); err != nil {
		t.Errorf("bad requests have used the token up: %v", err)
	}
}

func TestManyProcessesMakeOneCA(t *testing.T) {
	data := t.TempDir()
	var wg sync.WaitGroup
	var mu sync.Mutex
	cas := map[[32]byte]bool{}
	for range 8 {
		wg.Go(func() {
			tok, err := Claim(data, "0417", newClock())
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			cas[tok.CA] = true
		})
	}
	wg.Wait()
	if len(cas) != 1 {
		t.Errorf("%d CAs were made", len(cas))
	}
	if files, _ := filepath.Glob(filepath.Join(data, "claims", "*.json")); len(files) != 8 {
		t.Errorf("%d claims", len(files))
	}
}

func TestServerCertificateIsRenewed(t *testing.T) {
	clk := newClock()
	ca, err := OpenCA(t.TempDir(), clk)
	if err != nil {
		t.Fatal(err)
	}
	first, err := ca.Server()
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenCA(ca.dir, clk)
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := again.Server(); err != nil || !kept.Leaf.Equal(first.Leaf) {
		t.Errorf("a restart makes a new certificate (%v)", err)
	}
	clk.add(serverLife - serverLeft)
	second, err := ca.Server()
	if err != nil || second.Leaf.Equal(first.Leaf) {
		t.Fatalf("not renewed (%v)", err)
	}
	if err := second.Leaf.CheckSignatureFrom(ca.issuing().cert); err != nil || !second.Leaf.NotBefore.Equal(ca.issuing().cert.NotBefore) {
		t.Errorf("got %v, from %v", err, second.Leaf.NotBefore)
	}
}

func TestLostCAKeyIsNoNewCA(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenCA(dir, newClock()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "ca-key.pem")); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCA(dir, newClock()); err == nil {
		t.Error("a SOC without its key made itself a new CA: every box would be locked out in silence")
	}
}
