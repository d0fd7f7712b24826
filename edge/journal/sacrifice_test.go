package journal

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sitewatch/edge"
)

// TestFireOutranksSmallClipsOnAFullDisk: one clip may be too small to make room for an event; the next ones must go too.
func TestFireOutranksSmallClipsOnAFullDisk(t *testing.T) {
	const clips = 200
	dir, fill := smallDisk(t)
	b := open(t, testOptions(dir))
	for range clips {
		id := edge.ClipID(edge.NewID())
		b.append(edge.Event{Kind: edge.KindIntruder, Clips: []edge.ClipRef{{ID: id, Camera: "door"}}})
		path := filepath.Join(dir, "clips", string(id)+".mp4")
		must(t, os.WriteFile(path, make([]byte, 8<<10), 0o600))
		must(t, b.ClipReady(t.Context(), edge.ClipFact{ID: id}, edge.ClipFile{ID: id, Part: edge.PartClip, Path: path, SizeBytes: 8 << 10}))
	}
	fill()
	var err error
	for i := 0; err == nil; i++ {
		_, err = b.Append(t.Context(), filler(edge.KindFire, i))
	}
	if !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	left := 0
	entries, e := os.ReadDir(b.ClipDir())
	must(t, e)
	for _, en := range entries {
		if filepath.Ext(en.Name()) == ".mp4" {
			left++
		}
	}
	if left > 0 {
		t.Errorf("a fire was refused (%v) with %d of %d clips left", err, left, clips)
	}
	fires := len(b.lane(edge.Urgent, 0)) - clips
	if fires == 0 {
		t.Error("no fire was recorded")
	}
	// Room again: what was deleted is said, each once, and a restart has nothing to add.
	must(t, os.Remove(filepath.Join(dir, "somebody-elses-file")))
	deadline := time.After(3 * time.Minute)
	for b.kinds()[edge.KindClipLost] < clips {
		select {
		case <-b.Changed(edge.Routine):
		case <-time.After(time.Second / 10):
		case <-deadline:
			t.Fatalf("%d of %d deleted clips are said to be lost", b.kinds()[edge.KindClipLost], clips)
		}
	}
	b.stop()
	b = open(t, testOptions(dir))
	if n := b.kinds()[edge.KindClipLost]; n != clips {
		t.Errorf("%d clip-lost events, want %d", n, clips)
	}
	b.verify()
}
