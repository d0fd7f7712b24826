package clip

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sitewatch/edge"
)

// disk is a disk of its own size, of which every byte in dir takes some.
type disk struct{ size int64 }

func (d disk) free(dir string) (int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	free := d.size
	for _, e := range entries {
		if fi, err := e.Info(); err == nil {
			free -= fi.Size()
		}
	}
	return free, nil
}

// cutWithRoom cuts ten seconds, 101 pictures of somewhat over 100 KiB together, where size is free above 1 MiB that is kept.
func cutWithRoom(t *testing.T, dir string, size int64) (edge.ClipFact, edge.ClipFile, string, *journal) {
	t.Helper()
	const keep = 1 << 20
	r := newRing()
	scripted(t, r, 0, 300)
	j, d := newJournal(), disk{size: keep + size}
	job := alarm(15*time.Second, 5*time.Second, 5*time.Second)
	j.jobs[job.ID] = job
	stop := run(t, New(Options{Dir: dir, Jobs: j, Eye: &eye{}, Clock: clock{30 * time.Second}, Log: quiet, MinFreeBytes: keep, Free: d.free,
		Cameras: map[edge.CameraID]Camera{"stockroom": {Ring: r, Trouble: func() string { return "rtsp: no route" }}}}).Run)
	fact, file, lost := j.outcome(t, job.ID)
	stop()
	if free, err := d.free(dir); err != nil || free < keep+min(size, 0) {
		t.Errorf("%d bytes are left, want at least %d", free, keep)
	}
	return fact, file, lost, j
}

func TestClipThatWouldTakeTheDiskFromTheJournalIsNotBegun(t *testing.T) {
	dir := t.TempDir()
	_, _, lost, j := cutWithRoom(t, dir, -1)
	if lost != "the disk is full" {
		t.Errorf("lost because %q, want the full disk", lost)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 || len(j.stills) != 0 {
		t.Errorf("left %v, stills %v, want nothing", left, j.stills)
	}
}

func TestClipEndsWhereTheJournalNeedsTheDisk(t *testing.T) {
	whole, _, _, _ := cutWithRoom(t, t.TempDir(), 10<<20)
	fact, file, lost, _ := cutWithRoom(t, t.TempDir(), whole.SizeBytes/2)
	if lost != "" || fact.Reason != "cut short: the disk is full" {
		t.Fatalf("lost %q, reason %q", lost, fact.Reason)
	}
	checkFile(t, fact, file)
	if p := probe(t, file.Path); len(p.Packets) < 20 || len(p.Packets) > 80 || fact.To.Sub(fact.From) != time.Duration(len(p.Packets))*100*time.Millisecond {
		t.Errorf("got %d pictures of %v to %v, want about half", len(p.Packets), fact.From, fact.To)
	}
}

// The last fragment is written at the end of the clip, by another way than those before.
func TestDiskThatIsFullAtTheLastFragmentOfAClip(t *testing.T) {
	whole, _, _, _ := cutWithRoom(t, t.TempDir(), 10<<20)
	fact, file, lost, _ := cutWithRoom(t, t.TempDir(), whole.SizeBytes-whole.SizeBytes/200)
	if lost != "" || fact.Reason != "cut short: the disk is full" {
		t.Fatalf("lost %q, reason %q", lost, fact.Reason)
	}
	checkFile(t, fact, file)
	if p := probe(t, file.Path); len(p.Packets) != 100 {
		t.Errorf("got %d pictures, want all but the last fragment's one", len(p.Packets))
	}
}

func TestClipOnASmallRealDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=80m"); err != nil {
		t.Skipf("a small disk of its own needs root: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, 0) })
	r := newRing()
	scripted(t, r, 0, 300)
	cut := func() string {
		_, _, lost := cutOne(t, dir, r, 30*time.Second, alarm(15*time.Second, 5*time.Second, 5*time.Second), &eye{})
		return lost
	}
	if lost := cut(); lost != "" {
		t.Fatalf("80 MiB are free: lost because %q", lost)
	}
	f, err := os.Create(filepath.Join(dir, "somebody-elses-file"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(f, zeros{}, 17<<20); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if lost := cut(); lost != "the disk is full" {
		t.Errorf("less than 64 MiB are free: lost because %q", lost)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestDiskOfWhichNothingCanBeAsked(t *testing.T) {
	r := newRing()
	scripted(t, r, 0, 300)
	j := newJournal()
	job := alarm(15*time.Second, 5*time.Second, 5*time.Second)
	j.jobs[job.ID] = job
	run(t, New(Options{Dir: t.TempDir(), Jobs: j, Clock: clock{30 * time.Second}, Log: quiet,
		Free:    func(string) (int64, error) { return 0, errors.New("input/output error") },
		Cameras: map[edge.CameraID]Camera{"stockroom": {Ring: r}}}).Run)
	if _, _, lost := j.outcome(t, job.ID); !strings.HasPrefix(lost, "cannot write it: ") {
		t.Errorf("lost because %q", lost)
	}
}
