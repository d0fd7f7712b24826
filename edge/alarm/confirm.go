package alarm

import (
	"fmt"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/journal"
)

// Confirmation in the sense of BS 8243: pure, from stored alarms alone. An alarm's Cause says that it counts; see counts.

// sameDevice is after which time the same hold-up device used again counts as a second cause.
const sameDevice = 2 * time.Minute

// counts says whether an alarm can be a cause of a confirmed one. An intruder counts while set and from a zone inside: who comes
// home by the entry route, or walks past outside, confirms nothing. Nothing counts that an engineer may have caused. Alarms that
// are held are not asked: a detector that swings does not confirm another, as if the panel had shunted it.
func counts(kind edge.Kind, source, route string, set, atWork bool) bool {
	switch {
	case source == "":
		return false // from nowhere: it could be the same detector
	case kind == edge.KindIntruder:
		return set && !atWork && route != "entry" && route != "external"
	case kind == edge.KindTamper:
		return !atWork
	}
	return holdsUp(kind)
}

// holdsUp says whether kind is what a person raises at a hold-up device or by a code.
func holdsUp(k edge.Kind) bool {
	return k == edge.KindHoldUp || k == edge.KindPanic || k == edge.KindDuress
}

// sequential returns the first of the alarms before that with now makes two independent zones within the window.
func sequential(now journal.Alarm, before []journal.Alarm, window time.Duration) (first journal.Alarm, gap time.Duration, ok bool) {
	if now.Kind != edge.KindIntruder {
		return first, 0, false
	}
	return earliest(now, before, window, func(a journal.Alarm) bool { return a.Kind == edge.KindIntruder && a.Source != now.Source })
}

// twice says whether a hold-up device is used again long enough after was, its first use.
func twice(now, was journal.Alarm, window time.Duration) (gap time.Duration, ok bool) {
	if !holdsUp(now.Kind) || !now.Cause || !was.Cause {
		return 0, false
	}
	was.At = was.First
	gap, ok = apart(now, was)
	return gap, ok && gap > sameDevice && gap <= window
}

// together returns the first of the alarms before that with now makes a hold-up from two devices, or a hold-up and a tamper.
func together(now journal.Alarm, before []journal.Alarm, window time.Duration) (first journal.Alarm, gap time.Duration, ok bool) {
	return earliest(now, before, window, func(a journal.Alarm) bool {
		return holdsUp(now.Kind) && holdsUp(a.Kind) && a.Source != now.Source ||
			holdsUp(now.Kind) && a.Kind == edge.KindTamper || now.Kind == edge.KindTamper && holdsUp(a.Kind)
	})
}

func earliest(now journal.Alarm, before []journal.Alarm, window time.Duration, fits func(journal.Alarm) bool) (first journal.Alarm, gap time.Duration, ok bool) {
	if !now.Cause {
		return first, 0, false
	}
	for _, a := range before {
		if !a.Cause || !fits(a) {
			continue
		}
		if d, known := apart(now, a); known && d <= window && (!ok || d > gap || d == gap && a.Source < first.Source) {
			first, gap, ok = a, d, true
		}
	}
	return first, gap, ok
}

// apart is how long after was now came; ok is false when nobody can tell. What came from a panel's buffer arrived at another
// time than it happened: there two readings of the panel's own clock are compared.
func apart(now, was journal.Alarm) (d time.Duration, ok bool) {
	if now.Old || was.Old {
		d = now.Said.Sub(was.Said)
		return d, !now.Said.IsZero() && !was.Said.IsZero() && d >= 0
	}
	d, ok = lapse(now.At, was.At)
	return d, ok && d >= 0
}

// lapse is how long after then now is. Over a reboot only the wall clock can tell, if it was ever set.
func lapse(now, then edge.Stamp) (d time.Duration, ok bool) {
	if then == (edge.Stamp{}) {
		return 0, false
	}
	if d, ok = now.Since(then); ok {
		return d, true
	}
	if now.ClockState() == edge.ClockUnset || then.ClockState() == edge.ClockUnset {
		return 0, false
	}
	return now.Wall.Sub(then.Wall), true
}

// span is a duration as people say it.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d%time.Hour < time.Minute:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
}
