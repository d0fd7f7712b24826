package alarm

import (
	"slices"
	"strings"

	"sitewatch/edge"
	"sitewatch/edge/journal"
)

// Restored, cancelled and reset are three facts. An alarm is over when all has come that its class asks for.
type class struct {
	name          string
	kinds         []edge.Kind
	cancel, reset bool   // beside the restore
	word          string // of the reset in a Galaxy's text, "SYS R"; for one without text any reset will do
}

var classes = []class{
	{"Intruder alarm", []edge.Kind{edge.KindIntruder}, true, true, "SYS"},
	{"Hold-up alarm", []edge.Kind{edge.KindHoldUp, edge.KindDuress}, false, true, "PA"},
	{"Panic alarm", []edge.Kind{edge.KindPanic}, false, true, "PA"},
	{"Tamper alarm", []edge.Kind{edge.KindTamper}, false, true, "TAMP"},
	{"Fire alarm", []edge.Kind{edge.KindFire}, false, false, ""},
	{"Gas alarm", []edge.Kind{edge.KindGas}, false, false, ""},
	{"Lone worker alarm", []edge.Kind{edge.KindLoneWorker}, false, false, ""},
}

func classOf(k edge.Kind) (class, bool) {
	for _, c := range classes {
		if slices.Contains(c.kinds, k) {
			return c, true
		}
	}
	return class{}, false
}

func (c class) done(a *journal.Alarm) bool {
	return a.Restored && (a.Cancelled || !c.cancel) && (a.Reset || !c.reset)
}

func (c class) facts() string {
	facts := []string{"restored"}
	if c.cancel {
		facts = append(facts, "cancelled")
	}
	if c.reset {
		facts = append(facts, "reset")
	}
	return strings.Join(facts, ", ")
}

// resetWord is which reset a text speaks of: a Galaxy's OR has its type only there, as SYS R, PA R or TAMP R. "" for other texts.
func resetWord(text string) string {
	f := strings.FieldsFunc(strings.ToUpper(text), func(r rune) bool { return !('A' <= r && r <= 'Z') })
	for i := 0; i+1 < len(f); i++ {
		if !strings.HasPrefix("RESET", f[i+1][:min(len(f[i+1]), 5)]) && f[i+1] != "RST" {
			continue
		}
		switch f[i] {
		case "SYS", "SYSTEM":
			return "SYS"
		case "PA":
			return "PA"
		case "TAMP", "TAMPER":
			return "TAMP"
		}
	}
	return ""
}

// end notes a fact about the open alarms that it is about, and says which are over with it.
func (p *past) end(partition edge.PartitionID, about func(c class, a *journal.Alarm) bool, note func(*journal.Alarm)) string {
	var over []string
	for _, c := range classes {
		parts := map[edge.PartitionID]bool{}
		for _, a := range p.alarms {
			if a.Over || !slices.Contains(c.kinds, a.Kind) || partition != "" && a.Partition != "" && a.Partition != partition || !about(c, a) {
				continue
			}
			note(a)
			p.touch(a)
			parts[a.Partition] = true
		}
		for part := range parts {
			if p.settle(c, part) && !slices.Contains(over, c.name) {
				over = append(over, c.name)
			}
		}
	}
	for i, name := range over {
		for _, c := range classes {
			if c.name == name {
				over[i] = name + " is over: " + c.facts()
			}
		}
	}
	return strings.Join(over, ". ")
}

// settle says whether all open alarms of the class and partition are done, and ends them: what comes now is another alarm.
func (p *past) settle(c class, partition edge.PartitionID) bool {
	var open []*journal.Alarm
	for _, a := range p.alarms {
		if slices.Contains(c.kinds, a.Kind) && a.Partition == partition && !a.Over {
			if !c.done(a) {
				return false
			}
			open = append(open, a)
		}
	}
	for _, a := range open {
		a.Over, a.Cause = true, false
		p.touch(a)
		p.release(a)
	}
	confirmed := edge.KindHoldUpConfirmed
	if c.kinds[0] == edge.KindIntruder {
		confirmed = edge.KindIntruderConfirmed
	}
	if a := p.alarms[alarmKey{kind: confirmed}]; a != nil && (holdsUp(c.kinds[0]) || confirmed == edge.KindIntruderConfirmed) && !p.causes(confirmed) {
		p.drop(a)
	}
	return len(open) > 0
}

// causes says whether any alarm still counts as a cause of a confirmed one.
func (p *past) causes(confirmed edge.Kind) bool {
	for _, a := range p.alarms {
		if a.Cause && (a.Kind == edge.KindIntruder) == (confirmed == edge.KindIntruderConfirmed) && a.Kind != edge.KindTamper {
			return true
		}
	}
	return false
}

// release forgets an alarm that nothing asks for any more. Repeats of a zone are counted until its partition is set or unset.
func (p *past) release(a *journal.Alarm) {
	if a.Over && !a.Pending && !a.Kind.MayBeHeld() {
		p.drop(a)
	}
}

// follows takes what an event that is no alarm says of open alarms, and returns the sentence about those that are over.
func (p *past) follows(ev *edge.Event, text string) string {
	switch {
	case ev.Kind.IsRestored():
		c, ok := classOf(ev.Kind.Base())
		if !ok {
			return ""
		}
		source, partition := sourceOf(ev), ev.Partition
		if source != "" {
			partition = "" // the device says enough
		}
		return p.end(partition, func(d class, a *journal.Alarm) bool {
			return d.name == c.name && (source == "" || a.Source == source)
		}, func(a *journal.Alarm) { a.Restored = true })
	case ev.Kind == edge.KindCancel:
		return p.end(ev.Partition, func(c class, _ *journal.Alarm) bool { return c.cancel }, func(a *journal.Alarm) { a.Cancelled = true })
	case ev.Kind == edge.KindReset:
		return p.reset(ev, text)
	}
	return ""
}

// reset takes a system reset. A Galaxy's OR counts only with the text that says of what.
func (p *past) reset(ev *edge.Event, text string) string {
	word := resetWord(text)
	if word == "" && ev.Code == "OR" {
		return ""
	}
	return p.end(ev.Partition, func(c class, _ *journal.Alarm) bool { return c.reset && (word == "" || c.word == word) },
		func(a *journal.Alarm) { a.Reset = true })
}
