package cli

import (
	"runtime/debug"
	"strconv"
	"time"
)

// BuiltAt is set by the linker: -X sitewatch/cmd/cli.BuiltAt=SECONDS since 1970. It should be the time of the commit, so
// that building it again gives the same program.
var BuiltAt = ""

// Built is a time before which this program cannot run: of the linker's flag, else of the commit as the Go command noted
// it; zero when neither is known.
func Built() time.Time {
	if s, err := strconv.ParseInt(BuiltAt, 10, 64); err == nil {
		return time.Unix(s, 0).UTC()
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key != "vcs.time" {
				continue
			}
			if t, err := time.Parse(time.RFC3339, s.Value); err == nil {
				return t.UTC()
			}
		}
	}
	return time.Time{}
}
