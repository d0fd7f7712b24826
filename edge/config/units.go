package config

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes, written like 64MiB.
type Size int64

// Sizes.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
)

// Rate is a number of bits per second, written like 256kbit/s.
type Rate int64

type unit struct {
	name string
	size int64
}

var (
	sizeUnits = []unit{{"TiB", int64(TiB)}, {"GiB", int64(GiB)}, {"MiB", int64(MiB)}, {"KiB", int64(KiB)}, {"B", 1}}
	rateUnits = []unit{{"Gbit/s", 1e9}, {"Mbit/s", 1e6}, {"kbit/s", 1e3}, {"bit/s", 1}}
	amount    = regexp.MustCompile(`^([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([A-Za-z/]+)$`)
)

// String returns the size in the largest unit that shows it exactly.
func (s Size) String() string { return format(int64(s), sizeUnits) }

// String returns the rate in the largest unit that shows it exactly.
func (r Rate) String() string { return format(int64(r), rateUnits) }

func format(v int64, units []unit) string {
	if v == 0 {
		return "0"
	}
	for _, u := range units {
		if v%u.size == 0 {
			return strconv.FormatInt(v/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(v, 10)
}

func parseAmount(s string, units []unit) (int64, error) {
	if s == "0" {
		return 0, nil
	}
	m := amount.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%q is no number with a unit", s)
	}
	f, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no number", m[1])
	}
	for _, u := range units {
		if u.name != m[2] {
			continue
		}
		if f*float64(u.size) > math.MaxInt64/2 {
			return 0, fmt.Errorf("%q is too much", s)
		}
		return int64(math.Round(f * float64(u.size))), nil
	}
	names := make([]string, len(units))
	for i, u := range units {
		names[len(units)-1-i] = u.name
	}
	return 0, fmt.Errorf("%q is no unit; units are %s", m[2], strings.Join(names, ", "))
}

func parseSize(s string) (Size, error) {
	v, err := parseAmount(s, sizeUnits)
	return Size(v), err
}

func parseRate(s string) (Rate, error) {
	v, err := parseAmount(s, rateUnits)
	return Rate(v), err
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration", s)
	}
	return d, nil
}
