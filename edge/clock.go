package edge

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// SystemClock is the machine's clock (Linux). Make one with NewSystemClock.
type SystemClock struct {
	start  time.Time     // with Go's monotonic reading
	uptime time.Duration // machine uptime at start
	boot   BootID
}

// NewSystemClock reads the boot id and the uptime once, so that Now costs two clock reads and no file.
func NewSystemClock() *SystemClock {
	c := &SystemClock{boot: "unknown"}
	if b, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		c.boot = BootID(strings.TrimSpace(string(b)))
	}
	c.start = time.Now()
	if b, err := os.ReadFile("/proc/uptime"); err == nil {
		if f, _, ok := strings.Cut(string(b), " "); ok {
			if s, err := strconv.ParseFloat(f, 64); err == nil {
				c.uptime = time.Duration(s * float64(time.Second))
			}
		}
	}
	return c
}

// staUnsync is STA_UNSYNC of adjtimex(2).
const staUnsync = 0x40

// Now returns the present stamp. Mono has the resolution of /proc/uptime (10 ms) between processes and full
// resolution inside one.
func (c *SystemClock) Now() Stamp {
	now := time.Now()
	var tx syscall.Timex
	state, err := syscall.Adjtimex(&tx)
	return Stamp{
		Wall:   now.UTC().Round(0),
		Mono:   c.uptime + now.Sub(c.start),
		Boot:   c.boot,
		Synced: err == nil && state != 5 /* TIME_ERROR */ && tx.Status&staUnsync == 0,
	}
}
