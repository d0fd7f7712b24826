package edge_test

import (
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
)

var (
	built = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	today = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC) // what edgetest.NewClock shows
)

// battery is a machine whose clock was never set: it boots in 1970.
func battery() *edgetest.Clock {
	m := edgetest.NewClock()
	m.Step(time.Date(1970, 1, 1, 0, 1, 0, 0, time.UTC).Sub(today))
	m.Sync(false)
	m.Reboot("boot-2")
	return m
}

func shows(t *testing.T, what string, got edge.Stamp, wall time.Time, state edge.ClockState) {
	t.Helper()
	if !got.Wall.Equal(wall) || got.ClockState() != state {
		t.Errorf("%s: got %v %s, want %v %s", what, got.Wall, got.ClockState(), wall, state)
	}
}

func TestClockThatWasNeverSet(t *testing.T) {
	m := battery()
	c := edge.NewBoxClock(m, built)
	shows(t, "a new box", c.Now(), built, edge.ClockUnset)
	m.Advance(time.Hour)
	shows(t, "an hour later", c.Now(), built.Add(time.Hour), edge.ClockUnset)

	last := edge.Stamp{Wall: today, Mono: 5 * time.Hour, Boot: "boot-1", Synced: true}
	c = edge.NewBoxClock(m, built)
	c.Known(last)
	since := m.Now().Mono // of this boot, which began after the stamp
	shows(t, "with a journal", c.Now(), today.Add(since), edge.ClockUnset)
	if got := c.Floor(); !got.Equal(today) {
		t.Errorf("floor is %v, want %v", got, today)
	}

	asked := c.Now()
	m.Advance(2 * time.Second)
	soc := today.Add(72 * time.Hour)
	if !c.Hint(asked, soc) {
		t.Fatal("the SOC's time is not taken")
	}
	shows(t, "the SOC has told", c.Now(), soc.Add(time.Second), edge.ClockDrifting)
	m.Advance(time.Minute)
	shows(t, "a minute later", c.Now(), soc.Add(time.Second+time.Minute), edge.ClockDrifting)

	ntp := today.Add(80 * time.Hour)
	m.Step(ntp.Sub(m.Now().Wall))
	m.Sync(true)
	shows(t, "NTP has come", c.Now(), ntp, edge.ClockSynced)
	m.Sync(false)
	m.Advance(time.Minute)
	shows(t, "NTP has gone; the SOC's hint is still there", c.Now(), soc.Add(time.Second+2*time.Minute), edge.ClockDrifting)
}

func TestSameBootGoesOnFromTheLastStamp(t *testing.T) {
	m := battery()
	c := edge.NewBoxClock(m, built)
	c.Known(edge.Stamp{Wall: today, Mono: m.Now().Mono, Boot: "boot-2"})
	m.Advance(3 * time.Minute)
	shows(t, "a restart of the program", c.Now(), today.Add(3*time.Minute), edge.ClockUnset)
}

func TestMachineClockIsBelievedWhenItCanBe(t *testing.T) {
	for name, tt := range map[string]struct {
		step   time.Duration // of the machine's clock, against the last stamp
		synced bool
		last   bool // the last stamp was kept by NTP
		want   edge.ClockState
		floor  bool // the last stamp is shown, run on
	}{
		"in order":                               {time.Hour, true, true, edge.ClockSynced, false},
		"nothing keeps it":                       {time.Hour, false, true, edge.ClockDrifting, false},
		"NTP stepped it back a little":           {-time.Minute, true, true, edge.ClockSynced, false},
		"the battery is weak: a day behind":      {-24 * time.Hour, false, true, edge.ClockUnset, true},
		"NTP comes after a clock that ran ahead": {-24 * time.Hour, true, false, edge.ClockSynced, false},
		"NTP now and NTP then differ by a day":   {-24 * time.Hour, true, true, edge.ClockUnset, true},
		"before the build, NTP or not":           {-365 * 24 * time.Hour, true, false, edge.ClockUnset, true},
		"a year from now, nothing keeps it":      {365 * 24 * time.Hour, false, true, edge.ClockDrifting, false},
		"beyond what can be":                     {50 * 365 * 24 * time.Hour, true, true, edge.ClockUnset, true},
	} {
		m := edgetest.NewClock()
		c := edge.NewBoxClock(m, built)
		last := m.Now()
		last.Synced = tt.last
		c.Known(last)
		m.Step(tt.step)
		m.Sync(tt.synced)
		want := m.Now().Wall
		if tt.floor {
			want = last.Wall
		}
		shows(t, name, c.Now(), want, tt.want)
	}
}

