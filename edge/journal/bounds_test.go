package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"sitewatch/edge"
)

func TestPartitionsOfOnePanelAreBounded(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	for i := range maxPartitions + 50 {
		_, err := b.Commit(t.Context(), Batch{
			Entries:    []Entry{{Event: edge.Event{Kind: edge.KindSet, Panel: "intruder"}}},
			Partitions: []Partition{{Panel: "intruder", Partition: edge.PartitionID(fmt.Sprint(i)), State: Set}},
		})
		must(t, err)
	}
	_, err := b.Commit(t.Context(), Batch{
		Entries:    []Entry{{Event: edge.Event{Kind: edge.KindUnset, Panel: "intruder"}}},
		Partitions: []Partition{{Panel: "intruder", Partition: "0", State: Unset}, {Panel: "fire", Partition: "1", State: Set}},
	})
	must(t, err)
	ps := b.Partitions()
	if len(ps) != maxPartitions+1 {
		t.Errorf("%d partitions, want %d of the one panel and one of the other", len(ps), maxPartitions)
	}
	for _, p := range ps {
		if p.Panel == "intruder" && p.Partition == "0" && p.State != Unset {
			t.Errorf("a partition that is known is %s, want unset", p.State)
		}
	}
	if n := b.Last(); n != maxPartitions+51 {
		t.Errorf("%d events, want all", n)
	}
}

func TestClipsBeyondTheBoundAreLostWithTheirAlarm(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	for range wantedMost / 100 {
		var refs []edge.ClipRef
		for range 100 {
			refs = append(refs, edge.ClipRef{ID: edge.ClipID(edge.NewID()), Camera: "door"})
		}
		b.append(edge.Event{Kind: edge.KindIntruder, Clips: refs})
	}
	id := edge.ClipID(edge.NewID())
	b.append(edge.Event{Kind: edge.KindFire, Clips: []edge.ClipRef{{ID: id, Camera: "door"}}})
	var lost []edge.Event
	for _, ev := range b.lane(edge.Routine, 0) {
		if ev.Kind == edge.KindClipLost {
			lost = append(lost, ev)
		}
	}
	if len(lost) != 1 || lost[0].Clip.ID != id {
		t.Errorf("lost are %+v, want the clip of the fire, for which there is no room", lost)
	}
	jobs, err := b.WantedClips(t.Context())
	must(t, err)
	if len(jobs) != wantedListed || jobs[0].Seq != wantedMost/100 {
		t.Errorf("%d jobs from event %d on, want %d from the newest on", len(jobs), jobs[0].Seq, wantedListed)
	}
	spans, err := b.WantedSpans(t.Context())
	must(t, err)
	if len(spans) != wantedMost || spans[wantedMost-1].Camera != "door" {
		t.Errorf("%d spans, want all %d", len(spans), wantedMost)
	}
	b.verify()
}

func TestRewindOffersTheFilesAgain(t *testing.T) {
	dir := t.TempDir()
	b := open(t, testOptions(dir))
	id := edge.ClipID(edge.NewID())
	b.append(edge.Event{Kind: edge.KindFire, Clips: []edge.ClipRef{{ID: id, Camera: "door"}}})
	file := func(part edge.FilePart, ext string) edge.ClipFile {
		path := filepath.Join(dir, "clips", string(id)+ext)
		must(t, os.WriteFile(path, []byte("pictures"), 0o600))
		return edge.ClipFile{ID: id, Part: part, Path: path, SizeBytes: 8}
	}
	must(t, b.StillReady(t.Context(), file(edge.PartStill, ".jpg")))
	must(t, b.ClipReady(t.Context(), edge.ClipFact{ID: id}, file(edge.PartClip, ".mp4")))
	must(t, b.UploadDone(t.Context(), id, edge.PartStill))
	must(t, b.UploadDone(t.Context(), id, edge.PartClip))
	must(t, b.Acked(t.Context(), edge.Urgent, 1))
	if _, ok, err := b.NextUpload(t.Context()); ok || err != nil {
		t.Fatalf("something waits: %v, %v", ok, err)
	}
	changed := b.UploadsChanged()
	must(t, b.Rewind(t.Context(), edge.Urgent, 0)) // the SOC is new
	<-changed
	for _, part := range []edge.FilePart{edge.PartStill, edge.PartClip} {
		f, ok, err := b.NextUpload(t.Context())
		if !ok || err != nil || f.Part != part {
			t.Fatalf("next is %+v, %v, %v; want part %d", f, ok, err, part)
		}
		must(t, b.UploadDone(t.Context(), f.ID, f.Part))
	}
}
