package panel

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Problem is something wrong with a panel's part of the configuration. Path names the key below the panel: "port",
// "settings.baud".
type Problem struct {
	Path string
	What string
	Hint string
}

// Settings reads the settings of a panel's configuration and collects all that is wrong with them, keys that nobody
// asked for included. The readers return the default for a value that is absent or wrong.
type Settings struct {
	values   map[string]any
	known    map[string]bool
	problems []Problem
	path     string      // of a part: "settings.slaves[0]"
	parts    []*Settings // lists of maps in it, in the order of their reading
}

// NewSettings reads from m, as it comes from YAML or JSON.
func NewSettings(m map[string]any) *Settings {
	return newPart("settings", m)
}

func newPart(path string, m map[string]any) *Settings {
	return &Settings{values: m, known: map[string]bool{}, path: path}
}

// Problems returns what is wrong, unknown keys last.
func (s *Settings) Problems() []Problem {
	out := slices.Clone(s.problems)
	for _, p := range s.parts {
		out = append(out, p.Problems()...)
	}
	for _, key := range slices.Sorted(maps.Keys(s.values)) {
		if !s.known[key] {
			out = append(out, Problem{
				Path: s.path + "." + key,
				What: fmt.Sprintf("%q is not a setting of this driver", key),
				Hint: "known are " + strings.Join(slices.Sorted(maps.Keys(s.known)), ", "),
			})
		}
	}
	return out
}

// Problem adds a problem of the setting key.
func (s *Settings) Problem(key, what, hint string) {
	s.problems = append(s.problems, Problem{Path: s.path + "." + key, What: what, Hint: hint})
}

// Bad adds a problem of this part as a whole: of an item of a list, of a map.
func (s *Settings) Bad(what, hint string) {
	s.problems = append(s.problems, Problem{Path: s.path, What: what, Hint: hint})
}

// Has says whether key is there at all.
func (s *Settings) Has(key string) bool { return s.Any(key) != nil }

// List reads a list of maps, each as settings of its own whose problems are found here too; none when absent.
func (s *Settings) List(key string) (parts []*Settings) {
	v := s.Any(key)
	items, ok := v.([]any)
	if v != nil && !ok {
		s.Problem(key, fmt.Sprintf("%v is not a list", v), "write a list: [{...}, {...}]")
		return nil
	}
	for i, it := range items {
		at := fmt.Sprintf("%s.%s[%d]", s.path, key, i)
		m, ok := it.(map[string]any)
		if !ok {
			s.problems = append(s.problems, Problem{Path: at, What: fmt.Sprintf("%v is not a map of settings", it), Hint: "write it as {key: value, ...}"})
			continue
		}
		p := newPart(at, m)
		s.parts = append(s.parts, p)
		parts = append(parts, p)
	}
	return parts
}

// Map reads a map of texts to texts, such as inputs to zones; nil when absent.
func (s *Settings) Map(key string) map[string]string {
	v := s.Any(key)
	if v == nil {
		return nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		s.Problem(key, fmt.Sprintf("%v is not a map", v), `write it as {"1": "201"}`)
		return nil
	}
	out := make(map[string]string, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		t, ok := m[k].(string)
		if !ok {
			s.Problem(key+"."+k, fmt.Sprintf("%v is not a text", m[k]), fmt.Sprintf("quote it: %q", fmt.Sprint(m[k])))
			continue
		}
		out[k] = t
	}
	return out
}

// Bool reads true or false, which may be written on and off.
func (s *Settings) Bool(key string, def bool) bool {
	switch v := s.Any(key).(type) {
	case nil:
		return def
	case bool:
		return v
	case string:
		if v == "on" || v == "off" {
			return v == "on"
		}
	}
	s.Problem(key, fmt.Sprintf("%v is neither true nor false", s.values[key]), "write true or false")
	return def
}

// Any returns the value of key as it is; nil when absent.
func (s *Settings) Any(key string) any {
	s.known[key] = true
	return s.values[key]
}

// Int reads a whole number.
func (s *Settings) Int(key string, def int) int {
	switch v := s.Any(key).(type) {
	case nil:
		return def
	case int:
		return v
	case int64:
		return int(v)
	case uint64:
		if v < 1<<31 {
			return int(v)
		}
	case float64:
		if v == float64(int(v)) {
			return int(v)
		}
	}
	s.Problem(key, fmt.Sprintf("%v is not a whole number", s.values[key]), fmt.Sprintf("for example %d", def))
	return def
}

// String reads a text. A number is not a text: YAML would have dropped its leading zeros.
func (s *Settings) String(key, def string) string {
	switch v := s.Any(key).(type) {
	case nil:
		return def
	case string:
		return v
	}
	s.Problem(key, fmt.Sprintf("%v is not a text", s.values[key]), fmt.Sprintf("quote it: %q", fmt.Sprint(s.values[key])))
	return def
}

// Choice reads one of the given words; the first is the default. YAML reads on and off without quotes as true and false
// in some versions: they are taken as the words.
func (s *Settings) Choice(key string, words ...string) string {
	v := s.Any(key)
	switch v {
	case nil:
		return words[0]
	case true:
		v = "on"
	case false:
		v = "off"
	}
	if w, ok := v.(string); ok && slices.Contains(words, w) {
		return w
	}
	s.Problem(key, fmt.Sprintf("%v is not one of %s", v, strings.Join(words, ", ")), "write "+words[0]+" if unsure")
	return words[0]
}

// Duration reads a time such as "90s" or "25h", not below zero.
func (s *Settings) Duration(key string, def time.Duration) time.Duration {
	switch v := s.Any(key).(type) {
	case nil:
		return def
	case time.Duration:
		return v
	case string:
		if d, err := time.ParseDuration(v); err == nil && d >= 0 {
			return d
		}
	}
	s.Problem(key, fmt.Sprintf("%v is not a time", s.values[key]), "write a number with a unit, for example 90s or 25h")
	return def
}
