package alarm

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sitewatch/edge"
)

// lanes shows each event of a kind's base as U or R, with its reason: "U U U R(swinger)".
func (s *shop) lanes(base edge.Kind) string {
	s.t.Helper()
	var out []string
	for _, ev := range s.events() {
		if ev.Kind.Base() != base {
			continue
		}
		w := map[edge.Lane]string{edge.Urgent: "U", edge.Routine: "R"}[ev.Lane]
		if ev.Kind.IsRestored() {
			w = strings.ToLower(w)
		}
		if ev.Held != "" {
			w += "(" + ev.Held + ")"
			if len(ev.Clips) > 0 || ev.Kind.Alarm() && !strings.Contains(ev.Why, "; held, for ") {
				s.t.Errorf("held event = %+v, want no clips and the reason in why", ev)
			}
		}
		out = append(out, w)
	}
	return strings.Join(out, " ")
}

func TestSwinger(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		base  edge.Kind
		want  string
	}{
		{"the fourth alarm of a zone", []string{"CL part 1", "BA 1011", "1m", "BA 1011", "1m", "BA 1011", "1m", "BA 1011", "BR 1011", "1m", "BA 1011"},
			edge.KindIntruder, "U U U R(swinger) r(swinger) R(swinger)"},
		{"another zone is not to blame", []string{"CL part 1", "BA 1011", "1m", "BA 1011", "1m", "BA 1011", "1m", "BA 1011", "BA 1012"},
			edge.KindIntruder, "U U U R(swinger) U"},
		{"over a restart", []string{"CL part 1", "BA 1011", "1m", "BA 1011", "1m", "BA 1011", "restart", "1m", "BA 1011"}, edge.KindIntruder, "U U U R(swinger)"},
		{"the next set period", []string{"CL part 1", "BA 1011", "BA 1011", "BA 1011", "BA 1011", "OP part 1", "CL part 1", "BA 1011"},
			edge.KindIntruder, "U U U R(swinger) U"},
		{"set said again is no new period", []string{"CL part 1", "BA 1011", "BA 1011", "BA 1011", "CL part 1", "BA 1011"}, edge.KindIntruder, "U U U R(swinger)"},
		{"the other partition's period", []string{"CL", "BA 1011", "BA 1011", "BA 1011", "OP part 2", "BA 1011"}, edge.KindIntruder, "U U U R(swinger)"},
		{"a day later", []string{"CL part 1", "BA 1011", "BA 1011", "BA 1011", "24h1s", "BA 1011"}, edge.KindIntruder, "U U U U"},
		{"over does not make it new", []string{"CL part 1", "BA 1011", "BA 1011", "BA 1011", "BR 1011", "BC", "OR", "text SYS R", "due", "BA 1011"},
			edge.KindIntruder, "U U U u R(swinger)"},
		{"tamper", []string{"OP part 1", "TA 1011", "TA 1011", "TA 1011", "TA 1011"}, edge.KindTamper, "U U U R(swinger)"},
		{"nobody has ever said what is set", many("BA 1011", 30), edge.KindIntruder, "U" + strings.Repeat(" U", 29)},
		{"fire is never held", many("FA 1011", 30), edge.KindFire, "U" + strings.Repeat(" U", 29)},
		{"hold-up is never held", many("HA 1021", 30), edge.KindHoldUp, "U" + strings.Repeat(" U", 29)},
		{"panic is never held", many("PA 1021", 30), edge.KindPanic, "U" + strings.Repeat(" U", 29)},
		{"duress is never held", many("HA user 003", 30), edge.KindDuress, "U" + strings.Repeat(" U", 29)},
		{"gas is never held", many("GA 1", 30), edge.KindGas, "U" + strings.Repeat(" U", 29)},
		{"lone worker is never held", many("MA 1", 30), edge.KindLoneWorker, "U" + strings.Repeat(" U", 29)},
		{"confirmed is never held", many("BV 1011", 30), edge.KindIntruderConfirmed, "U" + strings.Repeat(" U", 29)},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newBigShop(t)
			for _, line := range c.lines {
				switch {
				case line == "restart":
					s = s.restart()
				case line == "due":
					s.due()
				case line == "OR":
					s.say("intruder", sigOf(line))
				default:
					s.tell("intruder", line)
				}
			}
			if got := s.lanes(c.base); got != c.want {
				t.Errorf("%s went %s, want %s", c.base, got, c.want)
			}
		})
	}
}

func many(line string, n int) (out []string) {
	for range n {
		out = append(out, line)
	}
	return out
}

