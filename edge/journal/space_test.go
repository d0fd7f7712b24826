package journal

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sitewatch/edge"
)

// testSign is a signature that a test can check.
func testSign(m []byte) ([]byte, error) {
	s := sha256.Sum256(append([]byte("secret"), m...))
	return s[:], nil
}

func testCheck(m, sig []byte) error {
	if want, _ := testSign(m); !bytes.Equal(want, sig) {
		return errors.New("does not fit")
	}
	return nil
}

func small(dir string) Options {
	opt := testOptions(dir)
	opt.LimitBytes, opt.Sign = 1<<20, testSign
	return opt
}

func filler(k edge.Kind, n int) edge.Event {
	return edge.Event{Kind: k, Text: strings.Repeat("z", 1000) + fmt.Sprint(n)}
}

// acked journals n routine events, ten at a time, and the SOC acks them.
func (b *box) acked(n int) {
	b.t.Helper()
	for i := range n / 10 {
		evs := make([]edge.Event, 10)
		for k := range evs {
			evs[k] = filler(edge.KindSet, 10*i+k)
		}
		must(b.t, b.Acked(b.t.Context(), edge.Routine, b.append(evs...)))
	}
}

// withinLimit checks the promise of LimitBytes.
func (b *box) withinLimit() {
	b.t.Helper()
	st, err := os.Stat(b.Path())
	must(b.t, err)
	if st.Size() > b.opt.LimitBytes {
		b.t.Errorf("the file has %d bytes, the limit is %d", st.Size(), b.opt.LimitBytes)
	}
}

// settled waits until the writer has nothing to delete any more.
func (b *box) settled() {
	b.t.Helper()
	for range 50 {
		b.append(filler(edge.KindSet, 0))
	}
}

func TestAckedEventsGoOldestFirstAndLeaveASignedAnchor(t *testing.T) {
	dir := t.TempDir()
	b := open(t, small(dir))
	b.acked(3000)
	b.withinLimit()
	evs := b.lane(edge.Routine, 0)
	if k := b.kinds(); k[edge.KindEventsLost] != 0 {
		t.Errorf("events were lost although all were acked: %v", k)
	}
	// The newest stay as history: more than half of the limit.
	if n := len(evs); n < 300 || n > 800 || evs[n-1].Seq != 3000 {
		t.Errorf("%d events stay, the last is %d; want the newest of about 3/4 MiB", n, evs[n-1].Seq)
	}
	if evs[len(evs)-1].Seq-evs[0].Seq != edge.Seq(len(evs)-1) {
		t.Error("there is a hole")
	}
	must(t, VerifySigned(t.Context(), b.Path(), testCheck))
	b.stop()
	b = open(t, small(dir))
	b.append(filler(edge.KindSet, 1))
	must(t, VerifySigned(t.Context(), b.Path(), testCheck))
}

func TestUnackedUrgentEventKeepsWhatIsBehindIt(t *testing.T) {
	b := open(t, small(t.TempDir()))
	b.append(edge.Event{Kind: edge.KindFire})
	b.acked(500)
	if evs := b.lane(edge.Urgent, 0); len(evs) != 1 {
		t.Fatalf("%d urgent events, want the fire", len(evs))
	}
	b.acked(3000) // they go before anything is lost, although the fire is older
	b.withinLimit()
	if evs := b.lane(edge.Urgent, 0); len(evs) != 1 || evs[0].Seq != 1 {
		t.Errorf("urgent = %+v, want the fire", evs)
	}
	if k := b.kinds(); k[edge.KindEventsLost] != 0 {
		t.Errorf("events were lost: %v", k)
	}
	must(t, VerifySigned(t.Context(), b.Path(), testCheck))
}

func TestWithoutTheSOCRoutineGoesFirstAndIsNamed(t *testing.T) {
	b := open(t, small(t.TempDir()))
	const fires = 50
	routine := uint64(0)
	for i := range 4000 {
		kind := edge.KindSet
		if i%80 == 0 {
			kind = edge.KindFire
		} else {
			routine++
		}
		b.append(filler(kind, i))
	}
	b.settled()
	routine += 50
	b.withinLimit()
	if evs := b.lane(edge.Urgent, 0); len(evs) != fires {
		t.Errorf("%d fires of %d are left; routine events had to go first", len(evs), fires)
	}
	var here, lost uint64
	for _, ev := range b.lane(edge.Routine, 0) {
		if ev.Kind == edge.KindEventsLost {
			lost += ev.Gap.Events
			if ev.Gap.From == 0 || ev.Gap.To < ev.Gap.From || ev.Gap.Reason == "" {
				t.Errorf("gap = %+v", ev.Gap)
			}
			continue
		}
		here++
	}
	// Deleted events-lost events are counted among the lost, each with what it had named.
	if here+lost < routine || lost == 0 || here+lost > routine+200 {
		t.Errorf("%d routine events are here and %d named as lost, of %d", here, lost, routine)
	}
	must(t, VerifySigned(t.Context(), b.Path(), testCheck))
}

