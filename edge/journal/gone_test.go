package journal

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"sitewatch/edge"
)

// TestRewindSaysWhatWasDeletedHere: clips that had been uploaded and deleted are lost when the SOC has lost them too.
func TestRewindSaysWhatWasDeletedHere(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	const clips = 5000
	for range clips / 50 {
		evs := make([]edge.Event, 50)
		for i := range evs {
			evs[i] = edge.Event{Kind: edge.KindIntruder, Clips: []edge.ClipRef{{ID: edge.ClipID(edge.NewID()), Camera: "door"}}}
		}
		b.append(evs...)
		must(t, b.do(t.Context(), func(ctx context.Context, t *tx) error {
			_, err := t.exec(ctx, `update clips set state = 'gone', clip_sent = 1 where state = 'wanted'`)
			return err
		}))
	}
	must(t, b.Acked(t.Context(), edge.Urgent, b.Last()))
	// An alarm meanwhile must not wait for all of them: some are still to be said when it is on disk.
	var wg sync.WaitGroup
	first := b.Changed(edge.Routine)
	wg.Go(func() {
		if err := b.Rewind(t.Context(), edge.Urgent, 10); err != nil {
			t.Errorf("Rewind: %v", err)
		}
	})
	<-first
	fire := b.append(edge.Event{Kind: edge.KindFire})
	wg.Wait()
	lost, after := 0, 0
	of := edge.Seq(0)
	for _, ev := range b.lane(edge.Routine, 0) {
		if ev.Kind != edge.KindClipLost {
			continue
		}
		lost++
		if ev.Seq > fire {
			after++
		}
		var event edge.Seq
		if _, err := fmt.Sscanf(ev.Why, "No clip of camera door for event %d:", &event); err != nil || event < of {
			t.Fatalf("%q after event %d (%v), want them oldest first", ev.Why, of, err)
		}
		of = event
	}
	if lost != clips-10 || after == 0 {
		t.Errorf("%d clip-lost events, %d of them after the fire; want %d, not all before", lost, after, clips-10)
	}
	must(t, b.Rewind(t.Context(), edge.Urgent, 10)) // nothing is above it any more
	b.verify()
}
