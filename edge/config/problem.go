package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a file, for the person who wrote it.
type Problem struct {
	File string
	Line int    // 0 where no line is to blame
	Path string // "cameras[1].id"; "" is the whole file
	What string // never holds a secret
	Hint string // what to do
}

// String returns `gateway.yaml:14: cameras[1].id: "door" is used twice: give each camera its own id`.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	for _, s := range []string{p.Path, p.What, p.Hint} {
		if s == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(s)
	}
	return b.String()
}

// SortProblems puts problems in the order of their lines, so that a person can work through the file.
func SortProblems(ps []Problem) {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Path, b.Path))
	})
}

// Join adds those of more that are about a value that has no problem in ps yet: a port that is no port needs no second
// complaint from the driver.
func Join(ps []Problem, more ...Problem) []Problem {
	n := len(ps)
	for _, m := range more {
		if !slices.ContainsFunc(ps[:n], func(p Problem) bool { return p.Path == m.Path }) {
			ps = append(ps, m)
		}
	}
	SortProblems(ps)
	return ps
}

// source remembers where each value of a file stands.
type source struct {
	file  string
	lines map[string]int // by path
}

// problem makes a problem with the line of path, or of the nearest thing around it that is in the file.
func (s *source) problem(path, what, hint string) Problem {
	p := Problem{File: s.file, Path: path, What: what, Hint: hint}
	for at := path; ; at = at[:max(strings.LastIndexAny(at, ".["), 0)] {
		line, ok := s.lines[at]
		if ok || at == "" {
			p.Line = line
			return p
		}
	}
}

// Problem makes a problem about the value at path, such as "panels[0].settings.baud", with its line: for checks that
// only others can make, as a driver does of its settings.
func (g *Gateway) Problem(path, what, hint string) Problem { return g.source.problem(path, what, hint) }

// Problem makes a problem about the value at path with its line.
func (s *SOC) Problem(path, what, hint string) Problem { return s.source.problem(path, what, hint) }
