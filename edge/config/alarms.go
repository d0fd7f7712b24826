package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sitewatch/edge"
)

// alarms reads what alarms mean together. The windows are those of BS 8243; the others are bounded so that no typing error makes
// them useless.
func (o object) alarms(a *Alarms) {
	o = o.r.object(o.vals["alarms"], "alarms", "confirm_window", "hold_up_window", "swinger", "storm", "after_set", "engineer", "walk_test")
	within(o, "confirm_window", &a.ConfirmWindow, o.duration, 30*time.Minute, time.Hour)
	within(o, "hold_up_window", &a.HoldUpWindow, o.duration, 8*time.Hour, 20*time.Hour)
	within(o, "after_set", &a.AfterSet, o.duration, 10*time.Second, 10*time.Minute)
	within(o, "engineer", &a.Engineer, o.duration, 10*time.Minute, 12*time.Hour)
	within(o, "walk_test", &a.WalkTest, o.duration, 5*time.Minute, 4*time.Hour)
	within(o, "swinger", &a.Swinger, o.count, 1, 20)
	within(o, "storm", &a.Storm, o.count, 5, 200)
}

// within reads a value that must not be less than least nor more than most.
func within[T cmp.Ordered](o object, key string, dst *T, read func(string, *T) bool, least, most T) {
	v := *dst
	if !read(key, &v) {
		return
	}
	switch {
	case v < least:
		o.r.bad(o.at(key), fmt.Sprint(v)+" is too little", fmt.Sprintf("use %v to %v", least, most))
	case v > most:
		o.r.bad(o.at(key), fmt.Sprint(v)+" is too much", fmt.Sprintf("use %v to %v", least, most))
	default:
		*dst = v
	}
}

// count reads a whole number.
func (o object) count(key string, dst *int) bool {
	n := o.vals[key]
	if n == nil {
		return false
	}
	v, err := strconv.ParseInt(n.text, 10, 32)
	if n.form != formInt || err != nil {
		o.r.bad(o.at(key), "is no whole number", "write digits alone, such as 3")
		return false
	}
	*dst = int(v)
	return true
}

// panelKinds are what a site may take a code for: what zones are for, and what else panels say.
var panelKinds = slices.Concat(zoneKinds, []string{"omit", "set-failed", "set-late", "unset-late", "alarm-after-set", "wrong-code",
	"clock-changed", "log-overflow", "power-up", "path-lost"})

var siaCode = regexp.MustCompile(`^[A-Z]{2}$`)

// kinds reads what a site takes codes for. A code for fire, for a person in danger or for a confirmed alarm means that everywhere.
func (o object) kinds() map[string]edge.Kind {
	at := o.at("kinds")
	keys, vals := o.r.fields(o.vals["kinds"], at)
	if len(keys) == 0 {
		return nil
	}
	out := map[string]edge.Kind{}
	codes := object{o.r, at, vals}
	for _, code := range keys {
		place := join(at, clean(code))
		if !siaCode.MatchString(code) {
			o.r.bad(place, quote(code)+" is no SIA code", "write two capitals, such as BX")
			continue
		}
		if std := edge.KindOfSIA(code, false); std.Lane() == edge.Urgent && !std.MayBeHeld() {
			o.r.bad(place, code+" is "+string(std)+" at every site", "remove it: such alarms are never weakened")
			continue
		}
		word, ok := codes.text(code)
		if !ok {
			continue
		}
		kind := edge.Kind(word)
		if !contains(panelKinds, string(kind.Base())) {
			hint := "kinds are " + strings.Join(panelKinds, ", ") + ", and each with -restored"
			if w := nearest(word, panelKinds); w != "" {
				hint = "did you mean " + w + "?"
			}
			o.r.bad(place, quote(word)+" is no kind that a panel says", hint)
			continue
		}
		out[code] = kind
	}
	return out
}
