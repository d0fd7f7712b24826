package clip

import (
	"testing"
	"time"

	"sitewatch/edge"
)

func TestCuttingIsToldOfByTheCutter(t *testing.T) {
	r := newRing()
	scripted(t, r, 0, 300)
	j := newJournal()
	job := alarm(15*time.Second, 5*time.Second, 5*time.Second)
	j.jobs[job.ID] = job
	told := make(chan edge.ClipRef, 2) // one more than there should be
	stop := run(t, New(Options{Dir: t.TempDir(), Jobs: j, Clock: clock{30 * time.Second}, Log: quiet, Cutting: func(c edge.ClipRef) {
		j.mu.Lock()
		defer j.mu.Unlock()
		if !j.jobs[c.ID].Cutting {
			t.Error("told of before it was journalled")
		}
		told <- c
	}, Cameras: map[edge.CameraID]Camera{"stockroom": {Ring: r}}}).Run)
	j.outcome(t, job.ID)
	stop()
	if len(told) != 1 || <-told != job.ClipRef {
		t.Errorf("told %d times, want once of %+v", len(told), job.ClipRef)
	}
}
