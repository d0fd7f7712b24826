package espa444

import (
	"strings"
	"testing"
	"time"

	"sitewatch/edge"
)

// stamp is so long after the start.
func stamp(d time.Duration) edge.Stamp {
	return edge.Stamp{Wall: time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC).Add(d), Mono: time.Hour + d}
}

// TestTurn plays what is heard and asks for what we answer. A step is a token: "a?" an address and ENQ, EOT, ACK, BLOCK, or
// a wait. "->ACK", "->EOT" and "->-" after a poll, "ours" and "other" after a block.
func TestTurn(t *testing.T) {
	for name, script := range map[string]string{
		"first thing is a poll":                    "2?->EOT",
		"poll after EOT":                           "EOT 2?->EOT EOT 2?->EOT",
		"self poll, then selection":                "1?->- 2?->ACK BLOCK=ours EOT 2?->EOT",
		"EOT between: nothing to send":             "1?->- EOT 2?->EOT",
		"thinks long after a poll with EOT":        "EOT 1?->- 9s 2?->ACK",
		"thinks too long":                          "EOT 1?->- 11s 2?->EOT",
		"no EOT: at once is a selection":           "EOT 2?->EOT 1s 1?->- 400ms 2?->ACK",
		"no EOT: later is a poll":                  "EOT 2?->EOT 1s 1?->- 600ms 2?->EOT",
		"our own EOT is none of the panel's":       "2?->EOT 1?->- 600ms 2?->EOT",
		"another station selects us":               "EOT 3?->- 1s 2?->ACK BLOCK=ours",
		"selects another, and then nobody":         "EOT 1?->- 3?->- BLOCK=other EOT 2?->EOT BLOCK=ours",
		"selects another: lapses":                  "EOT 1?->- 3?->- 11s BLOCK=ours",
		"a run of polls without EOT ends in us":    "1?->- 3?->- 2?->ACK",
		"the ACK of the selection was lost":        "1?->- 2?->ACK 2s 2?->ACK BLOCK=ours",
		"polled without EOT after a block":         "1?->- 2?->ACK BLOCK=ours 2s 2?->EOT",
		"two blocks in one turn":                   "1?->- 2?->ACK BLOCK=ours BLOCK=ours EOT",
		"a block without a selection":              "BLOCK=ours",
		"selected anew within a turn":              "1?->- 2?->ACK BLOCK=ours 1?->- 2?->ACK",
		"echo: our EOT is not the panel's":         "1?->- 2?->ACK ACK EOT 2?->EOT 10ms EOT=own 1?->- 600ms 2?->EOT",
		"echo: the panel's EOT comes later":        "1?->- 2?->ACK ACK EOT 2?->EOT 10ms EOT=own 500ms EOT 1?->- 600ms 2?->ACK",
		"echo: an EOT in place of ours lost":       "1?->- 2?->ACK ACK EOT 2?->EOT 500ms EOT 1?->- 600ms 2?->ACK",
		"no echo: an EOT at once is the panel's":   "2?->EOT 10ms EOT 1?->- 600ms 2?->ACK",
		"the ACK of another station is no echo":    "EOT 1?->- 3?->- ACK EOT 2?->EOT 10ms EOT 1?->- 600ms 2?->ACK",
		"after ten seconds all is as at the start": "EOT 1?->- 2?->ACK 11s 2?->EOT 11s 1?->- 400ms 2?->ACK",
		"at the start a poll long ago is a poll":   "1?->- 600ms 2?->EOT",
	} {
		tu, now := newTurn('2'), time.Duration(0)
		for i, step := range strings.Fields(script) {
			what, want, _ := strings.Cut(strings.Replace(step, "=", "->", 1), "->")
			got := want
			switch {
			case what[len(what)-1] == '?':
				got = map[answer]string{nothing: "-", accept: "ACK", giveBack: "EOT"}[tu.enq(what[0], stamp(now))]
			case what == "EOT":
				got = ""
				if !tu.end(stamp(now)) {
					got = "own"
				}
			case what == "ACK":
				tu.ack()
			case what == "BLOCK":
				got = "other"
				if tu.block(stamp(now)) {
					got = "ours"
				}
			default:
				d, err := time.ParseDuration(what)
				if err != nil {
					t.Fatal(err)
				}
				now += d
			}
			if got != want {
				t.Errorf("%s: step %d of %q: got %q, want %q", name, i+1, script, got, want)
				break
			}
		}
	}
}
