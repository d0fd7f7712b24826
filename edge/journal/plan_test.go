package journal

import (
	"strings"
	"testing"

	"sitewatch/edge"
)

// TestBacklogIsReadByItsIndex: what a read costs must not depend on how many events wait, in either lane.
func TestBacklogIsReadByItsIndex(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	b.append(edge.Event{Kind: edge.KindFire})
	for query, args := range map[string][]any{
		laneQuery: {1, 0, 64},
		`select min(seq) from events where lane = ? and seq > ?`: {1, 0},
	} {
		rows, err := b.read.Query("explain query plan "+query, args...)
		must(t, err)
		var plan []string
		for rows.Next() {
			r, err := scanRow(rows, 4)
			must(t, err)
			plan = append(plan, r[3].(string))
		}
		must(t, rows.Close())
		if got := strings.Join(plan, "; "); !strings.Contains(got, "SEARCH events USING") || !strings.Contains(got, "events_lane (lane=? AND rowid>?)") || strings.Contains(got, "TEMP B-TREE") {
			t.Errorf("%s: %s", query, got)
		}
	}
}
