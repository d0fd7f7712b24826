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
