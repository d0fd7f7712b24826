package edge

import (
	"sync"
	"time"
)

const (
	// clockLife is how long after its build a program may still run: a wall clock that shows more is broken.
	clockLife = 20 * 365 * 24 * time.Hour
	// clockSlack is by how much a clock may be behind another one that is believed, and still be right: NTP steps it back by
	// so much, and it is set by hand.
	clockSlack = 15 * time.Minute
	// hintWithin bounds how long the SOC's answer may take for its time to be of use.
	hintWithin = 30 * time.Second
	// quartz is how long a machine's clock takes, in seconds, to be wrong by one.
	quartz = 10_000
)

// BoxClock makes the best of the clocks that a box has: the machine's, which a dead battery leaves at 1970, what surely has
// passed, and the SOC's. It never shows a time before the program was built, nor before the last time that it knows of.
// NTP is believed first, then the SOC, then the machine's clock; when none of them is, the time runs on from the last known
// one and says that it is unset. TIME.md has the rules. It may be used from any goroutine.
type BoxClock struct {
	machine Clock
	built   time.Time

	mu    sync.Mutex
	first Stamp         // of the machine's clock when the BoxClock was made
	known Stamp         // the newest time that was believed; zero: none was
	kept  time.Time     // the newest time of an earlier run that NTP kept; zero: none was told
	hint  Stamp         // what the SOC said, as of its Mono; zero: nothing
	doubt time.Duration // by how much the hint may be wrong
}

// NewBoxClock makes a clock for a program that was built at that time; zero: it is not known.
func NewBoxClock(machine Clock, built time.Time) *BoxClock {
	if built.Before(earliestWall) {
		built = earliestWall
	}
	return &BoxClock{machine: machine, built: built, first: machine.Now()}
}

// Known tells the clock of a stamp that it gave in an earlier run, such as the one of the last journalled event.
func (c *BoxClock) Known(s Stamp) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.Wall.Before(c.built) || c.absurd(s.Wall) {
		return // by another clock than this one, and of no use
	}
	if s.Wall.After(c.known.Wall) {
		c.known = s
	}
	if s.Synced && s.Wall.After(c.kept) {
		c.kept = s.Wall
	}
}

// Floor is a time that surely has passed: the program was built then, or NTP said so in an earlier run. A machine's clock
// that NTP keeps now and that is before the latter lowers it to itself: the earlier NTP was wrong, or this one is, and a
// box that believed the later one could refuse its own SOC for years.
func (c *BoxClock) Floor() time.Time {
	m := c.machine.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	floor := c.built
	if c.kept.After(floor) {
		floor = c.kept
	}
	if m.Synced && m.Wall.Before(floor) && m.Wall.After(c.built) {
		floor = m.Wall
	}
	return floor
}

// Hint takes the time of the SOC, which has proved to be it. asked is when it was asked, on this clock; the answer has just
// come. It says whether the hint is taken: a slow answer is not, nor a time that cannot be.
func (c *BoxClock) Hint(asked Stamp, soc time.Time) bool {
	m := c.machine.Now()
	took, ok := m.Since(asked)
	if !ok || took < 0 || took > hintWithin {
		return false
	}
	at := soc.Add(took / 2).UTC()
	c.mu.Lock()
	defer c.mu.Unlock()
	if at.Before(c.built) || c.absurd(at) {
		return false
	}
	agreed := m.Synced && near(at, m.Wall)
	if floor := c.run(c.known, m); c.known.Synced && at.Before(floor.Add(-clockSlack)) && !agreed {
		return false // NTP knew better once
	}
	if agreed || !m.Synced {
		// Two that do not know of each other agree, or there is nothing better: a time that was believed and is later was wrong.
		if at.Before(c.known.Wall) {
			c.known = Stamp{}
		}
		if at.Before(c.kept) {
			c.kept = time.Time{}
		}
	}
	// A quick answer stays the better one until the machine's quartz has spoilt it.
	if aged := c.doubt + (m.Mono-c.hint.Mono)/quartz; c.hint.Boot != m.Boot || took/2 <= aged {
		c.hint, c.doubt = Stamp{Wall: at, Mono: m.Mono, Boot: m.Boot}, took/2
	}
	return true
}

// Now returns the best stamp that there is.
func (c *BoxClock) Now() Stamp {
	m := c.machine.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := m
	floor := c.run(c.known, m)
	behind := s.Wall.Before(floor.Add(-clockSlack))
	hinted := c.hint.Boot == m.Boot && !c.hint.Wall.IsZero()
	switch possible := !s.Wall.Before(c.built) && !c.absurd(s.Wall); {
	case s.Synced && possible && !(behind && c.known.Synced):
	case hinted:
		s.Wall, s.Synced = c.hint.Wall.Add(m.Mono-c.hint.Mono), false
	case possible && !behind:
		s.Synced = false
	default:
		s.Wall, s.Synced, s.Unset = floor, false, true
		return s
	}
	c.known = s
	return s
}

// run is the time at m when it was known at the time of k: exactly in the same boot; at the earliest after another one.
func (c *BoxClock) run(k, m Stamp) time.Time {
	switch {
	case k.Wall.IsZero():
		return c.built.Add(m.Mono - c.first.Mono)
	case k.Boot == m.Boot:
		return k.Wall.Add(max(m.Mono-k.Mono, 0))
	}
	return k.Wall.Add(m.Mono)
}

func (c *BoxClock) absurd(wall time.Time) bool { return wall.After(c.built.Add(clockLife)) }

// near compares two clocks at one moment; nothing is measured by it.
func near(a, b time.Time) bool {
	d := a.Sub(b)
	return -clockSlack <= d && d <= clockSlack
}
