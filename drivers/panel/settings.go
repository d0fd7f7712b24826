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
}

// NewSettings reads from m, as it comes from YAML or JSON.
func NewSettings(m map[string]any) *Settings {
	return &Settings{values: m, known: map[string]bool{}}
}

// Problems returns what is wrong, unknown keys last.
func (s *Settings) Problems() []Problem {
	out := slices.Clone(s.problems)
	for _, key := range slices.Sorted(maps.Keys(s.values)) {
		if !s.known[key] {
			out = append(out, Problem{
				Path: "settings." + key,
				What: fmt.Sprintf("%q is not a setting of this driver", key),
				Hint: "known are " + strings.Join(slices.Sorted(maps.Keys(s.known)), ", "),
			})
		}
	}
	return out
}

// Problem adds a problem of the setting key.
func (s *Settings) Problem(key, what, hint string) {
	s.problems = append(s.problems, Problem{Path: "settings." + key, What: what, Hint: hint})
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
