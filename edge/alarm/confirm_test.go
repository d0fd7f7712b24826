package alarm

import (
	"fmt"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
	"sitewatch/edge/journal"
)

// after is an alarm that came so long after noon.
func after(d time.Duration, kind edge.Kind, source string) journal.Alarm {
	at := edgetest.NewClock().Advance(d)
	return journal.Alarm{Kind: kind, Source: source, First: at, At: at, Cause: true}
}

func TestSequential(t *testing.T) {
	minute := time.Minute
	not := func(a journal.Alarm) journal.Alarm { a.Cause = false; return a }
	buffered := func(a journal.Alarm, said time.Duration) journal.Alarm {
		a.Old, a.Said = true, edgetest.NewClock().Now().Wall.Add(said)
		return a
	}
	said := func(a journal.Alarm, said time.Duration) journal.Alarm {
		a.Said = edgetest.NewClock().Now().Wall.Add(said)
		return a
	}
	boot := func(a journal.Alarm, unset bool) journal.Alarm {
		a.At.Boot, a.At.Mono, a.At.Unset = "boot-2", time.Second, unset
		return a
	}
	for _, c := range []struct {
		name   string
		now    journal.Alarm
		before []journal.Alarm
		want   string // source and gap of the first cause
	}{
		{"one zone alone", after(0, "intruder", "1"), nil, ""},
		{"a second zone in time", after(4*minute, "intruder", "2"), []journal.Alarm{after(0, "intruder", "1")}, "1 4m0s"},
		{"at the last moment", after(30*minute, "intruder", "2"), []journal.Alarm{after(0, "intruder", "1")}, "1 30m0s"},
		{"a moment too late", after(30*minute+1, "intruder", "2"), []journal.Alarm{after(0, "intruder", "1")}, ""},
		{"the same zone again", after(4*minute, "intruder", "1"), []journal.Alarm{after(0, "intruder", "1")}, ""},
		{"the first does not count", after(4*minute, "intruder", "2"), []journal.Alarm{not(after(0, "intruder", "1"))}, ""},
		{"the second does not count", not(after(4*minute, "intruder", "2")), []journal.Alarm{after(0, "intruder", "1")}, ""},
		{"three zones: the first that is inside the window", after(40*minute, "intruder", "3"),
			[]journal.Alarm{after(0, "intruder", "1"), after(35*minute, "intruder", "4"), after(12*minute, "intruder", "2")}, "2 28m0s"},
		{"both at once", after(0, "intruder", "2"), []journal.Alarm{after(0, "intruder", "1")}, "1 0s"},
		{"a tamper is no second zone", after(minute, "intruder", "2"), []journal.Alarm{after(0, "tamper", "1")}, ""},
		{"a hold-up is no second zone", after(minute, "intruder", "2"), []journal.Alarm{after(0, "hold-up", "1")}, ""},
		{"a fire is nothing of it", after(minute, "fire", "2"), []journal.Alarm{after(0, "intruder", "1")}, ""},
		{"the clock went back over a reboot", boot(after(-minute, "intruder", "2"), false), []journal.Alarm{after(0, "intruder", "1")}, ""},
		{"over a reboot the wall clock tells", boot(after(5*minute, "intruder", "2"), false), []journal.Alarm{after(0, "intruder", "1")}, "1 5m0s"},
		{"over a reboot with a clock that was never set", boot(after(5*minute, "intruder", "2"), true), []journal.Alarm{after(0, "intruder", "1")}, ""},
		{"both from the buffer: the panel's clock tells", buffered(after(1, "intruder", "2"), -10*time.Hour),
			[]journal.Alarm{buffered(after(0, "intruder", "1"), -10*time.Hour-7*minute)}, "1 7m0s"},
		{"both from the buffer, hours apart by the panel's clock", buffered(after(1, "intruder", "2"), -time.Hour),
			[]journal.Alarm{buffered(after(0, "intruder", "1"), -10*time.Hour)}, ""},
		{"from the buffer beside one of now", buffered(after(9*minute, "intruder", "2"), -9*time.Hour), []journal.Alarm{said(after(0, "intruder", "1"), 0)}, ""},
		{"from the buffer, and the panel says no time", buffered(after(1, "intruder", "2"), -time.Hour),
			[]journal.Alarm{after(0, "intruder", "1")}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			if first, gap, ok := sequential(c.now, c.before, 30*minute); ok {
				got = first.Source + " " + gap.String()
			}
			if got != c.want {
				t.Errorf("confirmed by %q, want %q", got, c.want)
			}
		})
	}
}

