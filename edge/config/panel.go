package config

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sitewatch/edge"
)

// zoneKinds are what a detector circuit can be for. What a panel concludes from several (confirmed alarms, late setting)
// and what the box and the SOC say is not among them.
var zoneKinds = []string{
	"fire", "hold-up", "duress", "panic", "lone-worker", "gas", "intruder", "tamper",
	"fire-prealarm", "fire-fault", "zone-fault", "zone-masked", "mains-lost", "battery-low", "psu-fault", "device-lost",
	"line-fault", "set", "part-set", "unset", "cancel", "reset", "engineer", "walk-test", "test", "unknown",
}

var routes = []string{"interior", "perimeter", "entry", "external"}

func (o object) panels(drivers []string, cameras []Camera) (out []Panel) {
	ids := map[edge.PanelID]int{}
	ports := map[string]int{}
	for i, n := range o.items("panels") {
		p := o.r.panel(n, index("panels", i), drivers, cameras)
		if first, ok := ids[p.ID]; ok && p.ID != "" {
			o.r.bad(index("panels", i)+".id", fmt.Sprintf("%s is used twice, first in line %d", quote(string(p.ID)), first), "give each panel its own id")
		} else {
			ids[p.ID] = o.r.lines[index("panels", i)+".id"]
		}
		if first, ok := ports[p.Port]; ok && p.Port != "" {
			o.r.bad(index("panels", i)+".port", fmt.Sprintf("%s is used twice, first in line %d", quote(p.Port), first), "give each panel its own port")
		} else {
			ports[p.Port] = o.r.lines[index("panels", i)+".port"]
		}
		out = append(out, p)
	}
	return out
}

func (r *reader) panel(n *node, path string, drivers []string, cameras []Camera) (p Panel) {
	o := r.object(n, path, "id", "driver", "port", "settings", "cameras", "zones", "kinds")
	p.ID = edge.PanelID(o.id("id", "give each panel an id, such as intruder"))
	p.Driver, _ = o.need("driver", "name the panel's driver, such as galaxy-sia")
	if p.Driver != "" && len(drivers) > 0 && !contains(drivers, p.Driver) {
		hint := "drivers are " + strings.Join(drivers, ", ")
		if w := nearest(p.Driver, drivers); w != "" {
			hint = "did you mean " + w + "?"
		}
		r.bad(o.at("driver"), quote(p.Driver)+" is unknown", hint)
	}
	if port, ok := o.need("port", "name the serial port like /dev/serial/by-id/usb-..., or tcp-listen://0.0.0.0:10002"); ok {
		if what, hint := checkPort(port); what != "" {
			r.bad(o.at("port"), what, hint)
		}
		p.Port = port
	}
	p.Settings = r.settings(o.vals["settings"], o.at("settings"))
	p.Cameras = o.cameraIDs("cameras", cameras)
	p.Kinds = o.kinds()
	keys, zones := r.fields(o.vals["zones"], o.at("zones"))
	p.Zones = make(map[edge.ZoneID]Zone, len(keys))
	for _, k := range keys {
		at := join(o.at("zones"), clean(k))
		if !edge.ValidID(k) {
			r.bad(at, quote(k)+" is no zone id", idHint)
		}
		p.Zones[edge.ZoneID(k)] = r.zone(zones[k], at, cameras)
	}
	return p
}

// checkPort returns what is wrong with a panel's port, "" when nothing is.
func checkPort(s string) (what, hint string) {
	scheme, addr, ok := strings.Cut(s, "://")
	if !ok {
		if !filepath.IsAbs(s) {
			return quote(s) + " is no absolute path", "name the device like /dev/serial/by-id/usb-..."
		}
		return "", ""
	}
	schemes := []string{"tcp-listen", "tcp", "modbus-tcp"}
	if !contains(schemes, scheme) {
		return clean(scheme) + ":// is unknown", "use a device's path, " + strings.Join(schemes, "://, ") + "://"
	}
	if _, _, err := hostPort(addr); err != nil {
		return err.Error(), "write it like " + scheme + "://0.0.0.0:10002"
	}
	return "", ""
}

func (r *reader) zone(n *node, path string, cameras []Camera) (z Zone) {
	o := r.object(n, path, "name", "kind", "partition", "route", "cameras")
	o.set("name", &z.Name)
	if kind, ok := o.text("kind"); ok {
		if !contains(zoneKinds, kind) {
			hint := "kinds are " + strings.Join(zoneKinds, ", ")
			if w := nearest(kind, zoneKinds); w != "" {
				hint = "did you mean " + w + "?"
			}
			r.bad(o.at("kind"), quote(kind)+" is no kind of zone", hint)
		}
		z.Kind = edge.Kind(kind)
	}
	if o.vals["partition"] != nil {
		z.Partition = edge.PartitionID(o.id("partition", "give the panel's number of it, in quotes"))
	}
	o.word("route", &z.Route, routes...)
	z.Cameras = o.cameraIDs("cameras", cameras)
	return z
}

// cameraIDs reads ids that must be those of cameras in this file.
func (o object) cameraIDs(key string, cameras []Camera) (out []edge.CameraID) {
	for _, id := range o.ids(key) {
		c := edge.CameraID(id)
		if !slices.ContainsFunc(cameras, func(x Camera) bool { return x.ID == c }) {
			hint := "add it to cameras"
			var known []string
			for _, x := range cameras {
				known = append(known, string(x.ID))
			}
			if w := nearest(id, known); w != "" {
				hint = "did you mean " + w + "?"
			}
			o.r.bad(o.at(key), "there is no camera "+quote(id), hint)
		}
		out = append(out, c)
	}
	return out
}

// settings keeps a driver's settings as they are.
func (r *reader) settings(n *node, path string) map[string]any {
	keys, vals := r.fields(n, path)
	m := make(map[string]any, len(keys))
	for _, k := range keys {
		m[k] = r.value(vals[k], join(path, clean(k)))
	}
	return m
}

func (r *reader) value(n *node, path string) any {
	if _, ok := r.lines[path]; !ok {
		r.lines[path] = n.line
	}
	switch n.form {
	case formMap:
		return r.settings(n, path)
	case formList:
		list := make([]any, len(n.items))
		for i, it := range n.items {
			list[i] = r.value(it, index(path, i))
		}
		return list
	case formBool:
		return strings.EqualFold(n.text, "true")
	case formInt:
		// Base 10 unless 0x: "0417" is a number to YAML, but whoever wrote it meant an id.
		v, err := strconv.ParseInt(n.text, 0, 64)
		if err != nil || (len(n.text) > 1 && n.text[0] == '0' && n.text[1] != 'x') {
			r.bad(path, clean(n.text)+" is no plain number", "write digits alone, or put it in quotes if it is text")
			return 0
		}
		return int(v)
	case formFloat:
		v, err := strconv.ParseFloat(n.text, 64)
		if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
			r.bad(path, clean(n.text)+" is no plain number", "write digits alone, or put it in quotes if it is text")
			return 0.0
		}
		return v
	case formString:
		s, _ := r.string(n, path)
		return s
	}
	return nil
}
