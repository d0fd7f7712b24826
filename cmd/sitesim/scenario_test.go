package main

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sitewatch/cmd/cli"
	"sitewatch/drivers"
	"sitewatch/drivers/panel"
	"sitewatch/edge"
	"sitewatch/edge/config"
)

// writeSite writes the simulated site's files and loads them as the programs do.
func writeSite(t *testing.T) (*config.Gateway, *config.SOC) {
	t.Helper()
	dir := t.TempDir()
	site := siteCmd{Dir: dir, RTSP: "127.0.0.1:9554"}
	if err := site.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	registry := drivers.All()
	g, problems := config.LoadGateway(filepath.Join(dir, "gateway.yaml"), registry.Names()...)
	if len(problems) == 0 {
		problems = append(problems, g.CheckFiles()...)
	}
	s, more := config.LoadSOC(filepath.Join(dir, "soc.yaml"))
	for _, p := range append(problems, more...) {
		t.Error(p)
	}
	if t.Failed() {
		t.FailNow()
	}
	return g, s
}

func TestSiteFilesAreSound(t *testing.T) {
	g, s := writeSite(t)
	if g.Site.ID != siteID || g.Panels[0].Port != filepath.Join(filepath.Dir(g.Data), "panel") || g.Uplink.Paths[0].SOC[0] != s.Uplink {
		t.Errorf("got site %s, port %s, uplink %s and %s", g.Site.ID, g.Panels[0].Port, g.Uplink.Paths[0].SOC[0], s.Uplink)
	}
	if got, want := g.Cameras[0].Main, "rtsp://127.0.0.1:9554/stockroom/main"; got != want {
		t.Errorf("main: got %s, want %s", got, want)
	}
	registry := drivers.All()
	for _, p := range g.Panels {
		d, ok := registry.Driver(p.Driver)
		if !ok {
			t.Fatalf("no driver %s", p.Driver)
		}
		for _, pr := range panel.Check(d, p.Port, p.Settings) {
			t.Errorf("panel %s: %+v", p.ID, pr)
		}
	}
}

// What the scenario says must be what a panel can say, and every alarm must end before the scenario does.
func TestScriptIsWhatAPanelCanSay(t *testing.T) {
	g, _ := writeSite(t)
	steps := slices.Concat(opening, night, evening)
	going := map[string]edge.Kind{}
	seen := map[edge.Kind]bool{}
	set, cameras := false, map[edge.CameraID]bool{}
	for _, c := range siteCameras {
		cameras[c.ID] = true
	}
	for _, s := range steps {
		e := panelEvent{Code: s.code, Zone: s.zone, Partition: partition, User: s.user, Text: s.text}
		if _, err := e.block(false, 3); err != nil {
			t.Errorf("%s: %v", s.what, err)
		}
		if got := string(e.text().Data); strings.TrimSpace(got) != s.text {
			t.Errorf("%s: text %q does not fit into a block", s.what, s.text)
		}
		address, kind := s.zone, edge.KindOfSIA(s.code, s.user != "")
		if kind == edge.KindUnknown {
			t.Errorf("%s: code %s is unknown", s.what, s.code)
		}
		seen[kind] = true
		switch {
		case kind == edge.KindSet:
			set = true
		case kind == edge.KindUnset:
			set = false
		case kind == edge.KindIntruder && !set:
			t.Errorf("%s: an intruder alarm while the site is unset", s.what)
		}
		if kind.Lane() == edge.Urgent {
			z, ok := g.Panels[0].Zones[edge.ZoneID(address)]
			if !ok || len(z.Cameras) == 0 {
				t.Errorf("%s: zone %s is not in gateway.yaml or has no camera", s.what, address)
			}
			if kind.Alarm() && !kind.Confirmed() && z.Kind != kind {
				t.Errorf("%s: zone %s is for %s, the panel says %s", s.what, address, z.Kind, kind)
			}
			if s.enter != "" && !slices.Contains(z.Cameras, s.enter) {
				t.Errorf("%s: somebody walks into %s, which zone %s does not show", s.what, s.enter, address)
			}
		}
		if s.enter != "" && !cameras[s.enter] {
			t.Errorf("%s: there is no camera %s", s.what, s.enter)
		}
		switch {
		case kind.Alarm() && !kind.Confirmed():
			going[address] = kind
		case kind.IsRestored() && going[address] == kind.Base():
			delete(going, address)
		}
	}
	if len(going) > 0 {
		t.Errorf("without a restore: %v", going)
	}
	if !set {
		t.Error("the scenario ends unset: the next night could not begin")
	}
	for _, k := range []edge.Kind{edge.KindIntruder, edge.KindIntruderConfirmed, edge.KindHoldUp, edge.KindFire, edge.KindTamper, edge.KindUnset, edge.KindSet} {
		if !seen[k] {
			t.Errorf("the scenario has no %s", k)
		}
	}
}

