package main

import (
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
)

func TestClockThatNothingSetsIsAnEvent(t *testing.T) {
	clk := edgetest.NewClock()
	unset := func(on bool) {
		d := 100 * 365 * 24 * time.Hour
		if on {
			d = -d
		}
		clk.Step(d)
		clk.Sync(!on)
	}
	var w clockWatch
	said := func(what string, want edge.Kind) {
		t.Helper()
		ev, due := w.look(clk.Now())
		if ev.Kind != want || due != (want != "") || due && ev.Why == "" {
			t.Errorf("%s: got %+v, want %q", what, ev, want)
		}
		if due {
			w.bad = !w.bad
		}
	}
	said("all is well", "")
	unset(true)
	clk.Advance(time.Minute)
	said("NTP may still come", "")
	clk.Advance(time.Minute)
	if _, due := w.look(clk.Now()); !due {
		t.Error("not said after two minutes")
	}
	said("it could not be journalled: once more", edge.KindClockBad)
	clk.Advance(time.Hour)
	said("once is enough", "")
	unset(false)
	said("it is back", edge.KindClockBad.Restored())
	said("and that once", "")

	w = clockWatch{bad: true} // an earlier run has said so
	said("the return after a restart", edge.KindClockBad.Restored())
	unset(true)
	w = clockWatch{}
	said("a box that starts without", "")
	clk.Advance(clockGrace)
	said("two minutes later", edge.KindClockBad)
}
