package alarm

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
)

// bigShop has a panel, a fire panel, a line of contacts, and a line of inputs of our own.
var bigShop = map[edge.PanelID]Panel{
	"intruder": {Cameras: []edge.CameraID{"door"}, Kinds: map[string]edge.Kind{"BX": edge.KindIntruder, "FA": "test"}, Zones: map[edge.ZoneID]Zone{
		"1011": {Name: "Stock room", Kind: edge.KindIntruder, Partition: "1", Route: "interior", Cameras: []edge.CameraID{"stockroom"}},
		"1012": {Name: "Office", Partition: "1", Route: "interior"},
		"1013": {Name: "Front door", Partition: "1", Route: "entry"},
		"1014": {Name: "Yard", Partition: "1", Route: "external"},
		"1015": {Name: "Safe", Partition: "2", Route: "interior"},
		"1021": {Name: "Till 1", Kind: edge.KindHoldUp}, "1022": {Name: "Till 2", Kind: edge.KindHoldUp},
	}},
	"fire": {},
	"contacts": {Zones: map[edge.ZoneID]Zone{
		"201": {Name: "Hold-up till 1", Kind: edge.KindHoldUp}, "202": {Name: "Fire panel contact", Kind: edge.KindFire},
		"203": {Name: "Set", Kind: edge.KindSet}, "204": {Name: "Part set", Kind: edge.KindPartSet}, "205": {Name: "Loft", Kind: edge.KindIntruder},
	}},
	"unset": {Zones: map[edge.ZoneID]Zone{"1": {Kind: edge.KindUnset}}},
	"io":    {Zones: map[edge.ZoneID]Zone{"301": {Name: "Back door", Kind: edge.KindIntruder}, "302": {Name: "Cellar", Kind: edge.KindIntruder}}},
}

func newBigShop(t testing.TB) *shop { return openShop(t, t.TempDir(), edgetest.NewClock(), bigShop) }

// tell lets a panel say lines such as "BA 1011", "HA user 003", "CL part 1", "text SYS R", "old BA 1011", and lets time pass: "4m".
func (s *shop) tell(panel edge.PanelID, lines ...string) {
	s.t.Helper()
	for _, line := range lines {
		if d, err := time.ParseDuration(line); err == nil {
			s.clock.Advance(d)
			continue
		}
		s.say(panel, sigOf(line))
		s.settle(panel)
	}
}

func sigOf(line string) (sig edge.Signal) {
	f := strings.Fields(line)
	if f[0] == "text" {
		return edge.Signal{Kind: edge.KindAmended, Text: strings.TrimPrefix(line, "text ")}
	}
	if f[0] == "old" {
		sig.Old, f = true, f[1:]
	}
	sig.Code = f[0]
	for i := 1; i < len(f); i++ {
		switch {
		case f[i] == "user":
			sig.User, i = f[i+1], i+1
		case f[i] == "part":
			sig.Partition, i = edge.PartitionID(f[i+1]), i+1
		default:
			sig.Zone = edge.ZoneID(f[i])
		}
	}
	return sig
}

