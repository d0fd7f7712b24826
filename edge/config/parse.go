package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// form is what YAML takes a value for.
type form uint8

const (
	formNull form = iota
	formString
	formInt
	formFloat
	formBool
	formMap
	formList
)

var formNames = [...]string{"nothing", "a string", "a number", "a number", "true or false", "a mapping (key: value)", "a list"}

func (f form) String() string { return formNames[f] }

// node is a value of the file with its line.
type node struct {
	form  form
	line  int
	text  string  // of a scalar: a string's value, anything else as it is written
	keys  []*node // of a mapping, in the order of the file
	items []*node // values of a mapping, or of a list
}

// Bounds of a file, far over what a site needs: the YAML package takes time and memory that grow with the square of them.
const (
	maxTokens  = 50_000
	maxDepth   = 24
	maxListCol = 100 // column of a "-": bounds the depth of lists in lists
)

// parse reads one YAML document. Anchors, aliases, tags and merges are refused: a file that repeats itself by reference
// can be small and mean gigabytes, and nobody at a site reads it right.
func parse(file string, b []byte) (root *node, problems []Problem) {
	whole := func(line int, what, hint string) (*node, []Problem) {
		return nil, []Problem{{File: file, Line: line, What: what, Hint: hint}}
	}
	defer func() {
		if r := recover(); r != nil { // the YAML package panics on some inputs
			root, problems = whole(0, "the YAML reader cannot make anything of this file", "compare it with the example in README.md")
		}
	}()
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	tokens := lexer.Tokenize(string(b))
	if len(tokens) == 0 {
		return whole(0, "the file is empty", "start from the example in README.md")
	}
	if len(tokens) > maxTokens {
		return whole(0, fmt.Sprintf("the file has %d words and signs, more than %d", len(tokens), maxTokens), "no site needs that many")
	}
	if ps := refuse(file, tokens); len(ps) > 0 {
		return nil, ps
	}
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var se *yaml.SyntaxError
		if errors.As(err, &se) && se.Token != nil {
			return whole(se.Token.Position.Line, "not YAML: "+clean(se.Message), "check brackets, colons and that lines are indented by spaces")
		}
		return whole(0, "not YAML", "check brackets, colons and that lines are indented by spaces")
	}
	var body ast.Node
	for _, d := range f.Docs {
		if d == nil || d.Body == nil {
			continue
		}
		if body != nil {
			return whole(d.Body.GetToken().Position.Line, "a second document begins", `keep one document and remove the line "---"`)
		}
		body = d.Body
	}
	if body == nil {
		return whole(0, "the file is empty", "start from the example in README.md")
	}
	n, err := convert(body, 0)
	if err != nil {
		return whole(body.GetToken().Position.Line, err.Error(), "write it as in the example in README.md")
	}
	return n, nil
}

// refuse finds what is YAML but not wanted here, before the parser spends time on it.
func refuse(file string, tokens token.Tokens) (ps []Problem) {
	depth := 0
	for _, t := range tokens {
		what := ""
		switch t.Type {
		case token.AnchorType, token.AliasType:
			what = "anchors (&) and aliases (*) are not allowed"
		case token.TagType:
			what = "tags (!) are not allowed"
		case token.MergeKeyType, token.MappingKeyType, token.DirectiveType:
			what = fmt.Sprintf("%q is not allowed", t.Value)
		case token.SequenceStartType, token.MappingStartType:
			if depth++; depth > maxDepth {
				what = "too many brackets in brackets"
			}
		case token.SequenceEndType, token.MappingEndType:
			depth = max(depth-1, 0)
		case token.SequenceEntryType:
			if t.Position.Column > maxListCol {
				what = "a list too far to the right"
			}
		}
		if what != "" {
			ps = append(ps, Problem{File: file, Line: t.Position.Line, What: what, Hint: "write the value out, in quotes if it is text"})
		}
		if len(ps) == 20 {
			return ps
		}
	}
	return ps
}

func convert(n ast.Node, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, errors.New("too many levels of indentation")
	}
	if n == nil || n.GetToken() == nil {
		return &node{}, nil
	}
	t := n.GetToken()
	out := &node{line: t.Position.Line, text: t.Value}
	var err error
	switch v := n.(type) {
	case *ast.NullNode:
		out.form = formNull
	case *ast.StringNode:
		out.form, out.text = formString, v.Value
	case *ast.LiteralNode:
		out.form, out.text = formString, v.Value.Value
	case *ast.IntegerNode:
		out.form = formInt
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		out.form = formFloat
	case *ast.BoolNode:
		out.form = formBool
	case *ast.MappingNode:
		out.form = formMap
		for _, kv := range v.Values {
			if err == nil {
				err = out.add(kv, depth)
			}
		}
	case *ast.MappingValueNode:
		out.form = formMap
		err = out.add(v, depth)
	case *ast.SequenceNode:
		out.form = formList
		for _, item := range v.Values {
			c, cerr := convert(item, depth+1)
			if cerr != nil {
				return nil, cerr
			}
			if c.line == 0 {
				c.line = out.line
			}
			out.items = append(out.items, c)
		}
	default:
		return nil, fmt.Errorf("%s is not allowed", strings.ToLower(n.Type().YAMLName()))
	}
	if len(out.keys) > 0 {
		out.line = out.keys[0].line
	}
	return out, err
}

func (n *node) add(kv *ast.MappingValueNode, depth int) error {
	k, err := convert(kv.Key, depth+1)
	if err != nil {
		return err
	}
	v, err := convert(kv.Value, depth+1)
	if err != nil {
		return err
	}
	if v.line == 0 || v.form == formNull {
		v.line = k.line
	}
	n.keys = append(n.keys, k)
	n.items = append(n.items, v)
	return nil
}

// clean makes one short line of a library's message.
func clean(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	if len(s) > 120 {
		s = strings.ToValidUTF8(s[:120], "") + "..."
	}
	return s
}