func TestCounts(t *testing.T) {
	for _, c := range []struct {
		name   string
		kind   edge.Kind
		source string
		route  string
		set    bool
		work   bool
		want   bool
	}{
		{"inside, set", "intruder", "1", "interior", true, false, true},
		{"perimeter, set", "intruder", "1", "perimeter", true, false, true},
		{"nobody says where", "intruder", "1", "", true, false, true},
		{"by the entry route", "intruder", "1", "entry", true, false, false},
		{"outside", "intruder", "1", "external", true, false, false},
		{"unset", "intruder", "1", "interior", false, false, false},
		{"an engineer is at work", "intruder", "1", "interior", true, true, false},
		{"from no zone", "intruder", "", "interior", true, false, false},
		{"a hold-up needs no set", "hold-up", "1", "", false, false, true},
		{"a hold-up while an engineer is at work", "hold-up", "1", "", false, true, true},
		{"duress by a code", "duress", "user 3", "", false, false, true},
		{"panic by the entrance", "panic", "1", "entry", false, false, true},
		{"tamper", "tamper", "1", "", false, false, true},
		{"tamper while an engineer opens boxes", "tamper", "1", "", false, true, false},
		{"fire", "fire", "1", "", true, false, false},
	} {
		if got := counts(c.kind, c.source, c.route, c.set, c.work); got != c.want {
			t.Errorf("%s: counts = %v, want %v", c.name, got, c.want)
		}
	}
}

func TestHoldUpConfirmation(t *testing.T) {
	for _, c := range []struct {
		name   string
		now    journal.Alarm
		before []journal.Alarm
		want   string
	}{
		{"one device alone", after(0, "hold-up", "1"), nil, ""},
		{"a second device at once", after(time.Second, "hold-up", "2"), []journal.Alarm{after(0, "hold-up", "1")}, "1 1s"},
		{"a second device after 8 hours", after(8*time.Hour, "hold-up", "2"), []journal.Alarm{after(0, "panic", "1")}, "1 8h0m0s"},
		{"a second device too late", after(8*time.Hour+1, "hold-up", "2"), []journal.Alarm{after(0, "hold-up", "1")}, ""},
		{"a code under threat after a button", after(time.Hour, "duress", "user 3"), []journal.Alarm{after(0, "hold-up", "1")}, "1 1h0m0s"},
		{"tamper after a hold-up", after(time.Hour, "tamper", "9"), []journal.Alarm{after(0, "hold-up", "1")}, "1 1h0m0s"},
		{"a hold-up after tamper", after(time.Hour, "hold-up", "1"), []journal.Alarm{after(0, "tamper", "9")}, "9 1h0m0s"},
		{"tamper of the device itself", after(time.Hour, "tamper", "1"), []journal.Alarm{after(0, "hold-up", "1")}, "1 1h0m0s"},
		{"two tampers", after(time.Hour, "tamper", "1"), []journal.Alarm{after(0, "tamper", "2")}, ""},
		{"an intruder beside it", after(time.Hour, "hold-up", "1"), []journal.Alarm{after(0, "intruder", "2")}, ""},
		{"a fire beside it", after(time.Hour, "fire", "1"), []journal.Alarm{after(0, "hold-up", "2")}, ""},
		{"the same zone as panic and as hold-up is one device", after(time.Second, "panic", "1"), []journal.Alarm{after(0, "hold-up", "1")}, ""},
	} {
		got := ""
		if first, gap, ok := together(c.now, c.before, 8*time.Hour); ok {
			got = fmt.Sprint(first.Source, " ", gap)
		}
		if got != c.want {
			t.Errorf("%s: confirmed by %q, want %q", c.name, got, c.want)
		}
	}
	first := after(0, "hold-up", "1")
	for d, want := range map[time.Duration]bool{time.Second: false, 2 * time.Minute: false, 2*time.Minute + 1: true, 8 * time.Hour: true, 8*time.Hour + 1: false} {
		if _, got := twice(after(d, "hold-up", "1"), first, 8*time.Hour); got != want {
			t.Errorf("the same device again after %v: confirmed %v, want %v", d, got, want)
		}
		if _, got := twice(after(d, "intruder", "1"), first, 8*time.Hour); got {
			t.Errorf("the same zone's intruder again after %v is confirmed", d)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0 s", 59 * time.Second: "59 s", 4*time.Minute + 59*time.Second: "4 min", 90 * time.Minute: "90 min",
		4 * time.Hour: "4 h", 3*time.Hour + 20*time.Minute: "3 h 20 min"} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %q, want %q", d, got, want)
		}
	}
}