// due lets Run's work be done now.
func (s *shop) due() time.Duration {
	s.t.Helper()
	wait, err := s.Desk.tick(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return wait
}

// TestWhatItMeans plays a night and looks at the kinds that come of it, after the settings that each begins with.
func TestWhatItMeans(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string // "panel: line"; "restart", "due"
		want  string
		why   string // of the last event
	}{
		{"a second zone confirms", []string{"CL part 1", "5m", "BA 1011", "4m", "BA 1012"},
			"set intruder intruder intruder-confirmed", "second zone, Office, 4 min after Stock room: sequentially confirmed"},
		{"a restart inside the window", []string{"CL part 1", "5m", "BA 1011", "restart", "4m", "BA 1012"},
			"set intruder intruder intruder-confirmed", "second zone, Office, 4 min after Stock room: sequentially confirmed"},
		{"and once in an episode", []string{"CL part 1", "5m", "BA 1011", "1m", "BA 1012", "1m", "BA 1015 part 1", "restart", "1m", "BA 1012", "1m", "BA 1011"},
			"set intruder intruder intruder-confirmed intruder intruder intruder", ""},
		{"another pair when the window has gone by", []string{"CL part 1", "5m", "BA 1011", "1m", "BA 1012", "31m", "BA 1011", "1m", "BA 1012"},
			"set intruder intruder intruder-confirmed intruder intruder intruder-confirmed", ""},
		{"the window has gone by", []string{"CL part 1", "5m", "BA 1011", "30m1s", "BA 1012"}, "set intruder intruder", ""},
		{"a detector that swings confirms nothing more", []string{"CL part 1", "5m", "BA 1012", "1m", "BA 1012", "1m", "BA 1012", "29m", "BA 1012", "2m", "BA 1011"},
			"set intruder intruder intruder intruder intruder", ""},
		{"but it had its say", []string{"CL part 1", "5m", "BA 1012", "1m", "BA 1012", "1m", "BA 1012", "1m", "BA 1012", "1m", "BA 1011"},
			"set intruder intruder intruder intruder intruder intruder-confirmed", "second zone, Stock room, 2 min after Office: sequentially confirmed"},
		{"from the panel's buffer, which says no time", []string{"CL part 1", "5m", "old BA 1011", "old BA 1012"}, "set intruder intruder", ""},
		{"the first of them from the buffer", []string{"CL part 1", "5m", "old BA 1011", "BA 1012"}, "set intruder intruder", ""},
		{"the same zone again", []string{"CL part 1", "5m", "BA 1011", "5m", "BA 1011"}, "set intruder intruder", ""},
		{"by the entry route", []string{"CL part 1", "5m", "BA 1013", "1m", "BA 1011", "1m", "BA 1013", "1m", "BA 1014"}, "set intruder intruder intruder intruder", ""},
		{"nothing is set", []string{"OP part 1", "BA 1011", "1m", "BA 1012"}, "unset intruder intruder", ""},
		{"nobody has ever said what is set", []string{"BA 1011", "1m", "BA 1012"}, "intruder intruder intruder-confirmed",
			"second zone, Office, 1 min after Stock room: sequentially confirmed"},
		{"unset in between", []string{"CL part 1", "5m", "BA 1011", "1m", "OP part 1", "CL part 1", "5m", "BA 1012"}, "set intruder unset set intruder", ""},
		{"the other partition is unset in between", []string{"CL part 1", "CL part 2", "5m", "BA 1011", "1m", "OP part 2", "BA 1012"},
			"set set intruder unset intruder intruder-confirmed", ""},
		{"one that is over confirms nothing", []string{"CL part 1", "5m", "BA 1011", "BR 1011", "BC", "OR", "text SYS R", "1m", "BA 1012"},
			"set intruder intruder-restored cancel reset amended intruder", ""},
		{"and may be confirmed anew", []string{"CL part 1", "5m", "BA 1011", "BA 1012", "BR 1011", "BR 1012", "BC", "OR", "text SYS R", "1m", "BA 1011", "BA 1012"},
			"set intruder intruder intruder-confirmed intruder-restored intruder-restored cancel reset amended intruder intruder intruder-confirmed", ""},
		{"the partition is unset while another is set", []string{"OP part 1", "CL part 2", "5m", "BA 1011", "1m", "BA 1012"}, "unset set intruder intruder", ""},
		{"the panel has confirmed it itself", []string{"CL part 1", "5m", "BA 1011", "BV 1012", "1s", "BA 1012"},
			"set intruder intruder-confirmed intruder", ""},
		{"unconfirmed when the window ends", []string{"CL part 1", "5m", "BA 1011", "29m59s", "due", "1s", "due", "due"},
			"set intruder unconfirmed", "Intruder alarm in Stock room was not confirmed within 30 min"},
		{"unconfirmed over a restart", []string{"CL part 1", "5m", "BA 1011", "restart", "30m", "due", "restart", "due"}, "set intruder unconfirmed", ""},
		{"unconfirmed over a reboot", []string{"CL part 1", "5m", "BA 1011", "reboot", "30m", "due"}, "set intruder unconfirmed", ""},
		{"confirmed is not unconfirmed", []string{"CL part 1", "5m", "BA 1011", "1m", "BA 1012", "1h", "due"},
			"set intruder intruder intruder-confirmed", ""},
		{"the panel's own word is not unconfirmed", []string{"CL part 1", "5m", "BA 1011", "1m", "BV 1012", "1h", "due"}, "set intruder intruder-confirmed", ""},
		{"an entry alarm is never unconfirmed", []string{"CL part 1", "5m", "BA 1013", "1h", "due"}, "set intruder", ""},
		{"contacts of our own while the panel is set", []string{"CL part 1", "5m", "io: BA 301", "1m", "io: BA 302"},
			"set intruder intruder intruder-confirmed", "second zone, Cellar, 1 min after Back door: sequentially confirmed"},
		{"two panels may watch one thing", []string{"CL part 1", "5m", "BA 1011", "1m", "io: BA 302"}, "set intruder intruder", ""},

		{"a second hold-up device", []string{"HA 1021", "1h", "HA 1022"},
			"hold-up hold-up hold-up-confirmed", "second device, Till 2, 60 min after Till 1: hold-up confirmed"},
		{"the same device, pressed twice", []string{"HA 1021", "1m", "HA 1021"}, "hold-up hold-up", ""},
		{"the same device every minute", []string{"HA 1021", "1m", "HA 1021", "1m", "HA 1021", "1m", "HA 1021"},
			"hold-up hold-up hold-up hold-up hold-up-confirmed", "Till 1 again after 3 min: hold-up confirmed"},
		{"a hold-up and a code under threat", []string{"HA 1021", "1m", "HA user 003"},
			"hold-up duress hold-up-confirmed", "second device, user 003, 1 min after Till 1: hold-up confirmed"},
		{"a hold-up with tamper", []string{"HA 1021", "10m", "TA 1012"},
			"hold-up tamper hold-up-confirmed", "with tamper, Office, 10 min after Till 1: hold-up confirmed"},
		{"tamper by an engineer", []string{"LB", "TA 1012", "LX", "10m", "HA 1021"}, "engineer tamper engineer-restored hold-up", ""},
		{"over when it is restored and the PA is reset", []string{"HA 1021", "HR 1021", "OR", "text PA R", "1h", "HA 1022"},
			"hold-up hold-up-restored reset amended hold-up", ""},
		{"and begins anew, with its two minutes", []string{"HA 1021", "HR 1021", "OR", "text PA R", "10m", "HA 1021", "1m", "HA 1021"},
			"hold-up hold-up-restored reset amended hold-up hold-up", ""},
		{"and is confirmed anew", []string{"HA 1021", "HA 1022", "HR 1021", "HR 1022", "OR", "text PA R", "10m", "HA 1021", "HA 1022"},
			"hold-up hold-up hold-up-confirmed hold-up-restored hold-up-restored reset amended hold-up hold-up hold-up-confirmed", ""},
		{"the panel has confirmed the hold-up itself", []string{"HA 1021", "HV 1022", "1m", "HA 1022"}, "hold-up hold-up-confirmed hold-up", ""},
		{"a hold-up that stays alone", []string{"HA 1021", "7h59m59s", "due", "1s", "due"}, "hold-up unconfirmed", "Hold-up alarm in Till 1 was not confirmed within 8 h"},

		{"soon after set", []string{"CL part 1", "40s", "BA 1011"},
			"set intruder alarm-after-set", "Intruder alarm in Stock room 40 s after set: alarm soon after set"},
		{"soon after set, over a restart, once", []string{"CL part 1", "10s", "BA 1011", "restart", "10s", "BA 1013"},
			"set intruder alarm-after-set intruder", ""},
		{"soon after the next set again", []string{"CL part 1", "10s", "BA 1011", "OP part 1", "CL part 1", "10s", "BA 1011"},
			"set intruder alarm-after-set unset set intruder alarm-after-set", ""},
		{"not so soon", []string{"CL part 1", "2m1s", "BA 1011"}, "set intruder", ""},
		{"the panel says so itself", []string{"CL part 1", "10s", "CR part 1", "BA 1011"}, "set alarm-after-set intruder", ""},
		{"set was said again", []string{"CL part 1", "5m", "CL part 1", "10s", "BA 1011"}, "set set intruder", ""},
		{"a hold-up soon after set is no matter of that", []string{"CL part 1", "10s", "HA 1021"}, "set hold-up", ""},

		{"intruder: restored, cancelled, reset", []string{"BA 1011", "BR 1011", "BC part 1", "OR part 1 user 003", "text 'USER    SYS R'"},
			"intruder intruder-restored cancel reset amended", "Reset, partition 1, user 003. Intruder alarm is over: restored, cancelled, reset"},
		{"in another order, over restarts", []string{"BA 1011", "BC", "OR", "restart", "text SYS RESET", "restart", "BR 1011"},
			"intruder cancel reset amended intruder-restored", "Intruder alarm restored in Stock room (zone 1011), partition 1. Intruder alarm is over: restored, cancelled, reset"},
		{"the text comes after a restart", []string{"BA 1011", "BC", "BR 1011", "OR", "restart", "text SYS R"},
			"intruder cancel intruder-restored reset amended", "Reset. Intruder alarm is over: restored, cancelled, reset"},
		{"the panel names another partition with the alarm", []string{"BA 1011 part 9", "BR 1011", "BC", "OR", "text SYS R"},
			"intruder intruder-restored cancel reset amended", "Reset. Intruder alarm is over: restored, cancelled, reset"},
		{"a reset of the PA ends no intruder alarm", []string{"BA 1011", "BC", "BR 1011", "OR", "text PA R"}, "intruder cancel intruder-restored reset amended", ""},
		{"a reset without its text ends nothing", []string{"BA 1011", "BR 1011", "OR", "BC"},
			"intruder intruder-restored reset cancel", "Alarm cancelled"},
		{"one of two zones is still open", []string{"OP part 1", "BA 1011", "BA 1012", "BR 1011", "BC", "OR", "text SYS R", "BR 1012"},
			"unset intruder intruder intruder-restored cancel reset amended intruder-restored",
			"Intruder alarm restored in Office (zone 1012), partition 1. Intruder alarm is over: restored, cancelled, reset"},
		{"the other partition has its own", []string{"OP part 1", "OP part 2", "BA 1015", "BA 1011", "BR 1011", "BC part 1", "OR part 1", "text SYS R"},
			"unset unset intruder intruder intruder-restored cancel reset amended", "Reset, partition 1. Intruder alarm is over: restored, cancelled, reset"},
		{"an alarm again is not over", []string{"BA 1011", "BR 1011", "BC", "BA 1011", "OR", "text SYS R"}, "intruder intruder-restored cancel intruder reset amended", ""},
		{"hold-up: restored, PA reset", []string{"HA 1021", "HR 1021", "OR", "text PA R"}, "hold-up hold-up-restored reset amended", "Reset. Hold-up alarm is over: restored, reset"},
		{"panic: restored, PA reset", []string{"PA 1021", "OR", "text PA R", "PR 1021"}, "panic reset amended panic-restored",
			"Panic alarm restored in Till 1 (zone 1021). Panic alarm is over: restored, reset"},
		{"tamper: restored, tamper reset", []string{"TA 1021", "TR 1021", "OR", "text TAMP R"}, "tamper tamper-restored reset amended", "Reset. Tamper alarm is over: restored, reset"},
		{"fire: restored", []string{"fire: FA 3", "fire: FR 3"}, "fire fire-restored", "Fire alarm restored in zone 3. Fire alarm is over: restored"},
		{"fire: all zones restored", []string{"fire: FA 3", "fire: FA 4", "fire: FR 3"}, "fire fire fire-restored", "Fire alarm restored in zone 3"},

		{"the site takes BX for an alarm", []string{"BX 1011"}, "intruder", "Intruder alarm in Stock room (zone 1011), partition 1"},
		{"no site takes FA for anything else", []string{"FA 1011"}, "fire", ""},
		{"a code that nobody knows", []string{"ZZ 7"}, "unknown", `Unknown signal "ZZ" in zone 7`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newBigShop(t)
			for _, line := range c.lines {
				panel, words, ok := strings.Cut(line, ": ")
				switch {
				case line == "restart":
					s = s.restart()
				case line == "reboot":
					s.clock.Reboot("boot-2")
					s = s.restart()
				case line == "due":
					s.due()
				case ok:
					s.tell(edge.PanelID(panel), words)
				case strings.HasPrefix(line, "OR"):
					s.say("intruder", sigOf(line)) // its text follows
				default:
					s.tell("intruder", line)
				}
			}
			if got := s.kinds(); got != c.want {
				t.Fatalf("journalled %q, want %q", got, c.want)
			}
			evs := s.events()
			if last := evs[len(evs)-1]; c.why != "" && last.Why != c.why {
				t.Errorf("why = %q, want %q", last.Why, c.why)
			}
			for _, ev := range evs {
				if ev.Why == "" && ev.Kind != edge.KindAmended {
					t.Errorf("event %d, %s, has no why", ev.Seq, ev.Kind)
				}
			}
		})
	}
}

