package journal

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitewatch/edge"
)

// alarm journals an intruder alarm that wants one clip of the camera.
func (b *box) alarm(camera edge.CameraID) edge.ClipID {
	b.t.Helper()
	id := edge.ClipID(edge.NewID())
	now := b.clock.Now().Wall
	b.append(edge.Event{Kind: edge.KindIntruder, Clips: []edge.ClipRef{{ID: id, Camera: camera, From: now.Add(-10 * time.Second), To: now}}})
	return id
}

// file writes a clip's file of n bytes.
func (b *box) file(id edge.ClipID, part edge.FilePart, n int) edge.ClipFile {
	b.t.Helper()
	name := string(id) + map[edge.FilePart]string{edge.PartStill: ".jpg", edge.PartClip: ".mp4"}[part]
	data := []byte(strings.Repeat("p", n))
	f := edge.ClipFile{ID: id, Part: part, Path: filepath.Join(b.ClipDir(), name), SizeBytes: int64(n), SHA256: sha256.Sum256(data)}
	must(b.t, os.WriteFile(f.Path, data, 0o600))
	return f
}

func (b *box) ready(id edge.ClipID, n int) {
	b.t.Helper()
	must(b.t, b.ClipReady(b.t.Context(), edge.ClipFact{ID: id, Reason: "short"}, b.file(id, edge.PartClip, n)))
}

func (b *box) state(id edge.ClipID) string {
	b.t.Helper()
	var s string
	must(b.t, b.readRow(b.t.Context(), `select state from clips where id = ?`, []any{string(id)}, &s))
	return s
}

// kinds counts the events of the routine lane.
func (b *box) kinds() map[edge.Kind]int {
	b.t.Helper()
	out := map[edge.Kind]int{}
	for _, ev := range b.lane(edge.Routine, 0) {
		out[ev.Kind]++
	}
	return out
}

func TestClipFromWantedToTheSOC(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	ctx := t.Context()
	wanted, uploads := b.ClipsChanged(), b.UploadsChanged()
	id := b.alarm("door")
	select {
	case <-wanted:
	default:
		t.Error("nobody was told of the wanted clip")
	}
	jobs, err := b.WantedClips(ctx)
	must(t, err)
	now := b.clock.Now()
	want := edge.ClipJob{ClipRef: edge.ClipRef{ID: id, Camera: "door", From: now.Wall.Add(-10 * time.Second), To: now.Wall},
		Seq: 1, Kind: edge.KindIntruder, At: now}
	if len(jobs) != 1 || jobs[0] != want {
		t.Fatalf("wanted = %+v, want %+v", jobs, want)
	}
	must(t, b.ClipCutting(ctx, id))
	still := b.file(id, edge.PartStill, 300)
	must(t, b.StillReady(ctx, still))
	if jobs, _ = b.WantedClips(ctx); len(jobs) != 1 || !jobs[0].Cutting || !jobs[0].Still {
		t.Errorf("jobs = %+v, want it cutting and with a still", jobs)
	}
	select {
	case <-uploads:
	default:
		t.Error("nobody was told of the still")
	}
	f, ok, err := b.NextUpload(ctx)
	still.Camera, still.Seq = "door", 1
	if err != nil || !ok || f != still {
		t.Errorf("next = %+v, %v, %v, want the still %+v", f, ok, err, still)
	}
	must(t, b.UploadDone(ctx, id, edge.PartStill))
	b.ready(id, 1000)
	b.ready(id, 1000)
	must(t, b.ClipLost(ctx, id, "too late"))
	must(t, b.StillReady(ctx, still)) // it has one
	if f, ok, err = b.NextUpload(ctx); err != nil || !ok || f.Part != edge.PartClip || f.SizeBytes != 1000 {
		t.Errorf("next = %+v, %v, %v, want the clip", f, ok, err)
	}
	must(t, b.UploadDone(ctx, id, edge.PartClip))
	if f, ok, err = b.NextUpload(ctx); ok || err != nil {
		t.Errorf("next = %+v, %v, want nothing", f, err)
	}
	evs := b.lane(edge.Routine, 0)
	if len(evs) != 1 || evs[0].Kind != edge.KindClipReady {
		t.Fatalf("events = %+v, want one clip-ready", evs)
	}
	c := evs[0].Clip
	if c.SizeBytes != 1000 || c.StillBytes != 300 || string(c.StillSHA256) != string(still.SHA256[:]) || c.Camera != "door" || c.Reason != "short" {
		t.Errorf("clip-ready says %+v", c)
	}
	if s := b.state(id); s != "ready" {
		t.Errorf("state = %s, want ready", s)
	}
}

