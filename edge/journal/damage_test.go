package journal

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sitewatch/edge"
)

// shopfloor is a journal as a kill leaves it, to be copied and damaged: events of both lanes in the database and in the log,
// some of them acked, some too long for a page, with clips, a command and a lost panel.
type shopfloor struct {
	dir   string
	last  edge.Seq
	acked [3]edge.Seq
	texts map[edge.Seq]string    // by seq, of every event that was appended
	lanes map[edge.Seq]edge.Lane // likewise
}

var journalFiles = []string{"journal.db", "journal.db-wal", "journal.mark"}

func newShopfloor(t *testing.T, clean bool) shopfloor {
	t.Helper()
	s := shopfloor{dir: t.TempDir(), texts: map[edge.Seq]string{}, lanes: map[edge.Seq]edge.Lane{}}
	src := t.TempDir()
	b := open(t, testOptions(src))
	add := func(from, to int) {
		for i := from; i < to; i++ {
			ev := edge.Event{Kind: edge.KindSet, Text: fmt.Sprintf("event-%d-", i) + strings.Repeat("t", 150)}
			switch {
			case i%3 == 0:
				ev.Kind, ev.Zone = edge.KindIntruder, "1011"
			case i%50 == 7:
				ev.Text += strings.Repeat("long ", 2000) // over several pages
			}
			if i%30 == 0 {
				ev.Clips = []edge.ClipRef{{ID: edge.ClipID(edge.NewID()), Camera: "door", From: b.clock.Now().Wall, To: b.clock.Now().Wall}}
			}
			seq := b.append(ev)
			s.texts[seq], s.lanes[seq] = ev.Text, ev.Kind.Lane()
			if ev.Clips != nil && i%60 == 0 {
				path := filepath.Join(b.ClipDir(), string(ev.Clips[0].ID)+".mp4")
				must(t, os.WriteFile(path, []byte("pictures"), 0o600))
				must(t, b.ClipReady(t.Context(), edge.ClipFact{ID: ev.Clips[0].ID}, edge.ClipFile{ID: ev.Clips[0].ID, Path: path, SizeBytes: 8}))
			}
		}
	}
	add(0, 200)
	s.acked = [3]edge.Seq{edge.Urgent: 100, edge.Routine: 120}
	must(t, b.Acked(t.Context(), edge.Urgent, 100))
	must(t, b.Acked(t.Context(), edge.Routine, 120))
	must(t, b.do(t.Context(), func(context.Context, *tx) error { return nil }))
	b.begin("c1")
	_, err := b.read.Exec("select 1")
	must(t, err)
	must(t, b.checkpoint(t))
	add(200, 320)
	must(t, b.CommandEnd(t.Context(), edge.CommandFact{ID: "c1", State: edge.CommandDone}))
	b.append(edge.Event{Kind: edge.KindPanelLost, Panel: "intruder"})
	add(320, 330)
	s.last = b.Last()
	for _, lane := range edge.EventLanes {
		for _, ev := range b.lane(lane, 0) {
			if s.texts[ev.Seq] == "" {
				s.texts[ev.Seq], s.lanes[ev.Seq] = ev.Why, lane
			}
		}
	}
	if clean {
		b.stop()
	}
	copyFiles(t, src, s.dir)
	b.stop()
	return s
}

func (b *box) checkpoint(t *testing.T) error {
	t.Helper()
	db, err := openWriter(b.Path())
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec(`pragma wal_checkpoint(passive)`)
	return err
}

func copyFiles(t *testing.T, from, to string) {
	t.Helper()
	for _, name := range journalFiles {
		raw, err := os.ReadFile(filepath.Join(from, name))
		if os.IsNotExist(err) {
			continue
		}
		must(t, err)
		must(t, os.WriteFile(filepath.Join(to, name), raw, 0o600))
	}
	must(t, os.CopyFS(filepath.Join(to, "clips"), os.DirFS(filepath.Join(from, "clips"))))
}

// How a case ends. A log may be cut without loss: its end may be of an earlier round.
const (
	whole    = "whole"
	asideNew = "quarantined"
)

