package motion

import (
	"testing"
	"time"

	"sitewatch/edge"
)

// steady is a clock that stands.
type steady struct{ at edge.Stamp }

func (s *steady) Now() edge.Stamp { return s.at }

func TestHintIsPassedOnOnceAndWhileItIsFresh(t *testing.T) {
	clock := &steady{edge.Stamp{Boot: "b", Mono: time.Minute}}
	e := New(Options{Clock: clock})
	e.Hint("door", clock.Now())
	e.Hint("door", clock.Now())
	if e.hint(e.camera("till")) || !e.hint(e.camera("door")) || e.hint(e.camera("door")) {
		t.Error("want the hint of the door once")
	}
	e.Hint("door", clock.Now())
	clock.at.Mono += staleHint
	if e.hint(e.camera("door")) {
		t.Error("an old hint was passed on")
	}
}

func TestRaiseIsMeasured(t *testing.T) {
	clock := &steady{edge.Stamp{Boot: "b", Mono: time.Minute}}
	e := New(Options{Clock: clock})
	e.owners[7] = "door"
	e.Hint("door", clock.Now())
	e.Setup("door", Alert, true, ModelOptions{})
	clock.at.Mono += 20 * time.Millisecond
	e.noted(&Hand{Number: 7}) // the eye has not been told yet
	w := e.camera("door")
	w.told = true
	e.hint(w)
	clock.at.Mono += 30 * time.Millisecond
	e.noted(&Hand{Number: 7})
	clock.at.Mono += time.Second
	e.noted(&Hand{Number: 7})
	if got := e.Camera("door", clock.Now()).Raise; got != 50*time.Millisecond {
		t.Errorf("got %v, want the 50 ms to the first picture that came after it was told", got)
	}
}
