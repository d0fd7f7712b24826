package soc

import (
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
	"sitewatch/uplink/wire"
)

func signerOf(c tls.Certificate) edge.Signer {
	return edge.Signer{Key: c.PrivateKey.(crypto.Signer), Certificate: c.Certificate[0]}
}

func sign(t testing.TB, by tls.Certificate, v any) edge.Signed {
	t.Helper()
	s, err := signerOf(by).Sign(v)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (l *rawLink) checkpoint(s edge.Signed, seq uint64) {
	l.t.Helper()
	l.s.Send(&wire.BoxMessage{Message: &wire.BoxMessage_Checkpoint{Checkpoint: &wire.Checkpoint{Seq: seq, Body: s.Body, Signature: s.Signature, Certificate: s.Certificate}}})
	m, err := l.next()
	if err != nil || m.GetCheckpointStored().GetSeq() != seq {
		l.t.Fatalf("got %v, %v, want that checkpoint %d is stored", m, err, seq)
	}
}

func TestCheckpointsAreKeptWhateverTheyAreWorth(t *testing.T) {
	c := newCentre(t)
	one, two := c.enrol("1"), c.enrol("2")
	foreign := newCentre(t).enrol("1")
	l := c.link("1", one)
	l.welcome()
	first := l.event(1, edge.KindFire, nil)
	l.send(wire.Lane_LANE_URGENT, first)
	l.ack(1)
	hash := edge.ChainHash([32]byte{}, first.Body)
	point := func(by tls.Certificate, change func(*edge.Checkpoint)) edge.Signed {
		p := edge.Checkpoint{Type: edge.CheckpointType, Site: "1", Journal: l.journal, Seq: 1, Hash: hash[:], At: time.Now().UTC(),
			Clock: edge.ClockSynced, Certificate: signerOf(by).Fingerprint()}
		if change != nil {
			change(&p)
		}
		return sign(t, by, p)
	}
	flipped := point(one, nil)
	flipped.Signature = append([]byte{}, flipped.Signature...)
	flipped.Signature[len(flipped.Signature)-1] ^= 1
	for _, tt := range []struct {
		name        string
		signed      edge.Signed
		seq         uint64
		state, says string
	}{
		{"a signature that does not fit", flipped, 1, ledger.CheckpointBad, "signature"},
		{"another SOC's authority", point(foreign, func(p *edge.Checkpoint) { p.Hash = make([]byte, 32) }), 1, ledger.CheckpointBad, "trusted"},
		{"another site's box", point(two, func(p *edge.Checkpoint) { p.Hash[0] ^= 1 }), 1, ledger.CheckpointBad, "site 2"},
		{"another journal", point(one, func(p *edge.Checkpoint) { p.Journal, p.Seq = "x", 3 }), 3, ledger.CheckpointBad, "journal x"},
		{"no checkpoint", edge.Signed{Body: []byte("{}"), Certificate: one.Certificate[0]}, 4, ledger.CheckpointBad, "does not begin"},
		{"an event that has not come", point(one, func(p *edge.Checkpoint) { p.Seq = 2 }), 2, ledger.CheckpointWaiting, ""},
	} {
		hash = edge.ChainHash([32]byte{}, first.Body)
		l.checkpoint(tt.signed, tt.seq)
		got, err := c.led.Checkpoints(t.Context(), "1", l.journal, edge.Seq(tt.seq), edge.Seq(tt.seq), 10)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, p := range got {
			found = found || p.State == tt.state && strings.Contains(p.Problem, tt.says) && string(p.Signed.Body) == string(tt.signed.Body)
		}
		if !found {
			t.Errorf("%s: got %+v, want %s with %q", tt.name, got, tt.state, tt.says)
		}
	}
	// What contradicts the SOC is kept beside what does not.
	hash = edge.ChainHash([32]byte{}, first.Body)
	l.checkpoint(point(one, nil), 1)
	other := edge.ChainHash([32]byte{9}, first.Body)
	l.checkpoint(point(one, func(p *edge.Checkpoint) { p.Hash = other[:] }), 1)
	states := map[string]int{}
	got, err := c.led.Checkpoints(t.Context(), "1", l.journal, 1, 1, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range got {
		states[p.State]++
		if p.State == ledger.CheckpointGood && (p.Problem != "" || p.Signed.Fits() != nil) {
			t.Errorf("got %+v", p)
		}
	}
	if states[ledger.CheckpointGood] != 1 || states[ledger.CheckpointConflict] != 1 {
		t.Errorf("got %v, want one good and one in conflict", states)
	}
	// The one that waited is looked at again when the journal's next comes.
	second := l.event(2, edge.KindHoldUp, nil)
	second.Prev = hash[:]
	l.send(wire.Lane_LANE_URGENT, second)
	l.ack(2)
	third := l.event(5, edge.KindFire, nil)
	l.send(wire.Lane_LANE_URGENT, third)
	l.ack(5)
	h := edge.ChainHash([32]byte{}, third.Body)
	l.checkpoint(point(one, func(p *edge.Checkpoint) { p.Seq, p.Hash = 5, h[:] }), 5)
	if got, err = c.led.Checkpoints(t.Context(), "1", l.journal, 2, 2, 10); err != nil || len(got) != 1 || got[0].State != ledger.CheckpointConflict {
		t.Errorf("got %+v, %v, want the second one in conflict with the event that came", got, err)
	}
	if n := count(t, c.s.metrics.odd.WithLabelValues("checkpoint")); n != 6 {
		t.Errorf("%v odd checkpoints are counted, want 6", n)
	}
	l.s.Send(&wire.BoxMessage{Message: &wire.BoxMessage_Checkpoint{Checkpoint: &wire.Checkpoint{Seq: 6, Body: make([]byte, edge.MaxSignedBytes+1)}}})
	l.ends(codes.InvalidArgument)
}

func TestManifestIsCheckedAndTheClipKept(t *testing.T) {
	c := newCentre(t)
	one, two := c.enrol("1"), c.enrol("2")
	data := []byte("film")
	sum := sha256.Sum256(data)
	for _, tt := range []struct {
		name   string
		by     tls.Certificate
		change func(*edge.Manifest)
		says   string
	}{
		{"good", one, nil, ""},
		{"another file", one, func(m *edge.Manifest) { m.SHA256[0] ^= 1 }, "have come"},
		{"another size", one, func(m *edge.Manifest) { m.SizeBytes++ }, "have come"},
		{"another clip", one, func(m *edge.Manifest) { m.Clip = "x" }, "of clip x"},
		{"another site's box", two, nil, "of site 2"},
		{"no manifest at all", one, func(m *edge.Manifest) { m.Type = "x" }, "does not begin"},
	} {
		id := edge.ClipID(edge.NewID())
		m := edge.Manifest{Type: edge.ManifestType, Site: "1", Journal: "j", Seq: 1, Clip: id, Camera: "door", SizeBytes: int64(len(data)),
			SHA256: append([]byte{}, sum[:]...), Certificate: signerOf(tt.by).Fingerprint()}
		if tt.change != nil {
			tt.change(&m)
		}
		s := sign(t, tt.by, m)
		u := c.upload(one)
		if r := u.offer(offerOf(id, data)).GetResume(); r == nil {
			t.Fatal("no Resume")
		}
		u.chunk(0, data)
		finish := &wire.UploadRequest{Message: &wire.UploadRequest_Finish{Finish: &wire.Finish{Manifest: s.Body, Signature: s.Signature, Certificate: s.Certificate}}}
		u.s.Send(finish)
		if r := u.reply(); r.GetStored() == nil {
			t.Fatalf("%s: got %v, want the clip stored", tt.name, r)
		}
		got, err := c.led.Manifest(t.Context(), id)
		if err != nil || string(got.Signed.Body) != string(s.Body) || string(got.Signed.Certificate) != string(tt.by.Certificate[0]) ||
			(tt.says == "") != (got.Problem == "") || !strings.Contains(got.Problem, tt.says) {
			t.Errorf("%s: got %+v, %v, want a problem with %q", tt.name, got, err, tt.says)
		}
		// Offered again, a clip that lacks a manifest that holds is let finish once more.
		o := offerOf(id, data)
		o.Signed = true
		if r := u.offer(o); (tt.says == "") != (r.GetStored() != nil) || tt.says != "" && r.GetResume().GetOffset() != int64(len(data)) {
			t.Errorf("%s: offered again: %v", tt.name, r)
		}
		if tt.says != "" {
			m.Type, m.Clip, m.SizeBytes, m.SHA256, m.Certificate = edge.ManifestType, id, int64(len(data)), sum[:], signerOf(one).Fingerprint()
			s = sign(t, one, m)
			u.s.Send(&wire.UploadRequest{Message: &wire.UploadRequest_Finish{Finish: &wire.Finish{Manifest: s.Body, Signature: s.Signature, Certificate: s.Certificate}}})
			if r := u.reply(); r.GetStored() == nil {
				t.Fatalf("%s: got %v after the second finish", tt.name, r)
			}
			if got, err := c.led.Manifest(t.Context(), id); err != nil || got.Problem != "" {
				t.Errorf("%s: the right manifest came later: %+v, %v", tt.name, got, err)
			}
		}
	}
	if cas, err := c.led.Authorities(t.Context()); err != nil || len(cas) != 1 || string(cas[0]) != string(c.s.ca.issuing().cert.Raw) {
		t.Errorf("authorities kept: %d, %v, want the one", len(cas), err)
	}
	if _, err := c.led.Manifest(t.Context(), "none"); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
