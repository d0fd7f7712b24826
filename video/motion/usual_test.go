package motion

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
	"sitewatch/video"
)

// sees has a grader look at pictures, one a second from the second from on, and returns what it says of the scene and when.
func sees(g *Grader, said *[]*Scene, from, n int, picture func(n int) []uint16) string {
	*said = nil
	told := ""
	for i := from; i < from+n; i++ {
		g.newest = video.Ticks90k(i) * video.Second
		g.of(Grid{Width: testW, Height: testH}).Step(g.newest, picture(i))
		before := len(*said)
		if g.see(g.newest, 0); len(*said) > before {
			told += fmt.Sprintf("%v %d after %d s ", (*said)[before].Trouble, (*said)[before].State, i-from)
		}
	}
	return strings.TrimSpace(told)
}

// The eye that has told of a covered camera dies; the next one is to know when it is not covered any more.
func TestTroubleOutlivesTheEye(t *testing.T) {
	shop := func(n int) []uint16 { return room(1, n) }
	dark := func(n int) []uint16 { return make([]uint16, testW*testH) }
	var said []*Scene
	grader := func(r *Recall) *Grader {
		g := NewGrader("door", func(m Message) {
			if s, ok := m.(*Scene); ok {
				said = append(said, s)
			}
		})
		if r != nil {
			g.Recall(r)
		}
		return g
	}
	first := grader(nil)
	sees(first, &said, 0, 60, shop)
	if got := sees(first, &said, 60, 20, dark); got != "covered 1 after 6 s" || len(said[0].Usual) == 0 || len(said[0].Usual) > maxUsualBytes {
		t.Fatalf("got %q, want it told to be covered, with what is usual", got)
	}
	usual := said[0].Usual
	next := grader(&Recall{"door", Covered, usual})
	if got := sees(next, &said, 1000, 100, dark); got != "" {
		t.Errorf("while it is covered: got %q", got)
	}
	if got := sees(next, &said, 1100, 60, shop); got != "covered 3 after 6 s" || len(said[0].Usual) != 0 {
		t.Errorf("when it sees again: got %q, want it over", got)
	}
	if got := sees(next, &said, 1160, 20, dark); got != "covered 1 after 6 s" {
		t.Errorf("covered again: got %q", got)
	}
	for name, r := range map[string]*Recall{
		"nothing":         {"door", Covered, nil},
		"half of it":      {"door", Covered, usual[:len(usual)/2]},
		"another size":    {"door", Covered, append([]byte{1, 0, 2, 0, 2, 0, 9, 0, 9}, make([]byte, 12+8)...)},
		"another version": {"door", Covered, append([]byte{9}, usual[1:]...)},
	} {
		said = nil
		g := grader(r)
		g.of(Grid{Width: testW, Height: testH})
		if len(said) != 1 || said[0].State != End || said[0].Trouble != Covered {
			t.Errorf("%s is recalled: got %+v, want it over, since no eye could say so any more", name, said)
		}
		if got := sees(g, &said, 0, 60, dark); got != "" {
			t.Errorf("%s is recalled: got %q afterwards", name, got)
		}
	}
}

// The whole way: an eye is killed while a camera is covered, then all of the gateway ends, and its next run goes on.
func TestCoveredStandsThroughRestarts(t *testing.T) {
	const covered, killed, stopped, free = 30, 50, 70, 80
	units, params := filmOf(t, 110, func(i, x, y int) byte {
		if i >= covered && i < free {
			return byte(30 + (x*7+y*13+i*31)%3)
		}
		return chequered(i, x, y)
	})
	dir := filepath.Join(t.TempDir(), "usual")
	rep := &reported{}
	opt := Options{Command: eyePath, Clock: edge.NewSystemClock(), Log: quietLog, Reporter: rep, Usual: dir}
	start := func() (*Pool, func()) {
		p := NewPool(opt, []edge.CameraID{"door", "till"})
		if err := p.Recall(func(id edge.CameraID, tr Trouble) bool { return id == "door" && tr == Covered }); err != nil {
			t.Fatal(err)
		}
		return p, keepUp(t, p.Eyes()[0])
	}
	push := func(p *Pool, us []video.AccessUnit) {
		for _, u := range us {
			p.Push("door", u, params)
		}
	}
	p, stop := start()
	push(p, units[:killed])
	waitFor(t, "it to be told", func() bool { return len(rep.seen()) == 1 })
	kept := filepath.Join(dir, "door"+usualExt)
	waitFor(t, "the file", func() bool { _, err := os.Stat(kept); return err == nil })
	kill(t)
	waitFor(t, "another eye", func() bool { s := p.Status(); return s.Up && s.Starts == 2 })
	push(p, units[killed:stopped])
	waitFor(t, "the pictures to be taken", func() bool { return p.of["door"].pending() == 0 })
	stop()
	for _, name := range []string{"till" + usualExt, "gone" + usualExt, "door" + usualExt + tempExt} { // of what is over, of a camera that is no more, of a power cut
		if err := os.WriteFile(filepath.Join(dir, name), AppendMessage(nil, &Recall{edge.CameraID(strings.TrimSuffix(name, usualExt)), Covered, nil}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, stop = start()
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("%d files are kept, want the one that matters", len(files))
	}
	if s := p.Camera("door", opt.Clock.Now()); len(s.Troubles) != 1 || s.Troubles[0] != Covered {
		t.Errorf("after the restart: got %+v, want it covered", s)
	}
	push(p, units[stopped:])
	waitFor(t, "the end of it", func() bool { return len(rep.seen()) == 2 })
	waitFor(t, "the file to go", func() bool { _, err := os.Stat(kept); return os.IsNotExist(err) })
	stop()
	got := rep.seen()
	if got[0].Over || got[0].Trouble != Covered || !got[1].Over || got[1].Trouble != Covered || got[1].At.Mono < units[free].Arrival.Mono {
		t.Errorf("got %+v, want it covered and over once it sees again, at %v or later", got, units[free].Arrival.Mono)
	}
}

// An eye that lies may say all the time that something is wrong and over again. That is not for the disk.
func TestWhatIsUsualIsNotWrittenAllTheTime(t *testing.T) {
	dir, clock := t.TempDir(), edgetest.NewClock()
	e := New(Options{Clock: clock, Log: quietLog, Usual: dir})
	says := func(begins bool) (kept bool) {
		t.Helper()
		r := report{camera: "door", scene: &SceneChange{Trouble: Covered, Over: !begins}}
		if begins {
			r.usual = &Recall{"door", Covered, []byte{1}}
		}
		if err := e.keepUsual(r); err != nil {
			t.Fatal(err)
		}
		_, err := os.Stat(filepath.Join(dir, "door"+usualExt))
		return err == nil
	}
	var got []bool
	got = append(got, says(true), says(false), says(true))
	clock.Advance(usualEvery)
	got = append(got, says(true), says(true))
	if want := []bool{true, false, false, true, false}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func (r *reported) seen() []SceneChange {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]SceneChange(nil), r.scenes...)
}
