//go:build !torture

package edge

// Crash marks a moment at which a kill would be worst: between two steps that belong together. Here it does nothing; in a
// program built with the tag torture it can end the process, see crash_torture.go.
func Crash(string) {}
