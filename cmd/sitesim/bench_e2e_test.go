package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The bench with the real programs on a real link, far too short to say anything of their speed.
func TestBenchMeasuresTheRealPrograms(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to make network namespaces: sudo go test -run Bench ./cmd/sitesim")
	}
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	t.Parallel()
	bin, dir := t.TempDir(), filepath.Join(t.TempDir(), "bench")
	if out, err := exec.Command("go", "build", "-o", bin, "sitewatch/cmd/gateway", "sitewatch/cmd/soc").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	plot := filepath.Join(dir, "plot.svg")
	status, out := sitesim(t.Context(), "link-bench", "--bin", bin, "--dir", dir, "--n", "12", "--rows", "20mbit,backlog", "--svg", plot)
	t.Log(out)
	if status != 0 {
		t.Fatalf("ended with %d", status)
	}
	for _, want := range []string{
		`\| 20 Mbit/s, 20 ms, 256 KiB queue \| 12 \| \d+\.\d / \d+\.\d \| \d+\.\d / \d+\.\d \| .* \| \d+\.\d % \| \d+\.\d / \d+\.\d \| \d+\.\d % \|`,
		`120 events of 3\d\d bytes acked in \d`,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("the table has no %s", want)
		}
	}
	csv, err := os.ReadFile(filepath.Join(dir, "20mbit", "alarms.csv"))
	if n := strings.Count(string(csv), "\n"); err != nil || n != 1+3*12 {
		t.Errorf("%d lines of alarms, %v, want a heading and 12 for each part", n, err)
	}
	if svg, err := os.ReadFile(plot); err != nil || !strings.Contains(string(svg), "20 Mbit/s, 20 ms") {
		t.Errorf("plot: %v", err)
	}
}
