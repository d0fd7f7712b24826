package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/soc"
	"sitewatch/uplink/soc/ledger"
)

// TestFaults: whatever befalls line, SOC, clock or disk, what the panel was acked for is at the SOC once and in lane order,
// each clip has its file, and nothing is left running. The bubble fails by itself when a goroutine is.
func TestFaults(t *testing.T) {
	for _, row := range []struct {
		name string
		more string // of the configuration
		lost bool   // events may be given up, if the SOC can name them
		play func(r *rig)
	}{
		{name: "nothing at all", play: func(r *rig) { r.say(20) }},
		{name: "link cut after commit, before ack", play: func(r *rig) {
			r.say(5)
			r.connected()
			r.line.set(func(w *wireLine) { w.deaf = true })
			n := len(r.events())
			r.say(5)
			r.until("the SOC has committed", time.Minute, func() bool { return len(r.events()) >= n+5 })
			r.line.cut()
			r.say(5)
		}},
		{name: "acks are lost and the line looks well", play: func(r *rig) {
			r.say(5)
			r.connected()
			r.line.set(func(w *wireLine) { w.deaf = true })
			r.say(5)
			time.Sleep(2 * time.Minute) // both ends give up the silent line by themselves
			r.line.cut()
			r.say(5)
		}},
		{name: "what the box sends is lost and the line looks well", play: func(r *rig) {
			r.say(5)
			r.connected()
			r.line.set(func(w *wireLine) { w.mute = true })
			r.say(5)
			time.Sleep(2 * time.Minute)
			r.line.cut()
			r.say(5)
		}},
		{name: "the line breaks every few hundred bytes", play: func(r *rig) {
			for n := range int64(40) {
				r.line.set(func(w *wireLine) { w.left = 2500 + n*211 })
				r.say(3)
				time.Sleep(400 * time.Millisecond)
			}
			r.line.set(func(w *wireLine) { w.left = 0 })
		}},
		{name: "SOC away for 72 hours", play: func(r *rig) {
			r.say(3)
			r.until("delivered", time.Minute, r.delivered)
			r.stopSOC()
			for range 72 {
				time.Sleep(time.Hour)
				r.say(2)
			}
			r.startSOC(nil)
			r.until("delivered", 10*time.Minute, r.delivered)
			late := 0
			for _, e := range r.events() {
				if e.Late {
					late++
				}
			}
			if late < 140 {
				r.t.Errorf("%d events are marked late, want those of 72 hours", late)
			}
			if r.count(edge.KindPathLost) != 1 || r.count(edge.KindPathLost.Restored()) > 1 {
				r.t.Errorf("path-lost is there %d times, its end %d times", r.count(edge.KindPathLost), r.count(edge.KindPathLost.Restored()))
			}
		}},
		{name: "SOC restarts while events flow", play: func(r *rig) {
			for range 5 {
				r.say(20)
				r.stopSOC()
				r.say(20)
				r.startSOC(nil)
			}
		}},
		{name: "box restarts while events flow", play: func(r *rig) {
			for range 5 {
				r.say(20)
				r.stopBox()
				r.startBox()
			}
		}},
		{name: "both ends restart with acks under way", play: func(r *rig) {
			for range 5 {
				r.line.set(func(w *wireLine) { w.deaf = true })
				r.say(20)
				r.stopBox()
				r.stopSOC()
				r.line.cut()
				r.startSOC(nil)
				r.startBox()
			}
		}},
		{name: "SOC restored from yesterday's backup", play: func(r *rig) {
			r.say(20)
			r.until("delivered", time.Minute, r.delivered)
			r.stopSOC()
			db := filepath.Join(r.dir, "soc", "ledger.db")
			backup, err := os.ReadFile(db)
			if err != nil {
				r.t.Fatal(err)
			}
			r.startSOC(nil)
			time.Sleep(24 * time.Hour)
			r.say(20)
			r.until("delivered", time.Minute, r.delivered)
			r.stopSOC()
			for _, s := range []string{"-wal", "-shm"} {
				if err := os.Remove(db + s); err != nil && !errors.Is(err, os.ErrNotExist) {
					r.t.Fatal(err)
				}
			}
			if err := os.WriteFile(db, backup, 0o600); err != nil {
				r.t.Fatal(err)
			}
			r.startSOC(nil)
			r.say(5)
		}},
		{name: "clock steps back an hour", play: func(r *rig) {
			r.say(10)
			r.clock.move(-time.Hour)
			r.say(10)
			time.Sleep(time.Minute)
			r.clock.move(time.Hour)
			r.say(10)
		}},
		{name: "clock steps forward a day", play: func(r *rig) {
			r.say(10)
			r.clock.move(24 * time.Hour)
			r.say(10)
			r.clock.move(-24 * time.Hour)
			r.say(10)
		}},
		{name: "SOC repeats a command whose outcome was lost", play: func(r *rig) {
			r.say(1)
			r.connected()
			now := r.clock.Now().Wall
			cmd := edge.Command{ID: edge.CommandID(edge.NewID()), Kind: "status", From: now, To: now, Expires: now.Add(time.Hour)}
			if err := r.led.PutCommand(context.Background(), "0417", cmd); err != nil {
				r.t.Fatal(err)
			}
			r.line.set(func(w *wireLine) { w.mute = true })
			r.srv.Nudge("0417")
			time.Sleep(5 * time.Second)
			r.line.cut()
			var got edge.CommandState
			r.until("the outcome is at the SOC", 5*time.Minute, func() bool {
				c, err := r.led.Command(context.Background(), cmd.ID, r.clock.Now().Wall)
				if err != nil {
					r.t.Fatal(err)
				}
				got = c.State
				return got != edge.CommandSent
			})
			if got != edge.CommandDone {
				r.t.Errorf("the command is %s, want done", got)
			}
			r.until("delivered", time.Minute, r.delivered)
			if n := r.count(edge.KindCommandDone); n != 1 {
				r.t.Errorf("command-done is there %d times, want once", n)
			}
		}},
		{name: "the journal is full at append", more: "limits: {journal: 1MiB}", lost: true, play: func(r *rig) {
			r.say(5)
			r.until("delivered", time.Minute, r.delivered)
			r.stopSOC()
			r.say(2500)
			r.startSOC(nil)
			r.say(5)
		}},
		{name: "the commit succeeds and its answer is lost", play: func(r *rig) {
			r.say(5)
			for range 10 {
				s := r.signal()
				ctx, cancel := context.WithCancel(context.Background())
				cancel() // the panel's session ends in the middle
				if err := r.box.desk.Panel("intruder").Signal(ctx, s); err == nil {
					r.acked = append(r.acked, s)
					continue
				}
				if err := r.box.desk.Panel("intruder").Signal(context.Background(), s); err != nil { // the panel repeats itself
					r.t.Fatal(err)
				}
				r.acked = append(r.acked, s)
			}
		}},
		{name: "a torn write at the end of the log", play: func(r *rig) {
			r.say(30)
			// A copy made now is what a power cut leaves: all that was acked, and half of what was under way.
			wal, err := os.ReadFile(filepath.Join(r.cfg.Data, "journal.db-wal"))
			if err != nil {
				r.t.Fatal(err)
			}
			db, err := os.ReadFile(filepath.Join(r.cfg.Data, "journal.db"))
			if err != nil {
				r.t.Fatal(err)
			}
			r.stopBox()
			wal = append(wal, wal[len(wal)-4120:len(wal)-2000]...)
			if err := errors.Join(os.WriteFile(filepath.Join(r.cfg.Data, "journal.db"), db, 0o600), os.WriteFile(filepath.Join(r.cfg.Data, "journal.db-wal"), wal, 0o600),
				os.Remove(filepath.Join(r.cfg.Data, "journal.db-shm"))); err != nil && !errors.Is(err, os.ErrNotExist) {
				r.t.Fatal(err)
			}
			r.startBox()
			r.say(5)
		}},
		{name: "link cut in the middle of a clip", play: func(r *rig) {
			id := r.clip(300_000)
			for n := range int64(20) {
				r.line.set(func(w *wireLine) { w.left = 20_000 + n*4099 })
				time.Sleep(time.Second)
			}
			r.line.set(func(w *wireLine) { w.left = 0 })
			r.until("the clip is at the SOC", 10*time.Minute, func() bool {
				c, err := r.led.Clip(context.Background(), id)
				return err == nil && c.State == ledger.ClipReady
			})
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, row.more)
			open := fds(os.Getpid())
			synctest.Test(t, func(t *testing.T) {
				r.t, r.clock.begin = t, time.Now()
				r.startSOC(nil)
				r.startBox()
				row.play(r)
				r.until("everything is at the SOC", time.Hour, r.delivered)
				r.check(row.lost)
				r.stopBox()
				r.stopSOC()
			})
			r.t = t
			if n := fds(os.Getpid()); n > open {
				t.Errorf("%d files are open, before it were %d", n, open)
			}
		})
	}
}

