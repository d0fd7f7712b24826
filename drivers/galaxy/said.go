package galaxy

import "time"

// ahead is how far in the future a live event may seem to be before its time is taken for one of the day before: the
// panel's clock may be fast, or still on summer time.
const ahead = 2 * time.Hour

// said is when the event happened by the panel's clock. Panels tell local time, often without the date: it is completed
// from the arrival with the nearest day, and for an event from the panel's buffer with the last one that is past.
// Zero when the panel told no time or one that does not exist.
func said(date, clock string, arrival time.Time, loc *time.Location, old bool) (t time.Time, dated bool) {
	hms, err := parseTime(clock)
	if err != nil {
		return time.Time{}, false
	}
	if loc == nil {
		loc = time.UTC
	}
	limit := arrival.Add(ahead)
	if old {
		limit = arrival.Add(5 * time.Minute)
	}
	local := arrival.In(loc)
	if date != "" {
		day, err := time.Parse("01-02-06", date)
		if err != nil {
			return time.Time{}, false
		}
		return latest(day.Year(), day.Month(), day.Day(), hms, loc, limit), true
	}
	for back := -1; back <= 1; back++ {
		y, m, d := local.AddDate(0, 0, -back).Date()
		if t = latest(y, m, d, hms, loc, limit); !t.After(limit) {
			break
		}
	}
	return t, false
}

// latest is the given local time of day. In the hour that the end of summer time repeats it is the second one when that
// is not after the limit, else the first.
func latest(y int, m time.Month, d int, hms time.Time, loc *time.Location, limit time.Time) time.Time {
	t := time.Date(y, m, d, hms.Hour(), hms.Minute(), hms.Second(), 0, loc)
	for _, other := range []time.Time{t.Add(time.Hour), t.Add(-time.Hour)} {
		if other.Hour() != t.Hour() || other.Minute() != t.Minute() {
			continue
		}
		first, second := t, other
		if second.Before(first) {
			first, second = second, first
		}
		if second.After(limit) {
			return first.UTC()
		}
		return second.UTC()
	}
	return t.UTC()
}