func TestConfirmedInOneBreath(t *testing.T) {
	s := newBigShop(t)
	s.tell("intruder", "CL part 1", "5m", "BA 1011")
	s.say("intruder", sigOf("BA 1012"), sigOf("BV 1012"))
	if got, want := s.kinds(), "set intruder intruder intruder-confirmed"; got != want {
		t.Errorf("journalled %q, want %q: the panel's own word alone", got, want)
	}
}

func TestAlarmAfterSetInOneBreath(t *testing.T) {
	s := newBigShop(t)
	s.tell("intruder", "CL part 1", "10s")
	s.say("intruder", sigOf("BA 1011"), sigOf("CR part 1"))
	s.tell("intruder", "10s", "BA 1012")
	if got, want := s.kinds(), "set intruder alarm-after-set intruder intruder-confirmed"; got != want {
		t.Errorf("journalled %q, want %q: the panel's own word alone", got, want)
	}
}

func TestConfirmedEventSaysWhereAndStandsAfterItsAlarm(t *testing.T) {
	s := newBigShop(t)
	s.tell("intruder", "CL part 1", "5m", "BA 1011", "4m")
	s.say("intruder", sigOf("BA 1012"), sigOf("text OFFICE"))
	evs := s.events()
	sure, text := evs[3], evs[4]
	if sure.Kind != edge.KindIntruderConfirmed || sure.Lane != edge.Urgent || sure.Zone != "1012" || sure.ZoneName != "Office" || sure.Partition != "1" ||
		fmt.Sprint(sure.Cameras) != "[door stockroom]" || len(sure.Clips) > 0 {
		t.Errorf("confirmed event = %+v", sure)
	}
	if text.Kind != edge.KindAmended || text.Amends != 3 {
		t.Errorf("the text amends event %d (%+v), want the alarm, 3", text.Amends, text)
	}
	s.tell("intruder", "35m", "BA 1015 part 1")
	s.say("intruder", sigOf("BA 1012")) // event 7, confirmed by event 8
	s = s.restart()
	s.say("intruder", sigOf("text OFFICE"))
	if evs = s.events(); len(evs) != 9 || evs[7].Kind != edge.KindIntruderConfirmed || evs[8].Amends != 7 {
		t.Errorf("after a restart the text amends event %d of %s, want the alarm, 7", evs[len(evs)-1].Amends, s.kinds())
	}
}
