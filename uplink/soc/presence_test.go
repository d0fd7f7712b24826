package soc

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
)

// lines is the estate as a receiver sees it, in simulated time: each path that is up is heard every heartbeat, at its own moment.
type lines struct {
	t     *testing.T
	p     *presence
	now   edge.Stamp
	beat  time.Duration
	up    map[[2]string]bool
	was   map[[2]string]bool // up, at the last look
	heard map[[2]string]edge.Stamp
	said  []string        // kind and site, or kind and path
	evs   []edge.Event    // all of them
	at    []time.Duration // when they were said

	loss  map[string]ledger.Loss
	paths map[[2]string]ledger.Path
}

func newLines(t *testing.T, beat time.Duration) *lines {
	return &lines{t: t, p: newPresence(beat), beat: beat, up: map[[2]string]bool{}, was: map[[2]string]bool{}, heard: map[[2]string]edge.Stamp{}, loss: map[string]ledger.Loss{},
		paths: map[[2]string]ledger.Path{}, now: edge.Stamp{Wall: time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC), Mono: time.Hour, Boot: "b", Synced: true}}
}

func (l *lines) set(up bool, site string, paths ...string) {
	for _, p := range paths {
		l.up[[2]string{site, p}] = up
	}
}

const look = 500 * time.Millisecond

// run lets time pass.
func (l *lines) run(d time.Duration) {
	for end := l.now.Mono + d; l.now.Mono < end; {
		l.now.Mono += look
		l.now.Wall = l.now.Wall.Add(look)
		for k, up := range l.up {
			h := fnv.New32()
			h.Write([]byte(k[0] + "/" + k[1]))
			phase := time.Duration(h.Sum32()%uint32(l.beat/look)) * look
			if up && (!l.was[k] || (l.now.Mono+phase)%l.beat == 0) { // at once when it connects
				l.heard[k] = l.now
			}
			l.was[k] = up
		}
		for k, h := range l.heard {
			l.p.observe(edge.SiteID(k[0]), "Shop "+k[0], k[1], h)
		}
		for k := range l.paths { // as the hub does with what it remembers
			if _, ok := l.heard[k]; !ok {
				l.p.observe(edge.SiteID(k[0]), "", k[1], edge.Stamp{})
			}
		}
		l.take(l.p.step(l.now))
	}
}

func (l *lines) take(x *plan) {
	for _, e := range x.Events {
		what := string(e.Kind)
		if e.Kind.Base() == edge.KindPathLost {
			what += " " + e.Path
		}
		l.said = append(l.said, strings.TrimSpace(string(e.Site)+" "+what))
		l.evs, l.at = append(l.evs, e), append(l.at, l.now.Mono)
		if e.Why == "" || e.Occurred.IsZero() || e.Occurred.After(l.now.Wall) {
			l.t.Errorf("%+v says nothing, or of the future", e)
		}
	}
	if x.opens {
		if x.Events[len(x.Events)-1].Kind != edge.KindOutage {
			l.t.Errorf("the last of %v is to be the outage", x.Events)
		}
		l.p.opened(7)
	}
	for _, s := range x.Sites {
		l.loss[string(s.Site)] = s.Loss
	}
	for _, p := range x.Forget {
		k := [2]string{string(p.Site), p.Name}
		delete(l.paths, k)
		delete(l.heard, k)
	}
	for _, p := range x.Paths {
		l.paths[[2]string{string(p.Site), p.Name}] = p
	}
}

// restart is a new run of the SOC, away for d, on the same ledger.
func (l *lines) restart(d time.Duration) {
	l.now.Mono += d
	l.now.Wall = l.now.Wall.Add(d)
	var kept ledger.Presence
	known := map[string]bool{}
	for k, p := range l.paths {
		kept.Paths = append(kept.Paths, p)
		if !known[k[0]] {
			kept.Sites = append(kept.Sites, ledger.SiteLoss{Site: p.Site, Name: "Shop " + k[0], Heard: p.Heard, Loss: l.loss[k[0]]})
		}
		known[k[0]] = true
	}
	kept.Outage = 7
	l.heard = map[[2]string]edge.Stamp{}
	clear(l.was)
	l.p = newPresence(l.beat)
	l.p.load(kept, l.now)
}

func (l *lines) wants(want ...string) {
	l.t.Helper()
	if diff := cmp.Diff(want, l.said); diff != "" {
		l.t.Error(diff)
	}
	l.said, l.evs, l.at = nil, nil, nil
}

