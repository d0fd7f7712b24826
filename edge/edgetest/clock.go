// Package edgetest has small working fakes and faults for tests. No program imports it.
// Everything in it may be used from any goroutine.
package edgetest

import (
	"sync"
	"time"

	"sitewatch/edge"
)

// Clock is a clock that moves only when it is told to.
type Clock struct {
	mu  sync.Mutex
	now edge.Stamp
}

// NewClock starts at 2026-09-01 12:00 UTC, an hour after boot "boot-1", kept by NTP.
func NewClock() *Clock {
	return &Clock{now: edge.Stamp{
		Wall: time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC), Mono: time.Hour, Boot: "boot-1", Synced: true,
	}}
}

// Now returns the present stamp.
func (c *Clock) Now() edge.Stamp {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance lets d pass and returns the stamp then.
func (c *Clock) Advance(d time.Duration) edge.Stamp {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now.Wall = c.now.Wall.Add(d)
	c.now.Mono += d
	return c.now
}

// Step moves the wall clock alone, as NTP or a person does.
func (c *Clock) Step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now.Wall = c.now.Wall.Add(d)
}

// Sync says whether NTP keeps the wall clock.
func (c *Clock) Sync(ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now.Synced = ok
}

// Reboot starts a new boot: the monotonic clock begins again, the wall clock goes on.
func (c *Clock) Reboot(boot edge.BootID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now.Boot, c.now.Mono = boot, 10*time.Second
}
