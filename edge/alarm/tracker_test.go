package alarm

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
	"sitewatch/edge/journal"
)

func TestTrack(t *testing.T) {
	at := edgetest.NewClock().Now()
	unset := at
	unset.Wall = time.Date(1970, 1, 1, 0, 5, 0, 0, time.UTC)
	said := at.Wall.Add(-2 * time.Minute)
	longAgo := at.Wall.Add(-10 * 24 * time.Hour)
	for _, c := range []struct {
		name  string
		sig   edge.Signal
		want  edge.Event
		clips string // cameras
		parts string
	}{
		{"intruder in a zone with cameras", edge.Signal{Code: "BA", Zone: "1011", Said: said},
			edge.Event{Kind: "intruder", Code: "BA", Zone: "1011", ZoneName: "Stock room", Partition: "1", Occurred: said,
				Cameras: []edge.CameraID{"stockroom", "aisle"}, Why: "Intruder alarm in Stock room (zone 1011), partition 1"}, "stockroom aisle", ""},
		{"a zone without cameras has the panel's", edge.Signal{Code: "BA", Zone: "1012"},
			edge.Event{Kind: "intruder", Code: "BA", Zone: "1012", ZoneName: "Office", Partition: "2",
				Cameras: []edge.CameraID{"door"}, Why: "Intruder alarm in Office (zone 1012), partition 2"}, "door", ""},
		{"the panel's own partition counts", edge.Signal{Code: "BA", Zone: "1012", Partition: "7"},
			edge.Event{Kind: "intruder", Code: "BA", Zone: "1012", ZoneName: "Office", Partition: "7",
				Cameras: []edge.CameraID{"door"}, Why: "Intruder alarm in Office (zone 1012), partition 7"}, "door", ""},
		{"a zone that nobody configured", edge.Signal{Code: "TA", Zone: "4158"},
			edge.Event{Kind: "tamper", Code: "TA", Zone: "4158", Cameras: []edge.CameraID{"door"}, Why: "Tamper alarm in zone 4158"}, "door", ""},
		{"a plain point has the kind of its zone", edge.Signal{Zone: "1012", Usual: "fire"},
			edge.Event{Kind: "intruder", Zone: "1012", ZoneName: "Office", Partition: "2",
				Cameras: []edge.CameraID{"door"}, Why: "Intruder alarm in Office (zone 1012), partition 2"}, "door", ""},
		{"a plain point in a zone that nobody configured is what it usually is", edge.Signal{Zone: "9", Usual: "fire"},
			edge.Event{Kind: "fire", Zone: "9", Cameras: []edge.CameraID{"door"}, Why: "Fire alarm in zone 9"}, "door", ""},
		{"hold-up without a zone", edge.Signal{Code: "HA"},
			edge.Event{Kind: "hold-up", Code: "HA", Cameras: []edge.CameraID{"door"}, Why: "Hold-up alarm"}, "door", ""},
		{"hold-up by a user is duress", edge.Signal{Code: "HA", User: "003"},
			edge.Event{Kind: "duress", Code: "HA", User: "003", Cameras: []edge.CameraID{"door"}, Why: "Duress: a code was entered under threat, user 003"}, "door", ""},
		{"fire, sent late", edge.Signal{Code: "FA", Old: true, Said: longAgo},
			edge.Event{Kind: "fire", Code: "FA", Occurred: longAgo, Cameras: []edge.CameraID{"door"}, Why: "Fire alarm; sent late by the panel from its buffer; the pictures are of its arrival, not of when it happened"}, "door", ""},
		{"a restore gets no clip", edge.Signal{Code: "BR", Zone: "1011"},
			edge.Event{Kind: "intruder-restored", Code: "BR", Zone: "1011", ZoneName: "Stock room", Partition: "1",
				Cameras: []edge.CameraID{"stockroom", "aisle"}, Why: "Intruder alarm restored in Stock room (zone 1011), partition 1"}, "", ""},
		{"the driver's kind goes before the code", edge.Signal{Kind: "panic", Code: "BA"},
			edge.Event{Kind: "panic", Code: "BA", Cameras: []edge.CameraID{"door"}, Why: "Panic alarm"}, "door", ""},
		{"neither kind nor code: what the zone is", edge.Signal{Zone: "1011"},
			edge.Event{Kind: "intruder", Zone: "1011", ZoneName: "Stock room", Partition: "1",
				Cameras: []edge.CameraID{"stockroom", "aisle"}, Why: "Intruder alarm in Stock room (zone 1011), partition 1"}, "stockroom aisle", ""},
		{"a code that nobody knows", edge.Signal{Code: "ZZ", Zone: "9", Raw: []byte{0x44, 0x4e}},
			edge.Event{Kind: "unknown", Code: "ZZ", Zone: "9", Raw: edge.HexBytes{0x44, 0x4e}, Why: `Unknown signal "ZZ" in zone 9`}, "", ""},
		{"doubtful content is passed on and said", edge.Signal{Code: "AT", Suspect: "two spaces are missing"},
			edge.Event{Kind: "mains-lost", Code: "AT", Why: "Mains lost; doubtful content: two spaces are missing"}, "", ""},
		{"a panel whose clock is absurd", edge.Signal{Code: "AR", Said: longAgo},
			edge.Event{Kind: "mains-lost-restored", Code: "AR", Why: "Mains lost is over; the panel's clock says 2026-08-22 12:00, which is not believed"}, "", ""},
		{"a panel from the future", edge.Signal{Code: "AT", Old: true, Said: at.Wall.Add(27 * time.Hour)},
			edge.Event{Kind: "mains-lost", Code: "AT", Why: "Mains lost; sent late by the panel from its buffer; the panel's clock says 2026-09-02 15:00, which is not believed"}, "", ""},
		{"the box's clock was never set, the panel's was", edge.Signal{Code: "AT", At: unset, Said: said},
			edge.Event{Kind: "mains-lost", Code: "AT", Occurred: said, Why: "Mains lost"}, "", ""},
		{"one partition is set by a user", edge.Signal{Code: "CL", Partition: "2", User: "001"},
			edge.Event{Kind: "set", Code: "CL", Partition: "2", User: "001", Why: "Set, partition 2, user 001"}, "", "2=set"},
		{"all of it is set", edge.Signal{Code: "CA"},
			edge.Event{Kind: "set", Code: "CA", Why: "Set"}, "", "1=set 2=set 3=set"},
		{"part set", edge.Signal{Code: "CG", Partition: "1"},
			edge.Event{Kind: "part-set", Code: "CG", Partition: "1", Why: "Part set, partition 1"}, "", "1=part-set"},
		{"unset", edge.Signal{Code: "OP", Partition: "1"},
			edge.Event{Kind: "unset", Code: "OP", Partition: "1", Why: "Unset, partition 1"}, "", "1=unset"},
		{"a set that is taken back", edge.Signal{Kind: "set-restored", Partition: "1"},
			edge.Event{Kind: "set-restored", Partition: "1", Why: "Set is over, partition 1"}, "", "1=unset"},
		{"not set in time changes nothing", edge.Signal{Code: "CI", Partition: "1"},
			edge.Event{Kind: "set-failed", Code: "CI", Partition: "1", Why: "Setting failed, partition 1"}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := tracker{panels: shopPanels, before: time.Second, after: time.Second}
			c.sig.Panel, c.want.Panel = "intruder", "intruder"
			if c.sig.At.Boot == "" {
				c.sig.At = at
			}
			if c.want.Occurred.IsZero() {
				c.want.Occurred = at.Wall
			}
			out := tr.track(c.sig, []journal.Partition{{Panel: "intruder", Partition: "3", State: journal.Unset}, {Panel: "fire", Partition: "4"}})
			if d := cmp.Diff(c.want, out.event, cmpopts.IgnoreFields(edge.Event{}, "Clips"), cmpopts.EquateEmpty()); d != "" {
				t.Errorf("event (-want +got):\n%s", d)
			}
			var cams []string
			for _, r := range out.event.Clips {
				cams = append(cams, string(r.Camera))
			}
			if got := strings.Join(cams, " "); got != c.clips {
				t.Errorf("clips of %q, want %q", got, c.clips)
			}
			parts := map[string]bool{}
			for _, p := range out.partitions {
				parts[string(p.Partition)+"="+string(p.State)] = true
			}
			want := map[string]bool{}
			for _, p := range strings.Fields(c.parts) {
				want[p] = true
			}
			if d := cmp.Diff(want, parts); d != "" {
				t.Errorf("partitions (-want +got):\n%s", d)
			}
		})
	}
}

func TestNothingAPanelSaysIsTooBig(t *testing.T) {
	rubbish := strings.Repeat("\x00\xff\xfe<", 20_000)
	s := newShop(t)
	s.say("intruder", edge.Signal{Code: rubbish, Zone: edge.ZoneID(rubbish), Partition: edge.PartitionID(rubbish), User: rubbish,
		Text: rubbish, Suspect: rubbish, Raw: []byte(rubbish), Key: []byte(rubbish), Said: time.Date(99999, 1, 1, 0, 0, 0, 0, time.UTC)})
	s.say("intruder", edge.Signal{Kind: edge.KindAmended, Text: rubbish, Raw: []byte(rubbish)})
	if err := s.Report(t.Context(), edge.Event{Kind: edge.KindTaskFailed, Text: rubbish, Why: rubbish, Raw: []byte(rubbish)}); err != nil {
		t.Errorf("Report: %v", err)
	}
	if got := s.kinds(); got != "unknown amended task-failed" {
		t.Errorf("journalled %q", got)
	}
}
