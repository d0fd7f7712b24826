package config

import (
	"fmt"
	"slices"
	"time"
)

// Hours are a part of the day in the site's time zone.
type Hours struct {
	Days     []time.Weekday // none: every day
	From, To time.Duration  // since midnight; they end before To, on the next day when To is not after From
}

// Always says that Hours are not a part but all of the time, which their zero value is.
func (h Hours) Always() bool { return len(h.Days) == 0 && h.From == h.To }

// Hold says whether t, which is in the site's time zone, is within.
func (h Hours) Hold(t time.Time) bool {
	at := time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second
	on := func(d time.Weekday) bool { return len(h.Days) == 0 || slices.Contains(h.Days, d) }
	if h.From < h.To {
		return on(t.Weekday()) && at >= h.From && at < h.To
	}
	return on(t.Weekday()) && at >= h.From || on((t.Weekday()+6)%7) && at < h.To
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// hours reads days, from and to.
func (o object) hours(h *Hours) {
	for k, d := range o.items("days") {
		at := index(o.at("days"), k)
		word, ok := o.r.string(d, at)
		day := slices.Index(weekdays, word)
		switch {
		case !ok:
		case day < 0:
			o.r.bad(at, quote(word)+" is unknown", "use "+either(weekdays))
		default:
			h.Days = append(h.Days, time.Weekday(day))
		}
	}
	o.timeOfDay("from", &h.From)
	o.timeOfDay("to", &h.To)
}

// String is h as YAML, within braces.
func (h Hours) String() string {
	days := ""
	if len(h.Days) > 0 {
		words := make([]string, len(h.Days))
		for i, d := range h.Days {
			words[i] = weekdays[d]
		}
		days = "days: " + texts(words) + ", "
	}
	clock := func(d time.Duration) string { return fmt.Sprintf("%02d:%02d", d/time.Hour, d%time.Hour/time.Minute) }
	return fmt.Sprintf("%sfrom: %q, to: %q", days, clock(h.From), clock(h.To))
}

func (o object) timeOfDay(key string, dst *time.Duration) {
	const hint = `write it in quotes like "08:00"`
	s, ok := o.need(key, hint)
	if !ok {
		return
	}
	t, err := time.Parse("15:04", s)
	if err != nil || len(s) != 5 {
		o.r.bad(o.at(key), quote(s)+" is no time of day", hint)
		return
	}
	*dst = time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
}
