package journal

import (
	"context"
	"testing"

	"sitewatch/edge"
)

// TestHashIsKnownUpToTheAnchor: a peer may ask about the last pruned event, and about nothing before it.
func TestHashIsKnownUpToTheAnchor(t *testing.T) {
	b := open(t, small(t.TempDir()))
	ctx := t.Context()
	want := map[edge.Seq][32]byte{}
	for range 20 {
		b.append(edge.Event{Kind: edge.KindUnknown})
	}
	recs, err := b.Read(ctx, edge.Routine, 0, 100)
	must(t, err)
	for _, r := range recs {
		want[r.Seq] = r.Hash
	}
	must(t, b.Acked(ctx, edge.Routine, 20))
	must(t, b.do(ctx, func(ctx context.Context, t *tx) error {
		if err := t.setAnchor(ctx, head{10, want[10]}); err != nil {
			return err
		}
		_, err := t.exec(ctx, `delete from events where seq <= 10`)
		return err
	}))
	for seq := edge.Seq(0); seq <= 21; seq++ {
		got, ok, err := b.Hash(ctx, seq)
		must(t, err)
		if there := seq >= 10 && seq <= 20; ok != there || ok && got != want[seq] {
			t.Errorf("Hash(%d) = %x, %v; want %x, %v", seq, got, ok, want[seq], there)
		}
	}
}
