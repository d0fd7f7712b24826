package config

import (
	"fmt"
	"slices"
	"strings"

	"sitewatch/edge"
)

// MotionRule says what becomes of movement before a camera. The first rule that fits decides; where none does, movement is only
// counted and kept to be searched.
type MotionRule struct {
	Name    string
	Cameras []edge.CameraID // none: every camera
	Roles   []string        // of cameras; none: every role
	When    string          // "set": the camera's partition is set; "unset"; "any"
	Hours   Hours
	Send    bool // an event for the SOC
}

// Roles are what a camera may be there for.
var Roles = []string{"till", "door", "sales-floor", "stock-room", "office", "chapel", "yard"}

// defaultMotion fits a shop: while somebody works there, movement is no news.
func defaultMotion() []MotionRule { return []MotionRule{{Name: "set", When: "set", Send: true}} }

const maxRules = 32

func (o object) motion(g *Gateway) {
	if o.vals["motion"] == nil {
		return
	}
	o = o.r.object(o.vals["motion"], "motion", "rules")
	nodes := o.items("rules")
	if o.vals["rules"] != nil {
		g.Motion = nil
	}
	if len(nodes) > maxRules {
		o.r.bad(o.at("rules"), fmt.Sprintf("has %d rules", len(nodes)), fmt.Sprintf("use at most %d", maxRules))
	}
	for i, n := range nodes {
		g.Motion = append(g.Motion, o.motionRule(n, index(o.at("rules"), i), g))
	}
}

func (o object) motionRule(n *node, at string, g *Gateway) MotionRule {
	m := MotionRule{When: "any"}
	o = o.r.object(n, at, "name", "cameras", "roles", "when", "days", "from", "to", "send")
	m.Name = o.id("name", "name it like night; its events say so")
	if slices.ContainsFunc(g.Motion, func(r MotionRule) bool { return r.Name == m.Name && m.Name != "" }) {
		o.r.bad(o.at("name"), quote(m.Name)+" is the name of two rules", "give each its own")
	}
	m.Cameras = o.cameraIDs("cameras", g.Cameras)
	for k, r := range o.items("roles") {
		place := index(o.at("roles"), k)
		word, ok := o.r.string(r, place)
		if ok && !slices.Contains(Roles, word) {
			o.r.bad(place, quote(word)+" is unknown", "use "+either(Roles))
			continue
		}
		m.Roles = append(m.Roles, word)
	}
	o.word("when", &m.When, "set", "unset", "any")
	if o.vals["days"] != nil || o.vals["from"] != nil || o.vals["to"] != nil {
		o.hours(&m.Hours)
	}
	switch n := o.vals["send"]; {
	case n == nil:
		o.r.bad(o.at("send"), "is missing", "send: true makes events for the SOC, send: false only counts")
	case n.text != "true" && n.text != "false":
		o.r.bad(o.at("send"), "is neither true nor false", "use true or false")
	default:
		m.Send = n.text == "true"
	}
	return m
}

func (y yamlWriter) motion(rules []MotionRule) {
	if len(rules) == 0 {
		y.line(0, "motion: {rules: []}")
		return
	}
	y.line(0, "motion:")
	y.line(1, "rules:")
	for _, m := range rules {
		var b strings.Builder
		fmt.Fprintf(&b, "name: %s", text(m.Name))
		if len(m.Cameras) > 0 {
			fmt.Fprintf(&b, ", cameras: %s", list(m.Cameras))
		}
		if len(m.Roles) > 0 {
			fmt.Fprintf(&b, ", roles: %s", texts(m.Roles))
		}
		fmt.Fprintf(&b, ", when: %s", m.When)
		if !m.Hours.Always() {
			fmt.Fprintf(&b, ", %s", m.Hours)
		}
		y.line(2, "- {%s, send: %v}", b.String(), m.Send)
	}
}
