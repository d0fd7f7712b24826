package alarm

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
)

// heard is what comes at one moment of a day: signals of a panel, or movement on a camera.
type heard struct {
	at     time.Duration // since midnight
	panel  edge.PanelID
	sigs   []edge.Signal
	camera edge.CameraID
}

// busyDay is more than any shop has in a day: a detector that swings all night, a burglary, staff who test their buttons, a fire
// panel under test, a loose cover, lightning, contacts polled every 10 s and people in front of two cameras.
func busyDay() (day []heard) {
	say := func(at time.Duration, panel edge.PanelID, lines ...string) {
		for _, line := range lines {
			day = append(day, heard{at: at, panel: panel, sigs: []edge.Signal{sigOf(line)}})
			at += 500 * time.Millisecond
		}
	}
	const h, m, s = time.Hour, time.Minute, time.Second
	day = append(day, heard{panel: "contacts", sigs: reads("201 off")})
	say(0, "intruder", "CL part 1", "CL part 2")
	for at := 10 * m; at < 5*h+50*m; at += 2 * m { // 170 times
		say(at, "intruder", "BA 1012")
		say(at+20*s, "intruder", "BR 1012")
	}
	say(2*h+s, "intruder", "BA 1011", "text STOCK ROOM")
	say(2*h+1*m+s, "intruder", "BA 1015")
	say(2*h+1*m+5*s, "intruder", "BV 1015")
	say(6*h, "intruder", "OP part 1", "OP part 2", "BR 1011", "BR 1015", "BC", "OR")
	say(6*h+4*s, "intruder", "text SYS R")
	for at := 6*h + 30*m; at <= 19*h+30*m; at += 20 * m { // 40 times
		day = append(day, heard{at: at, panel: "contacts", sigs: reads("201 on")}, heard{at: at + 5*s, panel: "contacts", sigs: reads("201 off")})
	}
	for at := 7 * h; at < 11*h; at += m { // 240 times
		say(at+s, "intruder", "TA 1013")
		say(at+11*s, "intruder", "TR 1013")
	}
	for at := 9 * h; at < 10*h; at += m { // 60 times
		say(at+20*s, "fire", "FA 3")
		say(at+40*s, "fire", "FR 3")
	}
	say(12*h, "intruder", "LB", "BA 1011", "BR 1011", "LX")
	say(22*h, "intruder", "CL part 1", "CL part 2")
	for i := range 200 { // lightning: 40 zones, five times each
		say(22*h+30*m+time.Duration(i)*200*time.Millisecond, "intruder", fmt.Sprintf("BA %d part 1", 2001+i%40))
	}
	say(22*h+30*m+20*s, "fire", "FA 4")
	for at := time.Duration(0); at < 24*h; at += 10 * s {
		day = append(day, heard{at: at, panel: "contacts", sigs: append(reads("202 off", "203 off", "204 off", "205 off", "7 off", "8 off", "9 off"),
			edge.Signal{State: true, Zone: "10", Kind: "mains-lost-restored"})})
		if at%(2*m) == 0 {
			day = append(day, heard{at: at, camera: "door"}, heard{at: at + m, camera: "stockroom"})
		}
		if at%h == 30*m {
			say(at, "intruder", "RP", "AT", "AR", "JA")
		}
	}
	slices.SortStableFunc(day, func(a, b heard) int { return int(a.at - b.at) })
	return day
}

// replay lets the day happen.
func (s *shop) replay(day []heard) (signals int) {
	s.t.Helper()
	now := time.Duration(0)
	minute := now
	for i := range day {
		e := &day[i]
		s.clock.Advance(e.at - now)
		now = e.at
		if e.camera != "" {
			at := s.clock.Now()
			if _, err := s.Motion(s.t.Context(), e.camera, at, at, ""); err != nil {
				s.t.Fatal(err)
			}
			continue
		}
		s.say(e.panel, e.sigs...)
		if !e.sigs[0].State && e.sigs[0].Code != "OR" { // a text follows that
			s.settle(e.panel)
		}
		signals += len(e.sigs)
		if now-minute >= time.Minute {
			minute = now
			s.due()
		}
	}
	return signals
}

