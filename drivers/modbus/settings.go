package modbus

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

const (
	defaultTimeout  = 300 * time.Millisecond
	defaultDebounce = 300 * time.Millisecond
	highPoll        = 100 * time.Millisecond
	normalPoll      = time.Second

	maxSlaves  = 247
	maxAddress = 247 // Serial Line §2.2; 0 is the broadcast, which nobody answers
)

// span is what a time may be.
type span struct{ least, most time.Duration }

func (s span) holds(d time.Duration) bool { return d >= s.least && d <= s.most }
func (s span) String() string             { return fmt.Sprintf("%v to %v", s.least, s.most) }

var (
	timeouts  = span{10 * time.Millisecond, 10 * time.Second}
	debounces = span{0, 10 * time.Second}
	polls     = span{10 * time.Millisecond, 20 * time.Second} // rarer would look like a lost panel
)

// slave is one device on the line, as the settings and its profile describe it.
type slave struct {
	addr    byte
	profile string
	high    bool
	timeout time.Duration
	blocks  []*block

	hold  time.Duration // not to be asked before, on the monotonic clock
	heard bool          // it has answered since the port was opened
	why   string        // why it is lost; "": it is not
	state cond          // whether it is lost, as the sink is told
}

// block is one request to a slave, and how its turns went.
type block struct {
	slave    *slave
	req      Request
	poll     time.Duration
	debounce time.Duration
	points   []*point

	due   time.Duration // on the monotonic clock
	again time.Duration // when to look at a change once more; 0: there is none
	first bool          // nothing has been read yet
	tries int           // that failed, of this turn
	turns int           // that failed, one after another
	lost  bool
	resay bool // the next good answer says all states again
	owed  bool // a request was left without an answer, which may come yet
}

type setting struct {
	echo   echoMode
	slaves []*slave
}

// readSettings reads all settings and collects what is wrong with them; what is sound of them is returned.
func readSettings(s *panel.Settings) (set setting) {
	set.echo = echoMode(s.Choice("echo", string(echoAuto), string(echoOn), string(echoOff)))
	timeout, debounce := duration(s, "timeout", 0, timeouts), duration(s, "debounce", -1, debounces)
	parts := s.List("slaves")
	if len(parts) == 0 || len(parts) > maxSlaves {
		s.Problem("slaves", "there are none, or too many", `name each device: slaves: [{address: 1, profile: waveshare-8di, points: {"1": "201"}}]`)
	}
	addresses := map[int]bool{}
	zones := map[edge.ZoneID]string{}
	for _, p := range parts[:min(len(parts), maxSlaves)] {
		if sl := readSlave(p, timeout, debounce, addresses, zones); sl != nil {
			set.slaves = append(set.slaves, sl)
		}
	}
	return set
}

func duration(s *panel.Settings, key string, def time.Duration, may span) time.Duration {
	if !s.Has(key) {
		return def
	}
	d := s.Duration(key, may.least)
	if !may.holds(d) {
		s.Problem(key, fmt.Sprintf("%v is not %v", d, may), fmt.Sprintf("write a time of %v", may))
		return def
	}
	return d
}

// readSlave reads one slave; nil when it cannot be asked at all.
func readSlave(p *panel.Settings, timeout, debounce time.Duration, addresses map[int]bool, zones map[edge.ZoneID]string) *slave {
	addr := p.Int("address", 0)
	switch {
	case addr < 1 || addr > maxAddress:
		p.Problem("address", fmt.Sprintf("%d is not an address of a Modbus slave", addr), "it is 1 to 247, as set on the device")
	case addresses[addr]:
		p.Problem("address", fmt.Sprintf("two slaves have the address %d", addr), "give each device its own address, on the device and here")
	}
	addresses[addr] = true
	name := p.String("profile", "")
	prof, wrong, hint := findProfile(name)
	for _, w := range wrong {
		p.Problem("profile", w, hint)
	}
	c := compiler{p: p, prof: prof, zones: zones, addr: addr,
		mapped: p.Map("points"), pairs: p.Map("pairs"), inverted: inverted(p), bands: readBands(p),
		fault: edge.Kind(p.Choice("eol_fault", string(edge.KindTamper), "zone-fault")),
		start: p.Int("start", -1), count: p.Int("count", -1),
		poll: duration(p, "poll", 0, polls), timeout: duration(p, "timeout", timeout, timeouts),
		debounce: duration(p, "debounce", debounce, debounces),
	}
	if p.Has("priority") {
		c.priority = Priority(p.Choice("priority", string(High), string(Normal)))
	}
	if prof == nil {
		return nil
	}
	sl := c.slave()
	if addr < 1 || addr > maxAddress {
		return nil
	}
	return sl
}

// inverted are the points that are active when their input is 0; "all" is all of them.
func inverted(p *panel.Settings) []string {
	switch v := p.Any("invert").(type) {
	case nil:
		return nil
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, it := range v {
			s, ok := it.(string)
			if !ok {
				p.Problem("invert", fmt.Sprintf("%v is not a text", it), fmt.Sprintf("quote it: %q", fmt.Sprint(it)))
			}
			out = append(out, s)
		}
		return out
	}
	p.Problem("invert", "it is not a list of points", `write invert: ["3"], or invert: all`)
	return nil
}

// readBands reads the bands of loops with end-of-line resistors.
func readBands(p *panel.Settings) (out []band) {
	const hint = `write eol: {short: "0-99", normal: "100-499", alarm: "500-899", open: "900-65535"}`
	m := p.Map("eol")
	for _, key := range slices.Sorted(maps.Keys(m)) {
		st := bandState(key)
		if !slices.Contains([]bandState{bandNormal, bandAlarm, bandShort, bandOpen}, st) {
			p.Problem("eol."+key, "a loop has no such state", hint)
			continue
		}
		b, ok := parseBand(m[key])
		if !ok {
			p.Problem("eol."+key, fmt.Sprintf("%q is not a range of a register", m[key]), hint)
			continue
		}
		b.state = st
		for _, o := range out {
			if b.from <= o.to && o.from <= b.to {
				p.Problem("eol."+key, fmt.Sprintf("it overlaps with %s", o.state), hint)
			}
		}
		out = append(out, b)
	}
	if len(m) > 0 && (m[string(bandNormal)] == "" || m[string(bandAlarm)] == "") {
		p.Problem("eol", "normal and alarm are needed", hint)
	}
	return out
}

func parseBand(s string) (b band, ok bool) {
	from, to, ok := cut(s, '-')
	lo, err := strconv.ParseUint(from, 10, 16)
	hi, err2 := strconv.ParseUint(to, 10, 16)
	return band{from: uint16(lo), to: uint16(hi)}, ok && err == nil && err2 == nil && lo <= hi
}
