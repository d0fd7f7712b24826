package main

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sitewatch/edge"
)

// TestMeaningReachesTheSOC: what the box concludes from a night's signals, as the SOC has it afterwards, over a restart of the box.
func TestMeaningReachesTheSOC(t *testing.T) {
	r := newRig(t, "alarms: {swinger: 2}\n")
	r.cfg.Panels[0].Cameras = []edge.CameraID{"door"} // there is no camera: the test sees for it
	synctest.Test(t, func(t *testing.T) {
		r.t, r.clock.begin = t, time.Now()
		r.startSOC(nil)
		r.startBox()
		r.connected()
		say := func(wait time.Duration, code, zone string) {
			r.said++
			time.Sleep(wait)
			sig := edge.Signal{Code: code, Zone: edge.ZoneID(zone), Key: fmt.Appendf(nil, "%d", r.said), At: r.clock.Now()}
			if err := r.box.desk.Panel("intruder").Signal(t.Context(), sig); err != nil {
				t.Fatal(err)
			}
		}
		say(0, "CL", "")
		say(5*time.Minute, "BA", "1011")
		r.stopBox()
		r.startBox()
		r.connected()
		say(4*time.Minute, "BA", "1012")
		for range 3 {
			say(20*time.Second, "BA", "1011")
		}
		say(0, "FA", "3")
		now := r.clock.Now()
		if _, err := r.box.desk.Motion(t.Context(), "door", now, now, ""); err != nil {
			t.Fatal(err)
		}
		r.until("all is at the SOC", time.Minute, r.delivered)
		var got []string
		for _, e := range r.events() {
			ev := e.Event
			if ev.Panel != "intruder" && ev.Kind != edge.KindFire {
				continue
			}
			got = append(got, strings.TrimSpace(fmt.Sprint(ev.Seq, " ", ev.Kind, " ", ev.Lane, " ", ev.Held, " ", ev.Corroborated)))
			if ev.Kind == edge.KindIntruderConfirmed && ev.Why != "second zone, zone 1012, 4 min after Stock room: sequentially confirmed; corroborated by video: movement on camera door at "+
				now.Wall.Format(time.TimeOnly)+" UTC, 1 min after the alarm" {
				t.Errorf("why of the confirmed alarm = %q", ev.Why)
			}
		}
		for _, want := range []string{"2 intruder urgent", "3 intruder urgent  video", "4 intruder-confirmed urgent  video", "5 intruder urgent  video",
			"6 intruder routine swinger video", "7 intruder routine swinger video", "8 fire urgent"} {
			found := false
			for _, g := range got {
				found = found || g == want
			}
			if !found {
				t.Errorf("%q is not at the SOC; there are:\n%s", want, strings.Join(got, "\n"))
			}
		}
		r.stopBox()
		r.stopSOC()
	})
}
