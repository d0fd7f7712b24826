package journal

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sitewatch/edge"
)

// testSigner is a box's key with a certificate, and the authority that made it.
func testSigner(t *testing.T, site edge.SiteID) (edge.Signer, edge.Trust) {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
		return k
	}
	caKey, boxKey := key(), key()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	must(t, err)
	ca, err = x509.ParseCertificate(der)
	must(t, err)
	der, err = x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(2), URIs: []*url.URL{edge.SiteURI(site)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, ca, &boxKey.PublicKey, caKey)
	must(t, err)
	return edge.Signer{Key: boxKey, Certificate: der}, edge.Trust{Roots: []*x509.Certificate{ca}}
}

func signingOptions(t *testing.T) (Options, edge.Trust) {
	s, trust := testSigner(t, "0417")
	opt := testOptions(t.TempDir())
	opt.Signer, opt.Version = func() (edge.Signer, bool) { return s, true }, "v1"
	return opt, trust
}

func (b *box) signedThrough() (seq edge.Seq) {
	b.t.Helper()
	must(b.t, b.readRow(b.t.Context(), `select coalesce(max(seq), 0) from checkpoints`, nil, &seq))
	return seq
}

func TestCheckpointsComeInTime(t *testing.T) {
	opt, trust := signingOptions(t)
	synctest.Test(t, func(t *testing.T) {
		b := open(t, opt)
		synctest.Wait() // until all its tasks have looked at the clock
		step := func(d time.Duration) {
			b.clock.Advance(d)
			time.Sleep(2 * tickTime)
			synctest.Wait()
		}
		routine := b.append(edge.Event{Kind: edge.KindSet})
		step(3 * time.Second) // the first one comes soon: a kill may have come before it
		if got := b.signedThrough(); got != routine {
			t.Fatalf("signed through %d, want %d", got, routine)
		}
		b.append(edge.Event{Kind: edge.KindSet})
		step(3 * time.Second)
		if got := b.signedThrough(); got != routine {
			t.Errorf("signed through %d although more routine events may come", got)
		}
		fire := b.append(edge.Event{Kind: edge.KindFire})
		step(3 * time.Second)
		if got := b.signedThrough(); got != fire {
			t.Errorf("signed through %d, want the fire, %d", got, fire)
		}
		later := b.append(edge.Event{Kind: edge.KindSet})
		step(checkpointQuiet) // it is seen
		step(checkpointQuiet)
		if got := b.signedThrough(); got != later {
			t.Errorf("signed through %d when nothing more came, want %d", got, later)
		}
		busy := 0 // events, 2 s apart, so that it is never quiet
		for ; busy < 40 && b.signedThrough() == later; busy++ {
			b.append(edge.Event{Kind: edge.KindSet})
			step(2 * time.Second)
		}
		if busy < 25 || busy > 31 {
			t.Errorf("signed after %d events, 2 s apart, want a minute of them", busy)
		}
		last := b.append(edge.Event{Kind: edge.KindStopped})
		b.stop()
		p, err := Prove(t.Context(), b.Path(), &trust)
		must(t, err)
		if p.Signed != last || p.Last != last || p.Site != "0417" {
			t.Errorf("after an orderly stop %+v, want all of %d signed", p, last)
		}
	})
}

func TestNextCheckpointLeavesOutWhatALaterOneCovers(t *testing.T) {
	opt, _ := signingOptions(t)
	b := open(t, opt)
	s, _ := opt.Signer()
	sign := func() edge.Seq {
		seq := b.append(edge.Event{Kind: edge.KindSet})
		must(t, b.Journal.checkpoint(t.Context(), s, b.do))
		return seq
	}
	next := func() edge.Seq {
		seq, signed, ok, err := b.NextCheckpoint(t.Context())
		must(t, err)
		if ok && signed.Fits() != nil {
			t.Errorf("checkpoint %d is not signed by its certificate", seq)
		}
		return seq
	}
	before := sign()
	sign()
	must(t, b.do(t.Context(), func(ctx context.Context, x *tx) error {
		_, err := x.exec(ctx, `insert into gaps (from_seq, to_seq, events, lost, reason) values (2, 2, 1, 0, 'test')`)
		return err
	}))
	sign()
	last := sign()
	for _, want := range []edge.Seq{last, 2, 0} {
		got := next()
		if got != want {
			t.Fatalf("next is %d, want %d", got, want)
		}
		if got == 0 {
			break
		}
		must(t, b.CheckpointDone(t.Context(), got))
		if got == 2 && before != 1 {
			t.Fatal("the gap is not where this test wants it")
		}
	}
	// A SOC that knows less than it had acked gets them again.
	must(t, b.Acked(t.Context(), edge.Routine, last))
	must(t, b.Rewind(t.Context(), edge.Routine, last-1))
	if got := next(); got != last {
		t.Errorf("next is %d after a rewind, want %d", got, last)
	}
}

