package journal

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sitewatch/edge"
)

func TestMeaningSurvivesARestart(t *testing.T) {
	opt := testOptions(t.TempDir())
	b := open(t, opt)
	at := opt.Clock.Now()
	at.Synced = false // tables do not keep it
	alarm := Alarm{Panel: "intruder", Kind: edge.KindIntruder, Source: "1011", Partition: "1", Entry: 2, First: at, At: at, Said: at.Wall, Old: true,
		Times: 4, Held: "swinger", Cancelled: true, Cause: true, Pending: true, Seen: true}
	gone := Alarm{Panel: "intruder", Kind: edge.KindTamper, Source: "1012"}
	mode := Mode{Kind: edge.KindEngineer, Panel: "intruder", At: at}
	_, err := b.Commit(t.Context(), Batch{Panel: "intruder", Entries: []Entry{{Event: edge.Event{Kind: edge.KindUnset}, At: at}, {Event: edge.Event{Kind: edge.KindIntruder}, At: at}},
		Partitions: []Partition{{"intruder", "1", Set, at}},
		Meaning: Meaning{Points: []Point{{"intruder", "1011", edge.KindIntruder, true}, {"fire", "1", edge.KindFire, true}},
			Alarms: []Alarm{alarm, gone}, Modes: []Mode{mode, {Kind: edge.KindWalkTest, At: at}}}})
	must(t, err)
	_, err = b.Commit(t.Context(), Batch{Meaning: Meaning{Points: []Point{{"intruder", "1011", edge.KindIntruder, false}}, Gone: []Alarm{gone},
		Modes: []Mode{{Kind: edge.KindWalkTest, Ended: true}}}})
	must(t, err)
	b.stop()
	b = open(t, opt)
	points, alarms, err := b.PanelMeaning(t.Context(), "intruder")
	must(t, err)
	alarm.Entry, alarm.Seq = 0, 2
	if d := cmp.Diff([]Alarm{alarm}, alarms); d != "" {
		t.Errorf("alarms (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]Point{{"intruder", "1011", edge.KindIntruder, false}}, points); d != "" {
		t.Errorf("points (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]Mode{mode}, b.Modes()); d != "" {
		t.Errorf("modes (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]Partition{{"intruder", "1", Set, at}}, b.Partitions()); d != "" {
		t.Errorf("partitions (-want +got):\n%s", d)
	}
}

// TestSeenStaysWithItsEvent: a camera's word is noted by itself, and the desk may write the row again without knowing.
func TestSeenStaysWithItsEvent(t *testing.T) {
	opt := testOptions(t.TempDir())
	b := open(t, opt)
	a := Alarm{Panel: "p", Kind: edge.KindIntruder, Source: "1", Seq: 7, At: opt.Clock.Now()}
	for _, m := range []Meaning{{Alarms: []Alarm{a}}, {Seen: []edge.Seq{7}}, {Alarms: []Alarm{a}}} {
		_, err := b.Commit(t.Context(), Batch{Meaning: m})
		must(t, err)
	}
	_, got, err := b.PanelMeaning(t.Context(), "p")
	must(t, err)
	if len(got) != 1 || !got[0].Seen {
		t.Errorf("alarms = %+v, want one that was seen", got)
	}
	a.Seq = 8
	_, err = b.Commit(t.Context(), Batch{Meaning: Meaning{Alarms: []Alarm{a}}})
	must(t, err)
	if _, got, err = b.PanelMeaning(t.Context(), "p"); err != nil || got[0].Seen {
		t.Errorf("alarms = %+v, %v; the next alarm has not been seen", got, err)
	}
}

// TestOnlyWhatMayBeHeldIsHeld is P4 at the last place before the disk.
func TestOnlyWhatMayBeHeldIsHeld(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	for kind, want := range map[edge.Kind]edge.Lane{edge.KindIntruder: edge.Routine, edge.KindTamper.Restored(): edge.Routine, edge.KindFire: edge.Urgent,
		edge.KindHoldUp: edge.Urgent, edge.KindPanic: edge.Urgent, edge.KindDuress: edge.Urgent, edge.KindGas: edge.Urgent, edge.KindLoneWorker: edge.Urgent,
		edge.KindIntruderConfirmed: edge.Urgent, edge.KindHoldUpConfirmed: edge.Urgent, edge.KindFire.Restored(): edge.Urgent} {
		seq, err := b.Append(t.Context(), edge.Event{Kind: kind, Held: "storm", Occurred: time.Unix(1, 0)})
		must(t, err)
		recs, err := b.Read(t.Context(), want, seq-1, 1)
		must(t, err)
		if len(recs) != 1 || recs[0].Seq != seq {
			t.Errorf("%s held is not in the lane %s", kind, want)
			continue
		}
		ev, err := edge.DecodeEvent(recs[0].Body)
		must(t, err)
		if ev.Lane != want || (ev.Held != "") != (want == edge.Routine) {
			t.Errorf("%s says lane %s and held %q", kind, ev.Lane, ev.Held)
		}
	}
}

// TestBesideIsNoSignal: neither a text nor a repeat is about what follows from another event.
func TestBesideIsNoSignal(t *testing.T) {
	opt := testOptions(t.TempDir())
	b := open(t, opt)
	_, err := b.Commit(t.Context(), Batch{Panel: "p", Entries: []Entry{
		{Event: edge.Event{Kind: edge.KindIntruder, Zone: "1"}, Key: []byte("k"), At: opt.Clock.Now()},
		{Event: edge.Event{Kind: edge.KindIntruderConfirmed, Zone: "1"}, At: opt.Clock.Now(), Beside: true}}})
	must(t, err)
	m, err := b.PanelMemory(t.Context(), "p")
	must(t, err)
	if m.Event != 1 || len(m.Keys) != 1 {
		t.Errorf("the panel's last event is %d with %d keys, want 1 with 1", m.Event, len(m.Keys))
	}
	if seq, _, ok, err := b.Resent(t.Context(), "p", "1", []byte("k"), nil); err != nil || !ok || seq != 1 {
		t.Errorf("resent = %d, %v, %v; want event 1", seq, ok, err)
	}
}

func TestMeaningOfADamagedJournalGoesOn(t *testing.T) {
	opt := testOptions(t.TempDir())
	b := open(t, opt)
	at := opt.Clock.Now()
	at.Synced = false
	for range 3 {
		b.append(edge.Event{Kind: edge.KindIntruder})
	}
	_, err := b.Commit(t.Context(), Batch{Partitions: []Partition{{"p", "1", Set, at}}, Meaning: Meaning{Points: []Point{{"p", "1", edge.KindFire, true}},
		Alarms: []Alarm{{Panel: "p", Kind: edge.KindIntruder, Source: "1", Seq: 3, At: at, First: at, Times: 3, Cause: true}}, Modes: []Mode{{Kind: edge.KindEngineer, Panel: "p", At: at}}}})
	must(t, err)
	b.stop()
	untilDamaged(t, opt, func(j *Journal) { j.Disown("to see what goes on") })
	b = open(t, opt)
	points, alarms, err := b.PanelMeaning(t.Context(), "p")
	must(t, err)
	if len(points) != 1 || !points[0].Active || len(alarms) != 1 || alarms[0].Times != 3 || !alarms[0].Cause || alarms[0].At != at || alarms[0].Seq != 1 {
		t.Errorf("points %+v, alarms %+v; want what was there, of the event that says what became of the old journal", points, alarms)
	}
	if ps, ms := b.Partitions(), b.Modes(); len(ps) != 1 || ps[0].Since != at || len(ms) != 1 || ms[0].At != at {
		t.Errorf("partitions %+v, modes %+v; want what was there", ps, ms)
	}
}
