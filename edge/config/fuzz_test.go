package config

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Nothing in a file may panic, and what loads must print as something that loads to the same.
func FuzzGateway(f *testing.F) {
	b, err := os.ReadFile("testdata/gateway.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(least))
	f.Add([]byte(least + "panels: [{id: a, driver: d, port: /dev/x, settings: {a: [1, -2, 0x1F, 1.5, 1e3, ~, true, 'x', \"\\u0041\"], \"b: c\": {}}}]\n"))
	f.Add([]byte(twoPaths))
	f.Add([]byte("? [a]\n: b\n"))
	f.Add([]byte("a: |\n  b\n  c\n"))
	f.Add([]byte("- - - a\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 16<<10 {
			return // time, not a limit: see MaxBytes
		}
		parseSOC("soc.yaml", b)
		g, ps := parseGateway("gateway.yaml", b, nil)
		if g == nil && len(ps) == 0 {
			t.Fatal("neither a configuration nor a problem")
		}
		if len(ps) > 0 {
			return
		}
		var out bytes.Buffer
		if err := g.Print(&out); err != nil {
			t.Fatal(err)
		}
		again, ps := parseGateway("printed", out.Bytes(), nil)
		if len(ps) > 0 {
			t.Fatalf("printed:\n%s\nproblems:\n%s", out.String(), lines(ps))
		}
		if d := cmp.Diff(g, again, append(ignore, cmpopts.EquateEmpty())...); d != "" {
			t.Fatalf("printed and loaded again (-want +got):\n%s\n%s", d, out.String())
		}
	})
}