func TestUrgentGoesLast(t *testing.T) {
	b := open(t, small(t.TempDir()))
	for i := range 2000 {
		b.append(filler(edge.KindIntruder, i))
	}
	b.settled()
	b.withinLimit()
	urgent := b.lane(edge.Urgent, 0)
	if n := len(urgent); n < 300 || urgent[n-1].Seq < 1990 {
		t.Errorf("%d urgent events are left, want the newest", n)
	}
	lost := uint64(0)
	for _, ev := range b.lane(edge.Routine, 0) {
		if ev.Kind == edge.KindEventsLost {
			lost += ev.Gap.Events
		}
	}
	if lost+uint64(len(urgent)) < 2000 {
		t.Errorf("%d events are here and %d named as lost, of 2000", len(urgent), lost)
	}
	must(t, VerifySigned(t.Context(), b.Path(), testCheck))
}

func TestRewindBelowTheAnchorNamesWhatIsGone(t *testing.T) {
	b := open(t, small(t.TempDir()))
	b.acked(2000)
	first := b.lane(edge.Routine, 0)[0].Seq
	must(t, b.Rewind(t.Context(), edge.Routine, 10))
	evs := b.lane(edge.Routine, 10)
	ev := evs[len(evs)-1]
	if ev.Kind != edge.KindEventsLost || ev.Gap.From != 11 || ev.Gap.To != first-1 || ev.Gap.Events != uint64(first-11) {
		t.Errorf("last event = %+v with gap %+v, want 11 to %d", ev, ev.Gap, first-1)
	}
}

func TestVerifyFindsWhatWasTamperedWith(t *testing.T) {
	for _, c := range []struct {
		name, sql, want string
	}{
		{"an event was changed", `update events set body = replace(body, 'zzz', 'yyy') where seq = 7`, "event 7: was changed"},
		{"an event and its hash were changed", `update events set body = cast(replace(body, 'zzz', 'yyy') as blob), hash = zeroblob(32) where seq = 7`, "event 7"},
		{"an event was taken out", `delete from events where seq = 7`, "event 7: missing"},
		{"the newest were taken out", `delete from events where seq > 15`, "event 16: missing"},
		{"the oldest were taken out", `delete from events where seq < 3`, "event 1: missing"},
		{"two changed places", `update events set seq = case seq when 7 then 108 else 107 end where seq in (7, 8)`, "missing"},
		{"a gap was made up", `delete from events where seq = 7; insert into gaps (from_seq, to_seq, events, lost, reason, event_seq, event_hash, signature)
			values (7, 7, 1, 1, 'x', 21, zeroblob(32), zeroblob(32))`, "signature"},
		{"a gap names fewer than are gone", `delete from events where seq in (7, 8); insert into gaps (from_seq, to_seq, events, lost, reason, event_seq, event_hash, signature)
			values (7, 8, 1, 0, 'x', null, null, null)`, "2 numbers up to here are missing and the gaps name 1"},
		{"a gap names more than are gone", `delete from events where seq = 7; insert into gaps (from_seq, to_seq, events, lost, reason, event_seq, event_hash, signature)
			values (7, 8, 2, 0, 'x', null, null, null)`, "1 numbers up to here are missing and the gaps name 2"},
		{"an anchor was made up", `delete from events where seq < 3; insert into anchors (one, seq, hash, at_ns, signature)
			select 1, 2, prev, 0, zeroblob(32) from events where seq = 3`, "signature"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := open(t, small(t.TempDir()))
			for i := range 20 {
				b.append(filler(edge.KindSet, i))
			}
			b.stop()
			must(t, VerifySigned(t.Context(), b.Path(), testCheck))
			db, err := sql.Open("sqlite3", fileURL(b.Path()))
			must(t, err)
			_, err = db.Exec(strings.ReplaceAll(c.sql, "replace(body", "replace(cast(body as text)"))
			if err != nil && strings.Contains(err.Error(), "BLOB") {
				_, err = db.Exec(`update events set body = cast(replace(cast(body as text), 'zzz', 'yyy') as blob) where seq = 7`)
			}
			must(t, err)
			must(t, db.Close())
			err = VerifySigned(t.Context(), b.Path(), testCheck)
			var chain *ChainError
			if !errors.As(err, &chain) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Verify = %v, want a chain error that says %q", err, c.want)
			}
		})
	}
}

