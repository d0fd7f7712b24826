package clip

import (
	"bytes"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sitewatch/edge"
)

// Who reads the file while it grows has the beginning of the finished one, and can play what there is.
func TestFileOnlyGrows(t *testing.T) {
	r := newRing()
	scripted(t, r, 0, 165) // the alarm was 1.5 s ago
	dir, j := t.TempDir(), newJournal()
	job := alarm(15*time.Second, 5*time.Second, 5*time.Second)
	j.jobs[job.ID] = job
	var mu sync.Mutex
	var grown []Growth
	var seen [][]byte
	stop := run(t, New(Options{Dir: dir, Jobs: j, Clock: clock{16500 * time.Millisecond}, Log: quiet, Cameras: map[edge.CameraID]Camera{"stockroom": {Ring: r}},
		Growing: func(g Growth) {
			b, err := os.ReadFile(g.Path)
			if err != nil || int64(len(b)) != g.SizeBytes {
				t.Errorf("told of %d bytes, there are %d, %v", g.SizeBytes, len(b), err)
			}
			mu.Lock()
			defer mu.Unlock()
			grown, seen = append(grown, g), append(seen, b)
		}}).Run)
	grew := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(grown)
	}
	for deadline := time.Now().Add(time.Minute); grew() < 6 && time.Now().Before(deadline); {
		<-time.After(5 * time.Millisecond)
	}
	if n := grew(); n != 6 {
		t.Fatalf("told %d times of what came before the alarm, want once a second", n)
	}
	scripted(t, r, 165, 300)
	fact, file, lost := j.outcome(t, job.ID)
	stop()
	if lost != "" || fact.Reason != "" {
		t.Fatalf("lost %q, reason %q", lost, fact.Reason)
	}
	checkFile(t, fact, file)
	whole, err := os.ReadFile(file.Path)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range seen {
		if !bytes.HasPrefix(whole, b) {
			t.Errorf("what there was after fragment %d is not the beginning of the clip", i+1)
		}
		if g := grown[i]; g.Ref != job.ClipRef || g.Seq != job.Seq {
			t.Errorf("fragment %d is told of as %+v", i+1, g)
		}
	}
	if last := seen[len(seen)-1]; sha256.Sum256(last) != file.SHA256 {
		t.Error("the last fragment was not told of")
	}
	decodes(t, seen[2])
}

// decodes fails when ffmpeg has anything to say about a clip.
func decodes(t *testing.T, b []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "growing.mp4")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd := exec.Command("ffmpeg", "-v", "error", "-i", path, "-f", "null", "-")
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil || said.Len() > 0 {
		t.Errorf("ffmpeg: %v: %s", err, said.String())
	}
}
