package alarm

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/journal"
)

// reads are how points were read: "201 on", "202 off", "9 fire", "9 fire-restored".
func reads(words ...string) (sigs []edge.Signal) {
	for _, w := range words {
		zone, state, _ := strings.Cut(w, " ")
		sig := edge.Signal{State: true, Zone: edge.ZoneID(zone)}
		switch state {
		case "on":
			sig.Active = true
		case "off":
		default:
			sig.Kind = edge.Kind(state)
		}
		sigs = append(sigs, sig)
	}
	return sigs
}

func TestStates(t *testing.T) {
	for _, c := range []struct {
		name  string
		polls []string // each a poll of some points, or "restart"
		want  string
		parts string // of the panel contacts, afterwards
	}{
		{"how it is found is no news", []string{"201 on, 202 off, 205 on"}, "", ""},
		{"the same again is none either", []string{"202 off", "202 off", "restart", "202 off"}, "", ""},
		{"it closes and opens", []string{"202 off", "202 on", "202 on", "202 off"}, "fire fire-restored", ""},
		{"it changed while the box was off", []string{"201 off", "restart", "201 on", "restart", "201 on"}, "hold-up", ""},
		{"it was active when found", []string{"201 on", "201 off", "201 on"}, "hold-up-restored hold-up", ""},
		{"within a second each", []string{"201 off", "201 on", "201 off", "201 on", "201 off"}, "hold-up hold-up-restored hold-up hold-up-restored", ""},
		{"with a kind of the driver's", []string{"9 fire-restored", "9 fire", "9 fire", "9 fire-restored"}, "fire fire-restored", ""},
		{"two kinds of one point", []string{"9 tamper-restored, 9 intruder-restored", "9 tamper, 9 intruder-restored"}, "tamper", ""},
		{"an input that nobody named", []string{"7 off", "7 on", "7 off"}, "unknown unknown-restored", ""},
		{"a set contact", []string{"203 off", "203 on", "203 off"}, "set unset", "=unset"},
		{"found set", []string{"203 on"}, "", "=set"},
		{"found unset", []string{"203 off, 204 off"}, "", "=unset"},
		{"part set, then set", []string{"203 off, 204 off", "204 on", "203 on", "204 off"}, "part-set set set", "=set"},
		{"set and back to part set", []string{"203 off, 204 off", "203 on, 204 on", "203 off"}, "set part-set part-set", "=part-set"},
		{"set, over a restart", []string{"203 off", "203 on", "restart", "203 on", "203 off"}, "set unset", "=unset"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newBigShop(t)
			for _, p := range c.polls {
				if p == "restart" {
					s = s.restart()
					continue
				}
				s.say("contacts", reads(strings.Split(p, ", ")...)...)
				s.clock.Advance(200 * time.Millisecond)
			}
			if got := s.kinds(); got != c.want {
				t.Errorf("journalled %q, want %q", got, c.want)
			}
			var parts []string
			for _, p := range s.j.Partitions() {
				parts = append(parts, string(p.Partition)+"="+string(p.State))
			}
			if got := strings.Join(parts, " "); got != c.parts {
				t.Errorf("partitions %q, want %q", got, c.parts)
			}
		})
	}
}

func TestAnUnsetContact(t *testing.T) {
	s := newBigShop(t)
	s.say("unset", reads("1 on")...)
	s.say("unset", reads("1 off")...)
	s.say("unset", reads("1 on")...)
	if got := s.kinds(); got != "set unset" {
		t.Errorf("journalled %q, want set unset", got)
	}
}

func TestUnnamedInputSaysItsNumber(t *testing.T) {
	s := newBigShop(t)
	s.say("contacts", reads("7 off")...)
	s.say("contacts", reads("7 on")...)
	ev := s.events()[0]
	if ev.Kind != edge.KindUnknown || ev.Lane != edge.Routine || ev.Zone != "7" || ev.Why != "Input 7 is active; nothing says what it is for" {
		t.Errorf("event = %+v", ev)
	}
}

// TestSignalsAndStatesAreOneState: a panel that tells changes may be asked for its states, too.
func TestSignalsAndStatesAreOneState(t *testing.T) {
	s := newBigShop(t)
	state := func(k edge.Kind) edge.Signal { return edge.Signal{State: true, Zone: "1012", Kind: k} }
	s.tell("intruder", "BA 1012")
	s.say("intruder", state("intruder"))
	s = s.restart()
	s.say("intruder", state("intruder"))
	s.tell("intruder", "BR 1012")
	s.say("intruder", state("intruder-restored"))
	s.say("intruder", state("intruder")) // the gap had an alarm in it
	s.tell("intruder", "BA 1012")        // said as a change it is always one
	if got, want := s.kinds(), "intruder intruder-restored intruder intruder"; got != want {
		t.Errorf("journalled %q, want %q", got, want)
	}
}