func TestBusiestDay(t *testing.T) {
	s := newBigShop(t)
	day := busyDay()
	signals := s.replay(day)
	count := map[string]int{} // "kind lane held"
	seen := map[edge.Seq]int{}
	for _, ev := range s.events() {
		count[fmt.Sprint(ev.Kind, " ", ev.Lane, " ", ev.Held)]++
		if ev.Kind == edge.KindAmended && ev.Corroborated != "" {
			seen[ev.Amends]++
		} else if ev.Corroborated != "" {
			seen[ev.Seq]++
		}
		if ev.Why == "" && ev.Kind != edge.KindAmended {
			t.Errorf("event %d, %s, has no why", ev.Seq, ev.Kind)
		}
	}
	for what, want := range map[string]int{
		"fire urgent ": 61, "fire-restored urgent ": 60,
		"hold-up urgent ": 40, "hold-up-restored urgent ": 40, "hold-up-confirmed urgent ": 2,
		"intruder urgent ":                   3 + 2 + 40, // the one that swings, the burglary, lightning once in each zone
		"intruder routine swinger":           167 + 80,
		"intruder routine storm":             80,
		"intruder routine engineer":          1,
		"intruder-restored urgent ":          3 + 2,
		"intruder-confirmed urgent ":         1 + 1 + 1, // ours, the panel's, lightning
		"tamper urgent ":                     3,
		"tamper routine swinger":             237,
		"unconfirmed routine ":               1, // the one that swings
		"engineer routine ":                  1,
		"motion routine ":                    8*60 + 1, // and once between the two partitions
		"mains-lost routine ":                24,
		"alarm-after-set routine ":           0,
		"hold-up routine swinger":            0,
		"intruder-restored routine engineer": 1,
	} {
		if got := count[what]; got != want {
			t.Errorf("%s: %d events, want %d", what, got, want)
		}
	}
	for seq, n := range seen {
		if n != 1 {
			t.Errorf("event %d was corroborated %d times", seq, n)
		}
	}
	if len(seen) < 100 {
		t.Errorf("%d alarms were corroborated, want most of those in zones with a camera", len(seen))
	}
	alarms, points := 0, 0
	for panel := range bigShop {
		ps, as, err := s.j.PanelMeaning(t.Context(), panel)
		if err != nil {
			t.Fatal(err)
		}
		alarms, points = alarms+len(as), points+len(ps)
	}
	if alarms > 60 || points > 60 {
		t.Errorf("%d alarms and %d points are remembered of %d zones", alarms, points, 60)
	}
	t.Logf("%d signals, %d events, %d rows of alarms, %d of points", signals, s.j.Last(), alarms, points)
}

func BenchmarkBusiestDay(b *testing.B) {
	day := busyDay()
	signals := 0
	for b.Loop() {
		b.StopTimer()
		s := openShop(b, b.TempDir(), edgetest.NewClock(), bigShop)
		b.StartTimer()
		signals += s.replay(day)
		b.StopTimer()
		s.stop()
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(signals), "ns/signal")
}

// BenchmarkSameState is a poll of eight points that finds nothing new: most of what a polled panel ever says.
func BenchmarkSameState(b *testing.B) {
	s := newBigShop(b)
	sigs := reads("201 off", "202 off", "203 off", "204 off", "205 off", "7 off", "8 off", "9 off")
	s.say("contacts", sigs...)
	b.ReportAllocs()
	for b.Loop() {
		s.say("contacts", sigs...)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/8, "ns/signal")
}

// BenchmarkJudge is what an alarm means, without the disk.
func BenchmarkJudge(b *testing.B) {
	tr := &tracker{panels: bigShop}
	p := newPast("intruder", tr, Rules{}.withDefaults(), nil, nil, edge.Stamp{})
	v := view{}
	clock := edgetest.NewClock()
	zones := []edge.ZoneID{"1011", "1012", "1013", "1014", "1015"}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		sig := edge.Signal{Panel: "intruder", Code: "BA", Zone: zones[i%len(zones)], At: clock.Advance(time.Second)}
		out := tr.track(sig, v.states)
		p.judge(&out.event, sig, &v, nil, 1)
		p.take()
	}
}
