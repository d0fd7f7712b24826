package edge

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// SystemClock is the machine's clock (Linux). Make one with NewSystemClock; it may be used from any goroutine.
type SystemClock struct {
	start  time.Time     // with Go's monotonic reading
	uptime time.Duration // machine uptime at start
	boot   BootID
	synced atomic.Bool  // what the kernel said
	asked  atomic.Int64 // when, in nanoseconds since start; 0: never
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

// syncedFor is how long an answer of the kernel's is good: pictures come by the hundred a second, each with its stamp.
const syncedFor = time.Second

// Now returns the present stamp. Mono has the resolution of /proc/uptime (10 ms) between processes and full
// resolution inside one.
func (c *SystemClock) Now() Stamp {
	now := time.Now()
	since := now.Sub(c.start)
	if asked := c.asked.Load(); asked == 0 || since-time.Duration(asked) > syncedFor {
		var tx syscall.Timex
		state, err := syscall.Adjtimex(&tx)
		c.synced.Store(err == nil && state != 5 /* TIME_ERROR */ && tx.Status&staUnsync == 0)
		c.asked.Store(max(int64(since), 1))
	}
	return Stamp{Wall: now.UTC().Round(0), Mono: c.uptime + since, Boot: c.boot, Synced: c.synced.Load()}
}
