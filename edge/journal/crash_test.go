package journal

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
)

// crashDir tells the test program that it is the writer that will be killed.
const crashDir = "SITEWATCH_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := crashWriter(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	edgetest.Main(m)
}

// crashWriter appends from several callers until it is killed and prints each seq once it was told that it is on disk.
// It has clips cut too, and events acked, so that the kill falls into all kinds of transactions.
func crashWriter(dir string) error {
	j, err := Open(context.Background(), Options{Dir: dir, Site: "0417", Clock: edge.NewSystemClock(), Log: slog.New(slog.DiscardHandler),
		LimitBytes: 8 << 20, ClipLimitBytes: 4 << 10})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	wg.Go(func() { err = j.Run(context.Background()) })
	var out sync.Mutex
	for caller := range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				seq, err := crashAppend(j, dir, caller, n)
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				out.Lock()
				fmt.Println(seq, caller, n) // one write: a kill leaves a whole line or a broken last one
				out.Unlock()
			}
		})
	}
	wg.Wait()
	return err
}

func crashAppend(j *Journal, dir string, caller, n int) (edge.Seq, error) {
	ctx := context.Background()
	ev := edge.Event{Kind: edge.KindIntruder, Text: fmt.Sprintf("%d/%d", caller, n), Raw: make([]byte, 200)}
	if n%8 == 0 {
		ev.Clips = []edge.ClipRef{{ID: edge.ClipID(edge.NewID()), Camera: "door"}}
	}
	seq, err := j.Append(ctx, ev)
	if err != nil || n%8 != 0 {
		return seq, err
	}
	id := ev.Clips[0].ID
	if err := j.ClipCutting(ctx, id); err != nil {
		return 0, err
	}
	path := filepath.Join(dir, "clips", string(id)+".mp4")
	if err := os.WriteFile(path, make([]byte, 500), 0o600); err != nil {
		return 0, err
	}
	return seq, j.ClipReady(ctx, edge.ClipFact{ID: id}, edge.ClipFile{Path: path, SizeBytes: 500})
}

func TestKilledWriterLosesNothingThatItPromised(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	must(t, err)
	kills := 20
	if testing.Short() {
		kills = 5
	}
	promised, given := map[edge.Seq]string{}, map[edge.Seq]string{}
	for range kills {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), crashDir+"="+dir)
		cmd.Stderr = os.Stderr
		stdout, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(stdout)
		for left := 10 + rand.IntN(150); lines.Scan(); left-- { // by what it has done: how fast that goes is the machine's
			if left == 0 {
				cmd.Process.Kill()
			}
			var seq edge.Seq
			var caller, n int
			if k, _ := fmt.Sscan(lines.Text(), &seq, &caller, &n); k == 3 {
				if old, ok := given[seq]; ok {
					t.Fatalf("seq %d was given to %s and again to %d/%d", seq, old, caller, n)
				}
				given[seq] = fmt.Sprintf("%d/%d", caller, n)
				promised[seq] = given[seq]
			}
		}
		if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() == 1 {
			t.Fatalf("the writer ended by itself: %v", err)
		}
		checkCrashed(t, dir, promised)
	}
	t.Logf("%d events were promised in %d lives", len(given), kills)
	if len(given) < 10*kills {
		t.Errorf("only %d events were promised in %d lives: the test proves little", len(given), kills)
	}
}

// checkCrashed reopens the journal and compares it with what the dead writer had been told.
func checkCrashed(t *testing.T, dir string, promised map[edge.Seq]string) {
	t.Helper()
	opt := testOptions(dir)
	opt.LimitBytes, opt.ClipLimitBytes = 8<<20, 4<<10
	b := open(t, opt)
	defer b.stop()
	b.verify()
	have := map[edge.Seq]string{}
	var last edge.Seq
	for _, ev := range b.lane(edge.Urgent, 0) {
		if ev.Seq <= last {
			t.Fatalf("event %d after %d", ev.Seq, last)
		}
		have[ev.Seq], last = ev.Text, ev.Seq
	}
	for _, ev := range b.lane(edge.Routine, 0) {
		if ev.Kind == edge.KindEventsLost {
			t.Fatalf("events were lost: %s", ev.Why)
		}
	}
	for seq, text := range promised {
		if have[seq] != text {
			t.Fatalf("event %d is %q, want %q: it was promised", seq, have[seq], text)
		}
	}
	rows, err := b.read.Query(`select id, clip_file from clips where state = 'ready'`)
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var id, file string
		must(t, rows.Scan(&id, &file))
		if !b.hasFile(file) {
			t.Errorf("ready clip %s lacks its file", id)
		}
	}
	must(t, rows.Err())
	// The SOC takes what is there, so that the next life prunes too.
	for seq := range promised {
		delete(promised, seq)
	}
	must(t, b.Acked(t.Context(), edge.Urgent, b.Last()))
	must(t, b.Acked(t.Context(), edge.Routine, b.Last()))
}
