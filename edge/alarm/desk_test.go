package alarm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
	"sitewatch/edge/journal"
)

// shop is a desk on a real journal.
type shop struct {
	*Desk
	t     testing.TB
	j     *journal.Journal
	clock *edgetest.Clock
	dir   string
	stop  func()
	began edge.Stamp // when the lines were opened
	sites map[edge.PanelID]Panel
}

var shopPanels = map[edge.PanelID]Panel{
	"intruder": {Cameras: []edge.CameraID{"door"}, Zones: map[edge.ZoneID]Zone{
		"1011": {Name: "Stock room", Kind: edge.KindIntruder, Partition: "1", Cameras: []edge.CameraID{"stockroom", "aisle"}},
		"1012": {Name: "Office", Kind: edge.KindIntruder, Partition: "2"},
	}},
	"fire": {},
}

var yes = true

var shopRules = []MotionRule{{Name: "set", Set: &yes, Send: true}}

func openShop(t testing.TB, dir string, clock *edgetest.Clock, panels map[edge.PanelID]Panel) *shop {
	t.Helper()
	j, err := journal.Open(t.Context(), journal.Options{Dir: dir, Site: "0417", Clock: clock, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := j.Run(ctx); err != nil {
			t.Errorf("journal: %v", err)
		}
	})
	d, err := NewDesk(Options{Journal: j, Clock: clock, Log: slog.New(slog.DiscardHandler), Site: "0417",
		Panels: panels, Before: 10 * time.Second, After: 20 * time.Second, MotionRules: shopRules})
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{Desk: d, t: t, j: j, clock: clock, dir: dir, began: clock.Advance(time.Millisecond), sites: panels}
	s.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		if err := j.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	t.Cleanup(func() { s.stop() })
	return s
}

func newShop(t *testing.T) *shop { return openShop(t, t.TempDir(), edgetest.NewClock(), shopPanels) }

func (s *shop) restart() *shop { s.stop(); return openShop(s.t, s.dir, s.clock, s.sites) }

// say lets the panel say sigs at the present time.
func (s *shop) say(panel edge.PanelID, sigs ...edge.Signal) {
	s.t.Helper()
	for i := range sigs {
		sigs[i].At, sigs[i].Opened = s.clock.Now(), s.began
	}
	if err := s.Panel(panel).Signal(s.t.Context(), sigs...); err != nil {
		s.t.Fatalf("Signal: %v", err)
	}
}

func (s *shop) settle(panel edge.PanelID) {
	s.t.Helper()
	if err := s.Panel(panel).Settle(s.t.Context()); err != nil {
		s.t.Fatalf("Settle: %v", err)
	}
}

// events returns all events in order.
func (s *shop) events() []edge.Event {
	s.t.Helper()
	all := make([]edge.Event, s.j.Last())
	for _, lane := range edge.EventLanes {
		for after := edge.Seq(0); ; {
			recs, err := s.j.Read(s.t.Context(), lane, after, 10_000)
			if err != nil {
				s.t.Fatal(err)
			}
			if len(recs) == 0 {
				break
			}
			for _, r := range recs {
				if all[r.Seq-1], err = edge.DecodeEvent(r.Body); err != nil {
					s.t.Fatal(err)
				}
				after = r.Seq
			}
		}
	}
	return all
}

func (s *shop) kinds() string {
	s.t.Helper()
	var out []string
	for _, ev := range s.events() {
		out = append(out, string(ev.Kind))
	}
	return strings.Join(out, " ")
}

func block(code, key string) edge.Signal {
	return edge.Signal{Code: code, Zone: "1011", Key: []byte(key), Raw: []byte("N" + key)}
}

