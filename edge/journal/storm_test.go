package journal

import (
	"context"
	"fmt"
	"testing"

	"sitewatch/edge"
)

// TestSmallestJournalTakesAStormWithoutSOC: signals that are remembered for the duplicate rule take room, too. However many
// come while the SOC is away, the next alarm is recorded.
func TestSmallestJournalTakesAStormWithoutSOC(t *testing.T) {
	opt := testOptions(t.TempDir())
	opt.LimitBytes = 1 << 20
	b := open(t, opt)
	defer b.stop()
	for n := range 3000 {
		kind := edge.KindIntruder
		if n%4 == 3 {
			kind = edge.Kind("zone-fault")
		}
		key := fmt.Appendf(nil, "ti%02d:%02d/va%d/BA%04d", n/60%24, n%60, n, n%1000)
		_, err := b.Commit(t.Context(), Batch{Panel: "intruder", Entries: []Entry{{Key: key, At: opt.Clock.Now(), Event: edge.Event{
			Kind: kind, Panel: "intruder", Code: "BA", Zone: edge.ZoneID(fmt.Sprint(n % 1000)), Why: "Intruder alarm (BA), zone 1234, panel intruder", Raw: key}}}})
		if err != nil {
			var counts [3]int
			for i, q := range []string{`select count(*) from events`, `select count(*) from signals`, `select count(*) from gaps`} {
				b.store.row(context.Background(), q, nil, &counts[i])
			}
			used, _ := b.store.usedBytes(context.Background())
			t.Fatalf("alarm %d: %v (%d bytes in use; events, signals, gaps: %v)", n, err, used, counts)
		}
	}
}
