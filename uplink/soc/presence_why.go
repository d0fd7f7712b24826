package soc

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sitewatch/uplink/soc/ledger"
)

// What operators read. Times are UTC, as everywhere in the SOC's records.

func at(t time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return t.UTC().Format("2006-01-02 15:04:05") + " UTC"
}

func byPath(name string) string {
	if name == "" {
		return ""
	}
	return " by the path " + name
}

func pathBack(name string) string {
	if name == "" {
		return "The box is heard again by its only path."
	}
	return "The box is heard again by the path " + name + "."
}

func pathGone(k *pathLine, by []string) string {
	which := "the path " + k.name
	if k.name == "" {
		which = "the box's only path"
	}
	also := ""
	if len(by) > 0 {
		also = "; the box is heard by " + strings.Join(by, ", ")
	}
	if !k.here {
		return fmt.Sprintf("Nothing has come by %s since the SOC was started, the last at %s%s.", which, at(k.heard.Wall), also)
	}
	return fmt.Sprintf("Nothing has come by %s since %s%s.", which, at(k.heard.Wall), also)
}

func siteGone(s *siteLine) string {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(s.paths)), func(n string) bool { return n == "" })
	by := ""
	if len(names) > 0 {
		by = ", by none of its paths (" + strings.Join(names, ", ") + ")"
	}
	for _, k := range s.paths {
		if k.here {
			return fmt.Sprintf("The box has not been heard since %s%s.", at(s.heard()), by)
		}
	}
	return fmt.Sprintf("The box has not come back since the SOC was started%s; it was last heard at %s.", by, at(s.heard()))
}

func outageWhy(n, told, others int) string {
	before := ""
	if told > 0 {
		before = fmt.Sprintf(", after %d that were told one by one", told)
	}
	return fmt.Sprintf("%s went silent together%s; %d others are connected.", sites(n), before, others)
}

func stillWhy(missing, total int) string {
	return fmt.Sprintf("%d of %s that went silent together are still silent.", missing, sites(total))
}

func backWhy(missing, total int) string {
	if missing == 0 {
		return fmt.Sprintf("All of %s are back.", sites(total))
	}
	return fmt.Sprintf("%d of %s are back; those that are still missing are told one by one.", total-missing, sites(total))
}

func sites(n int) string {
	if n == 1 {
		return "1 site"
	}
	return fmt.Sprintf("%d sites", n)
}

// maxOutageText bounds the list of an outage's sites: an event is read at one glance, and the sites page has all of them.
const maxOutageText = 1000

// missingText lists the sites of the outage that are missing.
func (p *presence) missingText() string {
	var b strings.Builder
	left := 0
	for _, s := range p.sorted() {
		if s.loss != ledger.InOutage {
			continue
		}
		who := strings.TrimSpace(string(s.id) + " " + s.name)
		switch {
		case left > 0 || b.Len()+len(who) > maxOutageText:
			left++
		case b.Len() > 0:
			b.WriteString(", " + who)
		default:
			b.WriteString(who)
		}
	}
	if left > 0 {
		fmt.Fprintf(&b, " and %d more", left)
	}
	return b.String()
}

func (p *presence) sorted() []*siteLine {
	out := make([]*siteLine, 0, len(p.sites))
	for _, id := range slices.Sorted(maps.Keys(p.sites)) {
		out = append(out, p.sites[id])
	}
	return out
}
