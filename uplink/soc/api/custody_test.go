package api

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
)

// forgetful is a ledger that cannot write its custody log at first.
type forgetful struct {
	ledger.Ledger
	fails int
}

func (l *forgetful) Note(ctx context.Context, e ledger.CustodyEntry) error {
	if l.fails--; l.fails >= 0 {
		return errors.New("the disk is full")
	}
	return l.Ledger.Note(ctx, e)
}

func TestLooksAreInTheCustodyLog(t *testing.T) {
	f := newFront(t)
	f.api.o.Ledger = &forgetful{f.led, 1}
	film := makeFilm(t, "-map", "0", "-c:v", "libx264", "-pix_fmt", "yuv420p")
	id := edge.ClipID(edge.NewID())
	path := "/api/v1/clips/" + string(id) + ".mp4"
	f.event(edge.Event{Kind: edge.KindIntruder, Clips: []edge.ClipRef{{ID: id, Camera: "door", From: at(0), To: at(1)}}})
	if err := os.WriteFile(filepath.Join(f.clips, string(id)+".part"), film, 0o600); err != nil {
		t.Fatal(err)
	}
	has := func(when string, want ...string) {
		t.Helper()
		got, err := f.led.Custody(t.Context(), "0417", id, 0, 10)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%s: %d entries, %v, want %d", when, len(got), err, len(want))
		}
		for i, c := range got {
			if c.Entry.Digest.String() != want[i] {
				t.Errorf("%s: entry %d has the digest %q, want %q", when, i, c.Entry.Digest, want[i])
			}
		}
	}
	f.get(path)
	has("the log could not be written")
	f.get(path)
	f.get(path)
	has("it can be, and he looks again", "")
	sum := [32]byte{1}
	if err := os.WriteFile(f.api.o.ClipPath("0417", id, edge.PartClip), film, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.led.ClipStored(t.Context(), "0417", id, edge.PartClip, int64(len(film)), sum); err != nil {
		t.Fatal(err)
	}
	f.get(path)
	f.get(path)
	has("he has looked at the finished file, too", "", edge.HexBytes(sum[:]).String())
}
