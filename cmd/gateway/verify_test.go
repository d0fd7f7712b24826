package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sitewatch/edge"
	"sitewatch/edge/evidence"
	"sitewatch/edge/journal"
	"sitewatch/uplink/wire"
)

// keys are an authority's file, and a box's key and the SOC's by it.
func keys(t *testing.T, dir, name string) (ca string, box, soc edge.Signer) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	boxKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &caKey.PublicKey, caKey)
	check(err)
	ca = filepath.Join(dir, name)
	check(os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	c, err = x509.ParseCertificate(der)
	check(err)
	der, err = x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(2), URIs: []*url.URL{edge.SiteURI("0417")},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, c, &boxKey.PublicKey, caKey)
	check(err)
	own, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(3), DNSNames: []string{wire.ServerName},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, c, &caKey.PublicKey, caKey)
	check(err)
	return ca, edge.Signer{Key: boxKey, Certificate: der}, edge.Signer{Key: caKey, Certificate: own}
}

func TestVerifyTakesAJournalAFolderOrAZip(t *testing.T) {
	dir := t.TempDir()
	ca, signer, seal := keys(t, dir, "ca.pem")
	other, _, _ := keys(t, dir, "other.pem")
	log := slog.New(slog.DiscardHandler)
	j, err := journal.Open(t.Context(), journal.Options{Dir: filepath.Join(dir, "data"), Site: "0417", Clock: edge.NewSystemClock(), Log: log,
		Signer: func() (edge.Signer, bool) { return signer, true }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { j.Run(ctx) })
	if _, err := j.Append(t.Context(), edge.Event{Kind: edge.KindFire}, edge.Event{Kind: edge.KindSet}); err != nil {
		t.Fatal(err)
	}
	records, err := j.Read(t.Context(), edge.Urgent, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	wg.Wait()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	hash := edge.ChainHash(records[0].Prev, records[0].Body)
	point, err := signer.Sign(edge.Checkpoint{Type: edge.CheckpointType, Site: "0417", Journal: j.ID(), Seq: 1, Hash: hash[:], Clock: edge.ClockSynced, Certificate: signer.Fingerprint()})
	if err != nil {
		t.Fatal(err)
	}
	// A journal like it that nobody has signed, as one would be that was invented whole.
	forged, err := journal.Open(t.Context(), journal.Options{Dir: filepath.Join(dir, "forged"), Site: "0417", Clock: edge.NewSystemClock(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	wg.Go(func() { forged.Run(ctx) })
	_, err = forged.Append(t.Context(), edge.Event{Kind: edge.KindFire}, edge.Event{Kind: edge.KindSet})
	cancel()
	wg.Wait()
	if err := errors.Join(err, forged.Close()); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{"case", "case.zip"} {
		w, err := evidence.Create(filepath.Join(dir, out))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Journal(j.ID(), func(line func(evidence.Line) error) error { return line(evidence.Line{N: 1, Body: records[0].Body}) }); err != nil {
			t.Fatal(err)
		}
		if err := w.Checkpoint(j.ID(), 1, point); err != nil {
			t.Fatal(err)
		}
		if err := w.Custody(func(line func(evidence.Line) error) error { return line(evidence.Line{N: 1, Body: []byte("{}")}) }); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Close(evidence.Header{Site: "0417"}, nil, nil, seal); err != nil {
			t.Fatal(err)
		}
	}
	both := filepath.Join(dir, "both.pem")
	for _, name := range []string{other, ca} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(both, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(b); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	cut := filepath.Join(dir, "cut.zip")
	if b, err := os.ReadFile(filepath.Join(dir, "case.zip")); err != nil || os.WriteFile(cut, b[50:], 0o600) != nil {
		t.Fatal(err)
	}
	none := filepath.Join(dir, "none.db")
	if err := os.WriteFile(none, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"a journal", []string{j.Path()}, 0, "signed up to event 2, the last one"},
		{"a journal, by its authority", []string{j.Path(), "--ca", ca}, 0, "by the box of site 0417"},
		{"a journal, by another authority", []string{j.Path(), "--ca", other}, 1, "give the certificates of both in one file"},
		{"a journal, by one of two authorities", []string{j.Path(), "--ca", both}, 0, "by the box of site 0417"},
		{"a journal that nobody signed", []string{forged.Path()}, 0, "not proved: all events up to 2"},
		{"a journal that nobody signed, by its authority", []string{forged.Path(), "--ca", ca}, 1, "signed none of it"},
		{"a copy without what is still in the log beside it", []string{none}, 1, "copy journal.db-wal, too"},
		{"a folder", []string{filepath.Join(dir, "case"), "--ca", ca}, 0, "PROVED"},
		{"a zip", []string{filepath.Join(dir, "case.zip"), "--ca", ca}, 0, "PROVED"},
		{"a zip that is cut off at its beginning", []string{cut, "--ca", ca}, 1, "the zip is not one that can be looked at"},
		{"a folder, by another authority", []string{filepath.Join(dir, "case"), "--ca", other}, 1, "BROKEN: certificates/"},
		{"a folder without an authority", []string{filepath.Join(dir, "case")}, 2, "--ca"},
		{"a folder that is none", []string{filepath.Join(dir, "data"), "--ca", ca}, 1, "evidence.json"},
	} {
		status, out, errs := gateway(t, append([]string{"verify"}, tt.args...)...)
		if status != tt.status || !strings.Contains(out+errs, tt.says) {
			t.Errorf("%s: %d %q %q, want %d with %q", tt.name, status, out, errs, tt.status, tt.says)
		}
	}
}
