package main

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// kills is how often TestKilledAtAnyMoment kills; make torture asks for many.
var kills = flag.Int("kills", 40, "how often gateway and SOC are killed by TestKilledAtAnyMoment")

// torture is a site whose programs are killed again and again while its panel never stops to report.
type torture struct {
	*site
	panel  *talker
	rnd    *rand.Rand
	began  time.Time
	kills  int
	died   map[string]int // by crash point; "" for any moment
	missed map[string]int // crash points that were not reached in time
	points map[string][]crashPoint
	asked  map[string]string // by program: the crash point that its present life leads to
}

func newTorture(t *testing.T, s *site) *torture {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return &torture{site: s, rnd: rand.New(rand.NewPCG(seed, 0)), began: time.Now(), died: map[string]int{}, missed: map[string]int{},
		points: map[string][]crashPoint{}, asked: map[string]string{}}
}

// live starts a program, to die at the named moment unless that is "".
func (x *torture) live(program, point string) {
	x.t.Helper()
	var env []string
	if point != "" {
		env = append(env, "SITEWATCH_CRASH="+point)
	}
	x.asked[program], _, _ = strings.Cut(point, ":")
	x.startWith(env, program, "run", "--config", x.dir+"/"+program+".yaml")
}

// slay ends a program's life at once, unless it has died at its moment by itself.
func (x *torture) slay(program string) {
	x.t.Helper()
	p, point := x.procs[program], x.asked[program]
	select {
	case <-p.ended:
	default:
		if point != "" {
			x.missed[point]++
			point = ""
		}
		p.Process.Kill()
		<-p.ended
	}
	if st, ok := p.ProcessState.Sys().(syscall.WaitStatus); !ok || !st.Signaled() || st.Signal() != syscall.SIGKILL {
		x.t.Fatalf("%s ended by itself: %v", program, p.ProcessState)
	}
	delete(x.procs, program)
	x.kills++
	x.died[point]++
	if program == "gateway" && x.panel != nil {
		x.panel.cut()
	}
}

// lot draws how the next life of a program ends: at a crash point for one in so many, all of them in turn, else at any moment.
func (x *torture) lot(program string, oneIn int) (point string, d time.Duration) {
	if x.rnd.IntN(oneIn) > 0 {
		return "", time.Duration(x.rnd.IntN(500)) * time.Millisecond
	}
	if len(x.points[program]) == 0 {
		for _, p := range crashPoints {
			if p.program == program && p.life == ordinary {
				x.points[program] = append(x.points[program], p)
			}
		}
		x.rnd.Shuffle(len(x.points[program]), func(i, j int) {
			x.points[program][i], x.points[program][j] = x.points[program][j], x.points[program][i]
		})
	}
	p := x.points[program][0]
	x.points[program] = x.points[program][1:]
	return x.pass(p), 15 * time.Second
}

// pass draws on which pass of a moment the program dies.
func (x *torture) pass(p crashPoint) string {
	if p.within == 0 {
		return p.name
	}
	return fmt.Sprintf("%s:%d", p.name, 1+x.rnd.IntN(p.within))
}

func (x *torture) progress() {
	took := time.Since(x.began).Seconds()
	fmt.Fprintf(os.Stderr, "    %d kills in %.0f s, %.1f a second; %d alarms acked to the panel\n", x.kills, took, float64(x.kills)/took, len(x.panel.said()))
}

// TestKilledAtAnyMoment kills gateway and SOC in turn, at any moment and at each named one, and the eyes with them, while a
// panel reports without a pause and clips are cut. What the panel was acked for is at the SOC once and in order.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	s := newSite(t, withCamera)
	s.write("gateway.yaml", replaceOnce(t, s.read("gateway.yaml"), "before: 4s, after: 3s", "before: 1s, after: 1s"))
	x := newTorture(t, s)
	x.start("sitesim", "camera", "--listen", x.rtsp, "--name", "stockroom")
	x.panel = newTalker(t, x.dir+"/panel", 60, 5*time.Millisecond)
	x.kill("soc")
	named := 1 // of so many lives one ends at a named moment
	if *kills > 100 {
		named = 4
	}
	end := map[string]*time.Timer{"gateway": time.NewTimer(0), "soc": time.NewTimer(0)}
	begin := func(program string) {
		point, d := x.lot(program, named)
		x.live(program, point)
		end[program].Reset(d)
	}
	begin("soc")
	begin("gateway")
	blind := time.NewTicker(2 * time.Second)
	defer blind.Stop()
	for next := 50; x.kills < *kills || named == 1 && len(x.undied()) > 0; {
		program := "gateway"
		select {
		case <-x.procs["gateway"].ended:
		case <-end["gateway"].C:
		case <-x.procs["soc"].ended:
			program = "soc"
		case <-end["soc"].C:
			program = "soc"
		case <-blind.C:
			x.killEyes()
			continue
		}
		x.slay(program)
		begin(program)
		if x.kills >= next {
			x.progress()
			next += 50
		}
	}
	for _, p := range []string{"gateway", "soc"} {
		x.slay(p)
		x.live(p, "")
	}
	x.panel.hush()
	x.progress()
	x.settled(2 * time.Minute)
	lost, twice := x.audit()
	x.leaks()
	if never := x.undied(); len(never) > 0 {
		t.Errorf("nobody died at: %s", strings.Join(never, ", "))
	}
	t.Logf("%d kills, of these %d at a named moment; %d alarms acked to the panel; %d lost, %d twice", x.kills, x.kills-x.died[""], len(x.panel.said()), lost, twice)
	for _, name := range slices.Sorted(maps.Keys(x.died)) {
		t.Logf("  %5d  %s%s", x.died[name], cmp.Or(name, "at any moment"), notReached(x.missed[name]))
	}
}

// undied are the moments of ordinary life at which nobody has died so far.
func (x *torture) undied() (never []string) {
	for _, p := range crashPoints {
		if p.life == ordinary && x.died[p.name] == 0 {
			never = append(never, p.name)
		}
	}
	return never
}

func notReached(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d times not reached in time)", n)
}
