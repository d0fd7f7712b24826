package rtsp

import (
	"math"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/video"
)

// ntpOf is how a camera writes t.
func ntpOf(t time.Time) uint64 {
	return uint64(t.Unix()+ntpEpoch)<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second)
}

func TestCameraClock(t *testing.T) {
	start := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		shows func(at time.Duration) time.Time
		want  video.CameraClock
	}{
		"right":           {func(at time.Duration) time.Time { return start.Add(at) }, video.CameraClock{Known: true}},
		"an hour behind":  {func(at time.Duration) time.Time { return start.Add(at - time.Hour) }, video.CameraClock{Known: true, Offset: -time.Hour}},
		"of 1970":         {func(at time.Duration) time.Time { return time.Unix(0, 0).Add(at) }, video.CameraClock{Unset: true}},
		"of 2000":         {func(at time.Duration) time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(at) }, video.CameraClock{Unset: true}},
		"100 ppm fast":    {func(at time.Duration) time.Time { return start.Add(at + at/10000) }, video.CameraClock{Known: true, DriftPPM: 100, Offset: 60 * time.Millisecond}},
		"set in between":  {func(at time.Duration) time.Time { return start.Add(at + at/(5*time.Minute)*time.Hour) }, video.CameraClock{Known: true, Offset: 2 * time.Hour, Steps: 2}},
		"30 ms of jitter": {func(at time.Duration) time.Time { return start.Add(at - at%7*30*time.Millisecond/7) }, video.CameraClock{Known: true}},
	} {
		var k clock
		for at := time.Duration(0); at <= 10*time.Minute; at += 5 * time.Second {
			k.report(ntpOf(c.shows(at)), edge.Stamp{Wall: start.Add(at), Mono: time.Hour + at})
		}
		got := k.now
		if got.Known != c.want.Known || got.Unset != c.want.Unset || got.Steps != c.want.Steps {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
		if got.Known && ((got.Offset-c.want.Offset).Abs() > 40*time.Millisecond || math.Abs(got.DriftPPM-c.want.DriftPPM) > 15) {
			t.Errorf("%s: got offset %v, drift %.1f ppm, want %v, %.1f", name, got.Offset, got.DriftPPM, c.want.Offset, c.want.DriftPPM)
		}
	}
	// NTP's seconds begin anew in 2036 (RFC 5905 §6).
	if got, want := ntpTime(ntpOf(time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)), time.Date(2039, 12, 31, 0, 0, 0, 0, time.UTC)), time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("after 2036: got %v, want %v", got, want)
	}
}

func TestWrongRTPClock(t *testing.T) {
	for name, c := range map[string]struct {
		perSecond int64 // RTP time
		stall     bool
		off       bool
	}{
		"right":                     {perSecond: 90000},
		"1 % fast":                  {perSecond: 90900},
		"right, the network stalls": {perSecond: 90000, stall: true},
		"twice too fast":            {perSecond: 180000, off: true},
		"5 % slow":                  {perSecond: 85500, off: true},
		"in milliseconds":           {perSecond: 1000, off: true},
	} {
		var line timeline
		line.connect()
		var first, last video.Ticks90k
		const from, to = 3 * 60 * 25, 6 * 60 * 25
		for n := range int64(to + 1) {
			mono := time.Duration(n) * 40 * time.Millisecond
			if c.stall && n%1000 < 100 { // 4 s, then all at once
				mono = time.Duration(n-n%1000+100) * 40 * time.Millisecond
			}
			pts := line.next(n*c.perSecond/25, mono)
			if n == from {
				first = pts
			}
			if n > 0 && pts < last {
				t.Fatalf("%s: PTS went back from %d to %d", name, last, pts)
			}
			last = pts
		}
		if got, want := (last - first).Duration().Seconds(), 180.0; math.Abs(got-want) > want*0.011 {
			t.Errorf("%s: three minutes last %.1f s", name, got)
		}
		if off := line.pace.String(); (off != "") != c.off {
			t.Errorf("%s: got %q", name, off)
		}
	}
}