func TestHintIsBounded(t *testing.T) {
	last := edge.Stamp{Wall: today, Mono: time.Hour, Boot: "boot-1", Synced: true}
	for name, tt := range map[string]struct {
		soc  time.Time
		took time.Duration
		want bool
	}{
		"good":                      {today.Add(time.Hour), time.Second, true},
		"a little behind":           {today.Add(-time.Minute), time.Second, true},
		"before the build":          {built.Add(-time.Hour), time.Second, false},
		"1970":                      {time.Unix(0, 0), time.Second, false},
		"before the last stamp":     {today.Add(-24 * time.Hour), time.Second, false},
		"far in the future":         {today.Add(50 * 365 * 24 * time.Hour), time.Second, false},
		"an answer of a minute ago": {today.Add(time.Hour), time.Minute, false},
	} {
		m := battery()
		c := edge.NewBoxClock(m, built)
		c.Known(last)
		asked := c.Now()
		m.Advance(tt.took)
		if got := c.Hint(asked, tt.soc); got != tt.want {
			t.Errorf("%s: taken %v, want %v", name, got, tt.want)
		}
		if got := c.Now().ClockState() == edge.ClockDrifting; got != tt.want {
			t.Errorf("%s: the state is %s", name, c.Now().ClockState())
		}
	}
	m := battery()
	c := edge.NewBoxClock(m, built)
	asked := c.Now()
	m.Reboot("boot-3")
	if c.Hint(asked, today) {
		t.Error("a question of another boot gives a hint")
	}
}

func TestQuickHintStays(t *testing.T) {
	m := battery()
	c := edge.NewBoxClock(m, built)
	hint := func(took time.Duration, soc time.Time) {
		t.Helper()
		asked := c.Now()
		m.Advance(took)
		if !c.Hint(asked, soc) {
			t.Fatal("not taken")
		}
	}
	hint(100*time.Millisecond, today)
	hint(20*time.Second, today.Add(20*time.Second))
	shows(t, "a slow one soon after", c.Now(), today.Add(20*time.Second+50*time.Millisecond), edge.ClockDrifting)
	m.Advance(48 * time.Hour)
	hint(10*time.Second, today.Add(50*time.Hour))
	shows(t, "a slow one days after", c.Now(), today.Add(50*time.Hour+5*time.Second), edge.ClockDrifting)
}

// A clock that once ran years ahead, and was believed because NTP said so, must not bind the box for those years.
func TestLyingNTPIsForgottenWhenNTPAndSOCAgree(t *testing.T) {
	m := edgetest.NewClock()
	c := edge.NewBoxClock(m, built)
	c.Known(edge.Stamp{Wall: today.Add(4 * 365 * 24 * time.Hour), Mono: time.Hour, Boot: "boot-0", Synced: true})
	if got := c.Now().ClockState(); got != edge.ClockUnset {
		t.Fatalf("before anybody has said more: %s", got)
	}
	if got := c.Floor(); !got.Equal(today) {
		t.Errorf("the floor keeps the SOC out: %v", got)
	}
	asked := c.Now()
	m.Advance(time.Second)
	if !c.Hint(asked, m.Now().Wall) {
		t.Fatal("NTP and the SOC agree, and are not believed")
	}
	shows(t, "healed", c.Now(), m.Now().Wall, edge.ClockSynced)
}

func TestClockNeverGoesBehindWhatItHasShown(t *testing.T) {
	m := edgetest.NewClock()
	c := edge.NewBoxClock(m, built)
	m.Sync(false)
	before := c.Now()
	m.Step(-30 * 24 * time.Hour) // somebody sets the clock
	m.Advance(time.Second)
	shows(t, "set back by hand", c.Now(), before.Wall.Add(time.Second), edge.ClockUnset)
}
