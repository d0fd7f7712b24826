package alarm

import (
	"crypto/sha256"
	"slices"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/journal"
)

// A panel sends the same again when our ack was lost. Its times have minutes at best, so that a real second alarm can be
// byte-identical: only what the protocol explains is taken for a repeat, everything else is news.
const (
	repeatWithin = 15 * time.Second // the panel's own retries
	datedWithin  = 23 * time.Hour   // the same time of day comes again after 24 h
	blankWithin  = 2 * time.Minute  // without a time in the key
	textWithin   = 5 * time.Second  // a text belongs to the event before it
	maxKey       = 128
)

// foldKey bounds a key without making different keys equal.
func foldKey(k []byte) []byte {
	if len(k) <= maxKey {
		return k
	}
	sum := sha256.Sum256(k)
	return sum[:]
}

func window(s edge.Signal) time.Duration {
	if s.Dated {
		return datedWithin
	}
	return blankWithin
}

// repeats says whether s is what the panel said last, said again.
func repeats(s edge.Signal, m journal.PanelMemory) bool {
	if len(s.Key) == 0 || m.Settled || !slices.ContainsFunc(m.Keys, func(k []byte) bool { return string(k) == string(s.Key) }) {
		return false
	}
	return within(s.At, m.At, repeatWithin) || s.First && before(m.At, s.Opened) && within(s.At, m.At, window(s))
}

// before says whether at is surely before the line was opened: the panel's retries on one line end within repeatWithin.
func before(at, opened edge.Stamp) bool {
	if opened == (edge.Stamp{}) {
		return false
	}
	d, ok := opened.Since(at)
	return !ok || d > 0
}

// within says whether now is at most d after then. Over a reboot only the wall clock can tell; one that has gone
// back proves nothing, nor one that was never set (each boot of such a box is on the same day of 1970), and an event too
// many does less harm than one too few.
func within(now, then edge.Stamp, d time.Duration) bool {
	gone, ok := now.Since(then)
	if !ok {
		if now.ClockState() == edge.ClockUnset || then.ClockState() == edge.ClockUnset {
			return false
		}
		gone = now.Wall.Sub(then.Wall)
	}
	return gone >= 0 && gone <= d
}
