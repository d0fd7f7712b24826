package clip

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sitewatch/edge"
	"sitewatch/video"
	"sitewatch/video/ring"
)

// cut writes the temporary file.
func (j *cutting) cut(ctx context.Context, camera Camera, s span) (fact edge.ClipFact, err error) {
	t := &taking{cutting: j, camera: camera, span: s}
	t.reader = j.reader(camera, s.from, t.patience)
	defer t.close()
	for done := false; !done; {
		if done, err = t.read(ctx); err != nil {
			if ctx.Err() != nil && t.file != nil { // the next run seals what there is; why it cannot be written is of no use to it
				t.file.flushNow()
			}
			return fact, err
		}
	}
	return t.finish()
}

// taking is a clip's pictures on their way into its file.
type taking struct {
	*cutting
	camera Camera
	span   span
	reader reader
	file   *file // nil before the first picture

	holes    holes
	gap      bool // the reader was overrun
	complete bool // it ends where it should, or j.reasons says why not
}

func (t *taking) close() {
	t.reader.Close()
	if t.file != nil {
		t.file.Close()
	}
}

// patience is how long to wait for the next picture. What is read from disk may be long past.
func (t *taking) patience() time.Duration {
	p := since(t.span.to, t.opt.Clock.Now()) + grace
	if t.job.Kind == edge.KindCommandDone || t.opt.Store != nil {
		return max(p, grace)
	}
	return max(p, 0)
}

// read takes the next unit; done says that the clip ends before it.
func (t *taking) read(ctx context.Context) (done bool, err error) {
	u, p, err := t.reader.Next(ctx)
	switch {
	case errors.Is(err, ring.ErrOverrun):
		t.gap = t.gap || t.file != nil
		return false, nil
	case err != nil && ctx.Err() != nil: // what is there already is taken all the same
		return false, ctx.Err()
	case err != nil: // the clip's time is over
		later, err := t.later(ctx)
		return !later, err
	}
	for since(u.Arrival, t.span.to) > 0 {
		later, err := t.later(ctx)
		if err != nil {
			return false, err
		}
		if !later {
			return true, t.ends(u)
		}
	}
	return t.take(u, p)
}

// later asks whether the alarm was repeated, so that the clip's end is later than was known. When it was not, it will not be.
func (t *taking) later(ctx context.Context) (bool, error) {
	to := t.job.To
	if err := t.tell(ctx, "clip closing", func(ctx context.Context) (err error) {
		to, err = t.opt.Jobs.ClipClosing(ctx, t.job.ID, t.job.To)
		return err
	}); err != nil {
		return false, err
	}
	if !to.After(t.job.To) {
		return false, nil
	}
	t.span.to = moved(t.span.to, to.Sub(t.job.To)) // both are of the same row
	t.job.To = to
	return true, nil
}

// ends is called with the first unit behind the end.
func (t *taking) ends(u video.AccessUnit) error {
	if t.file != nil {
		t.complete = since(t.span.to, t.file.last.Arrival) <= holeFrom
		return nil
	}
	if t.job.Kind != edge.KindCommandDone && !t.recorded() {
		return nil
	}
	if oldest, ok := t.Oldest(t.job.Camera); ok && oldest.Before(t.span.to.Wall) {
		return lostf("the box has no pictures of that time; the next are of %s", clockTime(u.Arrival.Wall))
	}
	return lostf("the box has no pictures of that time any more; its oldest are of %s", clockTime(u.Arrival.Wall))
}

func clockTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// take puts a unit into the file; done says that no more will fit.
func (t *taking) take(u video.AccessUnit, p video.Params) (done bool, err error) {
	if t.file == nil {
		if u.Audio != nil {
			return false, nil
		}
		if late := since(u.Arrival, t.span.from); late > slack {
			where := " in memory"
			if t.recorded() {
				where = ""
			}
			t.reasons = append(t.reasons, fmt.Sprintf("begins %.1f s later than asked: there were no earlier pictures%s", late.Seconds(), where))
		}
		n := note{Clip: t.job.ID, Camera: t.job.Camera, Seq: t.job.Seq, First: u.Arrival.Wall}
		if t.file, err = create(t.temp(), p, n, fileOptions{room: t.room, grew: t.grew}); err != nil {
			return false, t.disk(err)
		}
	}
	if u.Audio == nil {
		t.holes.see(u.Arrival)
	}
	if t.file.written > maxClipBytes {
		return t.cutShort(fmt.Sprintf("larger than %d MiB", maxClipBytes>>20)), nil
	}
	switch err := t.file.write(u, p); {
	case errors.Is(err, errOtherCodec):
		return t.cutShort(fmt.Sprintf("the camera changed from %v to %v", t.file.params.Codec, p.Codec)), nil
	case err == nil:
		return false, nil
	case t.full(t.file, err):
		t.complete = true
		return true, nil
	default:
		return false, t.disk(err)
	}
}

func (t *taking) cutShort(why string) (done bool) {
	t.reasons = append(t.reasons, "cut short: "+why)
	t.complete = true
	return true
}

// grew tells that the file has one fragment more.
func (t *taking) grew(size int64) {
	if t.opt.Growing != nil {
		t.opt.Growing(Growth{Ref: t.job.ClipRef, Seq: t.job.Seq, Path: t.temp(), SizeBytes: size})
	}
}

// finish makes the file whole and says what is in it and what is not.
func (t *taking) finish() (fact edge.ClipFact, err error) {
	f := t.file
	if f == nil {
		return fact, t.nothing(t.camera)
	}
	if t.job.Kind == edge.KindCommandDone && since(f.last.Arrival, t.span.from) < 0 {
		return fact, lostf("the box has no pictures of that time; the last before are of %s", clockTime(f.last.Arrival.Wall))
	}
	if why := t.holes.String(); why != "" {
		t.reasons = append(t.reasons, why)
	}
	if t.gap {
		t.reasons = append(t.reasons, "pictures are missing: the disk was too slow")
	}
	if short := since(t.span.to, f.last.Arrival); !t.complete && short > slack {
		t.reasons = append(t.reasons, fmt.Sprintf("ends %.1f s earlier than asked%s", short.Seconds(), because(t.camera)))
	}
	if f.sound.missing != "" {
		t.reasons = append(t.reasons, f.sound.missing)
	}
	if err = f.finish(); err != nil && t.full(f, err) {
		err = f.finish()
	}
	if err != nil {
		return fact, t.disk(err)
	}
	fact.From, fact.To = f.first.Arrival.Wall, video.AnchorOf(f.first).StampOf(f.end).Wall
	fact.SizeBytes, fact.SHA256 = f.written, f.sum.Sum(nil)
	fact.Codec, fact.Audio = codecName(pictureCodec(f.params)), f.sound.name()
	fact.Width, fact.Height = f.params.Size.Width, f.params.Size.Height
	fact.Lost, fact.Holes = f.lost, t.holes.spans
	if t.camera.Offset != nil {
		if ahead, ok := t.camera.Offset(); ok {
			ms := edge.Millis(ahead.Milliseconds())
			fact.CameraOffset = &ms
		}
	}
	return fact, nil
}
