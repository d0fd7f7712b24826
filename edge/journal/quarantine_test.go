package journal

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
)

// untilDamaged runs the writer of a journal that will meet damage, and closes it.
func untilDamaged(t *testing.T, opt Options, meanwhile func(j *Journal)) {
	t.Helper()
	j, err := Open(t.Context(), opt)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { err = j.Run(ctx) })
	meanwhile(j)
	wg.Wait()
	if again := j.Run(ctx); !errors.Is(again, ErrDamaged) {
		t.Errorf("Run again = %v, want that it writes nothing more", again)
	}
	must(t, j.Close())
	if !errors.Is(err, ErrDamaged) {
		t.Fatalf("Run = %v, want ErrDamaged", err)
	}
}

// changeEvent changes an event behind SQLite's back, as a bad cell of the flash does.
func changeEvent(t *testing.T, path string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Contains(raw, []byte("needle")) {
		t.Fatal("the event is not in the file")
	}
	must(t, os.WriteFile(path, bytes.ReplaceAll(raw, []byte("needle"), []byte("noodle")), 0o600)) // and what a split page left of it
}

func TestChangedEventIsNeverSentAndTheOthersGoOn(t *testing.T) {
	for name, found := range map[string]func(j *Journal){
		"it is read to be sent": func(j *Journal) {
			recs, err := j.Read(context.Background(), edge.Urgent, 0, 10)
			if !errors.As(err, new(*ChainError)) || recs != nil {
				t.Errorf("Read = %d records, %v; want none and a chain error", len(recs), err)
			}
		},
		"nobody reads it": func(*Journal) {}, // but the writer's own look at the whole file
	} {
		t.Run(name, func(t *testing.T) {
			opt := testOptions(t.TempDir())
			opt.checkBytes = 1 // as if the file were large
			b := open(t, opt)
			id := b.ID()
			b.append(edge.Event{Kind: edge.KindFire, Zone: "1"})
			b.append(edge.Event{Kind: edge.KindFire, Zone: "2", Text: "needle"})
			for range 2 * tailEvents { // so that it is not among those that each Open looks at
				b.append(edge.Event{Kind: edge.KindFire, Zone: "3"})
			}
			b.stop()
			changeEvent(t, b.Path())
			untilDamaged(t, opt, found)
			b = open(t, opt)
			evs := b.lane(edge.Urgent, 0)
			if b.ID() == id || len(evs) != 2*tailEvents+1 || evs[0].Zone != "1" || evs[1].Zone != "3" {
				t.Fatalf("%d urgent events in journal %s, want all but the changed one in a new journal", len(evs), b.ID())
			}
			lost := b.lane(edge.Routine, 0)
			if len(lost) != 1 || lost[0].Kind != edge.KindEventsLost || lost[0].Gap.Events != 1 || !strings.Contains(lost[0].Why, string(id)) {
				t.Errorf("routine = %+v, want one event that says that one is lost, and of which journal", lost)
			}
		})
	}
}

func TestDisownedJournalGoesOnUnderANewID(t *testing.T) {
	opt := testOptions(t.TempDir())
	b := open(t, opt)
	id := b.ID()
	b.append(edge.Event{Kind: edge.KindFire})
	b.stop()
	untilDamaged(t, opt, func(j *Journal) { j.Disown("the SOC has its events up to 9, the disk up to 1") })
	for range 2 { // a second start finds nothing to do
		b = open(t, opt)
		evs, lost := b.lane(edge.Urgent, 0), b.lane(edge.Routine, 0)
		if b.ID() == id || len(evs) != 1 || len(lost) != 1 || !strings.Contains(lost[0].Why, "up to 9") || !strings.Contains(lost[0].Why, "none is missing") {
			t.Errorf("urgent %+v, routine %+v; want the fire and why it is in a new journal", evs, lost)
		}
		b.stop()
	}
}

// TestKilledWhileMovedAside: the same must come out as without the kill, whatever has been moved by then.
func TestKilledWhileMovedAside(t *testing.T) {
	s := newShopfloor(t, false)
	for n := range len(quarantined) + 2 {
		dir := t.TempDir()
		copyFiles(t, s.dir, dir)
		flip(t, filepath.Join(dir, "journal.db"), 16, 2, func(b []byte) { clear(b) })
		folder := filepath.Join(dir, "quarantine", "20260901T120000Z-killed")
		must(t, os.MkdirAll(folder, 0o700))
		must(t, os.WriteFile(filepath.Join(folder, causeFile), []byte("its header is not ours\n"), 0o600))
		must(t, os.WriteFile(filepath.Join(folder, markMoving), nil, 0o600))
		for _, name := range quarantined[:min(n, len(quarantined))] {
			if err := os.Rename(filepath.Join(dir, name), filepath.Join(folder, name)); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
		if n > len(quarantined) {
			must(t, os.Rename(filepath.Join(folder, markMoving), filepath.Join(folder, markMoved)))
		}
		if how := s.survive(t, dir, s.id(t)); how != asideNew {
			t.Errorf("killed after %d renames: %s", n, how)
		}
		if entries, err := os.ReadDir(filepath.Join(dir, "quarantine")); err != nil || len(entries) != 1 {
			t.Errorf("killed after %d renames: %d folders, %v; want one", n, len(entries), err)
		}
	}
}

func TestTablesOfADamagedJournalGoOn(t *testing.T) {
	s := newShopfloor(t, false)
	dir := t.TempDir()
	copyFiles(t, s.dir, dir)
	must(t, os.WriteFile(filepath.Join(dir, "journal.db"+suspectSuffix), []byte("disowned: to see what goes on\n"), 0o600))
	b := open(t, testOptions(dir))
	if fresh, prior := b.begin("c1"); fresh || prior.State != edge.CommandDone {
		t.Errorf("command: fresh %v, prior %+v; want its first outcome", fresh, prior)
	}
	losses, err := b.Losses(t.Context())
	must(t, err)
	if !losses[Loss{Kind: edge.KindPanelLost, Subject: "intruder"}] {
		t.Errorf("losses = %v, want the panel", losses)
	}
	status, err := b.Status(t.Context())
	must(t, err)
	if status.Clips["ready"] != 6 || status.Clips["wanted"] != 5 || status.UploadsWaiting != 6 {
		t.Errorf("clips = %v, %d uploads wait; want 6 ready ones with their files, and 5 wanted", status.Clips, status.UploadsWaiting)
	}
	var strays int
	must(t, b.readRow(t.Context(), `select count(*) from clips c where not exists (select 1 from events e where e.seq = c.seq)`, nil, &strays))
	if strays != 0 {
		t.Errorf("%d clips belong to no event", strays)
	}
}

func TestQuarantineIsBounded(t *testing.T) {
	opt := testOptions(t.TempDir())
	clock := edgetest.NewClock()
	opt.Clock = clock
	for range quarantineMost + 3 {
		clock.Advance(time.Minute)
		b := open(t, opt)
		b.append(edge.Event{Kind: edge.KindFire})
		b.stop()
		flip(t, b.Path(), 16, 2, func(b []byte) { clear(b) })
	}
	b := open(t, opt)
	entries, err := os.ReadDir(b.quarantineDir())
	must(t, err)
	if len(entries) != quarantineMost {
		t.Errorf("%d damaged journals are kept, want %d", len(entries), quarantineMost)
	}
	if n := len(b.lane(edge.Urgent, 0)); n != quarantineMost+3 {
		t.Errorf("%d fires, want each one that was ever journalled", n)
	}
}
