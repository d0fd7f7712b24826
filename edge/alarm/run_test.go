package alarm

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
)

// bubbleClock follows the bubble's time.
type bubbleClock struct{ begun time.Time }

func (c bubbleClock) Now() edge.Stamp {
	now := time.Now()
	return edge.Stamp{Wall: now.AddDate(30, 0, 0).UTC(), Mono: now.Sub(c.begun) + time.Hour, Boot: "boot-1", Synced: true}
}

// TestRunSaysWhatTimeAloneMakesTrue within a second of its time, without anybody asking.
func TestRunSaysWhatTimeAloneMakesTrue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openShop(t, t.TempDir(), edgetest.NewClock(), bigShop)
		clock := bubbleClock{time.Now()}
		s.Desk.opt.Clock = clock
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Desk.Run(ctx) }()
		tell := func(line string) {
			sig := sigOf(line)
			sig.At = clock.Now()
			if err := s.Panel("intruder").Signal(ctx, sig); err != nil {
				t.Fatal(err)
			}
		}
		tell("CL part 1")
		time.Sleep(10 * time.Minute)
		tell("BA 1011")
		time.Sleep(time.Minute)
		tell("TS")
		time.Sleep(29*time.Minute - time.Second)
		if got, want := s.kinds(), "set intruder walk-test"; got != want {
			t.Errorf("journalled %q, want %q", got, want)
		}
		time.Sleep(2 * time.Second)
		if got, want := s.kinds(), "set intruder walk-test unconfirmed"; got != want {
			t.Errorf("journalled %q, want %q", got, want)
		}
		time.Sleep(31 * time.Minute)
		if got, want := s.kinds(), "set intruder walk-test unconfirmed walk-test-restored"; got != want {
			t.Errorf("journalled %q, want %q", got, want)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		s.stop()
	})
}

// TestWhatIsOverIsForgotten: what nothing asks for any more leaves no row.
func TestWhatIsOverIsForgotten(t *testing.T) {
	s := newBigShop(t)
	s.tell("intruder", "CL part 1", "10s", "BA 1011", "BA 1012", "TA 1013", "HA 1021", "BR 1011", "BR 1012", "TR 1013", "HR 1021", "BC")
	for _, reset := range []string{"SYS R", "PA R", "TAMP R"} {
		s.say("intruder", sigOf("OR"))
		s.tell("intruder", "text "+reset)
	}
	rows := func(want int) {
		t.Helper()
		s.due()
		_, alarms, err := s.j.PanelMeaning(t.Context(), "intruder")
		if err != nil {
			t.Fatal(err)
		}
		if len(alarms) != want {
			t.Errorf("%d alarms are remembered, want %d: %+v", len(alarms), want, alarms)
		}
	}
	rows(4) // three zones are counted, and soon after set is said once
	s.tell("intruder", "OP part 1")
	rows(0)
	s.tell("intruder", "TA 1013", "TR 1013")
	s.say("intruder", sigOf("OR"))
	s.tell("intruder", "text TAMP R")
	rows(1)
	s.clock.Advance(24 * time.Hour)
	rows(0)
	s.tell("intruder", "BV 1011")
	s.clock.Advance(time.Hour)
	rows(0)
}
