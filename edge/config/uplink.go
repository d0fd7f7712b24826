package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Uplink is the way to the SOC.
type Uplink struct {
	Paths    []Path      // at least one, the preferred first
	Limit    Rate        // for bulk only, events are never held back; 0 is none
	Schedule []LimitSpan // when less than Limit is to be used
}

// Path is one way to the SOC, such as the broadband line or a mobile modem.
type Path struct {
	Name      string   // "" when it is the only one and has no name
	Interface string   // network interface that it must take; "" leaves that to the routes
	SOC       []string // host:port, the preferred first
	Bulk      string   // what of the stills and clips it may carry: "none", "stills" or "all"
	Limit     Rate     // for bulk only; 0 is none
}

// LimitSpan lowers the limit for a part of the day in the site's time zone.
type LimitSpan struct {
	Hours
	Limit Rate
}

// LimitAt returns the limit for bulk at t, which is in the site's time zone; 0 is none.
func (u *Uplink) LimitAt(t time.Time) Rate {
	limit := u.Limit
	for _, s := range u.Schedule {
		if s.Hold(t) && (limit == 0 || s.Limit < limit) {
			limit = s.Limit
		}
	}
	return limit
}

const (
	maxPaths     = 4
	maxAddresses = 4
	maxSpans     = 32
	minLimit     = Rate(8e3) // less would keep a still for hours
	socHint      = "name the SOC like soc.example:7443"
)

func (o object) uplink(u *Uplink) {
	if o.vals["uplink"] == nil {
		o.r.bad("uplink", "is missing", "add uplink: {soc: HOST:7443}")
		return
	}
	o = o.r.object(o.vals["uplink"], "uplink", "soc", "limit", "paths", "schedule")
	o.limit(&u.Limit)
	soc := o.addresses("soc")
	nodes := o.items("paths")
	if len(nodes) == 0 {
		if o.vals["soc"] == nil {
			o.r.bad(o.at("soc"), "is missing", socHint)
		}
		u.Paths = []Path{{SOC: soc, Bulk: "all"}}
	}
	if len(nodes) > maxPaths {
		o.r.bad(o.at("paths"), fmt.Sprintf("names %d paths", len(nodes)), fmt.Sprintf("use at most %d", maxPaths))
	}
	for i, n := range nodes {
		u.Paths = append(u.Paths, o.onePath(n, index("paths", i), u.Paths, soc))
	}
	o.schedule(u)
}

// onePath reads one of the paths; before are those that stand above it.
func (o object) onePath(n *node, at string, before []Path, soc []string) Path {
	p := Path{SOC: soc, Bulk: "all"}
	o = o.r.object(n, o.at(at), "name", "interface", "soc", "bulk", "limit")
	p.Name = o.id("name", "name it like broadband or mobile")
	if o.set("interface", &p.Interface) && (p.Interface == "" || len(p.Interface) > 15 || strings.ContainsAny(p.Interface, "/ :")) {
		o.r.bad(o.at("interface"), quote(p.Interface)+" is no name of a network interface", "`ip link` lists them")
	}
	o.word("bulk", &p.Bulk, "none", "stills", "all")
	o.limit(&p.Limit)
	if o.vals["soc"] != nil {
		p.SOC = o.addresses("soc")
	} else if len(soc) == 0 {
		o.r.bad(o.at("soc"), "is missing", "name the SOC here or in uplink.soc")
	}
	for _, b := range before {
		switch {
		case p.Name != "" && b.Name == p.Name:
			o.r.bad(o.at("name"), quote(p.Name)+" is the name of two paths", "give each its own")
		case b.Interface == p.Interface && slices.Equal(b.SOC, p.SOC):
			o.r.bad(o.path, "takes the same way as path "+b.Name, "give it another interface or another address of the SOC")
		}
	}
	return p
}

// limit reads a limit for bulk; 0 is none.
func (o object) limit(dst *Rate) {
	if o.rate("limit", dst) && *dst != 0 && *dst < minLimit {
		o.r.bad(o.at("limit"), dst.String()+" is too little", "use 0 for no limit or at least "+minLimit.String())
	}
}

// addresses reads one host:port or a list of them.
func (o object) addresses(key string) (out []string) {
	n := o.vals[key]
	if n == nil {
		return nil
	}
	nodes, at := []*node{n}, func(int) string { return o.at(key) }
	if n.form == formList {
		nodes, at = o.items(key), func(i int) string { return index(o.at(key), i) }
	}
	if len(nodes) == 0 || len(nodes) > maxAddresses {
		o.r.bad(o.at(key), fmt.Sprintf("names %d addresses", len(nodes)), fmt.Sprintf("name 1 to %d", maxAddresses))
	}
	for i, n := range nodes {
		s, ok := o.r.string(n, at(i))
		if !ok {
			continue
		}
		switch _, _, err := hostPort(s); {
		case err != nil:
			o.r.bad(at(i), err.Error(), socHint)
		case contains(out, s):
			o.r.bad(at(i), quote(s)+" is named twice", "name it once")
		default:
			out = append(out, s)
		}
	}
	return out
}

func (o object) schedule(u *Uplink) {
	nodes := o.items("schedule")
	if len(nodes) > maxSpans {
		o.r.bad(o.at("schedule"), fmt.Sprintf("has %d spans", len(nodes)), fmt.Sprintf("use at most %d", maxSpans))
	}
	for i, n := range nodes {
		var s LimitSpan
		e := o.r.object(n, index(o.at("schedule"), i), "days", "from", "to", "limit")
		e.hours(&s.Hours)
		switch {
		case e.vals["limit"] == nil:
			e.r.bad(e.at("limit"), "is missing", "write it like 512kbit/s")
		case e.rate("limit", &s.Limit) && s.Limit < minLimit:
			e.r.bad(e.at("limit"), s.Limit.String()+" is too little", "use at least "+minLimit.String())
		}
		u.Schedule = append(u.Schedule, s)
	}
}
