package main

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// untilDead waits for a program to die at its moment, and counts the death.
func (x *torture) untilDead(program string, limit time.Duration) {
	x.t.Helper()
	select {
	case <-x.procs[program].ended:
	case <-time.After(limit):
		x.t.Fatalf("%s did not come to %q within %v", program, x.asked[program], limit)
	}
	x.slay(program)
}

// of returns the crash points of a program's life.
func of(program string, l life) (out []crashPoint) {
	for _, p := range crashPoints {
		if p.program == program && p.life == l {
			out = append(out, p)
		}
	}
	return out
}

func TestKilledInItsFirstRun(t *testing.T) {
	t.Parallel()
	x := newTorture(t, newFiles(t, panelOnly))
	for _, p := range of("soc", firstRun) {
		x.live("soc", p.name)
		x.untilDead("soc", 30*time.Second)
	}
	x.enrol()
	x.panel = newTalker(t, x.dir+"/panel", 0, 5*time.Millisecond)
	for _, p := range of("gateway", firstRun) {
		x.live("gateway", p.name)
		x.untilDead("gateway", 30*time.Second)
	}
	x.live("gateway", "")
	x.until("the panel is heard", 30*time.Second, func() bool { return len(x.panel.said()) > 20 })
	x.panel.hush()
	x.settled(time.Minute)
	x.audit()
	x.leaks()
}

// smallest is the least that a journal may be.
func smallest(s *site) string { return panelOnly(s) + "limits: {journal: 1MiB}\n" }

func TestKilledWhilePruning(t *testing.T) {
	t.Parallel()
	x := newTorture(t, newSite(t, smallest))
	x.panel = newTalker(t, x.dir+"/panel", 0, 0)
	for _, p := range of("gateway", longStorm) {
		x.live("gateway", x.pass(p))
		x.untilDead("gateway", 2*time.Minute)
	}
	x.live("gateway", "")
	n := len(x.panel.said())
	x.until("the panel is heard", 30*time.Second, func() bool { return len(x.panel.said()) > n+20 })
	x.panel.hush()
	x.settled(time.Minute)
	x.audit()
	x.leaks()
}

// TestKilledWhileGivingUpEvents: the SOC is away until the journal has no room for all that waits. What is given up then is
// counted and told, and whatever moment the gateway dies at, nothing more than that is missing.
func TestKilledWhileGivingUpEvents(t *testing.T) {
	t.Parallel()
	x := newTorture(t, newSite(t, smallest))
	x.panel = newTalker(t, x.dir+"/panel", 0, 0)
	x.kill("soc")
	for _, p := range of("gateway", longAway) {
		x.live("gateway", x.pass(p))
		x.untilDead("gateway", 2*time.Minute)
	}
	x.live("gateway", "")
	n := len(x.panel.said())
	x.until("the panel is heard", 30*time.Second, func() bool { return len(x.panel.said()) > n+20 })
	x.startSOC()
	x.panel.hush()
	x.until("the SOC has all that is left", time.Minute, func() bool {
		return x.journal(`select count(*) from events e join cursors c on c.lane = e.lane where e.seq > c.seq`) == 0
	})
	x.until("the journal has room again", 30*time.Second, func() bool {
		return x.journal(`select (select page_count from pragma_page_count) - (select freelist_count from pragma_freelist_count)`) < 230
	})
	at, told := map[string]int{}, false
	for _, e := range x.events() {
		at[e.Raw]++
		told = told || e.Kind == "events-lost"
	}
	gone := 0
	for i, b := range x.panel.said() {
		switch at[hex.EncodeToString(b.raw)] {
		case 0:
			gone++
		case 1:
		default:
			t.Errorf("block %d is at the SOC twice", i)
		}
	}
	known := x.gaps()
	if len(known) != 1 || len(known[0].Conflicts) > 0 {
		t.Fatalf("the SOC has %+v, want one journal without conflicts", known)
	}
	listed := 0
	for _, g := range known[0].Missing {
		listed += int(g.To - g.From + 1)
		if !strings.Contains(g.Reason, "size limit") {
			t.Errorf("%d to %d are missing because: %q", g.From, g.To, g.Reason)
		}
	}
	if gone == 0 || !told {
		t.Errorf("%d events are gone, events-lost told: %v: the journal never gave up anything", gone, told)
	}
	if listed < gone {
		t.Errorf("%d events are gone and %d are listed as missing", gone, listed)
	}
	t.Logf("%d of %d given up, %d listed (the box's own events among them)", gone, len(x.panel.said()), listed)
}

// TestDamagedJournal: the file is damaged while the box is off. The gateway comes up, tells the SOC what it could not keep, and
// the next alarm goes through; what the SOC had stays as it was.
func TestDamagedJournal(t *testing.T) {
	t.Parallel()
	for _, d := range []struct {
		name   string
		damage func(b []byte) []byte
		point  []crashPoint // at which the gateway dies while it deals with that
	}{
		{"its first page is noise", func(b []byte) []byte { fill(b[:4096]); return b }, of("gateway", damaged)},
		{"a hole in its middle", func(b []byte) []byte { fill(b[len(b)/2 : len(b)/2+3*4096]); return b }, nil},
		{"half of it is gone", func(b []byte) []byte { return b[:len(b)/2] }, nil},
		{"it is empty", func([]byte) []byte { return nil }, nil},
	} {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			x := newTorture(t, newSite(t, panelOnly))
			x.panel = newTalker(t, x.dir+"/panel", 0, time.Millisecond)
			x.live("gateway", "")
			x.until("the panel is heard", 30*time.Second, func() bool { return len(x.panel.said()) > 200 })
			x.slay("gateway")
			path := filepath.Join(x.dir, "gateway", "journal.db")
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, d.damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, p := range d.point {
				x.live("gateway", x.pass(p))
				x.untilDead("gateway", 30*time.Second)
			}
			x.live("gateway", "")
			n := len(x.panel.said())
			x.until("the panel is heard again", 30*time.Second, func() bool { return len(x.panel.said()) > n+50 })
			x.panel.hush()
			x.settled(time.Minute)
			journals, told, replaced := map[string]bool{}, false, false
			at := map[string]int{}
			for _, e := range x.events() {
				at[e.Raw]++
				journals[e.Journal] = journals[e.Journal] || e.Journal != "soc"
				told = told || e.Kind == "events-lost"
				replaced = replaced || e.Kind == "journal-replaced"
			}
			delete(journals, "soc")
			if len(journals) == 2 && (!told || !replaced) {
				t.Errorf("there is a new journal; events-lost told: %v, journal-replaced raised: %v", told, replaced)
			}
			missing := 0
			for _, b := range x.panel.said() {
				if at[hex.EncodeToString(b.raw)] == 0 {
					missing++
				}
			}
			if missing > 0 && !told {
				t.Errorf("%d acked events are missing and nothing says so", missing)
			}
			if n := strings.Count(x.read("gateway.log"), "gateway starts"); n > 3+len(d.point) {
				t.Errorf("the gateway has started %d times", n)
			}
			t.Logf("%d journals; %d of %d acked events are missing, told: %v", len(journals), missing, len(x.panel.said()), told)
			x.slay("gateway")
			x.live("gateway", "") // and it stays up
			x.healthy("http://" + x.local + "/healthz")
			if got := x.count("events-lost"); got > 1+missing {
				t.Errorf("%d events-lost events", got)
			}
		})
	}
}

// fill overwrites b with bytes that are no page of a database.
func fill(b []byte) {
	for i := range b {
		b[i] = byte(i*37 + 11)
	}
}
