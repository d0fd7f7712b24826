package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

type socCommand struct {
	ID, State, Outcome string
}

// ask posts a command to the SOC and returns its id.
func (s *site) ask(command map[string]any) string {
	s.t.Helper()
	b, err := json.Marshal(command)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.Post(s.api+"/sites/0417/commands", "application/json", bytes.NewReader(b))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err = io.ReadAll(resp.Body)
	var c socCommand
	if err != nil || resp.StatusCode != http.StatusCreated || json.Unmarshal(b, &c) != nil {
		s.t.Fatalf("%v: %s %s, %v", command, resp.Status, b, err)
	}
	return c.ID
}

// outcome waits until the command has one.
func (s *site) outcome(id string) (c socCommand) {
	s.t.Helper()
	s.until("command "+id+" has an outcome", 20*time.Second, func() bool {
		return s.get("/commands/"+id, &c) == nil && c.State != "sent"
	})
	return c
}

func TestCommands(t *testing.T) {
	t.Parallel()
	s := newSite(t, withCamera)
	s.start("sitesim", "camera", "--listen", s.rtsp, "--name", "stockroom")
	l := plug(t, s.dir+"/panel")
	s.startGateway()
	s.until("the ring holds some pictures", 40*time.Second, func() bool { return s.ringSeconds("stockroom") >= 3 })
	now := time.Now().UTC()
	span := func(camera string, from, to time.Duration) map[string]any {
		return map[string]any{"kind": "clip", "camera": camera, "from": now.Add(from), "to": now.Add(to), "expires": now.Add(time.Hour)}
	}
	good := s.ask(span("stockroom", -2*time.Second, 2*time.Second))
	status := s.ask(map[string]any{"kind": "status", "expires": now.Add(time.Hour)})
	for _, bad := range []struct {
		command map[string]any
		says    string
	}{
		{span("cellar", -2*time.Second, 0), `no camera "cellar"`},
		{span("stockroom", 4*time.Minute, 8*time.Minute), "from now, more than"},
	} {
		if c := s.outcome(s.ask(bad.command)); c.State != "failed" || !strings.Contains(c.Outcome, bad.says) {
			t.Errorf("%v: got %+v, want failed with %q", bad.command, c, bad.says)
		}
	}
	c := s.outcome(good)
	clip, found := strings.CutPrefix(c.Outcome, "clip ")
	if c.State != "done" || !found {
		t.Fatalf("a clip of now: got %+v, want done with its id", c)
	}
	var got socClip
	s.until("the clip is there", 40*time.Second, func() bool { return s.get("/clips/"+clip, &got) == nil && got.State == "ready" })
	if d := s.clipSeconds(clip); d < 2.5 || d > 9 {
		t.Errorf("the clip lasts %v s, want most of the 4 s that were asked for and at most the rest of a GOP", d)
	}
	if c := s.outcome(status); c.State != "done" || !strings.Contains(c.Outcome, "cameras: 1 of 1 connected") || !strings.Contains(c.Outcome, "panels: 1 of 1 connected") {
		t.Errorf("status: got %+v", c)
	}
	done := s.waitEvent("the command is an event of the journal", 10*time.Second, func(e socEvent) bool {
		return e.Kind == "command-done" && len(e.Clips) == 1 && e.Clips[0] == clip
	})
	if !strings.Contains(done.Why, "clip") {
		t.Errorf("the event says %q", done.Why)
	}

	// A clip of pictures that nobody kept is lost and says why; a command for a box that is away waits for it.
	s.kill("gateway")
	late := s.ask(map[string]any{"kind": "status", "expires": now.Add(time.Hour)})
	s.startGateway()
	if c := s.outcome(late); c.State != "done" {
		t.Errorf("a command given while the box was away: got %+v", c)
	}
	c = s.outcome(s.ask(span("stockroom", -50*time.Minute, -49*time.Minute)))
	clip, _ = strings.CutPrefix(c.Outcome, "clip ")
	s.until("the old clip is lost", 40*time.Second, func() bool { return s.get("/clips/"+clip, &got) == nil && got.State == "lost" })
	if got.Reason == "" {
		t.Error("the lost clip gives no reason")
	}
	if n := s.count("command-done"); n != 6 {
		t.Errorf("%d command-done events, want one for each of 6 commands: %s", n, fmt.Sprint(s.events()))
	}
	l.unplug()
}
