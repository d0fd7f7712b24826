package edge

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"net/url"
	"testing"
	"time"
)

// authority makes certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func makeCert(t testing.TB, by *authority, change func(*x509.Certificate)) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1e9, 0), BasicConstraintsValid: true}
	if by == nil {
		by = &authority{c, key}
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
	}
	if change != nil {
		change(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by.cert, &key.PublicKey, by.key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &authority{c, key}
}

func boxCert(c *x509.Certificate) {
	c.URIs = []*url.URL{SiteURI("0417")}
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
}

func TestSignedIsChecked(t *testing.T) {
	ca, other := makeCert(t, nil, nil), makeCert(t, nil, nil)
	next := makeCert(t, ca, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign })
	sign := func(by *authority, change func(*x509.Certificate)) Signed {
		box := makeCert(t, by, change)
		s, err := Signer{box.key, box.cert.Raw}.Sign(Checkpoint{Type: CheckpointType, Site: "0417", Journal: "j", Seq: 7, Hash: make([]byte, 32)})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	roots := Trust{Roots: []*x509.Certificate{other.cert, ca.cert}}
	vouched := Trust{Roots: roots.Roots, Between: []*x509.Certificate{next.cert}}
	good := sign(ca, boxCert)
	for _, tt := range []struct {
		name   string
		signed Signed
		trust  Trust
		want   error
	}{
		{"good, and long expired", good, roots, nil},
		{"one byte of the body", Signed{append([]byte(" "), good.Body...), good.Signature, good.Certificate}, roots, ErrBadSignature},
		{"no signature", Signed{good.Body, nil, good.Certificate}, roots, ErrBadSignature},
		{"another's certificate", Signed{good.Body, good.Signature, sign(ca, boxCert).Certificate}, roots, ErrBadSignature},
		{"no certificate", Signed{good.Body, good.Signature, nil}, roots, ErrBadCertificate},
		{"a huge one", Signed{make([]byte, MaxSignedBytes+1), good.Signature, good.Certificate}, roots, ErrBadSignature},
		{"another authority", good, Trust{Roots: []*x509.Certificate{other.cert}}, ErrUntrusted},
		{"nobody is trusted", good, Trust{}, ErrUntrusted},
		{"an authority that one vouches for", sign(next, boxCert), vouched, nil},
		{"an authority that nobody vouches for", sign(next, boxCert), Trust{Roots: []*x509.Certificate{other.cert}, Between: vouched.Between}, ErrUntrusted},
		{"a certificate of no box", sign(ca, nil), roots, ErrBadCertificate},
		{"of two sites", sign(ca, func(c *x509.Certificate) { boxCert(c); c.URIs = append(c.URIs, SiteURI("2")) }), roots, ErrBadCertificate},
		{"of the SOC itself", sign(ca, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), roots, ErrBadCertificate},
		{"of an authority", sign(ca, func(c *x509.Certificate) { boxCert(c); c.IsCA = true }), roots, ErrBadCertificate},
	} {
		site, err := tt.signed.Check(tt.trust)
		if !errors.Is(err, tt.want) || tt.want == nil && (err != nil || site != "0417") {
			t.Errorf("%s: got %q, %v, want %v", tt.name, site, err, tt.want)
		}
	}
	if _, err := DecodeManifest(good.Body); err == nil {
		t.Error("a checkpoint is taken for a manifest")
	}
	if c, err := DecodeCheckpoint(good.Body); err != nil || c.Seq != 7 {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestSiteURI(t *testing.T) {
	if u := SiteURI("0417").String(); u != "sitewatch://site/0417" {
		t.Errorf("got %s", u)
	}
	for in, want := range map[string]SiteID{
		"sitewatch://site/0417": "0417", "sitewatch://site/": "", "sitewatch://site/a/b": "", "sitewatch://site/..": "",
		"https://site/0417": "", "sitewatch://other/0417": "", "sitewatch://site/0417?x=1": "", "sitewatch:0417": "",
	} {
		u, err := url.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := SiteOfURI(u); ok != (want != "") || ok && got != want {
			t.Errorf("%s: got %q, %v, want %q", in, got, ok, want)
		}
	}
}

func FuzzDecodeManifest(f *testing.F) {
	f.Add([]byte(`{"type":"sitewatch manifest 1","site":"0417","journal":"j","seq":1,"kind":"fire","clip":"c","camera":"a","bytes":1,"sha256":"` +
		`0000000000000000000000000000000000000000000000000000000000000000"}`))
	f.Add([]byte(`{"type":"sitewatch checkpoint 1","site":"0417","journal":"j","seq":1,"hash":"` + `0000000000000000000000000000000000000000000000000000000000000000"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := DecodeManifest(b); err == nil && (len(m.SHA256) != 32 || m.SizeBytes <= 0 || !ValidID(string(m.Site))) {
			t.Errorf("taken: %+v", m)
		}
		if c, err := DecodeCheckpoint(b); err == nil && (len(c.Hash) != 32 || c.Seq == 0) {
			t.Errorf("taken: %+v", c)
		}
	})
}