// say reports n signals as a panel does: each again and again until it is acked.
func (r *rig) say(n int) {
	r.t.Helper()
	for range n {
		s := r.signal()
		for try := 0; ; try++ {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			err := r.box.desk.Panel("intruder").Signal(ctx, s)
			cancel()
			if err == nil {
				r.acked = append(r.acked, s)
				break
			}
			if try == 1000 {
				r.t.Fatalf("never acked: %v", err)
			}
			time.Sleep(2500 * time.Millisecond)
			s.At = r.clock.Now()
		}
	}
}

// until waits in the bubble's own time.
func (r *rig) until(what string, limit time.Duration, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

func (r *rig) connected() {
	r.t.Helper()
	r.until("the box is connected", time.Minute, func() bool { _, up := r.srv.Online("0417"); return up && r.delivered() })
}

// clip makes a finished clip of an alarm, as the cutter would.
func (r *rig) clip(size int) edge.ClipID {
	r.t.Helper()
	id := edge.ClipID(edge.NewID())
	now := r.clock.Now().Wall
	ctx := context.Background()
	if _, err := r.box.journal.Append(ctx, edge.Event{Kind: edge.KindIntruder, Clips: []edge.ClipRef{{ID: id, Camera: "door", From: now, To: now.Add(time.Second)}}}); err != nil {
		r.t.Fatal(err)
	}
	data := bytes.Repeat([]byte("film"), size/4)
	path := filepath.Join(r.box.journal.ClipDir(), string(id)+".mp4")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := r.box.journal.ClipReady(ctx, edge.ClipFact{ID: id, From: now, To: now.Add(time.Second)},
		edge.ClipFile{Part: edge.PartClip, Path: path, SizeBytes: int64(len(data)), SHA256: sha256.Sum256(data)}); err != nil {
		r.t.Fatal(err)
	}
	return id
}

// check is what every row asserts at its end.
func (r *rig) check(lost bool) {
	r.t.Helper()
	at := map[string][]ledger.Event{}
	last := map[edge.Lane]edge.Seq{}
	for _, e := range r.events() {
		if e.Event.Journal == ledger.JournalSOC {
			continue
		}
		if e.Event.Seq <= last[e.Event.Lane] {
			r.t.Errorf("lane %s: %d came after %d", e.Event.Lane, e.Event.Seq, last[e.Event.Lane])
		}
		last[e.Event.Lane] = e.Event.Seq
		if len(e.Event.Raw) > 0 {
			at[string(e.Event.Raw)] = append(at[string(e.Event.Raw)], e)
		}
	}
	gone := 0
	for _, s := range r.acked {
		switch n := len(at[string(s.Raw)]); {
		case n == 0 && lost:
			gone++
		case n != 1:
			r.t.Errorf("%q was acked and is at the SOC %d times", s.Raw, n)
		}
	}
	known, _, err := r.led.Gaps(context.Background(), "0417", 0, 1000)
	if err != nil || len(known) != 1 || len(known[0].Conflicts) > 0 {
		r.t.Fatalf("the SOC knows %+v, %v, want one journal without conflicts", known, err)
	}
	named := 0
	for _, g := range known[0].Missing {
		named += int(g.To - g.From + 1)
	}
	if named < gone || !lost && named > 0 {
		r.t.Errorf("%d acked events are gone, the SOC names %d: %+v", gone, named, known[0].Missing)
	}
	if lost && gone == 0 {
		r.t.Error("nothing was given up: the row proves nothing")
	}
	r.clipFiles()
}

// clipFiles: each clip that is ready at the SOC has its file with its digest.
func (r *rig) clipFiles() {
	r.t.Helper()
	for _, e := range r.events() {
		for _, ref := range e.Event.Clips {
			c, err := r.led.Clip(context.Background(), ref.ID)
			if err != nil {
				r.t.Fatal(err)
			}
			if c.State != ledger.ClipReady {
				continue
			}
			b, err := os.ReadFile(soc.ClipPath(filepath.Join(r.dir, "soc", "clips"), "0417", ref.ID, edge.PartClip))
			if sum := sha256.Sum256(b); err != nil || !bytes.Equal(sum[:], c.SHA256) {
				r.t.Errorf("clip %s is ready and its file is not what it should be: %v", ref.ID, err)
			}
		}
	}
}
