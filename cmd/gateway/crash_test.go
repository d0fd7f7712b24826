package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// crashPoint is a moment at which a program can be made to die (edge.Crash), and which of its lives leads there.
type crashPoint struct {
	name    string
	program string
	life    life
	within  int // it is killed on one of so many passes, by lot; 0: on the first
}

// life is what goes on at the site while a program waits for its death.
type life int

const (
	ordinary  life = iota // alarms come, clips are cut and uploaded
	firstRun              // the program has never run here before
	longStorm             // so many alarms that the journal prunes what the SOC has
	longAway              // so many alarms without a SOC that the journal must give up events
	damaged               // the journal's file was damaged while the program was away
	recorded              // a camera is recorded, and the program is told to stop
	fullDisk              // the disk has no room left; needs a disk of its own, so root
)

// crashPoints are all of them: TestEveryCrashPointIsTortured compares the table with the source.
var crashPoints = []crashPoint{
	{"journal before commit", "gateway", ordinary, 40},
	{"journal after commit", "gateway", ordinary, 40},
	{"stored before panel ack", "gateway", ordinary, 20},
	{"clip row before its event", "gateway", ordinary, 0},
	{"clip synced before rename", "gateway", ordinary, 2},
	{"clip renamed before directory sync", "gateway", ordinary, 2},
	{"clip renamed before row", "gateway", ordinary, 0},
	{"still renamed before row", "gateway", ordinary, 0},
	{"uplink sent before ack", "gateway", ordinary, 20},
	{"uplink acked before cursor", "gateway", ordinary, 20},
	{"upload complete before it is offered", "gateway", ordinary, 2},
	{"upload stored before row", "gateway", ordinary, 2},
	{"checkpoint stored before row", "gateway", ordinary, 2},
	{"pruning before anchor", "gateway", longStorm, 3},
	{"pruning after anchor", "gateway", longStorm, 3},
	{"events given up before gap", "gateway", longAway, 3},
	{"gap recorded before commit", "gateway", longAway, 3},
	{"journal migration before commit", "gateway", firstRun, 0},
	{"reserve made before filled", "gateway", firstRun, 0},
	{"segment written before sync", "gateway", recorded, 3},
	{"segment sealed before rename", "gateway", recorded, 0},
	{"segment there before its directory is synced", "gateway", recorded, 2},
	{"reserve given up", "gateway", fullDisk, 0},
	{"journal moved aside in part", "gateway", damaged, 4},
	{"journal moved aside before the new one", "gateway", damaged, 0},
	{"ledger before commit", "soc", ordinary, 40},
	{"ledger after commit", "soc", ordinary, 40},
	{"soc committed before ack", "soc", ordinary, 20},
	{"soc growing clip taken up", "soc", ordinary, 2},
	{"soc digest checked before rename", "soc", ordinary, 2},
	{"soc renamed before row", "soc", ordinary, 2},
	{"soc manifest kept before row", "soc", ordinary, 2},
	{"soc row before stored is told", "soc", ordinary, 2},
	{"ledger migration before commit", "soc", firstRun, 0},
}

// TestEveryCrashPointIsTortured: the table has every edge.Crash of the source, each once, and nothing else.
func TestEveryCrashPointIsTortured(t *testing.T) {
	table := map[string]bool{}
	for _, p := range crashPoints {
		if table[p.name] {
			t.Errorf("%q is in the table twice", p.name)
		}
		table[p.name] = true
	}
	root := filepath.Join("..", "..")
	found := map[string]string{}
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Crash" {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); !ok || x.Name != "edge" {
				return true
			}
			at := fset.Position(call.Pos()).String()
			lit, ok := call.Args[0].(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				t.Errorf("%s: the name of a crash point is a text in the source, so that this test finds it", at)
				return true
			}
			name, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Errorf("%s: %v", at, err)
			}
			if first, twice := found[name]; twice {
				t.Errorf("%s: %q is also the name of %s", at, name, first)
			}
			found[name] = at
			if !table[name] {
				t.Errorf("%s: %q is in no table: add it to crashPoints, so that it is tortured", at, name)
			}
			if strings.Contains(name, ":") {
				t.Errorf("%s: %q has a colon, which stands before the number of passes", at, name)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range table {
		if found[name] == "" {
			t.Errorf("crash point %q is in the table and nowhere in the source", name)
		}
	}
}
