package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sitewatch/edge"
)

// LoadGateway reads and checks gateway.yaml. drivers are the names that a panel's driver may have; with none given the
// names are not checked. Without problems the result is complete with its defaults. With problems it is what could be
// read, for more checks only (CheckFiles, a driver's own), so that all are reported at once, and nil when that is nothing.
func LoadGateway(path string, drivers ...string) (*Gateway, []Problem) {
	b, problems := read(path)
	if len(problems) > 0 {
		return nil, problems
	}
	return parseGateway(path, b, drivers)
}

// read reads a file of bounded size.
func read(path string) ([]byte, []Problem) {
	whole := func(what, hint string) ([]byte, []Problem) {
		return nil, []Problem{{File: path, What: what, Hint: hint}}
	}
	f, err := os.Open(path)
	if err != nil {
		return whole(reason(err), "name the file with --config FILE")
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return whole("is no regular file", "name the file with --config FILE")
	}
	b, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return whole(reason(err), "see that the disk is sound")
	}
	if len(b) > MaxBytes {
		return whole(fmt.Sprintf("is larger than %v", Size(MaxBytes)), "no site needs that much; is it the right file?")
	}
	return b, nil
}

// reason is what the operating system said, without the path, which the Problem has already.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

func newReader(file string) *reader {
	return &reader{source: source{file: file, lines: map[string]int{}}}
}

// root sees to it that the whole file is a mapping; without that no other complaint would help.
func (r *reader) root(n *node) bool {
	r.lines[""] = n.line
	if n.form != formMap {
		r.bad("", "is "+n.form.String()+", want a mapping", "write keys with values, as in the example in README.md")
		return false
	}
	return true
}

func parseGateway(file string, b []byte, drivers []string) (*Gateway, []Problem) {
	root, problems := parse(file, bytes.Clone(b))
	if len(problems) > 0 {
		return nil, problems
	}
	r := newReader(file)
	if !r.root(root) {
		return nil, r.problems
	}
	g := defaultGateway()
	o := r.object(root, "", "site", "data", "listen", "panels", "cameras", "clips", "alarms", "motion", "limits", "uplink")
	o.site(&g.Site)
	o.directory("data", &g.Data)
	if o.set("listen", &g.Listen) {
		o.loopback("listen", g.Listen, defaultGateway().Listen, "the pages have no accounts: listen on 127.0.0.1:8480 and come in by ssh -L")
	}
	// Cameras first: zones name them.
	g.Cameras = o.cameras()
	g.Panels = o.panels(drivers, g.Cameras)
	o.clips(&g.Clips)
	o.alarms(&g.Alarms)
	o.motion(g)
	o.limits(g)
	o.uplink(&g.Uplink)
	g.source = r.source
	SortProblems(r.problems)
	return g, r.problems
}

func (o object) site(s *Site) {
	if o.vals["site"] == nil {
		o.r.bad("site", "is missing", "add site with id, name and timezone")
		return
	}
	o = o.r.object(o.vals["site"], "site", "id", "name", "kind", "timezone")
	s.ID = edge.SiteID(o.id("id", `give the number of the shop, in quotes: "0417"`))
	s.Name, _ = o.need("name", "give the name that operators know the shop by")
	// A kind that this version has never heard of must not keep a box from watching: any word will do.
	if o.set("kind", &s.Kind) && !edge.ValidID(s.Kind) {
		o.r.bad(o.at("kind"), quote(s.Kind)+" is no word", "use shop or funeral")
	}
	tz, ok := o.need("timezone", "give it like Europe/London: panels tell local time")
	if !ok {
		return
	}
	loc, err := time.LoadLocation(tz)
	if err != nil || tz == "Local" {
		o.r.bad(o.at("timezone"), quote(tz)+" is unknown", "give it like Europe/London")
		return
	}
	s.Timezone, s.Location = tz, loc
}

// directory reads an absolute path.
func (o object) directory(key string, dst *string) {
	if o.set(key, dst) {
		o.absolute(key, *dst)
	}
}

func (o object) absolute(key, path string) {
	if !filepath.IsAbs(path) {
		o.r.bad(o.at(key), quote(path)+" is no absolute path", "begin it with /: a service has no directory of its own")
	}
}

// hostPort splits host:port and checks both.
func hostPort(s string) (host string, port uint16, err error) {
	host, p, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, fmt.Errorf("%s is not host:port", quote(s))
	}
	n, err := strconv.ParseUint(p, 10, 64)
	if err != nil || n == 0 || n > 65535 {
		return "", 0, fmt.Errorf("port %s is not 1 to 65535", quote(p))
	}
	if host == "" || strings.ContainsAny(host, " /@?#\\\"'") {
		return "", 0, fmt.Errorf("%s names no host", quote(s))
	}
	return host, uint16(n), nil
}

// loopback reports a listening address that others could reach.
func (o object) loopback(key, addr, example, why string) {
	host, _, err := hostPort(addr)
	if err != nil {
		o.r.bad(o.at(key), err.Error(), "write it like "+example)
		return
	}
	ip, err := netip.ParseAddr(host)
	if host != "localhost" && (err != nil || !ip.IsLoopback()) {
		o.r.bad(o.at(key), quote(host)+" is not a loopback address", why)
	}
}

// maxAround bounds how much is cut before and after an alarm: the pictures before it wait in memory.
const maxAround = 5 * time.Minute

func (o object) clips(c *Clips) {
	o = o.r.object(o.vals["clips"], "clips", "before", "after")
	for key, dst := range map[string]*time.Duration{"before": &c.Before, "after": &c.After} {
		if o.duration(key, dst) && *dst > maxAround {
			o.r.bad(o.at(key), dst.String()+" is too long", "use at most "+maxAround.String())
		}
	}
	if c.Before+c.After < time.Second {
		o.r.bad("clips", "a clip would last less than a second", "give before and after, such as 10s and 20s")
	}
}

// Smallest limits that leave room to work.
const (
	minJournal  = 1 * MiB
	minClips    = 1 * MiB
	minSegments = 64 * MiB
)

func (o object) limits(g *Gateway) {
	l := &g.Limits
	o = o.r.object(o.vals["limits"], "limits", "journal", "clips", "segments")
	least := func(key string, dst *Size, least Size) {
		if o.size(key, dst) && *dst < least {
			o.r.bad(o.at(key), dst.String()+" is too little", "use at least "+least.String())
		}
	}
	least("journal", &l.Journal, minJournal)
	least("clips", &l.Clips, minClips)
	if o.size("segments", &l.Segments) && l.Segments != 0 && l.Segments < minSegments {
		o.r.bad(o.at("segments"), l.Segments.String()+" is too little", "use 0 for none or at least "+minSegments.String())
	}
	for i, c := range g.Cameras {
		if c.Record == "continuous" && l.Segments == 0 {
			o.r.bad(index("cameras", i)+".record", "continuous recording has no room", "give limits.segments, such as 100GiB, or record: alarm")
		}
	}
}
