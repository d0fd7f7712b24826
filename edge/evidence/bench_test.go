package evidence

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"sitewatch/edge"
)

// BenchmarkVerify proves a folder of 10,000 events with a checkpoint for each hundred.
func BenchmarkVerify(b *testing.B) {
	s := newScene(b)
	s.lines, s.points, s.dir = nil, nil, filepath.Join(b.TempDir(), "big")
	var prev [32]byte
	for n := range uint64(10_000) {
		e := edge.Event{V: 1, Site: "0417", Journal: journalA, Seq: edge.Seq(n + 1), Lane: edge.Routine, Kind: edge.KindSet, Why: fmt.Sprintf("The %d. thing.", n+1)}
		body, err := e.Encode()
		must(b, err)
		l := Line{N: n + 1, Prev: prev, Body: body}
		prev = l.Hash()
		s.lines = append(s.lines, l)
		if n%100 == 99 {
			s.points = append(s.points, e.Seq)
		}
	}
	s.write(s.dir)
	cas := []*x509.Certificate{s.ca.cert}
	b.ReportAllocs()
	for b.Loop() {
		r, err := Verify(b.Context(), os.DirFS(s.dir), cas)
		must(b, err)
		if !r.OK() || r.Events != 9995 {
			b.Fatalf("got %+v", r)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	s := newScene(b)
	for b.Loop() {
		s.checkpoint(s.first, 3)
	}
}
