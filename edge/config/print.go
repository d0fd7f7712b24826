package config

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sitewatch/edge"
)

// Print writes the effective configuration, defaults included, as YAML that loads to the same again.
func (g *Gateway) Print(w io.Writer) error {
	b := bufio.NewWriter(w)
	y := yamlWriter{b}
	y.line(0, "site: {id: %s, name: %s, kind: %s, timezone: %s}", text(string(g.Site.ID)), text(g.Site.Name), text(g.Site.Kind), text(g.Site.Timezone))
	y.line(0, "data: %s", text(g.Data))
	y.line(0, "listen: %s", text(g.Listen))
	if len(g.Panels) > 0 {
		y.line(0, "panels:")
	}
	for _, p := range g.Panels {
		y.line(1, "- id: %s", text(string(p.ID)))
		y.line(2, "driver: %s", text(p.Driver))
		y.line(2, "port: %s", text(p.Port))
		y.line(2, "settings: %s", flow(p.Settings))
		y.line(2, "cameras: %s", list(p.Cameras))
		if len(p.Kinds) > 0 {
			y.line(2, "kinds: %s", kinds(p.Kinds))
		}
		if len(p.Zones) > 0 {
			y.line(2, "zones:")
		}
		for _, id := range slices.Sorted(maps.Keys(p.Zones)) {
			y.line(3, "%s: %s", text(string(id)), zone(p.Zones[id]))
		}
	}
	y.cameras(g.Cameras)
	y.line(0, "clips: {before: %s, after: %s}", g.Clips.Before, g.Clips.After)
	y.line(0, "alarms: {confirm_window: %s, hold_up_window: %s, swinger: %d, storm: %d, after_set: %s, engineer: %s, walk_test: %s}",
		g.Alarms.ConfirmWindow, g.Alarms.HoldUpWindow, g.Alarms.Swinger, g.Alarms.Storm, g.Alarms.AfterSet, g.Alarms.Engineer, g.Alarms.WalkTest)
	y.motion(g.Motion)
	y.line(0, "limits: {journal: %s, clips: %s, segments: %s}", g.Limits.Journal, g.Limits.Clips, g.Limits.Segments)
	y.uplink(&g.Uplink)
	return b.Flush()
}

// PrintCameras writes cameras as they stand in gateway.yaml; what is empty is left out.
func PrintCameras(w io.Writer, cs []Camera) error {
	b := bufio.NewWriter(w)
	yamlWriter{b}.cameras(cs)
	return b.Flush()
}

func (y yamlWriter) cameras(cs []Camera) {
	if len(cs) > 0 {
		y.line(0, "cameras:")
	}
	for _, c := range cs {
		y.line(1, "- id: %s", text(string(c.ID)))
		for _, kv := range [][2]string{{"name", c.Name}, {"main", c.Main}, {"sub", c.Sub}, {"onvif", c.ONVIF}, {"user", c.User}, {"password_file", c.PasswordFile}, {"ca_file", c.CAFile}, {"certificate_sha256", c.CertificateSHA256}, {"transport", c.Transport}, {"record", c.Record}, {"role", c.Role}} {
			if kv[1] != "" {
				y.line(2, "%s: %s", kv[0], text(kv[1]))
			}
		}
		if c.Segments > 0 {
			y.line(2, "segments: %s", c.Segments)
		}
		if c.Look.Sensitivity != "" { // gateway discover proposes cameras that say nothing of it
			y.line(2, "motion: %s", c.Look)
		}
		y.line(2, "basic: %s", map[bool]string{true: "on", false: "off"}[c.Basic])
		y.line(2, "audio: %s", map[bool]string{true: "on", false: "off"}[c.Audio])
	}
}

// Print writes the effective configuration, defaults included, as YAML that loads to the same again.
func (s *SOC) Print(w io.Writer) error {
	b := bufio.NewWriter(w)
	y := yamlWriter{b}
	y.line(0, "data: %s", text(s.Data))
	y.line(0, "uplink: %s", text(s.Uplink))
	y.line(0, "http: %s", text(s.HTTP))
	y.line(0, "ledger: %s", text(s.Ledger))
	y.line(0, "clips: %s", text(s.Clips))
	y.line(0, "heartbeat: %s", s.Heartbeat)
	return b.Flush()
}

func (y yamlWriter) uplink(u *Uplink) {
	y.line(0, "uplink:")
	y.line(1, "limit: %s", u.Limit)
	if len(u.Paths) == 1 && u.Paths[0].Name == "" {
		y.line(1, "soc: %s", texts(u.Paths[0].SOC))
	} else {
		y.line(1, "paths:")
		for _, p := range u.Paths {
			on := ""
			if p.Interface != "" {
				on = ", interface: " + text(p.Interface)
			}
			y.line(2, "- {name: %s%s, soc: %s, bulk: %s, limit: %s}", text(p.Name), on, texts(p.SOC), p.Bulk, p.Limit)
		}
	}
	if len(u.Schedule) > 0 {
		y.line(1, "schedule:")
	}
	for _, s := range u.Schedule {
		y.line(2, "- {%s, limit: %s}", s.Hours, s.Limit)
	}
}

func texts(ss []string) string {
	out := make([]string, len(ss))
	for i, s := range ss {
		out[i] = text(s)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

type yamlWriter struct{ *bufio.Writer }

func (y yamlWriter) line(depth int, format string, args ...any) {
	y.WriteString(strings.Repeat("  ", depth))
	fmt.Fprintf(y, format, args...) // the buffer keeps the first error for Flush
	y.WriteByte('\n')
}

func zone(z Zone) string {
	var kv []string
	for _, f := range [][2]string{{"name", z.Name}, {"kind", string(z.Kind)}, {"partition", string(z.Partition)}, {"route", z.Route}} {
		if f[1] != "" {
			kv = append(kv, f[0]+": "+text(f[1]))
		}
	}
	if len(z.Cameras) > 0 {
		kv = append(kv, "cameras: "+list(z.Cameras))
	}
	return "{" + strings.Join(kv, ", ") + "}"
}

func kinds(m map[string]edge.Kind) string {
	var kv []string
	for _, code := range slices.Sorted(maps.Keys(m)) {
		kv = append(kv, text(code)+": "+text(string(m[code])))
	}
	return "{" + strings.Join(kv, ", ") + "}"
}

func list(ids []edge.CameraID) string {
	s := make([]string, len(ids))
	for i, id := range ids {
		s[i] = string(id)
	}
	return texts(s)
}

// flow writes a setting in one line.
func flow(v any) string {
	switch v := v.(type) {
	case map[string]any:
		var kv []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			kv = append(kv, text(k)+": "+flow(v[k]))
		}
		return "{" + strings.Join(kv, ", ") + "}"
	case []any:
		s := make([]string, len(v))
		for i, x := range v {
			s[i] = flow(x)
		}
		return "[" + strings.Join(s, ", ") + "]"
	case string:
		return text(v)
	case float64:
		s := strconv.FormatFloat(v, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	case nil:
		return "null"
	}
	return fmt.Sprint(v)
}

var plain = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9/._-]*( [A-Za-z][A-Za-z0-9/._-]*)*$`)

// text writes a string without quotes only where no YAML reader could take it for anything else.
func text(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
	default:
		if plain.MatchString(s) {
			return s
		}
	}
	var b strings.Builder
	e := json.NewEncoder(&b) // YAML's double quotes understand what JSON's do
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}
