package edge_test

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rules are the rules of the house that a machine can check, each with its reason.
var rules = map[string]string{
	"hub":      "edge itself imports the standard library only: everything depends on it, so it depends on nothing",
	"arms":     "drivers, video, uplink and image import edge and their own subfolders only: they meet in cmd/*/wire.go, so that each can be read, tested and deleted alone",
	"inner":    "a subpackage of edge knows no arm: the arms depend on the hub, never the reverse",
	"config":   "only cmd/* imports edge/config: every package has its own small Options, so that no change of the file reaches into all of them",
	"cmd":      "nobody imports cmd: a program is wiring, not a library; programs share cmd/cli alone",
	"edgetest": "edge/edgetest is for tests only",
	"go":       "a go statement stands only in edge/supervise or in a function whose name begins with Run or run and which waits for it: on return everything it started has ended",
	"init":     "no func init: importing a package does nothing",
	"sleep":    "time.Sleep stands only in tests that use testing/synctest: waiting for real time makes code slow and tests flaky",
	"now":      "time.Now stands only in edge/clock.go: who needs the time is given an edge.Clock, so that tests can set it",
	"ctx":      "context.Background and TO" + "DO stand only in package main and in tests: what has no end cannot be stopped",
	"log":      "no global logger: a *slog.Logger comes in Options",
	"doc":      "every package has a doc comment: what it owns, what it never does, which goroutine may call it",
	"name":     "a package is named for its one job: util, common, models, types, helpers and manager say nothing",
	"top":      "the top level holds cmd edge drivers video uplink image go.mod go.sum Makefile README.md LICENSE and dotfiles only",
	"long":     "a file over 400 lines does more than one job: split state machine, storage and loop",
	"words":    "no unfinished work in the tree: do it, or write an issue",
	"machine":  "no path of the machine that it was written on: it works from any clone",
	"parse":    "every Go file parses",
}

const module = "sitewatch"