func TestStorm(t *testing.T) {
	s := newBigShop(t)
	s.tell("intruder", "OP")
	for i := range 30 {
		s.tell("intruder", fmt.Sprintf("BA %d", 2000+i), "1s") // each zone's first
	}
	s.tell("intruder", "BA 2029", "FA 7", "HA 1021", "HA 1021", "TA 2029", "TA 2029")
	s.tell("io", "BA 301", "BA 301")
	if got, want := s.lanes(edge.KindIntruder), strings.Repeat("U ", 30)+"R(storm) U U"; got != want {
		t.Errorf("intruder went %s, want %s: the first of each zone is urgent, and another panel is not to blame", got, want)
	}
	if got, want := s.lanes(edge.KindTamper), "U R(storm)"; got != want {
		t.Errorf("tamper went %s, want %s", got, want)
	}
	if got := s.lanes(edge.KindFire) + s.lanes(edge.KindHoldUp); got != "UU U" {
		t.Errorf("fire and hold-up went %s in a storm", got)
	}
	s.tell("intruder", "1m1s", "BA 2029")
	if got := s.lanes(edge.KindIntruder); !strings.HasSuffix(got, " U") {
		t.Errorf("intruder went %s; the storm is over", got)
	}
}

func TestEngineer(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		kinds string
		want  string // of intruder
	}{
		{"intruders are held while he is at work", []string{"OP", "BA 1011", "LB", "BA 1012", "BR 1012", "LX", "BA 1012"},
			"unset intruder engineer intruder intruder-restored engineer-restored intruder", "U R(engineer) r(engineer) U"},
		{"of the whole site", []string{"LB", "io: BA 301"}, "engineer intruder", "R(engineer)"},
		{"over a restart", []string{"LB", "restart", "BA 1012"}, "engineer intruder", "R(engineer)"},
		{"over a reboot", []string{"LB", "reboot", "1h", "BA 1012"}, "engineer intruder", "R(engineer)"},
		{"by remote service", []string{"RB", "BA 1011", "RS", "BA 1012"}, "engineer intruder engineer-restored intruder", "R(engineer) U"},
		{"walk test", []string{"TS", "BA 1011", "TE", "BA 1012"}, "walk-test intruder walk-test-restored intruder", "R(walk-test) U"},
		{"a fire panel's walk test holds nothing", []string{"FI", "BA 1011"}, "walk-test intruder", "U"},
		{"he forgets to end it", []string{"LB", "3h59m59s", "due", "BA 1011", "1s", "due", "BA 1012", "due"},
			"engineer intruder engineer-restored intruder", "R(engineer) U"},
		{"nobody looks when it ends, and the alarm is urgent all the same", []string{"LB", "4h", "BA 1011"}, "engineer intruder", "U"},
		{"a walk test that is forgotten", []string{"TS", "1h", "due", "due"}, "walk-test walk-test-restored", ""},
		{"it ends by itself over a restart", []string{"LB", "restart", "4h", "due", "restart", "due"}, "engineer engineer-restored", ""},
		{"one that came from the buffer holds nothing", []string{"old LB", "BA 1011"}, "engineer intruder", "U"},
		{"an alarm from the buffer was perhaps before", []string{"LB", "old BA 1011"}, "engineer intruder", "U"},
		{"nothing else is held", []string{"LB", "FA 1", "HA 1021", "PA 2", "TA 3", "GA 4", "MA 5", "BV 6", "HA user 3"},
			"engineer fire hold-up panic hold-up-confirmed tamper gas lone-worker intruder-confirmed duress", ""},
		{"held alarms confirm nothing", []string{"CL part 1", "5m", "LB", "BA 1011", "1m", "BA 1012"}, "set engineer intruder intruder", "R(engineer) R(engineer)"},
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
				default:
					s.tell("intruder", line)
				}
			}
			if got := s.kinds(); got != c.kinds {
				t.Errorf("journalled %q, want %q", got, c.kinds)
			}
			if got := s.lanes(edge.KindIntruder); got != c.want {
				t.Errorf("intruder went %s, want %s", got, c.want)
			}
			for _, ev := range s.events() {
				if ev.Held != "" && ev.Kind.Base() != edge.KindIntruder || ev.Lane != ev.Kind.Lane() && ev.Held == "" {
					t.Errorf("%s is held %q in the lane %s", ev.Kind, ev.Held, ev.Lane)
				}
			}
		})
	}
}

func TestEngineerIsAnnounced(t *testing.T) {
	s := newBigShop(t)
	s.tell("intruder", "LB", "4h")
	if wait := s.due(); wait != idleWait {
		t.Errorf("nothing is due, but it is looked for in %v", wait)
	}
	evs := s.events()
	for i, want := range []string{"Engineer mode; intruder alarms go in the routine lane until it ends, at most 4 h",
		"Engineer mode timed out after 4 h: nobody had ended it, and intruder alarms are urgent again"} {
		if evs[i].Why != want || evs[i].Panel != "intruder" {
			t.Errorf("event %d of panel %s says %q, want %q", i, evs[i].Panel, evs[i].Why, want)
		}
	}
	s.tell("intruder", "CL part 1", "5m", "BA 1011", "10m")
	if wait := s.due(); wait != 20*time.Minute {
		t.Errorf("the window's end is looked for in %v, want 20m", wait)
	}
}