func TestStatusCountsWhatWaits(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	b.append(edge.Event{Kind: edge.KindSet}, edge.Event{Kind: edge.KindSet}, edge.Event{Kind: edge.KindFire})
	must(t, b.Acked(t.Context(), edge.Routine, 1))
	id := b.alarm("door")
	b.ready(id, 70)
	s, err := b.Status(t.Context())
	must(t, err)
	if s.ID != b.ID() || s.Last != 5 || s.Bytes <= 0 || s.Clips["ready"] != 1 || s.ClipBytes != 70 || s.UploadsWaiting != 1 {
		t.Errorf("status = %+v", s)
	}
	want := []LaneStatus{{edge.Urgent, 0, 2}, {edge.Routine, 1, 2}}
	if len(s.Lanes) != 2 || s.Lanes[0] != want[0] || s.Lanes[1] != want[1] {
		t.Errorf("lanes = %+v, want %+v", s.Lanes, want)
	}
}

// smallDisk mounts a disk of 64 MiB for the test, and returns it with a function that takes all the room that is left.
func smallDisk(t *testing.T) (dir string, fill func()) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("a small disk of its own needs root: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, 0) })
	return dir, func() {
		t.Helper()
		f, err := os.Create(filepath.Join(dir, "somebody-elses-file"))
		must(t, err)
		for n := 64 << 10; n > 0; {
			if _, err := f.Write(make([]byte, n)); errors.Is(err, syscall.ENOSPC) {
				n /= 2
			} else {
				must(t, err)
			}
		}
		must(t, f.Close())
	}
}

func TestFireOutranksClipsOnAFullDisk(t *testing.T) {
	dir, fill := smallDisk(t)
	b := open(t, testOptions(dir))
	for range 10 {
		id := edge.ClipID(edge.NewID())
		b.append(edge.Event{Kind: edge.KindIntruder, Clips: []edge.ClipRef{{ID: id, Camera: "door"}}})
		path := filepath.Join(dir, "clips", string(id)+".mp4")
		must(t, os.WriteFile(path, make([]byte, 1<<20), 0o600))
		must(t, b.ClipReady(t.Context(), edge.ClipFact{ID: id}, edge.ClipFile{ID: id, Part: edge.PartClip, Path: path, SizeBytes: 1 << 20}))
	}
	fill()
	// The SOC is away: nothing is acked, no clip is uploaded. The reserve is used up first.
	for i := 0; b.kinds()[edge.KindClipLost] == 0; i++ {
		if i > 300 {
			t.Fatal("the reserve has no end")
		}
		for n := range 100 {
			if _, err := b.Append(t.Context(), filler(edge.KindFire, n)); err != nil {
				t.Fatalf("a fire was refused while there were clips to delete: %v", err)
			}
		}
	}
	b.verify()
}

func TestFullDiskLivesOnTheReserve(t *testing.T) {
	dir, fill := smallDisk(t)
	b := open(t, testOptions(dir))
	fill()
	for i := range 500 {
		b.append(filler(edge.KindFire, i))
	}
	wait := func(k edge.Kind) {
		t.Helper()
		deadline := time.After(3 * time.Minute)
		for {
			changed := b.Changed(edge.Routine)
			if b.kinds()[k] > 0 {
				return
			}
			select {
			case <-changed:
			case <-deadline:
				t.Fatalf("no %s event: %v", k, b.kinds())
			}
		}
	}
	wait(edge.KindDiskFull)
	var err error
	for i := 0; err == nil; i++ { // until the reserve is used up too
		if i > 100_000 {
			t.Fatal("a full disk has endless room")
		}
		_, err = b.Append(t.Context(), filler(edge.KindFire, i))
	}
	if !errors.Is(err, ErrFull) || edge.HintOf(err) == "" {
		t.Fatalf("Append = %v, want ErrFull with a hint", err)
	}
	if err := b.Acked(t.Context(), edge.Routine, b.Last()); !errors.Is(err, ErrFull) {
		t.Errorf("Acked = %v, want ErrFull: what was not kept must be kept again", err)
	}
	must(t, os.Remove(filepath.Join(dir, "somebody-elses-file")))
	must(t, b.Acked(t.Context(), edge.Routine, b.Last()))
	b.append(edge.Event{Kind: edge.KindFire})
	wait(edge.KindDiskFull.Restored())
	if st, err := os.Stat(b.reservePath()); err != nil || st.Size() != reserveBytes {
		t.Errorf("the reserve is not back: %v", err)
	}
	b.verify()
}

// A SOC that comes back takes all that waited, and nothing new happens at the site: there must be room again all the same.
func TestAcksMakeRoomByThemselves(t *testing.T) {
	b := open(t, small(t.TempDir()))
	for i := range 2000 {
		b.append(filler(edge.KindSet, i))
	}
	b.settled()
	full, err := b.store.usedBytes(t.Context())
	must(t, err)
	for range 50 { // again and again only so that the writer has turns: the first ack says it all
		for _, lane := range edge.EventLanes {
			must(t, b.Acked(t.Context(), lane, b.Last()))
		}
	}
	if used, err := b.store.usedBytes(t.Context()); err != nil || used >= full || used > b.opt.LimitBytes/100*historyPercent {
		t.Errorf("%d bytes are in use when the SOC has all, %d before (%v)", used, full, err)
	}
}