// survive opens the damaged journal and checks what is promised: it opens, it takes events, and each event that was promised and
// not acked is there or counted as lost. It says how it ended.
func (s shopfloor) survive(t *testing.T, dir string, before edge.JournalID) string {
	t.Helper()
	b := open(t, testOptions(dir))
	defer b.stop()
	b.append(edge.Event{Kind: edge.KindFire, Text: "after"})
	deadline := time.After(3 * time.Minute)
	for {
		var open int
		must(t, b.readRow(t.Context(), `select count(*) from salvages where done = 0`, nil, &open))
		if open == 0 {
			break
		}
		select {
		case <-b.Changed(edge.Routine):
		case <-time.After(50 * time.Millisecond):
		case <-deadline:
			t.Fatal("the events of the old journal are not carried over")
		}
	}
	b.verify()
	all := append(b.lane(edge.Urgent, 0), b.lane(edge.Routine, 0)...)
	have := map[string]bool{}
	var told bool
	var counted uint64
	for _, ev := range all {
		have[ev.Text], have[ev.Why] = true, true
		if ev.Kind == edge.KindEventsLost {
			told, counted = true, counted+ev.Gap.Events
			if strings.Contains(ev.Why, "not known") {
				counted += uint64(s.last)
			}
		}
		if i := strings.Index(ev.Why, " (From damaged journal"); i > 0 {
			have[ev.Why[:i]] = true
		}
	}
	missing := uint64(0)
	for seq, text := range s.texts {
		if seq > s.acked[s.lanes[seq]] && !have[text] {
			missing++
		}
	}
	if missing > counted {
		t.Errorf("%d events are lost, %d are said to be", missing, counted)
	}
	if b.ID() == before {
		if told {
			t.Error("a loss is told in the old journal")
		}
		return whole
	}
	if !told {
		t.Error("the journal is new, and nothing says why")
	}
	for i := 1; i < len(all); i++ {
		if all[i].Lane == all[i-1].Lane && strings.HasPrefix(all[i].Text, "event-") && strings.HasPrefix(all[i-1].Text, "event-") {
			var a, z int
			fmt.Sscanf(all[i-1].Text, "event-%d-", &a)
			fmt.Sscanf(all[i].Text, "event-%d-", &z)
			if a >= z {
				t.Errorf("%v lane: event %d comes before %d", all[i].Lane, a, z)
			}
		}
	}
	return asideNew
}

func (s shopfloor) id(t *testing.T) edge.JournalID {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(s.dir, "journal.mark"))
	must(t, err)
	m, ok := decodeMark(raw)
	if !ok {
		t.Fatal("no mark")
	}
	return m.id
}

// damage is done to a copy and the copy opened.
func (s shopfloor) damage(t *testing.T, do func(dir string)) string {
	t.Helper()
	dir := t.TempDir()
	copyFiles(t, s.dir, dir)
	do(dir)
	return s.survive(t, dir, s.id(t))
}

func flip(t *testing.T, path string, at int64, n int, how func([]byte)) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	b := make([]byte, n)
	k, _ := f.ReadAt(b, at)
	how(b[:k])
	_, err = f.WriteAt(b[:k], at)
	must(t, err)
}

// TestFlippedBytes damages each page of the database and each frame of its log, one after the other.
func TestFlippedBytes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 17))
	for name, clean := range map[string]bool{"killed": false, "stopped": true} {
		s := newShopfloor(t, clean)
		for _, file := range journalFiles[:2] {
			st, err := os.Stat(filepath.Join(s.dir, file))
			if os.IsNotExist(err) {
				continue
			}
			must(t, err)
			step, ends := int64(pageBytes), map[string]int{}
			if file == "journal.db-wal" {
				step = 4 * (step + frameHeader)
			}
			if testing.Short() {
				step *= 5
			}
			for at := int64(0); at < st.Size(); at += step {
				off, kind := at+rnd.Int64N(min(step, st.Size()-at)), rnd.IntN(3)
				ok := t.Run(fmt.Sprintf("%s/%s/%d", name, file, off), func(t *testing.T) {
					how := s.damage(t, func(dir string) {
						switch kind {
						case 0:
							flip(t, filepath.Join(dir, file), off, 1, func(b []byte) { b[0] ^= 1 << rnd.IntN(8) })
						case 1:
							flip(t, filepath.Join(dir, file), off, 64, func(b []byte) { clear(b) })
						case 2:
							flip(t, filepath.Join(dir, file), off, 512, func(b []byte) {
								for i := range b {
									b[i] = byte(rnd.Uint32())
								}
							})
						}
					})
					ends[how]++
				})
				if !ok {
					return
				}
			}
			t.Logf("%s, %s: %v", name, file, ends)
		}
	}
}

func TestTruncated(t *testing.T) {
	for name, clean := range map[string]bool{"killed": false, "stopped": true} {
		s := newShopfloor(t, clean)
		for _, file := range journalFiles {
			st, err := os.Stat(filepath.Join(s.dir, file))
			if os.IsNotExist(err) {
				continue
			}
			must(t, err)
			n := st.Size()
			sizes := []int64{0, 1, 31, 32, 33, 99, 100, 101, 511, 512, 4095, 4096, 4097, 4152, 8192, n / 3, n / 2, n/2 + 1, n - 4120, n - 4096, n - 1}
			for size := int64(32 + 4120); size < n; size += (n / 10 / 4120) * 4120 {
				sizes = append(sizes, size) // between two frames
				if n < 41200 {
					break
				}
			}
			slices.Sort(sizes)
			for _, size := range slices.Compact(sizes) {
				if size < 0 || size >= n {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%d", name, file, size), func(t *testing.T) {
					how := s.damage(t, func(dir string) { must(t, os.Truncate(filepath.Join(dir, file), size)) })
					if file == "journal.db" && how != asideNew && (clean || size < n/2) { // else the log may hold what is cut off
						t.Errorf("%s cut to %d of %d bytes: %s", file, size, n, how)
					}
					if file == "journal.mark" && how != whole {
						t.Errorf("without its mark: %s", how)
					}
				})
			}
		}
	}
}
