package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestClipOfBeforeARestart: somebody asks for minutes that a run of the gateway recorded which was killed since.
func TestClipOfBeforeARestart(t *testing.T) {
	t.Parallel()
	s := newSite(t, recording)
	s.start("sitesim", "camera", "--listen", s.rtsp, "--name", "stockroom")
	s.startGateway()
	var oldest time.Time
	s.until("ten seconds are recorded", 60*time.Second, func() bool {
		st, err := s.status()
		if err != nil || len(st.Cameras) != 1 {
			return false
		}
		r := st.Cameras[0].Recording
		oldest = r.Oldest
		return r.Newest.Sub(r.Oldest) >= 10*time.Second
	})
	s.kill("gateway")
	s.startGateway()
	ask := func(from, to time.Duration) socClip {
		c := s.outcome(s.ask(map[string]any{"kind": "clip", "camera": "stockroom", "from": oldest.Add(from), "to": oldest.Add(to), "expires": time.Now().Add(time.Hour)}))
		id, ok := strings.CutPrefix(c.Outcome, "clip ")
		if !ok {
			t.Fatalf("got %+v, want a clip", c)
		}
		var got socClip
		s.until("the clip has an end", 60*time.Second, func() bool {
			return s.get("/clips/"+id, &got) == nil && (got.State == "ready" || got.State == "lost")
		})
		return got
	}
	whole := ask(3*time.Second, 7*time.Second)
	if whole.State != "ready" || whole.Reason != "" {
		t.Fatalf("got %+v, want all of it", whole)
	}
	if d := s.clipSeconds(whole.ID); d < 2.5 || d > 9 {
		t.Errorf("the clip lasts %v s, want most of the 4 s that were asked for and at most the rest of a GOP", d)
	}
	if c := ask(-time.Hour, -50*time.Minute); c.State != "lost" || !strings.Contains(c.Reason, "its oldest are of ") {
		t.Errorf("an hour before: got %+v, want lost", c)
	}
	if c := ask(-5*time.Second, 3*time.Second); c.State != "ready" || !strings.HasPrefix(c.Reason, "begins 5.") {
		t.Errorf("5 s before and 3 s after: got %+v, want what there is and how much is missing", c)
	}
}

// TestRepeatOfAnAlarmExtendsItsClip: a detector that does not rest has one clip, which ends when it rests.
func TestRepeatOfAnAlarmExtendsItsClip(t *testing.T) {
	t.Parallel()
	s := newSite(t, withCamera)
	// The second alarm comes in the clip of the first, also on a machine that was held up in between.
	s.write("gateway.yaml", replaceOnce(t, s.read("gateway.yaml"), "after: 3s", "after: 20s"))
	s.start("sitesim", "camera", "--listen", s.rtsp, "--name", "stockroom")
	l := plug(t, s.dir+"/panel")
	s.startGateway()
	s.until("the ring holds the pre-alarm pictures", 40*time.Second, func() bool { return s.ringSeconds("stockroom") >= 4 })
	l.must(blkAccount, ack)
	l.must(blkIntruder, ack)
	s.waitEvent("the alarm", 10*time.Second, kind("intruder"))
	<-time.After(2 * time.Second)
	l.must(blkAccount, ack)
	l.must(blkIntruder, ack)
	s.until("the second alarm", 10*time.Second, func() bool { return s.count("intruder") == 2 })
	var ids []string
	var at []time.Time
	for _, e := range s.events() {
		if e.Kind == "intruder" {
			ids, at = append(ids, e.Clips...), append(at, e.Recorded)
		}
	}
	if len(ids) != 2 || len(slices.Compact(ids)) != 1 {
		t.Fatalf("clips %v, want both alarms to name one", ids)
	}
	var c socClip
	s.until("the clip is ready", 40*time.Second, func() bool { return s.get("/clips/"+ids[0], &c) == nil && c.State == "ready" })
	between := at[1].Sub(at[0]).Seconds()
	if d := s.clipSeconds(ids[0]); between < 2 || d < 24+between-2 || d > 24+between+5 { // as in TestClipWithPreAlarmPictures
		t.Errorf("clip lasts %v s, want the 4 s before, the %v s between and most of the 20 s after, and at most the rest of a GOP", d, between)
	}
	if n := s.count("clip-ready"); n != 1 {
		t.Errorf("%d clip-ready events, want one", n)
	}
}
