package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/config"
	"sitewatch/video/motion"
	"sitewatch/video/onvif"
	"sitewatch/video/onviftest"
)

func TestTamperIsMadeQuiet(t *testing.T) {
	const covered, moved = edge.KindCameraCovered, edge.KindCameraMoved
	at := func(s float64) edge.Stamp {
		return edge.Stamp{Mono: time.Duration(s * float64(time.Second)), Boot: "b"}
	}
	type step struct {
		at     float64
		kind   edge.Kind // "": time passes
		rule   string
		active bool
		moment bool
	}
	for name, c := range map[string]struct {
		known []edge.Kind
		steps []step
		want  string
	}{
		"on and off":                   {nil, []step{{1, covered, "a", true, false}, {60, covered, "a", false, false}, {89, "", "", false, false}, {91, "", "", false, false}}, "1 camera-covered, 91 camera-covered-restored"},
		"not from the beginning":       {nil, []step{{1, covered, "a", false, false}, {100, "", "", false, false}}, ""},
		"it flutters":                  {nil, []step{{1, moved, "a", true, false}, {2, moved, "a", false, false}, {3, moved, "a", true, false}, {20, moved, "a", false, false}, {49, "", "", false, false}, {51, "", "", false, false}}, "1 camera-moved, 51 camera-moved-restored"},
		"two rules":                    {nil, []step{{1, covered, "a", true, false}, {2, covered, "b", true, false}, {3, covered, "a", false, false}, {90, "", "", false, false}, {91, covered, "b", false, false}, {122, "", "", false, false}}, "1 camera-covered, 122 camera-covered-restored"},
		"for a moment":                 {nil, []step{{1, covered, "a", false, true}, {20, covered, "a", false, true}, {49, "", "", false, false}, {51, "", "", false, false}}, "1 camera-covered, 51 camera-covered-restored"},
		"known from before, still so":  {[]edge.Kind{covered}, []step{{1, covered, "a", true, false}, {100, "", "", false, false}}, ""},
		"known from before, over":      {[]edge.Kind{covered}, []step{{100, "", "", false, false}, {101, covered, "a", false, false}, {132, "", "", false, false}}, "132 camera-covered-restored"},
		"on and off between two looks": {nil, []step{{1, moved, "a", true, false}, {1, moved, "a", false, false}, {32, "", "", false, false}}, "1 camera-moved, 32 camera-moved-restored"},
	} {
		var tm tamper
		for _, k := range c.known {
			tm.recall(k)
		}
		var got []string
		for _, s := range c.steps {
			if s.kind != "" {
				tm.take(s.kind, s.rule, s.active, s.moment, at(s.at))
			}
			news, _ := tm.due(at(s.at))
			for _, n := range news {
				got = append(got, fmt.Sprintf("%v %s", s.at, n.kind))
			}
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%s: got %q, want %q", name, s, c.want)
		}
	}
	var tm tamper
	for i := range 1000 {
		tm.take(covered, fmt.Sprint(i), true, false, at(1))
	}
	if n := len(tm.of[covered].on); n > tamperRules {
		t.Errorf("%d rules are kept", n)
	}
}

// listJournal keeps what is reported.
type listJournal struct {
	unwilling
	mu sync.Mutex
}

func (j *listJournal) Append(ctx context.Context, evs ...edge.Event) (edge.Seq, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.unwilling.Append(ctx, evs...)
}

func (j *listJournal) kinds() (out []edge.Kind) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.events {
		out = append(out, e.Kind)
	}
	return out
}

// A camera's own events, from its socket to the journal: only what it says of itself becomes an event.
func TestOwnEvents(t *testing.T) {
	dev := startONVIF(t, onviftest.Options{User: "sitewatch", Password: "hush"})
	j := &listJournal{}
	c := unwillingCamera(t, &j.unwilling)
	c.box.desk = deskOn(t, j)
	c.box.clock = edge.NewSystemClock()
	c.box.eye = motion.NewPool(motion.Options{Clock: c.box.clock, Log: c.box.log}, []edge.CameraID{"door"})
	c.Camera = config.Camera{ID: "door", ONVIF: dev.URL(), User: "sitewatch", PasswordFile: writeFile(t, "pw", "hush\n")}
	c.scene = newScene(c)
	o, err := newOwnEvents(c)
	if err != nil {
		t.Fatal(err)
	}
	if st := o.status(); st.State != "starting" {
		t.Errorf("got %+v", st)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { o.events.Run(ctx) })
	wg.Go(func() { c.scene.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	wait := func(what string, cond func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !cond(); <-time.After(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("waited in vain for %s: %+v", what, o.status())
			}
		}
	}
	wait("the subscription", func() bool { return dev.Subscribers() == 1 })
	dev.Motion(true)
	dev.Emit(onviftest.Event{Topic: "tns1:Device/Trigger/DigitalInput", Source: "InputToken", SourceName: "1", Data: "LogicalState", Value: "true"})
	dev.Emit(onviftest.Event{Topic: "tns1:VideoSource/ImageTooDark/ImagingService", Source: "Source", SourceName: "V", Data: "State", Value: "true"})
	dev.Emit(onviftest.Event{Topic: "tns1:VideoSource/GlobalSceneChange/ImagingService", Source: "Source", SourceName: "V", Data: "State", Value: "true"})
	wait("two events", func() bool { return len(j.kinds()) >= 2 })
	wait("all hints", func() bool { return o.status().Hints == 4 })
	if got := fmt.Sprint(j.kinds()); got != "[camera-covered camera-moved]" {
		t.Errorf("got %s", got)
	}
	for _, e := range j.events {
		if e.Kind.Lane() != edge.Routine || len(e.Cameras) != 1 || e.Cameras[0] != "door" || !strings.Contains(e.Why, "VideoSource/") {
			t.Errorf("got %+v", e)
		}
	}
	if st := o.status(); st.State != "connected" || st.LastHint.IsZero() || st.LastKind != string(onvif.Moved) {
		t.Errorf("got %+v", st)
	}
}
