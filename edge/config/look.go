package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// What one camera may have.
const (
	maxAreas   = 16 // regions and masks together
	maxCorners = 32
)

// look reads a camera's motion.
func (o object) look(l *Look) {
	if o.vals["motion"] == nil {
		return
	}
	o = o.r.object(o.vals["motion"], o.at("motion"), "sensitivity", "min_size", "regions", "masks")
	o.word("sensitivity", &l.Sensitivity, "low", "normal", "high")
	if s, ok := o.text("min_size"); ok {
		v, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
		if err != nil || !strings.HasSuffix(s, "%") || !(v >= 0.05 && v <= 50) {
			o.r.bad(o.at("min_size"), quote(s)+" is no share of the picture", "write it like 0.5%, from 0.05% to 50%")
		} else {
			l.MinSize = v
		}
	}
	l.Regions, l.Masks = o.polygons("regions"), o.polygons("masks")
	if n := len(l.Regions) + len(l.Masks); n > maxAreas {
		o.r.bad(o.path, fmt.Sprintf("has %d regions and masks", n), fmt.Sprintf("use at most %d", maxAreas))
	} else if n > 0 && l.blind() {
		o.r.bad(o.path, "leaves nothing of the picture to be looked at", "its regions must enclose something that its masks do not cover")
	}
}

func (o object) polygons(key string) (out []Polygon) {
	const hint = "write its corners like [[0, 0.5], [1, 0.5], [1, 1], [0, 1]]: across and down, from 0 to 1"
	for i, n := range o.items(key) {
		at := index(o.at(key), i)
		if n.form != formList || len(n.items) < 3 || len(n.items) > maxCorners {
			o.r.bad(at, fmt.Sprintf("is no list of 3 to %d corners", maxCorners), hint)
			continue
		}
		var p Polygon
		for _, c := range n.items {
			var xy [2]float64
			good := c.form == formList && len(c.items) == 2
			for k := 0; good && k < 2; k++ {
				v, err := strconv.ParseFloat(c.items[k].text, 64)
				good = (c.items[k].form == formInt || c.items[k].form == formFloat) && err == nil && v >= 0 && v <= 1
				xy[k] = v
			}
			if !good {
				o.r.bad(at, "has a corner that is no place in the picture", hint)
				p = nil
				break
			}
			p = append(p, xy)
		}
		if p != nil {
			out = append(out, p)
		}
	}
	return out
}

// blind says whether the regions and masks leave nothing of the picture, as when a region's corners lie on a line.
func (l Look) blind() bool {
	const side = 128 // as fine as an eye looks
	for i := range side * side {
		x, y := (float64(i%side)+0.5)/side, (float64(i/side)+0.5)/side
		in := func(p Polygon) bool { return p.contains(x, y) }
		if (len(l.Regions) == 0 || slices.ContainsFunc(l.Regions, in)) && !slices.ContainsFunc(l.Masks, in) {
			return false
		}
	}
	return true
}

// contains says whether a place is inside the polygon, by the number of its sides on the way to the left.
func (p Polygon) contains(x, y float64) (in bool) {
	for i, a := range p {
		b := p[(i+len(p)-1)%len(p)]
		if (a[1] > y) != (b[1] > y) && x < a[0]+(y-a[1])/(b[1]-a[1])*(b[0]-a[0]) {
			in = !in
		}
	}
	return in
}

// String is l as YAML.
func (l Look) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "{sensitivity: %s", l.Sensitivity)
	if l.MinSize > 0 {
		fmt.Fprintf(&b, ", min_size: %s%%", strconv.FormatFloat(l.MinSize, 'g', -1, 64))
	}
	for _, ps := range []struct {
		key      string
		polygons []Polygon
	}{{"regions", l.Regions}, {"masks", l.Masks}} {
		if len(ps.polygons) == 0 {
			continue
		}
		fmt.Fprintf(&b, ", %s: [", ps.key)
		for i, p := range ps.polygons {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(p.String())
		}
		b.WriteString("]")
	}
	return b.String() + "}"
}

// String is p as YAML.
func (p Polygon) String() string {
	corners := make([]string, len(p))
	for i, c := range p {
		corners[i] = fmt.Sprintf("[%s, %s]", strconv.FormatFloat(c[0], 'g', -1, 64), strconv.FormatFloat(c[1], 'g', -1, 64))
	}
	return "[" + strings.Join(corners, ", ") + "]"
}
