package uplink

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

// backlog is n clips that wait, the newest alarm's first.
type backlog struct {
	nothing
	n int
}

func (b *backlog) NextUpload(_ context.Context, not ...edge.ClipID) (f edge.ClipFile, ok bool, err error) {
	for i := b.n; i > 0; i-- {
		if id := edge.ClipID(fmt.Sprint(i)); !slices.Contains(not, id) {
			return edge.ClipFile{ID: id, Part: edge.PartClip, Seq: edge.Seq(i), SHA256: [32]byte{1}}, true, nil
		}
	}
	return f, false, nil
}

// A SOC without room must not be asked for a thousand clips again and again; a new alarm's files are offered all the same.
func TestFullSOCIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := &backlog{n: 1000}
		c := New(Options{Outbox: &ledgerless{t, map[edge.Lane]edge.Seq{}}, Files: files, Clock: edge.NewSystemClock(), Paths: []Path{{Name: "a", SOC: []string{"soc:1"}}}})
		u := &upload{Client: c, path: c.paths[0], refused: map[edge.ClipID]refusal{}, grown: map[edge.ClipID]growth{}}
		offers := func() (n int) {
			for {
				f, ok, err := u.next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					return n
				}
				if n++; n > 2*laterMost {
					t.Fatal("the offers do not end")
				}
				if err := u.refuse(t.Context(), f, &wire.Refused{Again: true}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := offers(); got != laterMost {
			t.Errorf("%d offers, want %d", got, laterMost)
		}
		files.n++
		if got := offers(); got != 1 || len(u.refused) > laterMost {
			t.Errorf("%d offers after a new alarm, %d remembered; want its own alone", got, len(u.refused))
		}
		time.Sleep(u.soonest())
		if got := offers(); got == 0 || got > laterMost {
			t.Errorf("%d offers after a while, want some", got)
		}
	})
}