// TestRefusedStateComesAgain: a point whose event could not be journalled is read again, and is news again.
func TestRefusedStateComesAgain(t *testing.T) {
	s := newBigShop(t)
	s.say("contacts", reads("202 off")...)
	b := &broken{Journal: s.j, fail: true}
	s.opt.Journal = b
	if err := s.Panel("contacts").Signal(t.Context(), reads("202 on")...); !errors.Is(err, errDisk) {
		t.Fatalf("Signal = %v, want the journal's error", err)
	}
	b.fail = false
	s.say("contacts", reads("202 on")...)
	b.swallow = true
	if err := s.Panel("contacts").Signal(t.Context(), reads("202 off")...); !errors.Is(err, errDisk) {
		t.Fatalf("Signal = %v, want the journal's error", err)
	}
	b.swallow = false
	s.say("contacts", reads("202 off")...)
	if got := s.kinds(); got != "fire fire-restored" {
		t.Errorf("journalled %q, want fire fire-restored", got)
	}
}

// TestAlarmFoundWhileTheDiskFails: the journal in memory knows of no state before.
func TestAlarmFoundWhileTheDiskFails(t *testing.T) {
	s := newBigShop(t)
	s.opt.Disk = errDisk
	for range 3 {
		if err := s.Panel("contacts").Signal(t.Context(), reads("202 on", "201 off", "203 on")...); !errors.Is(err, errDisk) {
			t.Fatalf("Signal = %v, want that it is not durable", err)
		}
	}
	if got := s.kinds(); got != "fire" {
		t.Errorf("journalled %q, want one fire", got)
	}
}

// TestRefusedAlarmIsConfirmedOnce: what follows from an alarm is on disk with it, or not at all.
func TestRefusedAlarmIsConfirmedOnce(t *testing.T) {
	s := newBigShop(t)
	s.tell("intruder", "CL part 1", "5m", "BA 1011", "1m")
	b := &broken{Journal: s.j, fail: true}
	s.opt.Journal = b
	second := sigOf("BA 1012")
	second.Key = []byte("BA1012")
	try := func() error {
		second.At = s.clock.Advance(time.Second)
		return s.Panel("intruder").Signal(t.Context(), second)
	}
	if err := try(); !errors.Is(err, errDisk) {
		t.Fatalf("Signal = %v, want the journal's error", err)
	}
	if got, want := s.kinds(), "set intruder"; got != want {
		t.Fatalf("journalled %q, want %q", got, want)
	}
	b.fail, b.swallow = false, true
	if err := try(); !errors.Is(err, errDisk) {
		t.Fatalf("Signal = %v, want the journal's error", err)
	}
	b.swallow = false
	if err := try(); err != nil {
		t.Fatal(err)
	}
	s.tell("intruder", "BA 1012")
	if got, want := s.kinds(), "set intruder intruder intruder-confirmed intruder"; got != want {
		t.Errorf("journalled %q, want %q", got, want)
	}
}

// TestWhatAPanelMakesUpIsBounded: zones that nobody configured fill nothing, and their fires come all the same.
func TestWhatAPanelMakesUpIsBounded(t *testing.T) {
	tr := &tracker{panels: bigShop}
	p := newPast("intruder", tr, Rules{}.withDefaults(), nil, nil, edge.Stamp{})
	v := view{states: []journal.Partition{{Panel: "intruder", State: journal.Unset}}}
	urgent, held := 0, 0
	for i := range 20_000 {
		sig := edge.Signal{Panel: "intruder", Code: "BA", Zone: edge.ZoneID(strings.Repeat("x", i%50)) + edge.ZoneID(rune('a'+i/50%26)) + edge.ZoneID(rune(0x4E00+i))}
		if i%2 == 0 {
			sig.Code = "FA"
		}
		out := tr.track(sig, nil)
		p.judge(&out.event, sig, &v, nil, 1)
		if sig.Code == "FA" && out.event.Held == "" {
			urgent++
		}
		if out.event.Held == heldStorm {
			held++
		}
	}
	if len(p.points) > maxPoints || len(p.alarms) > maxAlarms || len(p.recent) > DefaultStorm {
		t.Errorf("%d points, %d alarms, %d moments are remembered", len(p.points), len(p.alarms), len(p.recent))
	}
	if urgent != 10_000 {
		t.Errorf("%d of 10000 fires are urgent", urgent)
	}
	if held < 9000 {
		t.Errorf("%d intruder alarms of zones that there is no room for are held as a storm, want nearly all of 10000", held)
	}
	named := edge.Signal{Panel: "intruder", Code: "BA", Zone: "1011"}
	out := tr.track(named, nil)
	p.judge(&out.event, named, &v, nil, 1)
	if p.alarms[alarmKey{"intruder", "1011"}] == nil || out.event.Held != "" {
		t.Errorf("a zone of the configuration has no place: %+v", out.event)
	}
}

var _ Journal = (*journal.Journal)(nil)

// A device that has never answered is trouble, and a restart must not tell of it again.
func TestLostDeviceIsToldOnce(t *testing.T) {
	lost := edge.Signal{Kind: edge.KindDeviceLost, Zone: "slave-1", Text: "Modbus slave 1: no answer", State: true}
	back := edge.Signal{Kind: edge.KindDeviceLost.Restored(), Zone: "slave-1", State: true}
	s := newBigShop(t)
	s.say("contacts", lost)
	s.say("contacts", lost)
	s = s.restart()
	s.say("contacts", lost)
	if got := s.kinds(); got != "device-lost" {
		t.Errorf("journalled %q, want it once", got)
	}
	s.say("contacts", back)
	s.say("contacts", back)
	s.say("io", back) // it was never lost
	if got := s.kinds(); got != "device-lost device-lost-restored" {
		t.Errorf("journalled %q, want its return", got)
	}
}
