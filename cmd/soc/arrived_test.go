package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/evidence"
)

// TestClipIsDescribedAsSigned: of a clip whose clip-ready has not come the SOC knows only what was asked for.
func TestClipIsDescribedAsSigned(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, from, sum := edge.ClipID(edge.NewID()), time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), sha256.Sum256(nil)
	s, err := edge.Signer{Key: key}.Sign(edge.Manifest{Type: edge.ManifestType, Site: "0417", Journal: "j", Seq: 1, Clip: id, Camera: "yard", From: from, To: from.Add(time.Minute),
		SizeBytes: 1, SHA256: sum[:]})
	if err != nil {
		t.Fatal(err)
	}
	x := &export{say: t.Output()}
	h := evidence.ClipHeader{ID: id, Camera: "door", From: from.Add(time.Second), To: from.Add(2 * time.Second)}
	x.signed(&h, s.Body)
	if h.Camera != "yard" || !h.From.Equal(from) || !h.To.Equal(from.Add(time.Minute)) || len(x.head.Notes) != 1 || !strings.Contains(x.head.Notes[0], "camera door") {
		t.Errorf("got %+v, notes %q", h, x.head.Notes)
	}
}

// mp4Box is a box of an MP4 file.
func mp4Box(kind string, bodies ...[]byte) []byte {
	body := bytes.Join(bodies, nil)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+8)), append([]byte(kind), body...)...)
}

// TestExportHasWhatCameOfASmashedBox: of the clip that was growing there is no other picture than what had come.
func TestExportHasWhatCameOfASmashedBox(t *testing.T) {
	path, addr := written(t)
	start(t, path, addr)
	s := openShop(t, path, t.TempDir())
	_, whole := s.alarm("film")
	led := look(t, path)
	s.proved(led, whole)
	now, id, none := time.Now(), edge.ClipID(edge.NewID()), edge.ClipID(edge.NewID())
	ref := func(id edge.ClipID) edge.ClipRef {
		return edge.ClipRef{ID: id, Camera: "yard", From: now.Add(-10 * time.Second), To: now.Add(20 * time.Second)}
	}
	if _, err := s.Append(t.Context(), edge.Event{Kind: edge.KindIntruder, Why: "Yard.", Clips: []edge.ClipRef{ref(id), ref(none)}}); err != nil {
		t.Fatal(err)
	}
	until(t, "the SOC knows of the clip", func() bool {
		_, err := led.Clip(t.Context(), none)
		return err == nil
	})
	s.stop()
	film := mp4Box("ftyp", []byte("isom"))
	film = append(film, mp4Box("moov", mp4Box("trak", mp4Box("mdia", mp4Box("minf", mp4Box("stbl", mp4Box("stsd", make([]byte, 8), mp4Box("avc1", make([]byte, 78))))))))...)
	film = append(film, mp4Box("moof")...)
	film = append(film, mp4Box("mdat", []byte("pictures"))...)
	came := append(bytes.Clone(film), mp4Box("moof", []byte("half of a fragment"))...)
	clips := filepath.Join(filepath.Dir(path), "data", "clips", "0417")
	if err := os.WriteFile(filepath.Join(clips, string(id)+".mp4.grow.part"), came, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(clips, string(none)+".mp4.grow.part"), came[:20], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(clips, string(id)+".mp4.grow.old.part"), film[:20], 0o600); err != nil { // which was begun before
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "case")
	args := append([]string{"export", "--config", path, "--site", "0417", "--wait", "0s", "--out", out}, span()...)
	if said := must(t, args...); !strings.Contains(said, "1 clips, 1 stills, 1 incomplete clips") || !strings.Contains(said, "\nnot complete: 1 clip has not come in full") {
		t.Errorf("export says %q", said)
	}
	file := filepath.Join(out, "clips", string(id), "arrived.mp4")
	if b, err := os.ReadFile(file); err != nil || !bytes.Equal(b, film) {
		t.Errorf("got %q, %v, want whole fragments", b, err)
	}
	if _, err := os.Stat(filepath.Join(out, "clips", string(none))); err == nil {
		t.Error("there is a file of which nothing plays")
	}
	for name, want := range map[string]string{"evidence.json": `"arrived": true`, "./evidence.json": "of 2 films that came the longest is", "timeline.html": `src="clips/` + string(id) + `/arrived.mp4"`,
		"timeline.csv": string(id) + " (incomplete, not signed by the box)", "SHA256SUMS": string(id) + "/arrived.mp4"} {
		if b, err := os.ReadFile(filepath.Join(out, name)); err != nil || !bytes.Contains(b, []byte(want)) {
			t.Errorf("%s lacks %s: %v", name, want, err)
		}
	}
	ca := filepath.Join(filepath.Dir(path), "data", "ca", "ca.pem")
	status, proof, errs := program(t, "verify", out, "--ca", ca)
	if status != 3 || !strings.Contains(errs, "not all of it is complete") {
		t.Errorf("verify: %d %q", status, errs)
	}
	for _, want := range []string{"proved: 1 clips and 1 stills", "not proved: clips/" + string(id) + "/arrived.mp4", "proved: clip " + string(whole) + ", camera door", "\nNOT COMPLETE\n"} {
		if !strings.Contains(proof, want) {
			t.Errorf("verify says %q, want %q", proof, want)
		}
	}
	if log, err := led.Custody(t.Context(), "", id, 0, 10); err != nil || len(log) != 1 || len(log[0].Entry.Digest) != 32 || !strings.Contains(log[0].Entry.Note, "had come") {
		t.Errorf("the custody log has %+v, %v", log, err)
	}
	if err := os.WriteFile(file, came, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, said, _ := program(t, "verify", out, "--ca", ca); status != 1 || !strings.Contains(said, "BROKEN: clips/"+string(id)+"/arrived.mp4") {
		t.Errorf("it was changed: %d %q", status, said)
	}
}
