package alarm

import (
	"fmt"
	"strings"

	"sitewatch/edge"
)

// phrases are the kinds whose plain name would not do as the start of a sentence.
var phrases = map[edge.Kind]string{
	edge.KindFire:              "Fire alarm",
	edge.KindHoldUp:            "Hold-up alarm",
	edge.KindHoldUpConfirmed:   "Confirmed hold-up alarm",
	edge.KindDuress:            "Duress: a code was entered under threat",
	edge.KindPanic:             "Panic alarm",
	edge.KindLoneWorker:        "Lone worker alarm",
	edge.KindGas:               "Gas alarm",
	edge.KindIntruder:          "Intruder alarm",
	edge.KindIntruderConfirmed: "Confirmed intruder alarm",
	edge.KindTamper:            "Tamper alarm",
	edge.KindPartSet:           "Part set",
	edge.KindPanelLost:         "Panel lost",
	"psu-fault":                "Power supply fault",
	"alarm-after-set":          "Alarm soon after setting",
	"set-failed":               "Setting failed",
	"set-late":                 "Set late",
	"unset-late":               "Not unset in time",
	"omit":                     "Omitted",
	"cancel":                   "Alarm cancelled",
	"engineer":                 "Engineer mode",
	"walk-test":                "Walk test",
}

// why is the event in one sentence for an operator.
func why(ev edge.Event, s edge.Signal, doubt string) string {
	var b strings.Builder
	b.WriteString(phrase(ev))
	switch {
	case ev.Kind.Base() == edge.KindUnknown && s.State:
		state := "active"
		if ev.Kind.IsRestored() {
			state = "at rest"
		}
		return fmt.Sprintf("Input %s is %s; nothing says what it is for", ev.Zone, state)
	case ev.ZoneName != "":
		fmt.Fprintf(&b, " in %s (zone %s)", ev.ZoneName, ev.Zone)
	case ev.Zone != "":
		fmt.Fprintf(&b, " in zone %s", ev.Zone)
	}
	if ev.Partition != "" {
		fmt.Fprintf(&b, ", partition %s", ev.Partition)
	}
	if ev.User != "" {
		fmt.Fprintf(&b, ", user %s", ev.User)
	}
	for _, note := range []string{oldNote(s), suspectNote(s), doubt} {
		if note != "" {
			b.WriteString("; " + note)
		}
	}
	return b.String()
}

func phrase(ev edge.Event) string {
	if ev.Kind.Base() == edge.KindUnknown {
		if ev.Code == "" {
			return "Unknown signal"
		}
		return fmt.Sprintf("Unknown signal %q", ev.Code)
	}
	base := ev.Kind.Base()
	p := phrases[base]
	if p == "" {
		p = strings.ReplaceAll(string(base), "-", " ")
		p = strings.ToUpper(p[:min(1, len(p))]) + p[min(1, len(p)):]
	}
	switch {
	case ev.Kind.IsRestored() && ev.Kind.Lane() == edge.Urgent:
		p += " restored" // and over only when its class says so
	case ev.Kind.IsRestored():
		p += " is over"
	}
	return p
}

func oldNote(s edge.Signal) string {
	if s.Old {
		return "sent late by the panel from its buffer"
	}
	return ""
}

func suspectNote(s edge.Signal) string {
	if s.Suspect != "" {
		return "doubtful content: " + clean(s.Suspect, maxText)
	}
	return ""
}
