package main

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sitewatch/edge"
	"sitewatch/edge/alarm"
	"sitewatch/edge/config"
	"sitewatch/edge/edgetest"
	"sitewatch/edge/journal"
	"sitewatch/edge/local"
	"sitewatch/video/motion"
)

// watchedSite is a box with a panel and two cameras whose eyes nobody runs.
func watchedSite(t *testing.T) (*box, *edgetest.Clock) {
	t.Helper()
	clock, log := edgetest.NewClock(), slog.New(slog.DiscardHandler)
	j, err := journal.Open(t.Context(), journal.Options{Dir: t.TempDir(), Site: "0417", Clock: clock, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := j.Run(ctx); err != nil {
			t.Errorf("journal: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait(); j.Close() })
	b := &box{cfg: &config.Gateway{Cameras: []config.Camera{{ID: "stockroom"}, {ID: "door"}}}, clock: clock, log: log, journal: j}
	b.desk, err = alarm.NewDesk(alarm.Options{Journal: j, Clock: clock, Log: log, Site: "0417", Watch: b.watch,
		Panels: map[edge.PanelID]alarm.Panel{"intruder": {Zones: map[edge.ZoneID]alarm.Zone{
			"1011": {Kind: edge.KindIntruder, Partition: "1", Cameras: []edge.CameraID{"stockroom"}},
			"1012": {Kind: edge.KindIntruder, Partition: "2", Cameras: []edge.CameraID{"door"}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	b.motions = newMotions(b)
	b.eye = motion.NewPool(motion.Options{Clock: clock, Log: log, Reporter: b.motions}, []edge.CameraID{"stockroom", "door"})
	b.grades = newGrades(b)
	return b, clock
}

func (b *box) says(t *testing.T, code string, zone edge.ZoneID, p edge.PartitionID) {
	t.Helper()
	now := b.clock.Now()
	if err := b.desk.Panel("intruder").Signal(t.Context(), edge.Signal{Code: code, Zone: zone, Partition: p, At: now, Opened: now}); err != nil {
		t.Fatal(err)
	}
}

// The eyes know of an alarm as soon as its panel may be acked.
func TestCamerasOfAnAlarmAreLookedAtAtOnce(t *testing.T) {
	b, clock := watchedSite(t)
	check := func(when string, stockroom, door motion.Grade) {
		t.Helper()
		for c, want := range map[edge.CameraID]motion.Grade{"stockroom": stockroom, "door": door} {
			if got := b.eye.Camera(c, clock.Now()).Grade; got != want {
				t.Errorf("%s: camera %s has grade %d, want %d", when, c, got, want)
			}
		}
	}
	check("at first", motion.Watching, motion.Watching)
	b.says(t, "BA", "1011", "")
	check("a zone is in alarm", motion.Alert, motion.Watching)
	for range 2 { // alert may sleep again before the next alarm
		if got, want := b.eye.Camera("stockroom", clock.Now()).Hinted, clock.Now(); got != want {
			t.Errorf("told to look at every picture at %v, want %v", got, want)
		}
		clock.Advance(time.Minute)
		b.grades.Watch([]edge.CameraID{"stockroom"})
	}
	clock.Advance(alarmTime + time.Second)
	b.grades.Watch(nil)
	check("long after", motion.Watching, motion.Watching)
	b.says(t, "CL", "", "2")
	check("partition 2 is set", motion.Watching, motion.Alert)
	b.says(t, "OP", "", "2")
	check("it is unset", motion.Watching, motion.Watching)
	b.grades.Ask("door")
	check("an operator asks", motion.Watching, motion.Alert)
}

// What cameras saw is found on the box, also what no rule sent, and what is wrong with a picture is an event.
func TestMovementIsKeptAndScenesAreEvents(t *testing.T) {
	b, clock := watchedSite(t)
	from := clock.Now()
	b.motions.Motion(t.Context(), "door", motion.Interval{From: from, To: from, Open: true, Why: "region"})
	b.motions.Motion(t.Context(), "door", motion.Interval{From: from, To: clock.Advance(4 * time.Second), Cells: 1 << 9, Why: "region"})
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := b.searchMotions(gone, local.MotionQuery{Limit: 10}); err == nil { // a browser that has gone loses nothing
		t.Error("answered who has gone")
	}
	got, err := b.searchMotions(t.Context(), local.MotionQuery{Cells: 1 << 9, Limit: 10}) // and so at once, not only after the next commit of many
	if err != nil {
		t.Fatal(err)
	}
	want := []local.Motion{{Camera: "door", From: from.Wall, To: from.Wall.Add(4 * time.Second), Clock: from.ClockState(), Cells: "0000000000000200", Why: "region"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("kept (-want +got):\n%s", d)
	}
}

// What the eye sees of a picture and what the camera says of it are one state.
func TestSceneIsByTheEyeAndByTheCamera(t *testing.T) {
	s := newScene(unwillingCamera(t, &unwilling{}))
	at := func(sec int) edge.Stamp { return edge.Stamp{Boot: "b", Mono: time.Duration(sec) * time.Second} }
	var got []string
	due := func(sec int) {
		news, _ := s.tamper.due(at(sec))
		for _, n := range news {
			got = append(got, s.why(n))
		}
	}
	s.see(motion.SceneChange{Trouble: motion.Covered, At: at(1), Why: "nine tenths of the texture are gone"})
	due(1)
	s.take(edge.KindCameraCovered, "ImageTooDark V", true, false, at(2))
	s.see(motion.SceneChange{Trouble: motion.Covered, Over: true, At: at(3), Why: "it is back"})
	due(60)
	s.take(edge.KindCameraCovered, "ImageTooDark V", false, false, at(61))
	due(92)
	want := []string{"Camera door: its picture is covered (nine tenths of the texture are gone)", "Camera door: no more is it said that its picture is covered"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("news (-want +got):\n%s", d)
	}
}

func TestLookReachesTheEye(t *testing.T) {
	got := lookOptions(config.Look{Sensitivity: "high", MinSize: 2.5, Regions: []config.Polygon{{{0, 0}, {1, 0}, {0.5, 1}}}, Masks: []config.Polygon{{{0, 0}, {0, 1}, {1, 1}}}})
	want := motion.ModelOptions{Sensitivity: 2, MinSize: 0.025, Areas: []motion.Area{
		{Points: []motion.Point{{X: 0, Y: 0}, {X: 65535, Y: 0}, {X: 32768, Y: 65535}}},
		{Mask: true, Points: []motion.Point{{X: 0, Y: 0}, {X: 0, Y: 65535}, {X: 65535, Y: 65535}}}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("options (-want +got):\n%s", d)
	}
}

// Whoever takes all cameras out of the file has not said that what they recorded is to stay for ever.
func TestRecordingsOfNoCameraAreKeptAccountOf(t *testing.T) {
	for _, there := range []bool{false, true} {
		b := &box{cfg: &config.Gateway{Data: t.TempDir()}, clock: edgetest.NewClock(), log: slog.New(slog.DiscardHandler)}
		if there {
			if err := os.Mkdir(segmentDir(b.cfg), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.wireCameras(); err != nil || (b.segments != nil) != there {
			t.Errorf("recordings %v: %v, taken account of %v", there, err, b.segments != nil)
		}
	}
}