func TestRepeats(t *testing.T) {
	dated := func(s edge.Signal) edge.Signal { s.Dated = true; return s }
	first := func(s edge.Signal) edge.Signal { s.First = true; return s }
	old := func(s edge.Signal) edge.Signal { s.Old = true; return s }
	alarm := block("BA", "ti11:46/BA1011")
	fire := block("FA", "FA1011")
	for _, c := range []struct {
		name string
		do   func(s *shop) *shop
		want string
	}{
		{"our ack was lost, the panel says it again", func(s *shop) *shop {
			s.say("intruder", alarm)
			s.clock.Advance(3 * time.Second)
			s.say("intruder", alarm)
			s.clock.Advance(12 * time.Second)
			s.say("intruder", alarm)
			return s
		}, "intruder"},
		{"the same 16 s later is a second alarm", func(s *shop) *shop {
			s.say("intruder", alarm)
			s.clock.Advance(16 * time.Second)
			s.say("intruder", alarm)
			return s
		}, "intruder intruder"},
		{"the panel went on to something else in between", func(s *shop) *shop {
			s.say("intruder", alarm)
			s.say("intruder", block("BR", "ti11:46/BR1011"))
			s.say("intruder", alarm)
			return s
		}, "intruder intruder-restored intruder"},
		{"another frame came in between, so the ack had arrived", func(s *shop) *shop {
			s.say("intruder", alarm)
			s.settle("intruder")
			s.say("intruder", alarm)
			return s
		}, "intruder intruder"},
		{"a fire that nobody acked", func(s *shop) *shop {
			s.say("fire", fire)
			s.say("fire", fire)
			return s
		}, "fire"},
		{"two panels say the same", func(s *shop) *shop {
			s.say("intruder", alarm)
			s.say("fire", alarm)
			return s
		}, "intruder intruder"},
		{"a second fire a moment later, without a key", func(s *shop) *shop {
			blank := block("FA", "")
			s.say("fire", blank)
			s.say("fire", blank)
			return s
		}, "fire fire"},
		{"the gateway restarted before its ack", func(s *shop) *shop {
			s.say("intruder", dated(alarm))
			s.clock.Reboot("boot-2")
			s.clock.Advance(10 * time.Minute)
			s = s.restart()
			s.say("intruder", first(dated(alarm)))
			return s
		}, "intruder"},
		{"after a restart, but not the first frame", func(s *shop) *shop {
			s.say("intruder", dated(alarm))
			s.clock.Advance(10 * time.Minute)
			s = s.restart()
			s.say("intruder", dated(alarm))
			return s
		}, "intruder intruder"},
		{"a second hold-up a minute later on the line that brought the first, without a time", func(s *shop) *shop {
			s.say("intruder", first(block("HA", "HA03")))
			s.clock.Advance(time.Minute)
			s.say("intruder", first(block("HA", "HA03")))
			return s
		}, "hold-up hold-up"},
		{"our ack is lost once more after the restart", func(s *shop) *shop {
			s.say("intruder", dated(alarm))
			s.clock.Reboot("boot-2")
			s.clock.Advance(10 * time.Minute)
			s = s.restart()
			for range 4 {
				s.say("intruder", first(dated(alarm)))
				s.clock.Advance(2500 * time.Millisecond)
			}
			return s
		}, "intruder"},
		{"a box whose clock begins in 1970 at each boot: yesterday's fire and today's", func(s *shop) *shop {
			s.clock.Step(-s.clock.Now().Wall.Sub(time.Unix(60, 0)))
			s.say("fire", dated(fire))
			s.clock.Reboot("boot-2")
			s.clock.Step(time.Minute)
			s = s.restart()
			s.say("fire", first(dated(fire)))
			return s
		}, "fire fire"},
		{"a box whose clock begins in 1970, a fire from the buffer", func(s *shop) *shop {
			s.clock.Step(-s.clock.Now().Wall.Sub(time.Unix(60, 0)))
			s.say("fire", dated(fire))
			s.clock.Reboot("boot-2")
			s.clock.Step(time.Minute)
			s = s.restart()
			s.say("fire", old(dated(fire)))
			return s
		}, "fire fire"},
		{"first after a restart, a day later at the same time of day", func(s *shop) *shop {
			s.say("intruder", dated(alarm))
			s.clock.Advance(24 * time.Hour)
			s = s.restart()
			s.say("intruder", first(dated(alarm)))
			return s
		}, "intruder intruder"},
		{"first after a restart, without a time, 3 minutes later", func(s *shop) *shop {
			s.say("intruder", alarm)
			s.clock.Advance(3 * time.Minute)
			s = s.restart()
			s.say("intruder", first(alarm))
			return s
		}, "intruder intruder"},
		{"the settling is on disk before a restart", func(s *shop) *shop {
			s.say("intruder", dated(alarm))
			s.settle("intruder")
			s = s.restart()
			s.say("intruder", first(dated(alarm)))
			return s
		}, "intruder intruder"},
		{"the wall clock went back over the reboot: an event too many, none too few", func(s *shop) *shop {
			s.say("intruder", dated(alarm))
			s.clock.Reboot("boot-2")
			s.clock.Step(-time.Hour)
			s = s.restart()
			s.say("intruder", first(dated(alarm)))
			return s
		}, "intruder intruder"},
		{"the panel lost its line after our lost ack, and re-sends from its buffer hours later", func(s *shop) *shop {
			for range 4 {
				s.say("intruder", dated(alarm))
				s.clock.Advance(2500 * time.Millisecond)
			}
			s.clock.Advance(5 * time.Hour)
			s.say("intruder", old(dated(alarm)))
			return s
		}, "intruder"},
		{"two acks are lost, and the text comes after the third", func(s *shop) *shop {
			for range 3 {
				s.say("fire", dated(fire))
				s.clock.Advance(2600 * time.Millisecond)
			}
			s.say("fire", text("KITCHEN"))
			return s
		}, "fire amended"},
		{"the same over a restart, and the ack of the re-sent one is lost too", func(s *shop) *shop {
			s.say("intruder", dated(alarm))
			s.clock.Advance(5 * time.Hour)
			s = s.restart()
			s.say("intruder", old(dated(alarm)))
			s.clock.Advance(2500 * time.Millisecond)
			s.say("intruder", old(dated(alarm)))
			s = s.restart()
			s.clock.Advance(2500 * time.Millisecond)
			s.say("intruder", old(dated(alarm)))
			return s
		}, "intruder"},
		{"re-sent hours later, after another zone has spoken", func(s *shop) *shop {
			s.say("intruder", dated(alarm))
			other := block("TA", "ti11:46/TA1012")
			other.Zone = "1012"
			s.say("intruder", other)
			s.say("intruder", text("OFFICE"))
			s.clock.Advance(5 * time.Hour)
			s = s.restart()
			s.say("intruder", old(dated(alarm)))
			return s
		}, "intruder tamper amended"},
		{"a second fire from the buffer, after the first was restored", func(s *shop) *shop {
			s.say("fire", dated(fire))
			s.say("fire", block("FR", "FR1011"))
			s.settle("fire")
			s.clock.Advance(time.Minute)
			s.say("fire", old(dated(fire)))
			return s
		}, "fire fire-restored fire"},
		{"a second fire from the buffer, the restore being one without an ack", func(s *shop) *shop {
			s.say("fire", dated(fire))
			s.say("fire", block("FR", ""))
			s.settle("fire")
			s.clock.Advance(time.Minute)
			s.say("fire", old(dated(fire)))
			return s
		}, "fire fire-restored fire"},
		{"one new and two from the buffer: one of them is the new one", func(s *shop) *shop {
			s.say("fire", dated(fire))
			s.clock.Advance(time.Minute)
			s.say("fire", old(dated(fire)))
			s.settle("fire")
			s.say("fire", old(dated(fire)))
			return s
		}, "fire fire"},
		{"the same with a restart in between", func(s *shop) *shop {
			s.say("fire", dated(fire))
			s.clock.Advance(time.Minute)
			s.say("fire", old(dated(fire)))
			s.settle("fire")
			s = s.restart()
			s.clock.Advance(time.Minute)
			s.say("fire", old(dated(fire)))
			return s
		}, "fire fire"},
		{"two fires, both from the buffer", func(s *shop) *shop {
			s.say("fire", old(dated(fire)))
			s.settle("fire")
			s.clock.Advance(time.Minute)
			s.say("fire", old(dated(fire)))
			s.clock.Advance(16 * time.Second)
			s.say("fire", old(dated(fire)))
			return s
		}, "fire fire fire"},
		{"a fire from the buffer that nobody acked", func(s *shop) *shop {
			s.say("fire", old(dated(fire)))
			s.clock.Advance(2500 * time.Millisecond)
			s.say("fire", old(dated(fire)))
			return s
		}, "fire"},
		{"a block with two events of one zone, re-sent from the buffer and then again", func(s *shop) *shop {
			a, b := block("BA", "x/BA1011/TA1011"), block("TA", "x/BA1011/TA1011")
			s.say("intruder", dated(a), dated(b))
			s.clock.Advance(time.Hour)
			s.say("intruder", old(dated(a)), old(dated(b)))
			s.settle("intruder")
			s.clock.Advance(time.Hour)
			s.say("intruder", old(dated(a)), old(dated(b)))
			return s
		}, "intruder tamper intruder tamper"},
		{"an old event without a time, long after", func(s *shop) *shop {
			s.say("intruder", alarm)
			s.clock.Advance(5 * time.Minute)
			s.say("intruder", old(alarm))
			return s
		}, "intruder intruder"},
		{"an old event that is news", func(s *shop) *shop {
			s.say("intruder", old(dated(alarm)))
			return s
		}, "intruder"},
		{"a block with two events, repeated", func(s *shop) *shop {
			a, b := block("BA", "x/BA1011/BA1012"), block("BA", "x/BA1011/BA1012")
			s.say("intruder", a, b)
			s.say("intruder", a, b)
			return s
		}, "intruder intruder"},
		{"a block with two events of different keys, repeated", func(s *shop) *shop {
			s.say("intruder", block("BA", "1"), block("TA", "2"))
			s = s.restart()
			s.say("intruder", block("BA", "1"), block("TA", "2"))
			return s
		}, "intruder tamper"},
		{"a key longer than any block", func(s *shop) *shop {
			s.say("intruder", block("BA", strings.Repeat("x", 5000)+"a"))
			s.say("intruder", block("BA", strings.Repeat("x", 5000)+"b"))
			s.say("intruder", block("BA", strings.Repeat("x", 5000)+"b"))
			return s
		}, "intruder intruder"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.do(newShop(t))
			if got := s.kinds(); got != c.want {
				t.Errorf("journalled %q, want %q", got, c.want)
			}
		})
	}
}

