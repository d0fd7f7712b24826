package ledger

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"sitewatch/edge"
)

// BenchmarkGaps asks what is missing of a journal with a million events of which every thousandth is missing, and of a
// whole one.
func BenchmarkGaps(b *testing.B) {
	for name, missing := range map[string]int{"1000 holes": 1000, "whole": 2_000_000} {
		b.Run(name, func(b *testing.B) {
			l, err := Open(b.Context(), Options{Path: filepath.Join(b.TempDir(), "ledger.db")})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			for _, q := range []string{
				`INSERT INTO sites (id, kind, name, version, last_seen) VALUES ('1', '', '', '', 0)`,
				`WITH RECURSIVE n(s) AS (SELECT 1 UNION ALL SELECT s + 1 FROM n WHERE s < 1000000)
					INSERT INTO events SELECT s, s, s, '1', 'j', s, 1, 'fire', '', '', '', '', '', '', '', '[]', 0, 0, '', 0, 0, 0, '[]', x'', zeroblob(300), zeroblob(32), zeroblob(32), 1, '', ''
					FROM n WHERE s % ?1 <> 0`,
				`INSERT INTO spans SELECT site, journal, min(seq), max(seq) FROM (SELECT site, journal, seq, seq / ?1 AS run FROM events) GROUP BY run`,
				`INSERT INTO journals SELECT '1', 'j', 1000000, 1000000, 1000000, count(*), 1 FROM events`,
			} {
				args := []any{missing}
				if _, err := l.write.Exec(q, args...); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				list, _, err := l.Gaps(b.Context(), "1", 0, 1000)
				if err != nil || len(list) != 1 || len(list[0].Missing) != min(1000, 1_000_000/missing) {
					b.Fatal(len(list[0].Missing), err)
				}
			}
		})
	}
}

// BenchmarkAppend is a box that delivers its backlog, 64 events at a time.
func BenchmarkAppend(b *testing.B) {
	l, err := Open(b.Context(), Options{Path: filepath.Join(b.TempDir(), "ledger.db")})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() { l.Run(ctx); close(done) }()
	defer func() { cancel(); <-done; l.Close() }()
	x := &bench{t: b, l: l, boxes: map[edge.SiteID]*box{"1": {id: edge.JournalID(edge.NewID())}}}
	if _, err := l.Hello(b.Context(), Hello{Site: "1", Journal: x.boxes["1"].id}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		batch := Batch{Site: "1", Journal: x.boxes["1"].id}
		for range 64 {
			batch.Entries = append(batch.Entries, x.entry(edge.Event{Site: "1", Kind: edge.KindFire}))
		}
		if _, err := l.Append(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*64)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkSites lists an estate, as the console asks every few seconds.
func BenchmarkSites(b *testing.B) {
	l, err := Open(b.Context(), Options{Path: filepath.Join(b.TempDir(), "ledger.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for i := range 3100 {
		site := fmt.Sprint(1000 + i)
		for _, q := range []string{
			`INSERT INTO sites (id, kind, name, version, last_seen) VALUES (?1, 'shop', 'High Street', '1.0', 0)`,
			`INSERT INTO journals SELECT ?1, 'j', 1000, 990, 1000, 1000, 1`,
			`INSERT INTO spans VALUES (?1, 'j', 1, 1000)`,
		} {
			if _, err := l.write.Exec(q, site); err != nil {
				b.Fatal(err)
			}
		}
	}
	for b.Loop() {
		if sites, err := l.Sites(b.Context()); err != nil || len(sites) != 3100 || len(sites[0].Journals) != 1 {
			b.Fatal(len(sites), err)
		}
	}
}
