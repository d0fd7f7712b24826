package link

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Rate is in bits a second, of IP packets. It is written like 2mbit, 256kbit/s or 1.5Mbit/s; 0 is no limit.
type Rate int64

// Size is in bytes, written like 256KiB (1024s) or 256kB (1000s).
type Size int64

// Share is a part of a whole, written like 0.5%.
type Share float64

var amount = regexp.MustCompile(`^([0-9]{1,12}(?:\.[0-9]{1,6})?) ?([a-z%/]*)$`)

// UnmarshalText reads a rate.
func (r *Rate) UnmarshalText(b []byte) error {
	v, err := parse(string(b), "a rate", "2mbit or 256kbit/s", map[string]float64{
		"bit": 1, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9, "bit/s": 1, "kbit/s": 1e3, "mbit/s": 1e6, "gbit/s": 1e9})
	*r = Rate(v)
	return err
}

// String is in the largest unit that shows the rate exactly.
func (r Rate) String() string {
	switch {
	case r == 0:
		return "unlimited"
	case r%1e6 == 0:
		return fmt.Sprintf("%d Mbit/s", r/1e6)
	case r%1e3 == 0:
		return fmt.Sprintf("%d kbit/s", r/1e3)
	}
	return fmt.Sprintf("%d bit/s", r)
}

// takes is how long the line takes to send so many bytes.
func (r Rate) takes(bytes int) time.Duration {
	if r <= 0 {
		return 0
	}
	return time.Duration(math.Round(float64(bytes) * 8 / float64(r) * float64(time.Second)))
}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(b []byte) error {
	v, err := parse(string(b), "a size", "256KiB", map[string]float64{
		"b": 1, "kb": 1e3, "mb": 1e6, "kib": 1 << 10, "mib": 1 << 20})
	*s = Size(v)
	return err
}

// String is in KiB where that is exact.
func (s Size) String() string {
	if s%1024 == 0 {
		return fmt.Sprintf("%d KiB", s/1024)
	}
	return fmt.Sprintf("%d B", int64(s))
}

// UnmarshalText reads a share.
func (s *Share) UnmarshalText(b []byte) error {
	v, err := parse(string(b), "a share", "0.5%", map[string]float64{"%": 0.01})
	if err == nil && v > 1 {
		err = fmt.Errorf("%s is more than all", b)
	}
	*s = Share(v)
	return err
}

// String is in percent.
func (s Share) String() string { return strconv.FormatFloat(float64(s)*100, 'g', 4, 64) + "%" }

func parse(s, what, example string, units map[string]float64) (float64, error) {
	if s == "0" {
		return 0, nil
	}
	m := amount.FindStringSubmatch(strings.ToLower(s))
	if m == nil || units[m[2]] == 0 {
		return 0, fmt.Errorf("%q is not %s; write it like %s", s, what, example)
	}
	f, err := strconv.ParseFloat(m[1], 64)
	return f * units[m[2]], err
}
