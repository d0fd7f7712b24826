package espa444

import (
	"regexp"
	"strings"

	"sitewatch/edge"
)

// rule gives a text its meaning.
type rule struct {
	text      *regexp.Regexp // of record 2; nil: any
	address   *regexp.Regexp // of record 1; nil: any
	kind      edge.Kind
	zone      edge.ZoneID // of all that it matches; "" as its group "zone" says
	partition edge.PartitionID
}

// rules of one panel: the site's, in their order, then the defaults.
type rules struct {
	site     []rule
	defaults []rule
	zone     *regexp.Regexp // where the rule says nothing of a zone
	preAlarm *regexp.Regexp
	alarm    *regexp.Regexp
	cleared  *regexp.Regexp
}

// The words of UK panels. A weaker word must stand as a word of its own; what means fire may stand anywhere.
const (
	preAlarmWords = `(?i)\bPRE[ -]?ALARM|\bALERT`
	alarmWords    = `(?i)FIRE|ALARM|EVAC`
	zoneWords     = `(?i)\bZONE[ :.#-]*(?P<zone>[0-9]{1,8})`
	// testWords are a text that is about a test. A place may be named for one ("FIRE ZONE 3 TEST KITCHEN"), so that with an
	// alarm word in the text the word for test must begin or end it.
	testWords    = `(?i)^\W*((WEEKLY|DAILY|MONTHLY|FIRE|ALARM|SYSTEM|PANEL|BELL|WALK)\W+)*TEST|\bTEST(S|ING)?( MODE)?\W*$`
	clearedWords = `(?i)\b(CLEARED|RESTORED)\W*$`
)

// newRules puts the site's rules before the defaults.
func newRules(site []rule) *rules {
	re := regexp.MustCompile
	return &rules{
		site: site,
		defaults: []rule{
			{text: re(preAlarmWords), kind: "fire-prealarm"},
			{text: re(`(?i)\bFAULT`), kind: "fire-fault"},
			{text: re(`(?i)\bDISABL|\bISOLAT`), kind: "omit"},
			{text: re(testWords), kind: "test"},
			{text: re(`(?i)\bSUPERVIS`), kind: "fire-fault"},
			{text: re(alarmWords), kind: edge.KindFire},
			{text: re(`(?i)\bTEST`), kind: "test"},
		},
		zone:     re(zoneWords),
		preAlarm: re(preAlarmWords),
		alarm:    re(alarmWords),
		cleared:  re(clearedWords),
	}
}

// verdict is what a message means.
type verdict struct {
	kind      edge.Kind
	zone      edge.ZoneID
	partition edge.PartitionID
	text      string // "" as it came
	why       string // it is doubtful; "" it is not
}

// classify says what a call means. The first of the site's rules that fits decides, whatever the priority: the installer
// knows the panel. After them no default may make less than fire of a call of the highest priority that speaks of an alarm,
// and such a call that nothing fits is fire too.
func (r *rules) classify(m message) verdict {
	for _, ru := range r.site {
		if v, ok := ru.fits(m, r.zone); ok {
			return v.over(m.reset)
		}
	}
	if m.alarm() && r.alarm.MatchString(r.preAlarm.ReplaceAllString(m.text, "")) {
		v := verdict{kind: edge.KindFire}
		v.find(r.zone, m.text)
		return v.over(m.reset)
	}
	for _, ru := range r.defaults {
		if v, ok := ru.fits(m, r.zone); ok {
			return v.over(m.reset || !m.alarm() && r.cleared.MatchString(m.text))
		}
	}
	v := verdict{kind: edge.KindUnknown}
	if m.alarm() {
		v.kind, v.why = edge.KindFire, "unclassified: no rule fits the text of this call of the highest priority"
	}
	v.find(r.zone, m.text)
	return v.over(m.reset)
}

// fits applies one rule.
func (ru rule) fits(m message, zone *regexp.Regexp) (v verdict, ok bool) {
	if ru.address != nil && !ru.address.MatchString(m.address) {
		return verdict{}, false
	}
	v.kind = ru.kind
	if ru.text != nil {
		if !ru.text.MatchString(m.text) {
			return verdict{}, false
		}
		v.find(ru.text, m.text)
	}
	if ru.zone != "" {
		v.zone = ru.zone
	}
	if ru.partition != "" {
		v.partition = ru.partition
	}
	if v.zone == "" {
		v.find(zone, m.text)
	}
	return v, true
}

// find takes zone, partition and text from the groups of those names.
func (v *verdict) find(re *regexp.Regexp, text string) {
	at := re.FindStringSubmatch(text)
	if at == nil {
		return
	}
	for i, name := range re.SubexpNames() {
		switch value := strings.TrimSpace(at[i]); {
		case value == "":
		case name == "zone":
			v.zone = edge.ZoneID(value)
		case name == "partition":
			v.partition = edge.PartitionID(value)
		case name == "text":
			v.text = value
		}
	}
}

// over makes the restore of v when the message says that it is over.
func (v verdict) over(is bool) verdict {
	switch {
	case !is, v.kind.IsRestored(), v.kind == edge.KindUnknown, v.kind == "reset", v.kind == "cancel":
		return v
	}
	v.kind = v.kind.Restored()
	return v
}