func TestStillsBeforeClipsNewestFirst(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	ctx := t.Context()
	names := map[edge.ClipID]string{}
	for _, n := range []string{"old", "middle", "new"} {
		id := b.alarm("door")
		names[id] = n
		must(t, b.StillReady(ctx, b.file(id, edge.PartStill, 10)))
		b.ready(id, 20)
	}
	var got []string
	for {
		f, ok, err := b.NextUpload(ctx)
		must(t, err)
		if !ok {
			break
		}
		got = append(got, names[f.ID]+filepath.Ext(f.Path))
		must(t, b.UploadDone(ctx, f.ID, f.Part))
	}
	if s := strings.Join(got, " "); s != "new.jpg middle.jpg old.jpg new.mp4 middle.mp4 old.mp4" {
		t.Errorf("order = %s", s)
	}
}

func TestRefusedClipIsLostAndItsStillOnlyLeftOut(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	ctx := t.Context()
	id := b.alarm("door")
	must(t, b.StillReady(ctx, b.file(id, edge.PartStill, 10)))
	b.ready(id, 20)
	for range 2 {
		must(t, b.UploadRefused(ctx, id, edge.PartStill, "digest"))
		must(t, b.UploadRefused(ctx, id, edge.PartClip, "digest"))
	}
	if _, ok, err := b.NextUpload(ctx); ok || err != nil {
		t.Errorf("something is still offered: %v", err)
	}
	if k := b.kinds(); k[edge.KindClipLost] != 1 || b.state(id) != "lost" {
		t.Errorf("events %v, state %s; want one clip-lost", k, b.state(id))
	}
	if b.hasFile(string(id) + ".mp4") {
		t.Error("the refused file stays")
	}
}

func TestClipOfWhichNothingIsKnown(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	if err := b.ClipLost(t.Context(), "nobody", "x"); !errors.Is(err, ErrNoClip) {
		t.Errorf("ClipLost = %v, want ErrNoClip", err)
	}
	id := b.alarm("door")
	f := b.file(id, edge.PartClip, 10)
	f.SizeBytes = 11
	if err := b.ClipReady(t.Context(), edge.ClipFact{ID: id}, f); err == nil {
		t.Error("a file of another size was taken")
	}
	f.Path = filepath.Join(t.TempDir(), string(id)+".mp4")
	if err := b.ClipReady(t.Context(), edge.ClipFact{ID: id}, f); err == nil {
		t.Error("a file elsewhere was taken")
	}
	f = b.file(id, edge.PartClip, 10)
	must(t, os.Remove(f.Path))
	if err := b.ClipReady(t.Context(), edge.ClipFact{ID: id}, f); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ClipReady without a file = %v", err)
	}
}

func TestFullClipStorageDropsWhatTheSOCHasFirst(t *testing.T) {
	opt := testOptions(t.TempDir())
	opt.ClipLimitBytes = 3000
	b := open(t, opt)
	ctx := t.Context()
	a, c, d := b.alarm("a"), b.alarm("c"), b.alarm("d")
	b.ready(a, 1000)
	b.ready(c, 1000)
	b.ready(d, 1000)
	must(t, b.UploadDone(ctx, c, edge.PartClip))
	e := b.alarm("e")
	b.ready(e, 1000)
	if got := b.state(a) + b.state(c) + b.state(d) + b.state(e); got != "readygonereadyready" {
		t.Errorf("states = %s, want only the uploaded one gone", got)
	}
	if k := b.kinds(); k[edge.KindClipLost] != 0 {
		t.Errorf("events = %v, want nothing lost", k)
	}
	f := b.alarm("f")
	b.ready(f, 1500)
	if got := b.state(a) + b.state(d) + b.state(e) + b.state(f); got != "lostlostreadyready" {
		t.Errorf("states = %s, want the two oldest lost", got)
	}
	if k := b.kinds(); k[edge.KindClipLost] != 2 {
		t.Errorf("events = %v, want 2 clip-lost", k)
	}
	var size int64
	entries, err := os.ReadDir(b.ClipDir())
	must(t, err)
	for _, en := range entries {
		info, err := en.Info()
		must(t, err)
		size += info.Size()
	}
	if size != 2500 {
		t.Errorf("clips/ has %d bytes, want 2500", size)
	}
}

