package segment

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cycles is how often flash of an eMMC, an SD card or a small SSD may be written in full: what makers of 3-bit flash promise at least.
const cycles = 600

// Wear is a forecast of how long the device that holds the files will last.
type Wear struct {
	BytesPerDay float64 // what all cameras write, as of late
	DeviceBytes int64   // 0: not known
	Flash       bool    // the kernel says that it does not rotate
	// Years until the device has been written in full 600 times by recording alone; 0: nothing is written, or it is no flash.
	Years float64
	// UsedPercent is what an eMMC says of its own life, in steps of ten: 0 when it says nothing, over 100 when it is past its time.
	UsedPercent int
}

// device is the disk under a directory.
type device struct {
	bytes int64
	flash bool
	life  string // an eMMC's own file, "" when there is none
}

// Wear returns the forecast.
func (s *Store) Wear() Wear {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := Wear{DeviceBytes: s.device.bytes, Flash: s.device.flash, UsedPercent: usedPercent(s.device.life)}
	for _, sh := range s.order {
		w.BytesPerDay += sh.state.rate.perSecond * 24 * 60 * 60
	}
	if w.Flash && w.BytesPerDay > 0 {
		w.Years = float64(w.DeviceBytes) * cycles / w.BytesPerDay / 365
	}
	return w
}

// deviceOf asks sysfs for the whole device on which dir, or the nearest directory above it, is.
func deviceOf(dir string) (d device) {
	var st unix.Stat_t
	for unix.Stat(dir, &st) != nil {
		if dir == filepath.Dir(dir) {
			return d
		}
		dir = filepath.Dir(dir)
	}
	sys, err := filepath.EvalSymlinks(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err != nil {
		return d // no block device: overlay, network, memory
	}
	if _, err := os.Stat(filepath.Join(sys, "partition")); err == nil {
		sys = filepath.Dir(sys)
	}
	d.bytes = number(filepath.Join(sys, "size")) * 512
	d.flash = number(filepath.Join(sys, "queue", "rotational")) == 0 && d.bytes > 0
	if life := filepath.Join(sys, "device", "life_time"); usedPercent(life) > 0 {
		d.life = life
	}
	return d
}

func number(path string) int64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 50)
	if err != nil {
		return 0
	}
	return n
}

// usedPercent reads the two estimates of an eMMC (JESD84-B51 §7.4.39): 1 is up to 10 % used, 11 is past its time.
func usedPercent(path string) (most int) {
	if path == "" {
		return 0
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for _, f := range strings.Fields(string(b)) {
		if n, err := strconv.ParseUint(f, 0, 8); err == nil && n <= 11 {
			most = max(most, int(n)*10)
		}
	}
	return most
}