func text(words string) edge.Signal {
	return edge.Signal{Kind: edge.KindAmended, Text: words, Key: []byte("A" + words), Raw: []byte(words)}
}

func TestTexts(t *testing.T) {
	for _, c := range []struct {
		name   string
		do     func(s *shop) *shop
		want   string
		amends edge.Seq // of the last event
	}{
		{"the text follows its event", func(s *shop) *shop {
			s.say("intruder", block("BA", "1"))
			s.clock.Advance(3 * time.Second)
			s.say("intruder", text("SHOP FLOOR"))
			return s
		}, "intruder amended", 1},
		{"the text is repeated", func(s *shop) *shop {
			s.say("intruder", block("BA", "1"))
			s.say("intruder", text("SHOP FLOOR"))
			s.say("intruder", text("SHOP FLOOR"))
			return s
		}, "intruder amended", 1},
		{"a second line of text", func(s *shop) *shop {
			s.say("intruder", block("BA", "1"))
			s.say("intruder", text("SHOP FLOOR"))
			s.say("intruder", text("LEFT"))
			return s
		}, "intruder amended amended", 1},
		{"the text comes too late", func(s *shop) *shop {
			s.say("intruder", block("BA", "1"))
			s.clock.Advance(6 * time.Second)
			s.say("intruder", text("SHOP FLOOR"))
			return s
		}, "intruder unknown", 0},
		{"the panel began something else before", func(s *shop) *shop {
			s.say("intruder", block("BA", "1"))
			s.settle("intruder")
			s.say("intruder", text("SHOP FLOOR"))
			return s
		}, "intruder unknown", 0},
		{"a text out of nowhere", func(s *shop) *shop {
			s.say("intruder", text("SHOP FLOOR"))
			return s
		}, "unknown", 0},
		{"two connections of one panel, each with its own event and text", func(s *shop) *shop {
			a, b := s.began, s.clock.Advance(time.Millisecond)
			s.say("intruder", block("BA", "1"))
			s.began = b
			s.say("intruder", block("TA", "2"))
			s.say("intruder", text("SHOP FLOOR, tamper"))
			s.began = a
			s.say("intruder", text("SHOP FLOOR"))
			return s
		}, "intruder tamper amended amended", 1},
		{"event and text in one call", func(s *shop) *shop {
			s.say("fire", block("FA", "0"))
			s.say("intruder", block("BA", "1"), text("SHOP FLOOR"))
			return s
		}, "fire intruder amended", 2},
		{"the event comes again from the buffer, and now its text", func(s *shop) *shop {
			sig := block("BA", "1")
			sig.Dated = true
			s.say("intruder", sig)
			s.clock.Advance(time.Hour)
			sig.Old = true
			s.say("intruder", sig)
			s = s.restart()
			s.say("intruder", text("SHOP FLOOR"))
			return s
		}, "intruder amended", 1},
		{"a restart between event and text", func(s *shop) *shop {
			s.say("intruder", block("BA", "1"))
			s = s.restart()
			s.clock.Advance(2 * time.Second)
			s.say("intruder", text("SHOP FLOOR"))
			return s
		}, "intruder amended", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.do(newShop(t))
			if got := s.kinds(); got != c.want {
				t.Fatalf("journalled %q, want %q", got, c.want)
			}
			evs := s.events()
			last := evs[len(evs)-1]
			if last.Amends != c.amends || last.Lane != edge.Routine || !strings.Contains(last.Text, "SHOP FLOOR") && last.Text != "LEFT" {
				t.Errorf("last event = %+v, want a routine one with the text that amends %d", last, c.amends)
			}
		})
	}
}