var (
	armNames  = []string{"drivers", "video", "uplink", "image"}
	topNames  = []string{"cmd", "edge", "drivers", "video", "uplink", "image", "go.mod", "go.sum", "Makefile", "README.md", "LICENSE"}
	badNames  = []string{"util", "utils", "common", "models", "types", "helpers", "helper", "manager"}
	unfinish  = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX)\b`)
	generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)
)

const maxLines = 400

// source is one file of the module, its path relative to the module's root.
type source struct {
	path string
	text []byte
}

// breach is a place where a rule is broken.
type breach struct {
	path string
	line int
	rule string
	what string
}

func (b breach) String() string {
	return fmt.Sprintf("%s:%d: %s\n\trule %s: %s", b.path, b.line, b.what, b.rule, rules[b.rule])
}

func TestHouse(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	sources, err := load(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) < 20 {
		t.Fatalf("%d files under %s: that is not the whole module", len(sources), root)
	}
	for _, b := range check(sources, root) {
		t.Error(b)
	}
}

// Whoever looks for something begins with the README's map.
func TestHouseIsOnTheMap(t *testing.T) {
	sources, err := load("..")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "\n## Where things are\n")
	text, _, _ = strings.Cut(text, "\n## ")
	named := map[string]bool{}
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9') }) {
		named[w] = true
	}
	told := map[string]bool{}
	for _, s := range sources {
		dir := path.Dir(s.path)
		if strings.HasSuffix(s.path, ".go") && !strings.Contains(s.path, "/testdata/") && !told[dir] && !named[path.Base(dir)] {
			told[dir] = true
			t.Errorf("README.md, Where things are, says nothing of %s", dir)
		}
	}
}

// load reads the module's files: what git knows or would add, or all files outside of what is built when there is no git.
func load(root string) (sources []source, err error) {
	var names []string
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	if out, err := cmd.Output(); err == nil && len(out) > 0 {
		names = strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	} else if err := filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, p)
		if err != nil || d.Type().IsRegular() {
			names = append(names, filepath.ToSlash(rel))
			return err
		}
		if d.IsDir() && (rel == "bin" || rel == "demo" || rel == ".git") {
			return filepath.SkipDir
		}
		return nil
	}); err != nil {
		return nil, err
	}
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if os.IsNotExist(err) {
			continue // deleted, and git has not been told yet
		}
		if err != nil {
			return nil, err
		}
		sources = append(sources, source{name, b})
	}
	return sources, nil
}

// check applies all rules; root is where the module is on this machine, "" for nowhere.
func check(sources []source, root string) []breach {
	c := &checker{fset: token.NewFileSet(), docs: map[string]bool{}, first: map[string]string{}}
	tops := map[string]bool{}
	for _, s := range sources {
		top, _, _ := strings.Cut(s.path, "/")
		if !tops[top] && top[0] != '.' && !slices.Contains(topNames, top) {
			c.add(s.path, 1, "top", top+" does not belong at the top level")
		}
		tops[top] = true
		if strings.Count(root, "/") > 1 {
			if i := bytes.Index(s.text, []byte(root+"/")); i >= 0 {
				c.add(s.path, 1+bytes.Count(s.text[:i], []byte("\n")), "machine", root+" is a path of this machine")
			}
		}
		if strings.HasSuffix(s.path, ".go") && !strings.Contains(s.path, "/testdata/") {
			c.file(s)
		}
	}
	for dir, name := range c.first {
		if !c.docs[dir] {
			c.add(name, 1, "doc", "package "+dir+" has no doc comment")
		}
	}
	slices.SortFunc(c.found, func(a, b breach) int {
		return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.line, b.line), cmp.Compare(a.rule, b.rule))
	})
	return c.found
}

type checker struct {
	fset  *token.FileSet
	found []breach
	docs  map[string]bool   // by folder: a doc comment was seen
	first map[string]string // by folder: its first file that is no test
}

func (c *checker) add(path string, line int, rule, what string) {
	c.found = append(c.found, breach{path, line, rule, what})
}

func (c *checker) file(s source) {
	test := strings.HasSuffix(s.path, "_test.go")
	dir := path.Dir(s.path)
	made := generated.Match(s.text)
	f, err := parser.ParseFile(c.fset, s.path, s.text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		c.add(s.path, 1, "parse", err.Error())
		return
	}
	line := func(p token.Pos) int { return c.fset.Position(p).Line }
	if !test {
		if c.first[dir] == "" {
			c.first[dir] = s.path
		}
		c.docs[dir] = c.docs[dir] || f.Doc != nil && strings.TrimSpace(f.Doc.Text()) != ""
	}
	if slices.Contains(badNames, strings.TrimSuffix(f.Name.Name, "_test")) {
		c.add(s.path, line(f.Name.Pos()), "name", "package "+f.Name.Name)
	}
	c.imports(s.path, dir, test, f)
	if made {
		return
	}
	if n := bytes.Count(s.text, []byte("\n")); n > maxLines && !test {
		c.add(s.path, maxLines+1, "long", fmt.Sprintf("%d lines", n))
	}
	for i, l := range bytes.Split(s.text, []byte("\n")) {
		if w := unfinish.Find(l); w != nil && !bytes.Contains(l, append([]byte("context."), w...)) {
			c.add(s.path, i+1, "words", string(w))
		}
	}
	names := localNames(f)
	for _, d := range f.Decls {
		fn, _ := d.(*ast.FuncDecl)
		if fn != nil && fn.Recv == nil && fn.Name.Name == "init" {
			c.add(s.path, line(fn.Pos()), "init", "func init")
		}
		waits := fn != nil && (strings.HasPrefix(fn.Name.Name, "Run") || strings.HasPrefix(fn.Name.Name, "run"))
		ast.Inspect(d, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				if !test && !waits && dir != "edge/supervise" {
					c.add(s.path, line(n.Pos()), "go", "go statement")
				}
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok {
					if rule := selector(names, names[x.Name], n.Sel.Name, s.path, f.Name.Name, test); rule != "" {
						c.add(s.path, line(n.Pos()), rule, names[x.Name]+"."+n.Sel.Name)
					}
				}
			}
			return true
		})
	}
}

// localNames maps the names under which a file knows packages to their import paths.
func localNames(f *ast.File) map[string]string {
	m := map[string]string{}
	for _, i := range f.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		name := path.Base(p)
		if i.Name != nil {
			name = i.Name.Name
		}
		m[name] = p
	}
	return m
}

// selector returns the rule that the use of pkg.name breaks, "" when none.
func selector(names map[string]string, pkg, name, file, inPackage string, test bool) string {
	switch pkg + "." + name {
	case "time.Sleep":
		if _, bubble := names["synctest"]; !bubble || !test && !strings.HasSuffix(path.Dir(file), "test") {
			return "sleep"
		}
	case "time.Now":
		if !test && file != "edge/clock.go" {
			return "now"
		}
	case "context.Background", "context.TO" + "DO":
		if !test && inPackage != "main" {
			return "ctx"
		}
	}
	if pkg == "log" || pkg == "log/slog" && slices.Contains([]string{"Default", "SetDefault", "Debug", "Info", "Warn", "Error", "Log", "InfoContext", "WarnContext", "ErrorContext", "DebugContext"}, name) {
		if !test {
			return "log"
		}
	}
	return ""
}

func (c *checker) imports(file, dir string, test bool, f *ast.File) {
	forTests := test || strings.HasSuffix(dir, "test") // paneltest, rtsptest, edgetest
	top, _, _ := strings.Cut(dir, "/")
	for _, i := range f.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		at := c.fset.Position(i.Pos()).Line
		to, ours := strings.CutPrefix(p, module+"/")
		toTop, _, _ := strings.Cut(to, "/")
		rule := ""
		switch {
		case !ours:
			first, _, _ := strings.Cut(p, "/")
			if dir == "edge" && !test && strings.Contains(first, ".") {
				rule = "hub"
			}
		case toTop == "cmd" && !(top == "cmd" && to == "cmd/cli") && !strings.HasPrefix(to, dir+"/"):
			rule = "cmd"
		case to == "edge/edgetest" && !forTests:
			rule = "edgetest"
		case to == "edge/config" && top != "cmd" && dir != "edge/config":
			rule = "config"
		case dir == "edge" && !test:
			rule = "hub"
		case slices.Contains(armNames, top):
			if toTop != top && to != "edge" && to != "edge/edgetest" {
				rule = "arms"
			}
		case top == "edge" && slices.Contains(armNames, toTop):
			rule = "inner"
		}
		if rule != "" {
			c.add(file, at, rule, "import of "+p)
		}
	}
}
