package clip

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"sitewatch/edge"
)

// cutting is one clip on its way.
type cutting struct {
	*Cutter
	job edge.ClipJob
	log *slog.Logger

	still   edge.ClipFile // zero until there is one
	left    *salvaged     // what an earlier run had, in kept; nil: nothing
	reasons []string      // why the clip is not all that was asked for
}

func (j *cutting) temp() string  { return filepath.Join(j.opt.Dir, string(j.job.ID)+".tmp") }
func (j *cutting) final() string { return filepath.Join(j.opt.Dir, string(j.job.ID)+".mp4") }
func (j *cutting) jpeg() string  { return filepath.Join(j.opt.Dir, string(j.job.ID)+".jpg") }

// run takes the clip to ready, or returns a *lostError or ctx's error.
func (j *cutting) run(ctx context.Context) error {
	camera, ok := j.from()
	resumed, err := j.resume(ctx)
	if err != nil || resumed {
		return err
	}
	if !ok {
		return lostf("camera %s is not configured", j.job.Camera)
	}
	now := j.opt.Clock.Now()
	if _, same := now.Since(j.job.At); !same && !j.recorded() { // the ring was memory
		return lostf("the box was started again before it was cut")
	}
	fact, err := j.runBoth(ctx, camera, spanOf(j.job, now))
	if err != nil {
		return err
	}
	if j.less(fact) {
		return lostf("it was cut again, and is less than before")
	}
	if err := j.seal(ctx, j.temp(), fact); err != nil {
		return err
	}
	os.Remove(j.kept()) // best effort: sweep finds it otherwise
	return nil
}

// runBoth cuts the clip while the still goes ahead on its own: first of all. The still has as long as the clip is being cut, and
// stillPatience at least, which matters when all pictures were in the ring already.
func (j *cutting) runBoth(ctx context.Context, camera Camera, s span) (edge.ClipFact, error) {
	begun := j.opt.Clock.Now()
	stillCtx, stop := context.WithCancel(ctx)
	defer stop()
	still := make(chan error, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		err := edge.Guard(func() error { return j.runStill(stillCtx, ctx, camera, s) })()
		if errors.As(err, new(*edge.PanicError)) {
			j.log.Error("still broke the cutter", "err", err)
			err = nil // a clip without still is fine
		}
		still <- err
	})
	fact, err := j.begin(ctx, camera, s)
	if err != nil {
		stop()
		return fact, errors.Join(err, <-still)
	}
	took, _ := j.opt.Clock.Now().Since(begun)
	t := time.AfterFunc(stillPatience-took, stop)
	defer t.Stop()
	return fact, <-still
}

// begin says that the clip is being cut, and cuts it.
func (j *cutting) begin(ctx context.Context, camera Camera, s span) (fact edge.ClipFact, err error) {
	if err := j.tell(ctx, "clip cutting", func(ctx context.Context) error { return j.opt.Jobs.ClipCutting(ctx, j.job.ID) }); err != nil {
		return fact, err
	}
	if j.opt.Cutting != nil {
		j.opt.Cutting(j.job.ClipRef)
	}
	return j.cut(ctx, camera, s)
}

// nothing says why a clip has no picture at all.
func (j *cutting) nothing(camera Camera) error {
	restarted := ""
	if j.job.Cutting {
		restarted = " after a restart of the gateway"
	}
	return lostf("camera %s gave no pictures%s%s", j.job.Camera, restarted, because(camera))
}

func because(c Camera) string {
	if c.Trouble == nil {
		return ""
	}
	if t := c.Trouble(); t != "" {
		return ": " + t
	}
	return ""
}

// disk makes of an error of the file system the end of the clip: trying again would not help, and the journal must hear of it.
func (j *cutting) disk(err error) error {
	if errors.Is(err, errFull) {
		return lostf("the disk is full")
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err // the path says nothing to an operator
	}
	return lostf("cannot write it: %v", err)
}

// seal makes a temporary file the clip and tells the journal.
func (j *cutting) seal(ctx context.Context, temp string, fact edge.ClipFact) error {
	if err := publish(temp, j.final()); err != nil {
		return j.disk(err)
	}
	edge.Crash("clip renamed before row")
	return j.ready(ctx, fact)
}

// ready tells the journal of the finished file.
func (j *cutting) ready(ctx context.Context, fact edge.ClipFact) error {
	if fact.SHA256 == nil { // it was not written by this run
		size, sum, err := digest(j.final())
		if err != nil {
			return j.disk(err)
		}
		fact.SizeBytes, fact.SHA256 = size, sum[:]
	}
	fact.ID, fact.Camera = j.job.ID, j.job.Camera
	fact.Reason = strings.Join(j.reasons, "; ")
	if j.still.Path != "" {
		fact.StillBytes, fact.StillSHA256 = j.still.SizeBytes, j.still.SHA256[:]
	}
	f := j.file(edge.PartClip, j.final(), fact.SizeBytes, [sha256.Size]byte(fact.SHA256))
	if err := j.tell(ctx, "clip ready", func(ctx context.Context) error { return j.opt.Jobs.ClipReady(ctx, fact, f) }); err != nil {
		return err
	}
	j.log.Info("clip ready", "bytes", fact.SizeBytes, "reason", fact.Reason)
	return nil
}

func (j *cutting) file(part edge.FilePart, path string, size int64, sum [sha256.Size]byte) edge.ClipFile {
	return edge.ClipFile{ID: j.job.ID, Part: part, Camera: j.job.Camera, Seq: j.job.Seq, Path: path, SizeBytes: size, SHA256: sum}
}

// resume takes up what an earlier run left behind. done says that the clip is finished by that.
func (j *cutting) resume(ctx context.Context) (done bool, err error) {
	if err := j.adoptStill(ctx); err != nil {
		return false, err
	}
	found, adopted, err := j.leftover(j.final())
	if err != nil {
		return false, err
	}
	if adopted {
		if found.end.Duration() < j.job.To.Sub(found.note.First)-slack-time.Second {
			j.reasons = append(j.reasons, "cut short by a restart of the gateway")
		}
		return true, j.ready(ctx, found.fact())
	}
	if err := j.keep(); err != nil || j.left == nil {
		return false, err
	}
	if j.again(*j.left) {
		j.log.Info("clip is cut again from what was recorded")
		return false, nil
	}
	return true, j.sealLeft(ctx)
}
