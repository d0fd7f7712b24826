package uplink

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sitewatch/edge"
)

// fullDisk is an outbox whose cursors find no room for a while.
type fullDisk struct {
	ledgerless
	full atomic.Bool
}

func (o *fullDisk) Acked(ctx context.Context, l edge.Lane, to edge.Seq) error {
	if o.full.Load() {
		return errors.New("no room")
	}
	return o.ledgerless.Acked(ctx, l, to)
}

// The SOC has all that there is, and its last ack found no room: nothing else will come that would move the cursor.
func TestAckThatFoundNoRoomIsKeptLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &fullDisk{ledgerless: ledgerless{t, map[edge.Lane]edge.Seq{}}}
		o.full.Store(true)
		c := New(Options{Outbox: o, Clock: edge.NewSystemClock(), Log: slog.New(slog.DiscardHandler), Paths: []Path{{Name: "a", SOC: []string{"soc:1"}}}})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.runKeep(ctx) }()
		c.lanes.forward(0, edge.Urgent, 7)
		synctest.Wait()
		time.Sleep(time.Minute)
		if at := o.marks[edge.Urgent]; at != 0 {
			t.Fatalf("the cursor is at %d on a full disk", at)
		}
		synctest.Wait()
		o.full.Store(false)
		time.Sleep(keepAgain)
		synctest.Wait()
		if at := o.marks[edge.Urgent]; at != 7 {
			t.Errorf("the cursor is at %d when there is room again, want 7", at)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