func TestAlarmAsksForItsClipsInItsOwnTransaction(t *testing.T) {
	s := newShop(t)
	s.say("intruder", block("BA", "1"))
	s.say("intruder", block("BR", "2"))
	now := s.clock.Now().Wall
	jobs, err := s.j.WantedClips(t.Context())
	if err != nil || len(jobs) != 2 {
		t.Fatalf("wanted clips = %+v, %v; want one each of stockroom and aisle", jobs, err)
	}
	ev := s.events()[0]
	for _, c := range ev.Clips {
		if !c.From.Equal(now.Add(-10*time.Second)) || !c.To.Equal(now.Add(20*time.Second)) || len(c.ID) != 32 {
			t.Errorf("clip = %+v, want 10 s before to 20 s after %v", c, now)
		}
	}
	if want := "Intruder alarm in Stock room (zone 1011), partition 1"; ev.Why != want {
		t.Errorf("why = %q, want %q", ev.Why, want)
	}
}

func TestMotionIsSentWhileAPartitionOfTheCameraIsSet(t *testing.T) {
	s := newShop(t)
	move := func() {
		t.Helper()
		from := s.clock.Now()
		if _, err := s.Motion(t.Context(), "door", from, s.clock.Advance(1500*time.Millisecond), ""); err != nil {
			t.Fatal(err)
		}
	}
	partition := func(code, p string) {
		s.say("intruder", edge.Signal{Code: code, Partition: edge.PartitionID(p)})
	}
	move()
	partition("CL", "") // the whole panel: 1 and 2
	move()
	partition("OP", "1")
	move()
	s = s.restart()
	if !s.CameraSet("door") {
		t.Error("the camera is unset after a restart, but partition 2 is set")
	}
	partition("OP", "2")
	move()
	partition("CG", "2")
	move()
	partition("OP", "")
	move()
	if got, want := s.kinds(), "set motion unset motion unset part-set motion unset"; got != want {
		t.Errorf("journalled %q, want %q", got, want)
	}
	if counted, sent := s.Motions(); counted != 2 || sent != 1 {
		t.Errorf("since the restart %d counted and %d sent, want 2 and 1", counted, sent)
	}
	ev := s.events()[1]
	if ev.Why != "Movement on camera door for 1.5s (rule set)" || len(ev.Cameras) != 1 || ev.Lane != edge.Routine {
		t.Errorf("motion event = %+v", ev)
	}
}

