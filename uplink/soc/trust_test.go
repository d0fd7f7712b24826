package soc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

func csrBy(t *testing.T, key any, change func(*x509.CertificateRequest)) []byte {
	t.Helper()
	r := &x509.CertificateRequest{}
	if change != nil {
		change(r)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, r, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func uri(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestRenewalsAreChecked(t *testing.T) {
	c := newCentre(t)
	cert := c.enrol("1")
	up := wire.NewUplinkClient(c.dial(cert))
	own := cert.PrivateKey
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	forged := csrBy(t, own, nil)
	forged[len(forged)-1] ^= 1
	for name, tt := range map[string]struct {
		csr  []byte
		want codes.Code
	}{
		"another key":           {csrBy(t, other, nil), codes.PermissionDenied},
		"RSA":                   {csrBy(t, rsaKey, nil), codes.InvalidArgument},
		"another site by name":  {csrBy(t, own, func(r *x509.CertificateRequest) { r.Subject = pkix.Name{CommonName: "2"} }), codes.PermissionDenied},
		"another site by URI":   {csrBy(t, own, func(r *x509.CertificateRequest) { r.URIs = []*url.URL{edge.SiteURI("2")} }), codes.PermissionDenied},
		"a URI that is no site": {csrBy(t, own, func(r *x509.CertificateRequest) { r.URIs = []*url.URL{uri(t, "https://x/")} }), codes.PermissionDenied},
		"empty":                 {nil, codes.InvalidArgument},
		"rubbish":               {[]byte("rubbish"), codes.InvalidArgument},
		"huge":                  {make([]byte, 100<<10), codes.InvalidArgument},
		"not signed by its key": {forged, codes.InvalidArgument},
	} {
		if _, err := up.Renew(t.Context(), &wire.RenewRequest{Csr: tt.csr}); status.Code(err) != tt.want {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
	if _, err := wire.NewUplinkClient(c.dial()).Renew(t.Context(), &wire.RenewRequest{Csr: csrBy(t, own, nil)}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without a certificate: %v", err)
	}
	first, err := up.Renew(t.Context(), &wire.RenewRequest{Csr: csrBy(t, own, nil)})
	if err != nil {
		t.Fatal(err)
	}
	again, err := up.Renew(t.Context(), &wire.RenewRequest{Csr: csrBy(t, own, nil)})
	if err != nil || string(again.GetCertificate()) != string(first.GetCertificate()) {
		t.Errorf("a box that asks all the time gets certificates all the time (%v)", err)
	}
}

// signed makes a certificate by the SOC's authority that the SOC itself would not make.
func (c *centre) signed(key *ecdsa.PrivateKey, change func(*x509.Certificate)) tls.Certificate {
	c.t.Helper()
	by := c.s.ca.issuing()
	now := time.Now()
	tmpl := &x509.Certificate{SerialNumber: serial(), URIs: []*url.URL{edge.SiteURI("1")}, NotBefore: now.Add(-time.Hour),
		NotAfter: now.Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	change(tmpl)
	der, err := x509.CreateCertificate(rand.Reader, tmpl, by.cert, &key.PublicKey, by.key)
	if err != nil {
		c.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestCertificatesThatAreNoBoxs(t *testing.T) {
	c := newCentre(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change func(*x509.Certificate)
		says   string // "": it is let in
	}{
		"a box's":           {func(*x509.Certificate) {}, ""},
		"expired":           {func(x *x509.Certificate) { x.NotAfter = time.Now().Add(-time.Minute) }, ""},
		"of the future":     {func(x *x509.Certificate) { x.NotBefore = time.Now().Add(30 * time.Minute) }, ""},
		"two sites":         {func(x *x509.Certificate) { x.URIs = append(x.URIs, edge.SiteURI("2")) }, "names 2 sites"},
		"no site":           {func(x *x509.Certificate) { x.URIs = nil }, "names 0 sites"},
		"another URI":       {func(x *x509.Certificate) { x.URIs = []*url.URL{uri(t, "https://site/1")} }, "names no site"},
		"a site that is ..": {func(x *x509.Certificate) { x.URIs = []*url.URL{uri(t, "sitewatch://site/..")} }, "names no site"},
		"for servers":       {func(x *x509.Certificate) { x.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, "not for clients"},
		"an authority":      {func(x *x509.Certificate) { x.IsCA, x.BasicConstraintsValid = true, true }, "not one of a box"},
	} {
		_, err := wire.NewUplinkClient(c.dial(c.signed(key, tt.change))).Renew(t.Context(), &wire.RenewRequest{Csr: csrBy(t, key, nil)})
		if tt.says == "" && err != nil || tt.says != "" && (status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%s: got %v, want %q", name, err, tt.says)
		}
	}
}

// A SOC whose clock has gone back must be able to revoke what it made before, and to bring the site back.
func TestRevocationOverAClockThatSteps(t *testing.T) {
	clk := newClock()
	data := t.TempDir()
	ca, err := OpenCA(filepath.Join(data, "ca"), clk)
	if err != nil {
		t.Fatal(err)
	}
	known, err := openBoxes(ca)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	old, err := known.issue("1", &key.PublicKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	clk.add(-48 * time.Hour)
	if err := Revoke(data, "1", "stolen", clk); err != nil {
		t.Fatal(err)
	}
	if _, err := ca.refresh(); err != nil {
		t.Fatal(err)
	}
	if _, err := ca.admit([]*x509.Certificate{old}); err == nil {
		t.Error("the certificate outlives its revocation")
	}
	if _, err := known.issue("1", &key.PublicKey, old); !errors.Is(err, ErrRevoked) {
		t.Errorf("what has been revoked gets a new one: %v", err)
	}
	next, err := known.issue("1", &key.PublicKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ca.admit([]*x509.Certificate{next}); err != nil {
		t.Errorf("a new certificate: %v", err)
	}
}

// The box has been let in, and is revoked while its renewal waits for its turn.
func TestARevocationOvertakesARenewal(t *testing.T) {
	c := newCentre(t)
	cert := c.enrol("1")
	st, err := c.s.admit([]*x509.Certificate{cert.Leaf})
	if err != nil {
		t.Fatal(err)
	}
	if err := Revoke(c.data, "1", "stolen", edge.NewSystemClock()); err != nil {
		t.Fatal(err)
	}
	r, err := c.s.Renew(context.WithValue(t.Context(), standingKey{}, st), &wire.RenewRequest{Csr: csrBy(t, cert.PrivateKey, nil)})
	if status.Code(err) != codes.PermissionDenied {
		t.Errorf("got %v, %v", r, err)
	}
}

func TestABoxIsRevokedWhateverIsWrongWithTheTokens(t *testing.T) {
	c := newCentre(t)
	cert := c.enrol("1")
	if err := os.RemoveAll(filepath.Join(c.data, "claims")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.data, "claims"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Revoke(c.data, "1", "stolen", edge.NewSystemClock()); err == nil {
		t.Error("that tokens may be left is not reported")
	}
	if _, err := c.s.admit([]*x509.Certificate{cert.Leaf}); !errors.Is(err, ErrRevoked) {
		t.Errorf("got %v", err)
	}
}

// A certificate that was made while the SOC's clock was ahead, and replaced since, ends with its site.
func TestRevocationEndsWhatAnEarlierClockMade(t *testing.T) {
	clk := newClock()
	data := t.TempDir()
	ca, err := OpenCA(filepath.Join(data, "ca"), clk)
	if err != nil {
		t.Fatal(err)
	}
	known, err := openBoxes(ca)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	clk.add(365 * 24 * time.Hour)
	ahead, err := known.issue("1", &key.PublicKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	clk.add(-365 * 24 * time.Hour)
	for range 3 {
		if _, err := known.issue("1", &key.PublicKey, ahead); err != nil {
			t.Fatal(err)
		}
		clk.add(48 * time.Hour)
	}
	if err := Revoke(data, "1", "stolen", clk); err != nil {
		t.Fatal(err)
	}
	if _, err := ca.refresh(); err != nil {
		t.Fatal(err)
	}
	if _, err := ca.admit([]*x509.Certificate{ahead}); !errors.Is(err, ErrRevoked) {
		t.Errorf("got %v", err)
	}
}

func TestRecordsAreWrittenAFewAtATime(t *testing.T) {
	ca, err := OpenCA(t.TempDir(), newClock())
	if err != nil {
		t.Fatal(err)
	}
	known, err := openBoxes(ca)
	if err != nil {
		t.Fatal(err)
	}
	for _, site := range []edge.SiteID{"1", "2", "3"} {
		known.presented(standing{site: site, cert: ca.issuing().cert}, newClock().Now().Wall)
	}
	for _, want := range []int{2, 3, 3} {
		if err := known.flush(2); err != nil {
			t.Fatal(err)
		}
		if all, err := ca.readBoxes(); err != nil || len(all) != want {
			t.Errorf("%d records are written, want %d (%v)", len(all), want, err)
		}
	}
}

func TestFilesOfTrustAreChecked(t *testing.T) {
	for name, tt := range map[string]struct{ file, text, says string }{
		"revoked.json cut":            {"revoked.json", `{"sites":{"1":{"until":"2026`, "revoked.json"},
		"revoked.json of something":   {"revoked.json", `{"site":{}}`, "unknown field"},
		"revoked.json, no site":       {"revoked.json", `{"sites":{"../x":{"until":"2026-01-01T00:00:00Z","at":"2026-01-01T00:00:00Z","why":""}}}`, "not valid"},
		"authorities.json rubbish":    {"authorities.json", `x`, "authorities.json"},
		"nobody issues":               {"authorities.json", `{"authorities":[{"name":"ca","state":"accepted"}]}`, "0 authorities issue"},
		"a path":                      {"authorities.json", `{"authorities":[{"name":"../ca","state":"issuing"}]}`, "no authority's name"},
		"a state that does not exist": {"authorities.json", `{"authorities":[{"name":"ca","state":"good"}]}`, "no state"},
		"an authority that is gone":   {"authorities.json", `{"authorities":[{"name":"ca","state":"accepted"},{"name":"ca-2","state":"issuing"}]}`, "ca-2.pem"},
		"an authority's file":         {"ca.pem", "rubbish", "ca"},
		"a box's record":              {"boxes/1.json", `{"presented":{"certificate":"00","at":"2026-01-01T00:00:00Z"}}`, "box 1"},
	} {
		data, clk := t.TempDir(), newClock()
		ca, err := OpenCA(filepath.Join(data, "ca"), clk)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(ca.boxDir(), 0o700); err != nil {
			t.Fatal(err)
		}
		if ps, advice := CheckTrust(data, clk); len(ps) != 0 || len(advice) != 0 {
			t.Fatalf("%s: before: %v %v", name, ps, advice)
		}
		if err := os.WriteFile(ca.path(tt.file), []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		ps, _ := CheckTrust(data, clk)
		if len(ps) != 1 || !strings.Contains(ps[0].Error(), tt.says) || edge.HintOf(ps[0]) == "" {
			t.Errorf("%s: got %v, want one with %q", name, ps, tt.says)
		}
		before := ca.Fingerprint()
		if _, err := ca.refresh(); err == nil && tt.file != "boxes/1.json" && tt.file != "ca.pem" {
			t.Errorf("%s: a running SOC takes it", name)
		}
		if ca.Fingerprint() != before {
			t.Errorf("%s: a running SOC has lost its authority", name)
		}
	}
}

func TestRolloverThatWasCutShort(t *testing.T) {
	data, clk := t.TempDir(), newClock()
	r, err := OpenRollover(data, clk)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.ca.makeAuthority("ca-2", r.ca.issuing()); err != nil { // and then the process was killed
		t.Fatal(err)
	}
	if ps, advice := CheckTrust(data, clk); len(ps)+len(advice) != 0 {
		t.Errorf("%v %v", ps, advice)
	}
	a, err := r.New()
	if err != nil || a.Name != "ca-2" || !a.Vouched {
		t.Fatalf("got %+v, %v", a, err)
	}
	if err := r.Switch(false); err != nil {
		t.Fatal(err)
	}
	cert, err := r.ca.Server()
	if err != nil || cert.Leaf.CheckSignatureFrom(r.ca.issuing().cert) != nil || len(cert.Certificate) != 4 {
		t.Errorf("the SOC presents %d certificates (%v)", len(cert.Certificate), err)
	}
	if err := os.Remove(r.ca.path("ca-key.pem")); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCA(r.ca.dir, clk); err != nil {
		t.Errorf("without the old one's key, which nothing needs any more: %v", err)
	}
}

func TestEndOfAnAuthorityIsToldInTime(t *testing.T) {
	data, clk := t.TempDir(), newClock()
	if ps, advice := CheckTrust(data, clk); len(ps)+len(advice) != 0 {
		t.Errorf("before the first run: %v %v", ps, advice)
	}
	ca, err := OpenCA(filepath.Join(data, "ca"), clk)
	if err != nil {
		t.Fatal(err)
	}
	clk.add(caLife - 365*24*time.Hour)
	if ps, advice := CheckTrust(data, clk); len(ps) != 0 || len(advice) != 1 || !strings.Contains(advice[0], "soc ca new") {
		t.Errorf("a year before: %v %v", ps, advice)
	}
	leaf, err := ca.Server()
	if err != nil || leaf.Leaf.NotAfter.After(ca.issuing().cert.NotAfter) {
		t.Errorf("the server's certificate outlives its authority (%v)", err)
	}
	clk.add(366 * 24 * time.Hour)
	if ps, _ := CheckTrust(data, clk); len(ps) != 1 || !strings.Contains(ps[0].Error(), "has ended") {
		t.Errorf("after it: %v", ps)
	}
}
