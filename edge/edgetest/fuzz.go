package edgetest

import (
	"flag"
	"os"
	"testing"
)

// Fuzz prepares a fuzz target whose executions take milliseconds: files, connections, whole sessions. The fuzzer makes each input that
// it finds interesting smaller before it goes on, for up to a minute by default: a target that syncs a file each time, or whose
// goroutines make coverage a matter of luck, does little else. Ten tries are enough; -fuzzminimizetime on the command line counts.
func Fuzz(f *testing.F) {
	const name = "test.fuzzminimizetime"
	given := false
	flag.Visit(func(g *flag.Flag) { given = given || g.Name == name })
	if given {
		return
	}
	if err := flag.Set(name, "10x"); err != nil {
		f.Fatal(err)
	}
}

// FastDir is a folder for a test that syncs a thousand files and cares for what they say alone: in memory, where the system has such.
func FastDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "test")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
