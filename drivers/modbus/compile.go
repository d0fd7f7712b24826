package modbus

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

// compiler makes a slave of its profile and of what the settings change of that.
type compiler struct {
	p        *panel.Settings // where problems go
	prof     *Profile
	zones    map[edge.ZoneID]string // of all slaves so far: who has them
	addr     int
	mapped   map[string]string // points to zones
	pairs    map[string]string // normally closed to normally open
	inverted []string
	bands    []band
	fault    edge.Kind // of a loop
	start    int       // -1: the profile's
	count    int
	poll     time.Duration
	timeout  time.Duration
	debounce time.Duration // -1: the profile's
	priority Priority

	seen map[string]bool // the names of all points
}

func cut(s string, sep byte) (before, after string, ok bool) {
	before, after, ok = strings.Cut(s, string(sep))
	return strings.TrimSpace(before), strings.TrimSpace(after), ok
}

func (c *compiler) slave() *slave {
	prio := orElse(string(c.priority), orElse(string(c.prof.Priority), string(Normal)))
	sl := &slave{addr: byte(c.addr), profile: c.prof.Name, high: prio == string(High), timeout: c.timeout}
	if sl.timeout == 0 {
		if sl.timeout = c.prof.Timeout; sl.timeout == 0 {
			sl.timeout = defaultTimeout
		}
	}
	c.seen = map[string]bool{}
	blocks := c.prof.Blocks
	if c.start >= 0 || c.count >= 0 {
		blocks = c.moved()
	}
	for i := range blocks {
		sl.blocks = append(sl.blocks, c.block(sl, &blocks[i]))
	}
	for _, name := range slices.Sorted(maps.Keys(c.mapped)) {
		c.strangers("points."+name, []string{name})
	}
	c.strangers("invert", c.inverted)
	for _, nc := range slices.Sorted(maps.Keys(c.pairs)) {
		c.strangers("pairs."+nc, []string{nc, c.pairs[nc]})
	}
	return sl
}

// moved are the blocks with the settings' start and count.
func (c *compiler) moved() []Block {
	if len(c.prof.Blocks) != 1 || c.prof.Blocks[0].Number == 0 {
		c.p.Problem("start", "start and count cannot be changed in this profile", "leave them away, or write a profile of your own")
		return c.prof.Blocks
	}
	b := c.prof.Blocks[0]
	if c.start >= 0 {
		b.Start = c.start
	}
	if c.count >= 0 {
		b.Count = c.count
	}
	if why := b.check(); why != "" {
		c.p.Problem("start", why, "correct start or count")
		return c.prof.Blocks
	}
	return []Block{b}
}

// strangers are problems: points that the profile does not have.
func (c *compiler) strangers(key string, names []string) {
	for _, n := range names {
		if !c.seen[n] && n != "all" {
			c.p.Problem(key, fmt.Sprintf("the profile %s has no point %q", c.prof.Name, n), "its points are "+some(slices.Sorted(maps.Keys(c.seen))))
		}
	}
}

func some(names []string) string {
	if len(names) > 16 {
		return strings.Join(names[:15], ", ") + ", ... " + names[len(names)-1]
	}
	return strings.Join(names, ", ")
}