func TestOpenPutsClipsRight(t *testing.T) {
	dir := t.TempDir()
	b := open(t, testOptions(dir))
	ctx := t.Context()
	whole, cut, vanished, atSOC := b.alarm("whole"), b.alarm("cut"), b.alarm("vanished"), b.alarm("at-soc")
	for _, id := range []edge.ClipID{whole, vanished, atSOC} {
		b.ready(id, 100)
	}
	must(t, b.UploadDone(ctx, atSOC, edge.PartClip))
	must(t, b.ClipCutting(ctx, cut))
	must(t, b.StillReady(ctx, b.file(vanished, edge.PartStill, 10)))
	b.stop()
	put := func(name string) { must(t, os.WriteFile(filepath.Join(b.ClipDir(), name), []byte("x"), 0o600)) }
	must(t, os.Remove(filepath.Join(b.ClipDir(), string(vanished)+".mp4")))
	must(t, os.Remove(filepath.Join(b.ClipDir(), string(atSOC)+".mp4")))
	put(string(cut) + ".tmp")             // the cutter may go on with it
	put(string(whole) + ".tmp")           // of a clip that is finished
	put(edge.NewID() + ".mp4")            // of no clip
	put("core")                           // whatever
	put(strings.Repeat("ä", 40) + ".mp4") // no id at all

	b = open(t, testOptions(dir))
	for id, want := range map[edge.ClipID]string{whole: "ready", cut: "cutting", vanished: "lost", atSOC: "gone"} {
		if got := b.state(id); got != want {
			t.Errorf("clip %s is %s, want %s", id, got, want)
		}
	}
	entries, err := os.ReadDir(b.ClipDir())
	must(t, err)
	want := map[string]bool{string(cut) + ".tmp": true, string(whole) + ".mp4": true, string(vanished) + ".jpg": true}
	for _, e := range entries {
		if !want[e.Name()] {
			t.Errorf("%s stays", e.Name())
		}
		delete(want, e.Name())
	}
	if len(want) != 0 {
		t.Errorf("gone: %v", want)
	}
	if k := b.kinds(); k[edge.KindClipLost] != 1 {
		t.Errorf("events = %v, want one clip-lost", k)
	}
	// The still of a lost clip goes to the SOC all the same.
	if f, ok, err := b.NextUpload(t.Context()); !ok || err != nil || f.ID != vanished || f.Part != edge.PartStill {
		t.Errorf("next = %+v, %v, %v, want the still", f, ok, err)
	}
	b.verify()
}

func TestReasonOfAnyLength(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	id := b.alarm("door")
	must(t, b.ClipLost(t.Context(), id, strings.Repeat("why \xff", 50_000)))
	if evs := b.lane(edge.Routine, 0); len(evs) != 1 || len(evs[0].Clip.Reason) > 4096 {
		t.Errorf("events = %d, want one clip-lost with a short reason", len(evs))
	}
}

// What the SOC wants later does not keep what is older.
func TestNextUploadLeavesOutWhatItIsToldTo(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	older := b.alarm("door")
	b.ready(older, 1000)
	newer := b.alarm("door")
	b.ready(newer, 1000)
	for _, c := range []struct {
		not  []edge.ClipID
		want edge.ClipID
	}{{nil, newer}, {[]edge.ClipID{newer}, older}, {[]edge.ClipID{older}, newer}, {[]edge.ClipID{newer, older}, ""}} {
		if f, ok, err := b.NextUpload(t.Context(), c.not...); err != nil || f.ID != c.want || ok != (c.want != "") {
			t.Errorf("without %v comes %+v, %v, %v; want %s", c.not, f, ok, err, c.want)
		}
	}
}
