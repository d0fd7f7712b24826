package uplink

import (
	"context"
	"log/slog"
	"testing"

	"sitewatch/edge"
)

// stopped is an outbox of a program that is told to stop while it is asked.
type stopped struct{ ledgerless }

func (*stopped) Watermark(ctx context.Context, _ edge.Lane) (edge.Seq, error) { return 0, ctx.Err() }

func TestStopBeforeTheFirstLookAtTheCursorsIsNoFailure(t *testing.T) {
	c := New(Options{Outbox: &stopped{ledgerless{t, nil}}, Clock: edge.NewSystemClock(), Log: slog.New(slog.DiscardHandler), Paths: []Path{{Name: "a", SOC: []string{"soc:1"}}}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.runKeep(ctx); err != nil {
		t.Errorf("got %v", err)
	}
}
