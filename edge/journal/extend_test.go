package journal

import (
	"testing"
	"time"

	"sitewatch/edge"
)

// repeat journals an alarm of a zone that wants 10 s before it and 20 s after it, and returns its clip.
func (b *box) repeat(zone edge.ZoneID, kind edge.Kind) edge.ClipRef {
	b.t.Helper()
	now := b.clock.Now().Wall
	c := edge.ClipRef{ID: edge.ClipID(edge.NewID()), Camera: "door", From: now.Add(-10 * time.Second), To: now.Add(20 * time.Second)}
	b.append(edge.Event{Kind: kind, Panel: "p", Zone: zone, Clips: []edge.ClipRef{c}})
	evs := b.lane(edge.Urgent, b.Last()-1)
	got := evs[len(evs)-1].Clips[0]
	if !got.From.Equal(c.From) || !got.To.Equal(c.To) || got.Camera != c.Camera {
		b.t.Errorf("the event asks for %+v, want its own span of %+v", got, c)
	}
	return got
}

func (b *box) job(id edge.ClipID) edge.ClipJob {
	b.t.Helper()
	jobs, err := b.WantedClips(b.t.Context())
	must(b.t, err)
	for _, j := range jobs {
		if j.ID == id {
			return j
		}
	}
	b.t.Fatalf("clip %s is not wanted: %+v", id, jobs)
	return edge.ClipJob{}
}

func TestRepeatOfAnAlarmExtendsItsClip(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	ctx := t.Context()
	start := b.clock.Now().Wall
	first := b.repeat("7", edge.KindIntruder)
	must(t, b.ClipCutting(ctx, first.ID))
	b.clock.Advance(15 * time.Second)
	if again := b.repeat("7", edge.KindIntruder); again.ID != first.ID {
		t.Error("a repeat has a clip of its own, want the one that is being cut")
	}
	if other := b.repeat("8", edge.KindIntruder); other.ID == first.ID {
		t.Error("the alarm of another zone has no clip of its own")
	}
	if fire := b.repeat("7", edge.KindFire); fire.ID == first.ID {
		t.Error("an alarm of another kind has no clip of its own")
	}
	if j := b.job(first.ID); !j.From.Equal(first.From) || !j.To.Equal(start.Add(35*time.Second)) || j.Seq != 1 {
		t.Errorf("got %v to %v of event %d, want the end 20 s after the repeat", j.From, j.To, j.Seq)
	}
	end, err := b.ClipClosing(ctx, first.ID, first.To)
	must(t, err)
	if !end.Equal(start.Add(35 * time.Second)) {
		t.Errorf("closing: the end is %v, want 35 s after the alarm", end.Sub(start))
	}
	b.clock.Advance(10 * time.Second)
	if again := b.repeat("7", edge.KindIntruder); again.ID != first.ID {
		t.Error("an end that was asked for and is later does not close the clip")
	}
	if end, err = b.ClipClosing(ctx, first.ID, start.Add(45*time.Second)); err != nil || !end.Equal(start.Add(45*time.Second)) {
		t.Errorf("closing: %v, %v, want 45 s", end.Sub(start), err)
	}
	late := b.repeat("7", edge.KindIntruder)
	if late.ID == first.ID {
		t.Error("a clip that is closing was extended")
	}
	b.ready(first.ID, 100)
	if again := b.repeat("7", edge.KindIntruder); again.ID != late.ID {
		t.Error("the clip that was begun behind it is not extended in its turn")
	}
}

func TestExtensionHasABound(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	ids := map[edge.ClipID]int{}
	for range 20 { // for five minutes
		ids[b.repeat("7", edge.KindIntruder).ID]++
		b.clock.Advance(15 * time.Second)
	}
	for id := range ids {
		if j := b.job(id); j.To.Sub(j.From) > extendedMost {
			t.Errorf("a clip of %v, the bound is %v", j.To.Sub(j.From), extendedMost)
		}
	}
	if len(ids) != 2 {
		t.Errorf("%d clips for five minutes of alarm, want 2: %v", len(ids), ids)
	}
}

func TestRepeatAfterTheEndOfTheClipHasItsOwn(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	first := b.repeat("7", edge.KindIntruder)
	b.clock.Advance(31 * time.Second) // it would begin 21 s after the alarm, and the clip ends 20 s after it
	if b.repeat("7", edge.KindIntruder).ID == first.ID {
		t.Error("a clip was extended over pictures that nobody asked for")
	}
}

// Both alarms of a storm are often in one transaction, and one of them may be refused.
func TestRepeatInTheSameTransaction(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	now := b.clock.Now().Wall
	alarm := func(text string) edge.Event {
		return edge.Event{Kind: edge.KindIntruder, Panel: "p", Zone: "7", Text: text,
			Clips: []edge.ClipRef{{ID: edge.ClipID(edge.NewID()), Camera: "door", From: now, To: now.Add(time.Minute)}}}
	}
	if _, err := b.Append(t.Context(), alarm(string(make([]byte, edge.MaxEventBytes)))); err == nil {
		t.Fatal("an event that is too large was taken")
	}
	one, two := alarm("1"), alarm("2")
	asked := two.Clips[0]
	b.append(one, two)
	evs := b.lane(edge.Urgent, 0)
	if len(evs) != 2 || evs[0].Clips[0] != one.Clips[0] || evs[1].Clips[0].ID != one.Clips[0].ID {
		t.Errorf("got %+v, want both to name the first one's clip", evs)
	}
	if two.Clips[0] != asked {
		t.Error("the caller's event was changed")
	}
	if j := b.job(one.Clips[0].ID); j.Seq != 1 {
		t.Errorf("the clip is of event %d, want 1", j.Seq)
	}
}
