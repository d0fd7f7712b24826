package clip

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"sitewatch/edge"
	"sitewatch/video"
	"sitewatch/video/ring"
)

// cutting is one clip on its way.
type cutting struct {
	*Cutter
	job edge.ClipJob
	log *slog.Logger

	still   edge.ClipFile // zero until there is one
	reasons []string      // why the clip is not all that was asked for
}

func (j *cutting) temp() string  { return filepath.Join(j.opt.Dir, string(j.job.ID)+".tmp") }
func (j *cutting) final() string { return filepath.Join(j.opt.Dir, string(j.job.ID)+".mp4") }
func (j *cutting) jpeg() string  { return filepath.Join(j.opt.Dir, string(j.job.ID)+".jpg") }

// run takes the clip to ready, or returns a *lostError or ctx's error.
func (j *cutting) run(ctx context.Context) error {
	camera, ok := j.opt.Cameras[j.job.Camera]
	resumed, err := j.resume(ctx)
	if err != nil || resumed {
		return err
	}
	if !ok {
		return lostf("camera %s is not configured", j.job.Camera)
	}
	now := j.opt.Clock.Now()
	if _, same := now.Since(j.job.At); !same { // what the ring has now is of another time, and only the wall clock could tell of which
		return lostf("the box was started again before it was cut")
	}
	if err := j.tell(ctx, "clip cutting", func(ctx context.Context) error { return j.opt.Jobs.ClipCutting(ctx, j.job.ID) }); err != nil {
		return err
	}
	if j.opt.Cutting != nil {
		j.opt.Cutting(j.job.ClipRef)
	}
	s := spanOf(j.job, now)

	fact, err := j.runBoth(ctx, camera, s)
	if err != nil {
		return err
	}
	return j.seal(ctx, fact)
}

// runBoth cuts the clip while the still goes ahead on its own; the still has time for as long as the clip is being cut and a
// moment longer, which matters when all pictures were in the ring already.
func (j *cutting) runBoth(ctx context.Context, camera Camera, s span) (edge.ClipFact, error) {
	stillCtx, stop := context.WithCancel(ctx)
	defer stop()
	still := make(chan error, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { still <- j.runStill(stillCtx, ctx, camera.Ring, s) })
	fact, err := j.cut(ctx, camera, s)
	if err != nil {
		stop()
		return fact, errors.Join(err, <-still)
	}
	t := time.AfterFunc(stillPatience, stop)
	defer t.Stop()
	return fact, <-still
}

// cut writes the temporary file.
func (j *cutting) cut(ctx context.Context, camera Camera, s span) (fact edge.ClipFact, err error) {
	patience := s.to + grace - j.opt.Clock.Now().Mono
	if j.job.Kind == edge.KindCommandDone {
		patience = max(patience, grace) // what is asked for may be long past, and in the ring
	}
	readCtx, cancel := context.WithTimeout(ctx, max(0, patience))
	defer cancel()
	var f *file
	defer func() {
		if f != nil {
			f.Close()
		}
	}()
	rd := camera.Ring.From(s.from)
	complete, gap := false, false
	var holes holes
	for {
		u, p, err := rd.Next(readCtx)
		if errors.Is(err, ring.ErrOverrun) {
			gap = gap || f != nil
			continue
		}
		if ctx.Err() != nil {
			if f != nil { // the next run seals what there is; why it cannot be written is of no use to it
				f.flushNow()
			}
			return fact, ctx.Err()
		}
		if err != nil { // the clip's time is over
			break
		}
		if u.Arrival.Mono > s.to {
			if f == nil && j.job.Kind == edge.KindCommandDone {
				return fact, lostf("the box has no pictures of that time any more; its oldest are of %s", u.Arrival.Wall.UTC().Format(time.TimeOnly+" UTC"))
			}
			complete = true
			break
		}
		if f == nil {
			if late := u.Arrival.Mono - s.from; late > slack {
				j.reasons = append(j.reasons, fmt.Sprintf("begins %.1f s later than asked: there were no earlier pictures in memory", late.Seconds()))
			}
			if f, err = create(j.temp(), p, note{Clip: j.job.ID, Camera: j.job.Camera, Seq: j.job.Seq, First: u.Arrival.Wall}, j.room); err != nil {
				return fact, j.disk(err)
			}
		}
		holes.see(u.Arrival)
		if f.written > maxClipBytes {
			j.reasons = append(j.reasons, fmt.Sprintf("cut short: larger than %d MiB", maxClipBytes>>20))
			complete = true
			break
		}
		if err := f.write(u, p); err != nil {
			if j.full(f, err) {
				complete = true
				break
			}
			return fact, j.disk(err)
		}
	}
	if f == nil {
		return fact, j.nothing(camera)
	}
	if why := holes.String(); why != "" {
		j.reasons = append(j.reasons, why)
	}
	if gap {
		j.reasons = append(j.reasons, "pictures are missing: the disk was too slow")
	}
	if short := s.to - f.last.Arrival.Mono; !complete && short > slack {
		j.reasons = append(j.reasons, fmt.Sprintf("ends %.1f s earlier than asked%s", short.Seconds(), because(camera)))
	}
	err = f.finish()
	if err != nil && j.full(f, err) {
		err = f.finish()
	}
	if err != nil {
		return fact, j.disk(err)
	}
	fact.From, fact.To = f.first.Arrival.Wall, video.AnchorOf(f.first).StampOf(f.end).Wall
	return fact, nil
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

// seal makes the temporary file the clip and tells the journal.
func (j *cutting) seal(ctx context.Context, fact edge.ClipFact) error {
	if err := publish(j.temp(), j.final()); err != nil {
		return j.disk(err)
	}
	edge.Crash("clip renamed before row")
	return j.ready(ctx, fact)
}

// ready tells the journal of the finished file.
func (j *cutting) ready(ctx context.Context, fact edge.ClipFact) error {
	size, sum, err := digest(j.final())
	if err != nil {
		return j.disk(err)
	}
	fact.ID, fact.Camera, fact.SizeBytes, fact.SHA256 = j.job.ID, j.job.Camera, size, sum[:]
	fact.Reason = strings.Join(j.reasons, "; ")
	if j.still.Path != "" {
		fact.StillBytes, fact.StillSHA256 = j.still.SizeBytes, j.still.SHA256[:]
	}
	f := j.file(edge.PartClip, j.final(), size, sum)
	if err := j.tell(ctx, "clip ready", func(ctx context.Context) error { return j.opt.Jobs.ClipReady(ctx, fact, f) }); err != nil {
		return err
	}
	j.log.Info("clip ready", "bytes", size, "reason", fact.Reason)
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
	path := j.final()
	_, err = os.Stat(path)
	adopted := err == nil
	if !adopted {
		path = j.temp()
	}
	found, err := salvage(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		j.log.Warn("clip leftover is of no use", "err", err)
		if err := os.Remove(path); err != nil {
			return false, j.disk(err)
		}
		return false, nil
	}
	if !adopted || found.end.Duration() < j.job.To.Sub(found.note.First)-slack-time.Second {
		j.reasons = append(j.reasons, "cut short by a restart of the gateway")
	}
	fact := edge.ClipFact{From: found.note.First, To: found.note.First.Add(found.end.Duration())}
	if adopted {
		return true, j.ready(ctx, fact)
	}
	return true, j.seal(ctx, fact)
}