func (c *compiler) block(sl *slave, b *Block) *block {
	out := &block{slave: sl, first: true, poll: c.poll, debounce: c.debounce,
		req: Request{Addr: sl.addr, FC: b.FC, Start: uint16(b.Start - b.Base), Count: uint16(b.Count)}}
	if out.poll == 0 {
		if out.poll = b.Poll; out.poll == 0 {
			if out.poll = normalPoll; sl.high {
				out.poll = highPoll
			}
		}
	}
	if out.debounce < 0 {
		if out.debounce = c.prof.Debounce; out.debounce == 0 && (b.FC.bits() || b.Decode == Analogue) {
			out.debounce = defaultDebounce
		}
	}
	if b.Decode == Analogue && len(c.bands) == 0 {
		c.p.Problem("eol", "this profile needs the bands of the loops", `write eol: {short: "0-99", normal: "100-499", alarm: "500-899", open: "900-65535"}`)
	}
	points := b.points()
	byName := map[string]Point{}
	for _, pt := range points {
		byName[pt.Point] = pt
		c.seen[pt.Point] = true
	}
	second := map[string]string{} // normally open to normally closed
	for _, nc := range slices.Sorted(maps.Keys(c.pairs)) {
		if _, here := byName[nc]; here {
			c.pair(b, nc, byName, second)
		}
	}
	for _, pt := range points {
		if nc := second[pt.Point]; nc != "" {
			if c.mapped[pt.Point] != "" {
				c.p.Problem("points."+pt.Point, "it is the second contact of the pair "+nc, "name the zone at the pair's first contact only")
			}
			continue
		}
		p := c.point(b, pt)
		if no := c.pairs[pt.Point]; no != "" && second[no] == pt.Point {
			p.source.way, p.source.other = pair, *byName[no].At-b.Start
			p.source.flip = c.isInverted(byName[no])
			p.conds = append(p.conds, cond{kind: "zone-fault"})
		}
		out.points = append(out.points, p)
	}
	return out
}

// pair checks the pair whose normally closed contact is nc.
func (c *compiler) pair(b *Block, nc string, byName map[string]Point, second map[string]string) {
	no := c.pairs[nc]
	_, there := byName[no]
	switch {
	case !b.FC.bits():
		c.p.Problem("pairs."+nc, "a pair is two inputs", "leave it away: this profile reads registers")
	case no == nc || c.pairs[no] != "" || second[no] != "":
		c.p.Problem("pairs."+nc, fmt.Sprintf("%q is in two pairs", no), "each input can be in one pair only")
	case there:
		second[no] = nc
	}
}

func (c *compiler) isInverted(pt Point) bool {
	return pt.Invert != (slices.Contains(c.inverted, "all") || slices.Contains(c.inverted, pt.Point))
}

func (c *compiler) point(b *Block, pt Point) *point {
	p := &point{zone: edge.ZoneID(c.mapped[pt.Point]), source: source{at: *pt.At - b.Start, invert: c.isInverted(pt)}}
	if p.zone == "" {
		p.zone = edge.ZoneID(fmt.Sprintf("%d-%s", c.addr, pt.Point))
	} else if !edge.ValidID(string(p.zone)) {
		c.p.Problem("points."+pt.Point, fmt.Sprintf("%q is not a zone's id", p.zone), "letters, digits and -, at most 32")
	}
	me := fmt.Sprintf("point %s of slave %d", pt.Point, c.addr)
	if other := c.zones[p.zone]; other != "" {
		c.p.Problem("points."+pt.Point, fmt.Sprintf("zone %q is also that of %s", p.zone, other), "a zone has one point; give this one a zone of its own")
	}
	c.zones[p.zone] = me
	if b.Absent != nil {
		mask, from, to := b.Absent.bounds()
		p.source.absent = &test{mask, from, to}
	}
	plain := cond{kind: pt.Kind, on: pt.On, off: pt.Off, text: pt.Text}
	if c.prof.Contacts {
		plain = cond{usual: pt.Kind, text: pt.Text}
	}
	switch {
	case b.FC.bits():
		p.source.way, p.conds = input, []cond{plain}
	case pt.Bit != nil:
		p.source.way, p.source.bit, p.conds = flag, 1<<*pt.Bit, []cond{plain}
	case b.Decode == Analogue:
		p.source.way, p.source.bands = loop, c.bands
		p.conds = []cond{plain, {kind: c.fault}}
	default:
		p.source.way = states
		for _, m := range pt.states(b) {
			i := slices.IndexFunc(p.conds, func(o cond) bool { return o.kind == m.Kind })
			if i < 0 {
				i = len(p.conds)
				p.conds = append(p.conds, cond{kind: m.Kind, on: m.On, off: m.Off})
			}
			mask, from, to := m.bounds()
			p.source.tests = append(p.source.tests, meaning{test{mask, from, to}, i, m.Text, m.Hold})
		}
	}
	return p
}
