package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sitewatch/edge"
)

// reader collects problems while the file is read.
type reader struct {
	source
	problems []Problem
}

func (r *reader) bad(path, what, hint string) {
	r.problems = append(r.problems, r.problem(path, what, hint))
}

func (r *reader) badAt(line int, path, what, hint string) {
	r.problems = append(r.problems, Problem{File: r.file, Line: line, Path: path, What: what, Hint: hint})
}

// object is a mapping of the file whose keys are known.
type object struct {
	r    *reader
	path string
	vals map[string]*node
}

func (o object) at(key string) string { return join(o.path, key) }

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// fields reads any mapping: keys must be strings and occur once. What is not a mapping gives nothing. A key that only
// lacks its quotes is reported and read as if it had them, so that the problems of its value are found too.
func (r *reader) fields(n *node, path string) (keys []string, vals map[string]*node) {
	vals = map[string]*node{}
	if n == nil || n.form == formNull {
		return nil, vals
	}
	if _, ok := r.lines[path]; !ok {
		r.lines[path] = n.line
	}
	if n.form != formMap {
		r.badAt(n.line, path, "is "+n.form.String()+", want a mapping", "write keys with values, as in the example in README.md")
		return nil, vals
	}
	for i, k := range n.keys {
		at := join(path, clean(k.text))
		if k.form != formString {
			r.badAt(k.line, at, clean(k.text)+" without quotes is no string for YAML", "put it in quotes: "+quote(k.text)+":")
			if k.form == formMap || k.form == formList {
				continue // its text is a bracket
			}
		}
		if first, ok := vals[k.text]; ok {
			r.badAt(k.line, at, fmt.Sprintf("is given twice, first in line %d", first.line), "keep one of them")
			continue
		}
		r.lines[at] = k.line
		vals[k.text] = n.items[i]
		keys = append(keys, k.text)
	}
	return keys, vals
}

// object reads a mapping that may have the known keys only.
func (r *reader) object(n *node, path string, known ...string) object {
	keys, vals := r.fields(n, path)
	for _, k := range keys {
		if !contains(known, k) {
			hint := "keys here are " + strings.Join(known, ", ")
			if w := nearest(k, known); w != "" {
				hint = "did you mean " + w + "?"
			}
			r.bad(join(path, clean(k)), "unknown key", hint)
		}
	}
	return object{r, path, vals}
}

func contains(words []string, w string) bool {
	for _, x := range words {
		if x == w {
			return true
		}
	}
	return false
}

// items reads a list; nothing is an empty list.
func (o object) items(key string) []*node {
	n := o.vals[key]
	if n == nil || n.form == formNull {
		return nil
	}
	if n.form != formList {
		o.r.bad(o.at(key), "is "+n.form.String()+", want a list", `begin each item with "- "`)
		return nil
	}
	for i, it := range n.items {
		o.r.lines[index(o.at(key), i)] = it.line
	}
	return n.items
}

// maxText bounds what a person gives as a name or a path.
const maxText = 1000

// text reads a string; ok is false when there is none or a problem was reported.
func (o object) text(key string) (s string, ok bool) {
	n := o.vals[key]
	if n == nil {
		return "", false
	}
	return o.r.string(n, o.at(key))
}

// string reads n as a string; ok is false when a problem was reported.
func (r *reader) string(n *node, path string) (s string, ok bool) {
	switch n.form {
	case formString:
	case formNull:
		r.bad(path, "has no value", "give it one or remove the key")
		return "", false
	case formMap, formList:
		r.bad(path, "is "+n.form.String()+", want a string", "write one value")
		return "", false
	default:
		r.bad(path, clean(n.text)+" without quotes is "+n.form.String()+" for YAML", "put it in quotes: "+quote(n.text))
		return "", false
	}
	if len(n.text) > maxText || strings.ContainsFunc(n.text, unicode.IsControl) || !utf8.ValidString(n.text) {
		r.bad(path, "is too long or has characters that cannot be printed", "use plain text")
		return "", false
	}
	return n.text, true
}

// need reads a string that must be there.
func (o object) need(key, hint string) (string, bool) {
	if o.vals[key] == nil {
		o.r.bad(o.at(key), "is missing", hint)
		return "", false
	}
	s, ok := o.text(key)
	if ok && s == "" {
		o.r.bad(o.at(key), "is empty", hint)
		return "", false
	}
	return s, ok
}

// set puts the string at key into dst when it is there.
func (o object) set(key string, dst *string) bool {
	s, ok := o.text(key)
	if ok {
		*dst = s
	}
	return ok
}

// word reads one of a few words.
func (o object) word(key string, dst *string, words ...string) {
	if s, ok := o.text(key); ok {
		if !contains(words, s) {
			o.r.bad(o.at(key), quote(s)+" is unknown", "use "+either(words))
			return
		}
		*dst = s
	}
}

const idHint = "use 1 to 32 letters, digits and hyphens, not starting with a hyphen"

func (o object) id(key, hint string) string {
	s, ok := o.need(key, hint)
	if ok && !edge.ValidID(s) {
		o.r.bad(o.at(key), quote(s)+" is no id", idHint)
		return ""
	}
	return s
}

// ids reads a list of ids, each once.
func (o object) ids(key string) (out []string) {
	for i, n := range o.items(key) {
		at := index(o.at(key), i)
		s, ok := o.r.string(n, at)
		switch {
		case !ok:
		case !edge.ValidID(s):
			o.r.bad(at, quote(s)+" is no id", idHint)
		case contains(out, s):
			o.r.bad(at, quote(s)+" is named twice", "name it once")
		default:
			out = append(out, s)
		}
	}
	return out
}

// amount reads a number with a unit.
func amountOf[T ~int64](o object, key string, dst *T, parse func(string) (T, error), example string) bool {
	n := o.vals[key]
	if n == nil {
		return false
	}
	hint := "write it like " + example
	if n.form != formString && !(n.form == formInt && n.text == "0") {
		what := "is " + n.form.String()
		if n.form == formInt || n.form == formFloat {
			what = clean(n.text) + " has no unit"
		}
		o.r.bad(o.at(key), what, hint)
		return false
	}
	v, err := parse(n.text)
	if err == nil && v < 0 {
		err = fmt.Errorf("%s is less than nothing", quote(n.text))
	}
	if err != nil {
		o.r.bad(o.at(key), err.Error(), hint)
		return false
	}
	*dst = v
	return true
}

func (o object) duration(key string, dst *time.Duration) bool {
	return amountOf(o, key, dst, parseDuration, "10s or 2m")
}

func (o object) size(key string, dst *Size) bool {
	return amountOf(o, key, dst, parseSize, "64MiB or 20GiB")
}

func (o object) rate(key string, dst *Rate) bool {
	return amountOf(o, key, dst, parseRate, "256kbit/s or 1Mbit/s")
}

func quote(s string) string { return strconv.Quote(clean(s)) }

// either returns "a, b or c".
func either(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