func TestReportFillsInWhy(t *testing.T) {
	s := newShop(t)
	if err := s.Report(t.Context(), edge.Event{Kind: edge.KindCameraLost.Restored(), Cameras: []edge.CameraID{"door"}}); err != nil {
		t.Fatal(err)
	}
	if got := s.events()[0].Why; got != "Camera lost is over, camera door" {
		t.Errorf("why = %q", got)
	}
}

// broken is a journal that fails, or whose answers are lost, when told to.
type broken struct {
	*journal.Journal
	mu      sync.Mutex
	fail    bool // before it writes
	swallow bool // after it wrote
}

var errDisk = errors.New("disk")

func (b *broken) Commit(ctx context.Context, batch journal.Batch) ([]edge.Seq, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail {
		return nil, errDisk
	}
	seqs, err := b.Journal.Commit(ctx, batch)
	if b.swallow {
		return nil, errDisk
	}
	return seqs, err
}

func TestFailedJournalIsNoAckAndNoSecondEvent(t *testing.T) {
	s := newShop(t)
	b := &broken{Journal: s.j, fail: true}
	s.opt.Journal = b
	ctx := t.Context()
	sig := block("HA", "HA1")
	sig.At = s.clock.Now()
	if err := s.Panel("intruder").Signal(ctx, sig); !errors.Is(err, errDisk) {
		t.Fatalf("Signal = %v, want the journal's error", err)
	}
	if got := s.kinds(); got != "" {
		t.Fatalf("journalled %q, want nothing", got)
	}
	b.fail, b.swallow = false, true
	if err := s.Panel("intruder").Signal(ctx, sig); !errors.Is(err, errDisk) {
		t.Fatalf("Signal = %v, want the journal's error", err)
	}
	b.swallow = false
	if err := s.Panel("intruder").Signal(ctx, sig); err != nil {
		t.Fatalf("Signal = %v, want nil: it is on disk", err)
	}
	if got := s.kinds(); got != "hold-up" {
		t.Errorf("journalled %q, want one hold-up", got)
	}
}

