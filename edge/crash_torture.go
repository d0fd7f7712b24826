//go:build torture

package edge

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// crashEnv names the moment at which the process dies: "journal before commit", or "journal before commit:3" for the third
// time that it comes there.
const crashEnv = "SITEWATCH_CRASH"

// passes counts, in the whole process, how often the named moment was reached. Moments are in every package, so there is no
// value that could carry the counter; programs for sites are built without it.
var passes atomic.Int64

// Crash kills the process when the environment names this moment: SIGKILL to itself, so that nothing is flushed, closed or
// said any more. It does not return then.
func Crash(name string) {
	want, nth, counted := strings.Cut(os.Getenv(crashEnv), ":")
	if want != name {
		return
	}
	at := 1
	if counted {
		n, err := strconv.Atoi(nth)
		if err != nil {
			panic("edge: " + crashEnv + " is not NAME or NAME:COUNT")
		}
		at = n
	}
	if passes.Add(1) == int64(at) {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	}
}
