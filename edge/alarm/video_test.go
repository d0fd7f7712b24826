package alarm

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sitewatch/edge"
)

// move lets a camera see movement that began now and is told a second later.
func (s *shop) move(camera edge.CameraID) {
	s.t.Helper()
	from := s.clock.Now()
	if _, err := s.Motion(s.t.Context(), camera, from, s.clock.Advance(time.Second), ""); err != nil {
		s.t.Fatal(err)
	}
}

func TestCorroboration(t *testing.T) {
	for _, c := range []struct {
		name string
		do   []string // "move CAMERA" or what the panel says
		want string   // the event that says so and which it amends: "2>1", "1" when the alarm itself does; "" nobody
	}{
		{"movement a while after", []string{"BA 1011", "40s", "move stockroom"}, "2>1"},
		{"only once", []string{"BA 1011", "40s", "move stockroom", "10s", "move stockroom", "restart", "move stockroom"}, "2>1"},
		{"five minutes after", []string{"BA 1011", "5m", "move stockroom"}, "2>1"},
		{"later than that", []string{"BA 1011", "5m1s", "move stockroom"}, ""},
		{"another camera", []string{"BA 1011", "move door"}, ""},
		{"the panel's camera looks at a zone that names none", []string{"BA 1012", "move door"}, "2>1"},
		{"movement before, while unset", []string{"move stockroom", "1m59s", "BA 1011", "move stockroom"}, "1"},
		{"too long before", []string{"move stockroom", "2m1s", "BA 1011"}, ""},
		{"hold-up while unset", []string{"HA 1021", "move door"}, "2>1"},
		{"tamper", []string{"TA 1011", "move stockroom"}, "2>1"},
		{"panic", []string{"PA 1011", "move stockroom"}, "2>1"},
		{"a fire needs nobody in it", []string{"FA 1011", "move stockroom"}, ""},
		{"over a restart", []string{"BA 1011", "restart", "1m", "move stockroom"}, "2>1"},
		{"an alarm from the buffer was at another time", []string{"move stockroom", "old BA 1011", "move stockroom"}, ""},
		{"two alarms, each once", []string{"BA 1011", "TA 1011", "move stockroom"}, "3>1 4>2"},
		{"the next alarm of the zone anew", []string{"BA 1011", "move stockroom", "3m", "BA 1011", "restart", "move stockroom"}, "2>1 4>3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newBigShop(t)
			for _, line := range c.do {
				if camera, ok := strings.CutPrefix(line, "move "); ok {
					s.move(edge.CameraID(camera))
				} else if line == "restart" {
					s = s.restart()
					s.due()
				} else {
					s.tell("intruder", line)
				}
			}
			var got []string
			for _, ev := range s.events() {
				if ev.Corroborated == "" {
					continue
				}
				w := string(rune('0' + ev.Seq))
				if ev.Amends > 0 {
					w += ">" + string(rune('0'+ev.Amends))
				}
				got = append(got, w)
				if ev.Corroborated != "video" || !strings.Contains(ev.Why, "alarm in ") || strings.Count(ev.Why, "; corroborated by video: movement on camera ") != 1 {
					t.Errorf("event %d = %+v", ev.Seq, ev)
				}
			}
			if got := strings.Join(got, " "); got != c.want {
				t.Errorf("corroborated by %q, want %q", got, c.want)
			}
		})
	}
}

func TestCorroborationSaysCameraAndTime(t *testing.T) {
	s := newBigShop(t)
	s.tell("intruder", "BA 1011", "40s")
	s.move("stockroom")
	ev := s.events()[1]
	if want := "Intruder alarm in Stock room (zone 1011), partition 1; corroborated by video: movement on camera stockroom at 12:00:40 UTC, 40 s after the alarm"; ev.Why != want ||
		ev.Kind != edge.KindAmended || len(ev.Cameras) != 1 || ev.Cameras[0] != "stockroom" || !ev.Occurred.Equal(s.clock.Now().Wall.Add(-time.Second)) {
		t.Errorf("amendment = %+v, want why %q", ev, want)
	}
	s.tell("intruder", "TA 1011")
	if want := "; corroborated by video: movement on camera stockroom at 12:00:40 UTC, 1 s before the alarm"; !strings.HasSuffix(s.events()[2].Why, want) {
		t.Errorf("why = %q, want it to end in %q", s.events()[2].Why, want)
	}
}

// TestFailedCorroborationIsToldByTheNextMovement, and the alarm itself is there whatever becomes of it (P5).
func TestFailedCorroborationIsToldByTheNextMovement(t *testing.T) {
	s := newBigShop(t)
	s.tell("intruder", "BA 1011")
	b := &broken{Journal: s.j, fail: true}
	s.opt.Journal = b
	if _, err := s.Motion(t.Context(), "stockroom", s.clock.Now(), s.clock.Now(), ""); !errors.Is(err, errDisk) {
		t.Fatalf("Motion = %v, want the journal's error", err)
	}
	b.fail = false
	s.move("stockroom")
	if got := s.kinds(); got != "intruder amended" {
		t.Errorf("journalled %q, want intruder amended", got)
	}
}

func TestWatchedAlarmsAreBounded(t *testing.T) {
	var v video
	at := edge.Stamp{Boot: "b", Mono: time.Hour}
	for i := range 3 * maxWatched {
		v.watch(watched{seq: edge.Seq(i + 1), at: at, cameras: []edge.CameraID{"door"}})
	}
	if len(v.watched) != maxWatched || v.watched[0].seq != 2*maxWatched+1 {
		t.Errorf("%d are watched, the first is %d", len(v.watched), v.watched[0].seq)
	}
	at.Mono += seenAfter + 1
	if met := v.met("yard", movement{at, at}); len(met) > 0 || len(v.watched) > 0 {
		t.Errorf("%d met, %d still watched long after", len(met), len(v.watched))
	}
}