func TestProveNamesABadCheckpoint(t *testing.T) {
	opt, trust := signingOptions(t)
	b := open(t, opt)
	seq := b.append(edge.Event{Kind: edge.KindFire})
	b.stop()
	for _, tt := range []struct{ name, change, want string }{
		{"nothing", ``, ""},
		{"its signature", `update checkpoints set signature = x'00'`, "signature does not fit"},
		{"its body", `update checkpoints set body = cast(replace(body, '"synced"', '"unset"') as blob)`, "signature does not fit"},
		{"its certificate", `update certificates set der = x'00'`, "not one of a box"},
	} {
		path := filepath.Join(t.TempDir(), "journal.db")
		b.copyTo(path)
		db, err := openWriter(path)
		must(t, err)
		_, err = db.Exec(tt.change)
		must(t, err)
		must(t, db.Close())
		_, err = Prove(t.Context(), path, &trust)
		var broken *ChainError
		if (tt.want == "") != (err == nil) || err != nil && (!errors.As(err, &broken) || broken.Seq != seq || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s was changed: got %v, want event %d: %q", tt.name, err, seq, tt.want)
		}
	}
	_, other := testSigner(t, "0417")
	if _, err := Prove(t.Context(), b.Path(), &other); err == nil || !strings.Contains(err.Error(), "trusted") {
		t.Errorf("another authority: %v", err)
	}
}

func (b *box) copyTo(path string) {
	data, err := os.ReadFile(b.Path())
	must(b.t, err)
	must(b.t, os.WriteFile(path, data, 0o600))
}

func TestManifestIsSignedWithItsClip(t *testing.T) {
	opt, trust := signingOptions(t)
	var enrolled bool
	signer := opt.Signer
	opt.Signer = func() (edge.Signer, bool) {
		s, _ := signer()
		return s, enrolled
	}
	b := open(t, opt)
	ctx := t.Context()
	id := edge.ClipID(edge.NewID())
	from := b.clock.Now().Wall
	asked := b.append(edge.Event{Kind: edge.KindFire, Clips: []edge.ClipRef{{ID: id, Camera: "door", From: from, To: from.Add(time.Minute)}}})
	f := edge.ClipFile{ID: id, Path: filepath.Join(b.ClipDir(), string(id)+".mp4"), SizeBytes: 3, SHA256: [32]byte{1}}
	must(t, os.WriteFile(f.Path, []byte("abc"), 0o600))
	ahead := edge.Millis(-1500)
	must(t, b.ClipReady(ctx, edge.ClipFact{ID: id, From: from, To: from.Add(30 * time.Second), Codec: "h264", Lost: 7, CameraOffset: &ahead,
		Holes: make([]edge.Span, edge.MaxHoles+5), Reason: "the camera was lost"}, f))
	if _, ok, err := b.Manifest(ctx, id); ok || err != nil {
		t.Fatalf("signed without a key: %v, %v", ok, err)
	}
	enrolled = true
	s, ok, err := b.Manifest(ctx, id)
	if !ok || err != nil {
		t.Fatalf("not signed: %v, %v", ok, err)
	}
	if site, err := s.Check(trust); site != "0417" || err != nil {
		t.Errorf("got %q, %v", site, err)
	}
	m, err := edge.DecodeManifest(s.Body)
	must(t, err)
	if m.Seq != asked || m.Clip != id || m.Camera != "door" || m.SizeBytes != 3 || m.SHA256[0] != 1 || m.Lost != 7 || len(m.Holes) != edge.MaxHoles ||
		m.CameraClock == nil || *m.CameraClock != ahead || m.Version != "v1" || m.Kind != edge.KindFire || m.Asked.To != from.Add(time.Minute).UTC() {
		t.Errorf("got %+v", m)
	}
	again, _, err := b.Manifest(ctx, id)
	must(t, err)
	if string(again.Body) != string(s.Body) || string(again.Signature) != string(s.Signature) {
		t.Error("it was signed a second time")
	}
	if _, ok, err := b.Manifest(ctx, edge.ClipID(edge.NewID())); ok || err != nil {
		t.Errorf("a clip that is not there: %v, %v", ok, err)
	}
}