func (l *lines) count(kind edge.Kind) (n int) {
	for _, e := range l.evs {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

func TestOnePathFallsSilentAndReturns(t *testing.T) {
	for _, beat := range []time.Duration{4 * time.Second, 10 * time.Second, time.Minute} {
		l := newLines(t, beat)
		l.set(true, "0417", "broadband", "mobile")
		l.run(time.Minute)
		l.wants()
		l.set(false, "0417", "broadband")
		cut := l.now
		l.run(4 * beat)
		e := l.evs[0]
		if e.Path != "broadband" || e.Site != "0417" || !strings.Contains(e.Why, "broadband") || !strings.Contains(e.Why, at(e.Occurred)) || !strings.Contains(e.Why, "heard by mobile") ||
			cut.Wall.Sub(e.Occurred) > beat || l.at[0]-cut.Mono > 3*beat {
			t.Errorf("got %+v after %v", e, l.at[0]-cut.Mono)
		}
		l.wants("0417 path-lost broadband")
		l.set(true, "0417", "broadband")
		l.run(2 * beat)
		l.wants("0417 path-lost-restored broadband")
	}
}

func TestASiteFallsSilentAndReturns(t *testing.T) {
	l := newLines(t, 10*time.Second)
	l.set(true, "0417", "broadband", "mobile")
	l.set(true, "0418", "")
	l.run(time.Minute)
	l.set(false, "0417", "broadband", "mobile")
	cut := l.now.Mono
	l.run(time.Minute)
	if late := l.at[0] - cut; late > 3*l.beat || l.evs[0].Kind.Lane() != edge.Urgent || !strings.Contains(l.evs[0].Why, "broadband, mobile") {
		t.Errorf("told after %v: %+v", late, l.evs[0])
	}
	l.wants("0417 site-lost", "0417 path-lost broadband", "0417 path-lost mobile")
	l.run(time.Hour)
	l.wants()
	l.set(true, "0417", "mobile")
	l.run(time.Minute)
	l.wants("0417 site-lost-restored", "0417 path-lost-restored mobile")
	l.set(true, "0417", "broadband")
	l.run(time.Minute)
	l.wants("0417 path-lost-restored broadband")
}

func TestARestartedBoxIsNoEvent(t *testing.T) {
	l := newLines(t, 10*time.Second)
	l.set(true, "0417", "")
	l.run(time.Minute)
	for range 10 {
		l.set(false, "0417", "")
		l.run(18 * time.Second) // and up to a heartbeat more since it was heard last
		l.set(true, "0417", "")
		l.run(time.Minute)
	}
	l.wants()
}

func TestABoxThatNamesItsPathHasNotLostIt(t *testing.T) {
	l := newLines(t, 10*time.Second)
	l.set(true, "0417", "")
	l.run(time.Minute)
	l.set(false, "0417", "")
	l.set(true, "0417", "broadband", "mobile")
	l.run(10 * time.Minute)
	l.wants()
	if len(l.paths) != 2 {
		t.Errorf("paths are %v", l.paths)
	}
	l.set(false, "0417", "broadband", "mobile")
	l.run(time.Minute)
	l.wants("0417 site-lost", "0417 path-lost broadband", "0417 path-lost mobile")
	l.set(true, "0417", "")
	l.run(10 * time.Minute)
	l.wants("0417 site-lost-restored", "0417 path-lost-restored broadband", "0417 path-lost-restored mobile")
	if len(l.paths) != 1 {
		t.Errorf("paths are %v", l.paths)
	}
}

func TestARestartOfTheSOCTellsNothingTwice(t *testing.T) {
	l := newLines(t, 10*time.Second)
	for i := range 40 {
		l.set(true, fmt.Sprint(1000+i), "")
	}
	l.set(true, "0417", "broadband", "mobile")
	l.run(time.Minute)
	l.set(false, "1000", "")
	l.set(false, "0417", "mobile")
	l.run(time.Minute)
	l.wants("1000 site-lost", "1000 path-lost", "0417 path-lost mobile")
	for range 3 {
		l.restart(time.Hour)
		l.run(10 * time.Minute)
		l.wants()
	}
	l.restart(time.Hour)
	l.set(false, "1001", "") // while the SOC is away
	l.set(true, "1000", "")
	l.set(true, "0417", "mobile")
	l.run(time.Minute)
	l.wants("1000 site-lost-restored", "0417 path-lost-restored mobile", "1000 path-lost-restored")
	l.run(time.Minute)
	if len(l.evs) == 0 || !strings.Contains(l.evs[0].Why, "since the SOC was started") {
		t.Errorf("got %+v", l.evs)
	}
	l.wants("1001 site-lost", "1001 path-lost")
}

func TestBoxesGetTimeAfterARestartOfTheSOC(t *testing.T) {
	l := newLines(t, 2*time.Second)
	for i := range 300 {
		l.set(true, fmt.Sprint(1000+i), "")
	}
	l.run(time.Minute)
	l.restart(10 * time.Minute)
	for k := range l.up {
		l.up[k] = false
	}
	l.run(30 * time.Second)
	l.wants()
	for k := range l.up {
		l.up[k] = true
	}
	l.run(5 * time.Minute)
	l.wants()
}

func TestASOCThatSleptBlamesNobody(t *testing.T) {
	l := newLines(t, 10*time.Second)
	l.set(true, "0417", "")
	l.set(true, "0418", "")
	l.run(time.Minute)
	l.now.Mono += 10 * time.Minute
	l.now.Wall = l.now.Wall.Add(10 * time.Minute)
	l.set(false, "0418", "")
	l.run(29 * time.Second)
	l.wants()
	l.run(5 * time.Second)
	l.wants("0418 site-lost", "0418 path-lost")
}

func TestManySitesAtOnceAreOneOutage(t *testing.T) {
	const n = 120
	l := newLines(t, 10*time.Second)
	for i := range 3 * n {
		l.set(true, fmt.Sprint(10000+i), "a", "b")
	}
	l.run(time.Minute)
	l.wants()
	cut := l.now.Mono
	for i := range n {
		l.set(false, fmt.Sprint(10000+i), "a", "b")
	}
	l.run(40 * time.Second)
	if l.count(edge.KindSiteLost) != 0 || l.count(edge.KindPathLost) != 0 || l.count(edge.KindOutage) != 1 {
		t.Fatalf("said %v", l.said)
	}
	if late := l.at[0] - cut; late > 3*l.beat {
		t.Errorf("the outage is told after %v", late)
	}
	l.run(time.Minute)
	last := l.evs[len(l.evs)-1]
	if amends := l.count(edge.KindAmended); amends == 0 || amends > 3 || last.Amends != 7 || len(last.Text) > maxOutageText+40 ||
		!strings.HasPrefix(last.Text, "10000 Shop 10000, 10001") || !strings.Contains(last.Why, "120 of 120 sites") {
		t.Errorf("%d amendments, the last is %+v", amends, last)
	}
	// A single shop far later is not part of it.
	l.said, l.evs, l.at = nil, nil, nil
	l.set(false, "10300", "a", "b")
	cut = l.now.Mono
	l.run(35 * time.Second)
	if late := l.at[0] - cut; late > 3*l.beat {
		t.Errorf("a single site in an outage is told after %v", late)
	}
	l.wants("10300 site-lost", "10300 path-lost a", "10300 path-lost b")
	// A restart of the SOC in the middle of it.
	l.restart(time.Minute)
	l.run(10 * time.Minute)
	l.wants()
	// They return, all but three.
	for i := range n - 3 {
		l.set(true, fmt.Sprint(10000+i), "a", "b")
	}
	l.run(2 * time.Minute)
	said := slices.DeleteFunc(slices.Clone(l.said), func(s string) bool { return s == "amended" })
	slices.Sort(said)
	want := []string{"10117 path-lost a", "10117 path-lost b", "10117 site-lost", "10118 path-lost a", "10118 path-lost b", "10118 site-lost",
		"10119 path-lost a", "10119 path-lost b", "10119 site-lost", "outage-restored"}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
	l.said = nil
	for i := n - 3; i < n; i++ {
		l.set(true, fmt.Sprint(10000+i), "a", "b")
	}
	l.set(true, "10300", "a", "b")
	l.run(2 * time.Minute)
	if n := l.count(edge.KindSiteLost.Restored()); n != 4 || l.count(edge.KindOutage) != 0 {
		t.Errorf("said %v", l.said)
	}
	for s, loss := range l.loss {
		if loss != ledger.Here {
			t.Errorf("site %s stays %d", s, loss)
		}
	}
}

func TestSomeSitesAtOnce(t *testing.T) {
	for n, outage := range map[int]bool{1: false, 2: false, 5: false, 6: true, 9: true, 30: true} {
		l := newLines(t, 10*time.Second)
		for i := range 100 {
			l.set(true, fmt.Sprint(1000+i), "")
		}
		l.run(time.Minute)
		cut := l.now.Mono
		for i := range n {
			l.set(false, fmt.Sprint(1000+i), "")
		}
		l.run(5 * time.Minute)
		if single := l.count(edge.KindSiteLost); (l.count(edge.KindOutage) == 1) != outage || !outage && single != n || single > floodSites {
			t.Errorf("%d sites: said %v", n, l.said)
		}
		if late := l.at[0] - cut; late > 3*l.beat+holdBack {
			t.Errorf("%d sites: the first is told after %v", n, late)
		}
		for i := range n {
			l.set(true, fmt.Sprint(1000+i), "")
		}
		l.run(5 * time.Minute)
		if (l.count(edge.KindOutage.Restored()) == 1) != outage || l.count(edge.KindSiteLost) != l.count(edge.KindSiteLost.Restored()) {
			t.Errorf("%d sites came back: said %v", n, l.said)
		}
	}
}

func TestASingleSiteIsNeverHeldBackForLong(t *testing.T) {
	// Many boxes have just missed a heartbeat or two, as on a bad line; one is gone.
	l := newLines(t, 10*time.Second)
	for i := range 100 {
		l.set(true, fmt.Sprint(1000+i), "")
	}
	l.run(time.Minute)
	cut := l.now.Mono
	l.set(false, "1000", "")
	for range 20 {
		for i := 1; i < 100; i++ {
			l.set(l.now.Mono%(25*time.Second) < 10*time.Second, fmt.Sprint(1000+i), "")
		}
		l.run(2 * time.Second)
	}
	i := slices.Index(l.said, "1000 site-lost")
	if i < 0 || l.at[i]-cut > 3*l.beat+holdBack {
		t.Errorf("said %v", l.said)
	}
}

func TestAnOutageThatIsNearlyOverEnds(t *testing.T) {
	l := newLines(t, 10*time.Second)
	for i := range 100 {
		l.set(true, fmt.Sprint(1000+i), "")
	}
	l.run(time.Minute)
	for i := range 20 {
		l.set(false, fmt.Sprint(1000+i), "")
	}
	l.run(2 * time.Minute)
	for i := range 16 { // four stay away: too many to end it at once, few enough when nobody else comes
		l.set(true, fmt.Sprint(1000+i), "")
	}
	l.run(30 * time.Second)
	if l.count(edge.KindOutage.Restored()) != 0 {
		t.Errorf("said %v", l.said)
	}
	l.run(2 * time.Minute)
	if l.count(edge.KindOutage.Restored()) != 1 || l.count(edge.KindSiteLost) != 4 {
		t.Errorf("said %v", l.said)
	}
}

// long lets much time pass in larger steps.
func (l *lines) long(d time.Duration) {
	for end := l.now.Mono + d; l.now.Mono < end; {
		l.now.Mono += 5 * time.Second
		l.now.Wall = l.now.Wall.Add(5 * time.Second)
		for k, up := range l.up {
			if up {
				l.heard[k] = l.now
			}
			l.p.observe(edge.SiteID(k[0]), "", k[1], l.heard[k])
		}
		l.take(l.p.step(l.now))
	}
}

func TestAnOutageThatNeverEndsIsToldSiteBySite(t *testing.T) {
	for _, restart := range []bool{false, true} {
		l := newLines(t, 10*time.Second)
		for i := range 50 {
			l.set(true, fmt.Sprint(1000+i), "")
		}
		l.run(time.Minute)
		for i := range 30 {
			l.set(false, fmt.Sprint(1000+i), "")
		}
		l.run(5 * time.Minute)
		l.long(20 * time.Hour)
		if restart {
			l.restart(time.Minute)
		}
		l.long(3 * time.Hour)
		if l.count(edge.KindOutage) != 1 || l.count(edge.KindOutage.Restored()) != 0 || l.count(edge.KindSiteLost) != 0 {
			t.Fatalf("within a day was said %v", l.said)
		}
		l.long(time.Hour)
		if l.count(edge.KindOutage.Restored()) != 1 || l.count(edge.KindSiteLost) != 30 || l.count(edge.KindOutage) != 1 {
			t.Errorf("restart %v: after a day was said %v", restart, l.said)
		}
	}
	// A SOC that was away for days gives everybody time to come back.
	l := newLines(t, 10*time.Second)
	for i := range 50 {
		l.set(true, fmt.Sprint(1000+i), "")
	}
	l.run(time.Minute)
	for i := range 30 {
		l.set(false, fmt.Sprint(1000+i), "")
	}
	l.run(10 * time.Minute)
	l.restart(72 * time.Hour)
	l.run(40 * time.Second) // boxes wait that long between tries
	for i := range 30 {
		l.set(true, fmt.Sprint(1000+i), "")
	}
	l.run(10 * time.Minute)
	if l.count(edge.KindSiteLost) != 0 || l.count(edge.KindOutage.Restored()) != 1 {
		t.Errorf("after three days away was said %v", l.said)
	}
}
