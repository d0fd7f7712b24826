package main

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/alarm"
	"sitewatch/edge/config"
	"sitewatch/video/motion"
)

// unwilling is a journal that refuses the first events.
type unwilling struct {
	alarm.Journal
	refuses int
	events  []edge.Event
}

func (u *unwilling) Append(_ context.Context, evs ...edge.Event) (edge.Seq, error) {
	if u.refuses--; u.refuses >= 0 {
		return 0, errors.New("disk full")
	}
	u.events = append(u.events, evs...)
	return edge.Seq(len(u.events)), nil
}

// bubbleClock is the bubble's time.
type bubbleClock struct{}

func (bubbleClock) Now() edge.Stamp { return edge.Stamp{Wall: time.Now().UTC(), Boot: "bubble"} }

func unwillingCamera(t *testing.T, j *unwilling) *camera {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	eye := motion.NewPool(motion.Options{Clock: bubbleClock{}, Log: log}, []edge.CameraID{"door"}) // nobody runs it
	return &camera{Camera: config.Camera{ID: "door"}, box: &box{desk: deskOn(t, j), eye: eye, clock: bubbleClock{}, log: log}}
}

func deskOn(t *testing.T, j alarm.Journal) *alarm.Desk {
	t.Helper()
	desk, err := alarm.NewDesk(alarm.Options{Journal: j, Clock: bubbleClock{}, Log: slog.New(slog.DiscardHandler), Site: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	return desk
}

func TestCameraLostWhileTheJournalRefusesIsJournalledLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &unwilling{refuses: 20}
		m := mainSink{unwillingCamera(t, j)}
		lost := time.Now()
		m.Lost(t.Context(), "no route")
		m.Restored(t.Context())
		if len(j.events) != 2 || j.events[0].Kind != edge.KindCameraLost || j.events[1].Kind != edge.KindCameraLost.Restored() {
			t.Fatalf("journalled %+v, want lost and restored", j.events)
		}
		if at := j.events[0].Occurred; !at.Equal(lost) {
			t.Errorf("lost at %v, want when it was lost, %v", at, lost)
		}
		if d := time.Since(lost); d > 21*time.Second {
			t.Errorf("it took %v, want a try each second", d)
		}
	})
}

func TestCameraLostWhileTheJournalRefusesDoesNotHoldTheStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		j := &unwilling{refuses: 1 << 30}
		mainSink{unwillingCamera(t, j)}.Lost(ctx, "no route")
		if ctx.Err() == nil {
			t.Error("it gave up before the stop")
		}
	})
}