func TestSignalEndsWithItsContext(t *testing.T) {
	s := newShop(t)
	s.stop()
	j, err := journal.Open(t.Context(), journal.Options{Dir: s.dir, Site: "0417", Clock: s.clock, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	s.opt.Journal = j // nobody writes: the disk is stalled
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Panel("fire").Signal(ctx, block("FA", "1")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Signal = %v, want the deadline", err)
	}
}

func TestManyPanelsAtOnce(t *testing.T) {
	s := newShop(t)
	var wg sync.WaitGroup
	const panels, each = 8, 25
	for p := range panels {
		sink := s.Panel(edge.PanelID(fmt.Sprintf("p%d", p)))
		wg.Go(func() {
			for i := range each {
				sig := block("BA", fmt.Sprint(i))
				sig.At = s.clock.Now()
				for range 2 { // each is repeated
					if err := sink.Signal(t.Context(), sig); err != nil {
						t.Error(err)
					}
				}
				if err := sink.Settle(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := len(s.events()); got != panels*each {
		t.Errorf("%d events, want %d", got, panels*each)
	}
}

func TestMain(m *testing.M) { edgetest.Main(m) }

// TestNothingIsAckedWhileTheDiskFails: the SOC hears of it once, however often the panel says it, and the panel hears nothing.
func TestNothingIsAckedWhileTheDiskFails(t *testing.T) {
	s := newShop(t)
	s.opt.Disk = errors.New("the data disk fails")
	for range 200 {
		sig := block("FA", "FA1011")
		sig.At, sig.Opened = s.clock.Advance(3*time.Second), s.began
		if err := s.Panel("fire").Signal(t.Context(), sig); !errors.Is(err, s.opt.Disk) {
			t.Fatalf("Signal = %v; the panel would be acked", err)
		}
		s.settle("fire")
	}
	if got := s.kinds(); got != "fire" {
		t.Errorf("events = %s, want one fire", got)
	}
}

// A panel that was taken out of the configuration while it was set must not keep the site set for ever.
func TestPanelThatIsGoneSetsNothing(t *testing.T) {
	s := newShop(t)
	s.say("gone", edge.Signal{Code: "CL", Partition: "1"})
	if s.CameraSet("yard") {
		t.Error("the camera is set by a panel that it does not have")
	}
	s.say("intruder", edge.Signal{Code: "CL", Partition: "1"})
	if !s.CameraSet("yard") {
		t.Error("the camera is not set")
	}
}
