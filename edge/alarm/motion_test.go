package alarm

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sitewatch/edge"
)

func TestMotionRules(t *testing.T) {
	no := false
	night := func(local time.Time) bool { return local.Hour() >= 20 || local.Hour() < 7 }
	s := newShop(t)
	s.opt.Roles = map[edge.CameraID]string{"chapel": "chapel", "door": "door"}
	s.opt.MotionRules = []MotionRule{
		{Name: "street", Cameras: []edge.CameraID{"door"}, Set: &no},
		{Name: "night", Roles: []string{"chapel"}, Hours: night, Send: true},
		{Name: "set", Set: &yes, Send: true},
	}
	at := func(hour int) edge.Stamp {
		st := s.clock.Now()
		st.Wall = time.Date(2026, 11, 25, hour, 0, 0, 0, time.UTC)
		return st
	}
	set := func(code string) { s.say("intruder", edge.Signal{Code: code}) }
	for _, c := range []struct {
		name   string
		set    bool
		camera edge.CameraID
		hour   int
		want   Verdict
	}{
		{"the street before the door", false, "door", 22, Verdict{"street", false}},
		{"somebody in the chapel by day", false, "chapel", 12, Verdict{}},
		{"somebody in the chapel at night", false, "chapel", 3, Verdict{"night", true}},
		{"an unset stock room", false, "stockroom", 3, Verdict{}},
		{"a set stock room", true, "stockroom", 12, Verdict{"set", true}},
		{"a camera of no zone, the site set", true, "yard", 12, Verdict{"set", true}},
	} {
		set(map[bool]string{true: "CL", false: "OP"}[c.set])
		got, err := s.Motion(t.Context(), c.camera, at(c.hour), at(c.hour), "")
		if err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
	for _, ev := range s.events() {
		if ev.Kind == edge.KindMotion && !strings.Contains(ev.Why, "(rule ") {
			t.Errorf("motion event without its rule: %q", ev.Why)
		}
	}
}

// While a site is part set, people are inside.
func TestPartSetIsNotForInteriorZones(t *testing.T) {
	s := openShop(t, t.TempDir(), newShop(t).clock, map[edge.PanelID]Panel{"intruder": {Zones: map[edge.ZoneID]Zone{
		"1011": {Partition: "1", Route: "interior", Cameras: []edge.CameraID{"hall"}},
		"1012": {Partition: "1", Route: "perimeter", Cameras: []edge.CameraID{"fence"}},
		"1013": {Partition: "2", Route: "perimeter", Cameras: []edge.CameraID{"annex"}},
	}}})
	check := func(when string, hall, fence, annex bool) {
		t.Helper()
		for camera, want := range map[edge.CameraID]bool{"hall": hall, "fence": fence, "annex": annex} {
			if got := s.CameraSet(camera); got != want {
				t.Errorf("%s: %s is set: %v, want %v", when, camera, got, want)
			}
		}
	}
	check("at first", false, false, false)
	s.say("intruder", edge.Signal{Code: "CG", Partition: "1"})
	check("part set", false, true, false)
	s.say("intruder", edge.Signal{Code: "CL", Partition: "1"})
	check("set", true, true, false)
	s.say("intruder", edge.Signal{Code: "CL"})
	check("all set", true, true, true)
}

// A tree must not fill the routine lane in a night.
func TestACameraThatNeverRestsIsOnlyCounted(t *testing.T) {
	s := newShop(t)
	s.say("intruder", edge.Signal{Code: "CL"})
	move := func(camera edge.CameraID) Verdict {
		t.Helper()
		now := s.clock.Advance(20 * time.Second)
		v, err := s.Motion(t.Context(), camera, now, now, "")
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for range motionMost {
		if !move("door").Sent {
			t.Fatal("not sent within the limit")
		}
	}
	if v := move("door"); v.Sent || v.Rule != "set" {
		t.Errorf("beyond the limit: got %+v, want it counted", v)
	}
	if !move("aisle").Sent {
		t.Error("another camera is held back, too")
	}
	evs := s.events()
	if last := evs[len(evs)-2].Why; !strings.Contains(last, "only counted for now") {
		t.Errorf("the last one says %q, want that no more come for now", last)
	}
	s.clock.Advance(motionSpan)
	if !move("door").Sent {
		t.Error("an hour later it is still held back")
	}
}

func TestWatchIsToldOfAlarmsAndOfWhatIsSet(t *testing.T) {
	s := newShop(t)
	var told [][]edge.CameraID
	s.opt.Watch = func(alarmed []edge.CameraID) {
		if s.j.Last() == 0 {
			t.Error("told before anything was journalled")
		}
		told = append(told, alarmed)
	}
	s.say("intruder", edge.Signal{Code: "CL"})
	s.say("intruder", edge.Signal{Code: "BA", Zone: "1011"})
	s.say("intruder", edge.Signal{Code: "BH", Zone: "1011"}) // a restore is no reason to look
	s.say("intruder", edge.Signal{Code: "FA", Zone: "1012", Old: true})
	want := [][]edge.CameraID{nil, {"stockroom", "aisle"}}
	if d := cmp.Diff(want, told); d != "" {
		t.Errorf("told (-want +got):\n%s", d)
	}
}
