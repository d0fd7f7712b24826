package edge_test

import (
	"strings"
	"testing"
)

// The rules themselves, each on a small file that breaks it and on one that only looks as if it did.
func TestRules(t *testing.T) {
	const doc = "// Package p does one thing.\npackage p\n"
	const mainDoc = "// Command p does one thing.\npackage main\n"
	for _, tt := range []struct{ name, path, text, want string }{
		{"hub imports a module", "edge/a.go", doc + `import "go.uber.org/goleak"`, "hub"},
		{"hub imports its own subpackage", "edge/a.go", doc + `import "sitewatch/edge/journal"`, "hub"},
		{"hub imports the standard library", "edge/a.go", doc + `import "encoding/json"`, ""},
		{"a test of the hub imports a module", "edge/a_test.go", "package p\n" + `import "github.com/google/go-cmp/cmp"`, ""},
		{"an arm imports another", "drivers/acme/a.go", doc + `import "sitewatch/video"`, "arms"},
		{"an arm imports the journal", "uplink/a.go", doc + `import "sitewatch/edge/journal"`, "arms"},
		{"a test of an arm imports the journal", "uplink/a_test.go", "package p\n" + `import "sitewatch/edge/journal"`, "arms"},
		{"an arm imports edge and its own", "drivers/acme/a.go", doc + "import (\n\"sitewatch/edge\"\n\"sitewatch/drivers/panel\"\n)", ""},
		{"a test of an arm imports the fakes", "video/a_test.go", "package p\n" + `import "sitewatch/edge/edgetest"`, ""},
		{"an arm imports the fakes", "video/a.go", doc + `import "sitewatch/edge/edgetest"`, "edgetest"},
		{"an arm's test support imports the fakes", "drivers/paneltest/a.go", doc + `import "sitewatch/edge/edgetest"`, ""},
		{"a subpackage of edge imports an arm", "edge/alarm/a.go", doc + `import "sitewatch/drivers/panel"`, "inner"},
		{"a subpackage of edge imports another", "edge/alarm/a.go", doc + `import "sitewatch/edge/journal"`, ""},
		{"an arm imports the configuration", "video/a.go", doc + `import "sitewatch/edge/config"`, "config"},
		{"a subpackage of edge imports the configuration", "edge/local/a.go", doc + `import "sitewatch/edge/config"`, "config"},
		{"a program imports the configuration and two arms", "cmd/gateway/a.go", mainDoc + "import (\n\"sitewatch/edge/config\"\n\"sitewatch/video\"\n\"sitewatch/uplink\"\n)", ""},
		{"a package imports a program", "edge/local/a.go", doc + `import "sitewatch/cmd/gateway"`, "cmd"},
		{"a program imports the shared command line", "cmd/soc/a.go", mainDoc + `import "sitewatch/cmd/cli"`, ""},
		{"a package imports the shared command line", "uplink/a.go", doc + `import "sitewatch/cmd/cli"`, "cmd"},
		{"a program imports another", "cmd/soc/a.go", mainDoc + `import "sitewatch/cmd/gateway"`, "cmd"},

		{"go in New", "video/a.go", doc + "func New() { go f() }", "go"},
		{"go in a function value at the top", "video/a.go", doc + "var x = func() { go f() }", "go"},
		{"go in Run, in a closure", "video/a.go", doc + "func (s *S) Run() { func() { go f() }() }", ""},
		{"go in runLoop", "video/a.go", doc + "func runLoop() { go f() }", ""},
		{"go in the supervisor", "edge/supervise/a.go", doc + "func (t *Tree) start() { go f() }", ""},
		{"go in a test", "video/a_test.go", "package p\nfunc TestX() { go f() }", ""},
		{"init", "video/a.go", doc + "func init() {}", "init"},
		{"a method named init", "video/a.go", doc + "func (s *S) init() {}", ""},
		{"sleep", "video/a.go", doc + "import \"time\"\nfunc f() { time.Sleep(1) }", "sleep"},
		{"sleep under another name", "video/a.go", doc + "import t \"time\"\nfunc f() { t.Sleep(1) }", "sleep"},
		{"sleep in a test", "video/a_test.go", "package p\nimport \"time\"\nfunc f() { time.Sleep(1) }", "sleep"},
		{"sleep in a bubble", "video/a_test.go", "package p\nimport (\n\"testing/synctest\"\n\"time\"\n)\nfunc f() { time.Sleep(1); synctest.Wait() }", ""},
		{"sleep in the bubble of a conformance suite", "drivers/paneltest/a.go", doc + "import (\n\"testing/synctest\"\n\"time\"\n)\nfunc f() { time.Sleep(1); synctest.Wait() }", ""},
		{"somebody else's Sleep", "video/a.go", doc + "func f(time T) { time.Sleep(1) }", ""},
		{"now", "video/a.go", doc + "import \"time\"\nfunc f() { _ = time.Now() }", "now"},
		{"now as a value", "video/a.go", doc + "import \"time\"\nvar now = time.Now", "now"},
		{"now in the clock", "edge/clock.go", doc + "import \"time\"\nfunc f() { _ = time.Now() }", ""},
		{"now in a test", "video/a_test.go", "package p\nimport \"time\"\nfunc f() { _ = time.Now() }", ""},
		{"a context without end", "video/a.go", doc + "import \"context\"\nfunc f() { _ = context.Background() }", "ctx"},
		{"a context not thought about", "video/a.go", doc + "import \"context\"\nfunc f() { _ = context.TO" + "DO() }", "ctx"},
		{"a context in main", "cmd/soc/a.go", mainDoc + "import \"context\"\nfunc f() { _ = context.Background() }", ""},
		{"the global logger", "video/a.go", doc + "import \"log/slog\"\nfunc f() { slog.Info(\"x\") }", "log"},
		{"a logger that is passed in", "video/a.go", doc + "import \"log/slog\"\nfunc f(l *slog.Logger) { l.Info(\"x\") }", ""},

		{"no doc comment", "video/a.go", "package p\n", "doc"},
		{"a doc comment apart from its package", "video/a.go", "// Package p does.\n\npackage p\n", "doc"},
		{"a name that says nothing", "edge/common/a.go", "// Package common does all.\npackage common\n", "name"},
		{"its test", "edge/util/a_test.go", "package util_test\n", "name"},
		{"a folder at the top", "pkg/a.go", doc, "top"},
		{"a file at the top", "notes.md", "x", "top"},
		{"a dotfile at the top", ".editorconfig", "x", ""},
		{"a long file", "video/a.go", doc + strings.Repeat("\n", 399), "long"},
		{"a long test", "video/a_test.go", "package p\n" + strings.Repeat("\n", 399), ""},
		{"a long file that is generated", "uplink/a.pb.go", "// Code generated by protoc-gen-go. DO NOT EDIT.\n\n" + doc + strings.Repeat("\n", 399), ""},
		{"unfinished work", "video/a.go", doc + "// TO" + "DO: more\n", "words"},
		{"a word that contains it", "video/a.go", doc + "// The maTODOr is red.\n", ""},
		{"a path of the machine", "video/README.md", "one\nsee /home/somebody/sitewatch/video\n", "machine"},
		{"a file that does not parse", "video/a.go", doc + "func {", "parse"},
		{"test data that does not parse", "video/testdata/a.go", "func {", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, b := range check([]source{{tt.path, []byte(tt.text)}}, "/home/somebody/sitewatch") {
				if rules[b.rule] == "" {
					t.Errorf("rule %q has no reason", b.rule)
				}
				if !strings.HasPrefix(b.String(), tt.path+":") {
					t.Errorf("got %q, want the file first", b)
				}
				got = append(got, b.rule)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("rules broken: got %q, want %q", got, tt.want)
			}
		})
	}
}
