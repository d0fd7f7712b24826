package journal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
)

// openAnyway opens and runs a journal for a while.
func openAnyway(t *testing.T, opt Options, ram string, do func(j *Journal, disk error)) {
	t.Helper()
	j, disk, err := OpenAnyway(t.Context(), opt, ram)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := j.Run(ctx); err != nil && !errors.Is(err, ErrFull) {
			t.Errorf("Run: %v", err)
		}
	})
	do(j, disk)
	cancel()
	wg.Wait()
	must(t, j.Close())
}

func events(t *testing.T, j *Journal, lane edge.Lane) []edge.Event {
	t.Helper()
	return (&box{Journal: j, t: t}).lane(lane, 0)
}

func TestAlarmsReachTheSOCWhileTheDiskFails(t *testing.T) {
	dir, ram := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "ram")
	must(t, os.WriteFile(dir, []byte("nothing can be written here"), 0o600))
	opt := testOptions(dir)
	var memory edge.JournalID
	for i := range 2 { // the program may be started again meanwhile
		openAnyway(t, opt, ram, func(j *Journal, disk error) {
			if disk == nil {
				t.Fatal("the disk is taken for good")
			}
			if memory == "" {
				memory = j.ID()
			}
			_, err := j.Append(t.Context(), edge.Event{Kind: edge.KindFire, Zone: edge.ZoneID("12"[i : i+1])})
			must(t, err)
			evs := events(t, j, edge.Routine)
			if j.ID() != memory || len(evs) != 1 || evs[0].Kind != edge.KindDiskFailing || !strings.Contains(evs[0].Why, "memory only") {
				t.Errorf("routine = %+v in journal %s; want one disk-failing event that says what it means", evs, j.ID())
			}
			if i == 0 {
				must(t, j.Acked(t.Context(), edge.Urgent, 2))
				must(t, j.Acked(t.Context(), edge.Routine, 1))
			}
		})
	}
	must(t, os.Remove(dir))
	for range 2 {
		openAnyway(t, opt, ram, func(j *Journal, disk error) {
			if disk != nil || j.ID() == memory {
				t.Fatalf("disk = %v in journal %s, want the disk back", disk, j.ID())
			}
			urgent, routine := events(t, j, edge.Urgent), events(t, j, edge.Routine)
			if len(urgent) != 1 || urgent[0].Zone != "2" || !strings.Contains(urgent[0].Why, "From the journal in memory") {
				t.Errorf("urgent = %+v; want the fire that the SOC had not acked, once", urgent)
			}
			if len(routine) != 1 || routine[0].Kind != edge.KindDiskFailing.Restored() {
				t.Errorf("routine = %+v; want that the disk is back", routine)
			}
		})
	}
	if _, err := os.Stat(ram); !os.IsNotExist(err) {
		t.Errorf("the journal in memory is still there: %v", err)
	}
}

func TestFullDiskEndsInMemory(t *testing.T) {
	dir, fill := smallDisk(t)
	ram := filepath.Join(t.TempDir(), "ram")
	opt := testOptions(filepath.Join(dir, "data"))
	var id edge.JournalID
	openAnyway(t, opt, ram, func(j *Journal, disk error) {
		must(t, disk)
		id = j.ID()
		fill()
		var err error
		for i := 0; err == nil; i++ {
			_, err = j.Append(t.Context(), filler(edge.KindFire, i))
		}
		if !errors.Is(err, ErrFull) && !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
	})
	fill() // what the log had taken
	openAnyway(t, opt, ram, func(j *Journal, disk error) {
		if disk == nil || j.ID() == id {
			t.Fatal("a disk without any room is taken for good")
		}
		if evs := events(t, j, edge.Routine); len(evs) != 1 || evs[0].Kind != edge.KindDiskFull {
			t.Errorf("routine = %+v, want disk-full", evs)
		}
	})
	must(t, os.Remove(filepath.Join(dir, "somebody-elses-file")))
	openAnyway(t, opt, ram, func(j *Journal, disk error) {
		if disk != nil || j.ID() != id {
			t.Errorf("disk = %v, journal %s; want the old journal back", disk, j.ID())
		}
	})
}

func TestForbiddenDirectoryIsNoFailingDisk(t *testing.T) {
	for _, err := range []error{os.ErrPermission, ErrBusy, &os.PathError{Op: "open", Path: "x", Err: os.ErrPermission}, damaged("x"), edge.WithHint(errors.New("another site"), "")} {
		if isDiskTrouble(err) {
			t.Errorf("%v is taken for a failing disk", err)
		}
	}
}

func TestDiskIsAwaited(t *testing.T) {
	j := &Journal{opt: Options{Clock: edgetest.NewClock()}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := j.AwaitDisk(ctx, t.TempDir()); err != nil {
		t.Errorf("AwaitDisk = %v after its context has ended, want nil", err)
	}
	synctest.Test(t, func(t *testing.T) {
		if err := j.AwaitDisk(t.Context(), t.TempDir()); !errors.Is(err, ErrDiskBack) {
			t.Errorf("AwaitDisk = %v on a good disk, want ErrDiskBack", err)
		}
	})
}