// The first alarm comes when the pre-alarm ring is full, and early enough for its clip to be there 45 s after the start.
func TestWhenTheFirstAlarmComes(t *testing.T) {
	var site siteCmd
	site.defaults()
	at := time.Duration(0)
	for _, s := range append(slices.Clone(opening), night[0]) {
		at += s.after
	}
	if at < site.Before+2*time.Second || at+site.After > 38*time.Second {
		t.Errorf("the first alarm comes after %s, with clips of %s and %s around it", at, site.Before, site.After)
	}
}

func TestPlay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var did []string
		start := time.Now()
		p := &player{
			say: func(_ context.Context, s step) error {
				did = append(did, time.Since(start).String()+" say "+s.code+s.zone)
				time.Sleep(time.Second) // the gateway is slow
				return nil
			},
			enter: func(camera edge.CameraID) { did = append(did, "enter "+string(camera)) },
			out:   io.Discard,
		}
		steps := []step{{code: "RP"}, {after: 5 * time.Second, code: "BA", zone: "1011", enter: "stockroom"}}
		if err := p.play(t.Context(), steps); err != nil {
			t.Fatal(err)
		}
		want := []string{"0s say RP", "enter stockroom", "6s say BA1011"}
		if !slices.Equal(did, want) {
			t.Errorf("got %q, want %q", did, want)
		}

		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := p.play(ctx, []step{{after: time.Hour, code: "RP"}}); err != context.DeadlineExceeded {
			t.Errorf("stopped while waiting: got %v", err)
		}
		p.say = func(context.Context, step) error { return context.Canceled }
		if err := p.play(t.Context(), steps[1:]); err != context.Canceled {
			t.Errorf("the panel ended: got %v", err)
		}
	})
}

// The script on a real pty, read and acked by the gateway's driver.
func TestScriptOnTheLine(t *testing.T) {
	link := filepath.Join(t.TempDir(), "panel")
	p, say, err := newScenarioPanel(panelOptions{Link: link, Level: 3, Baud: 57600, Clock: edge.NewSystemClock(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	d := &desk{keys: map[string]bool{}}
	_, stop := receiver(t, link, d)
	steps, want := slices.Concat(opening, night), []string(nil)
	for i := range steps {
		steps[i].after = 0
		want = append(want, steps[i].code+" "+steps[i].zone)
	}
	if err := (&player{say: say, enter: func(edge.CameraID) {}, out: io.Discard}).play(ctx, steps); err != nil {
		t.Fatal(err)
	}
	stop()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("panel: %v", err)
	}
	if got := d.seen(); !slices.Equal(got, want) {
		t.Errorf("the driver saw %q, want %q", got, want)
	}
}

func TestVaryKeepsWhatHappens(t *testing.T) {
	varied := vary(night)
	same := true
	for i, s := range varied {
		if s.code != night[i].code || s.after < night[i].after/2 || s.after > 2*night[i].after {
			t.Errorf("step %d: got %+v of %+v", i, s, night[i])
		}
		same = same && s.after == night[i].after
	}
	if same {
		t.Error("nothing is varied")
	}
}

func TestArguments(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want int
		out  string
	}{
		{[]string{"version"}, 0, "sitesim unversioned\n"},
		{[]string{"--help"}, 0, "Usage: sitesim"},
		{nil, 2, ""},
		{[]string{"run", "--colour"}, 2, ""},
		{[]string{"site", "--after", "soon"}, 2, ""},
	} {
		var stdout, stderr strings.Builder
		if got := cli.Run(t.Context(), "sitesim", "", &commands{}, tt.args, &stdout, &stderr); got != tt.want || !strings.Contains(stdout.String(), tt.out) {
			t.Errorf("%q: got %d, %q, %q, want %d", tt.args, got, stdout.String(), stderr.String(), tt.want)
		}
	}
}
