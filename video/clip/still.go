package clip

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"sitewatch/edge"
	"sitewatch/video/ring"
)

const (
	stillRetry    = 500 * time.Millisecond
	stillPatience = 800 * time.Millisecond // beyond the end of the clip, which waits for it
	maxStillBytes = 16 << 20
)

// runStill makes the still of the alarm moment as soon as there is a picture and an eye, and keeps trying until ctx ends.
// The journal is told under a context of its own, whose error it returns: the file is there even if the clip's time has just
// run out.
func (j *cutting) runStill(ctx, journal context.Context, camera Camera, s span) error {
	if j.opt.Eye == nil || j.still.Path != "" {
		return nil
	}
	rd := j.reader(camera, s.at, nil)
	defer rd.Close()
	u, p, err := rd.Next(ctx)
	for errors.Is(err, ring.ErrOverrun) {
		u, p, err = rd.Next(ctx)
	}
	if err != nil || since(u.Arrival, s.to) > 0 {
		return nil
	}
	for first := true; ; first = false {
		b, err := j.opt.Eye.Still(ctx, p, u)
		if err == nil && len(b) > 0 && len(b) <= maxStillBytes {
			return j.keepStill(journal, b)
		}
		if first {
			j.log.Warn("no still yet", "err", err)
		}
		t := time.NewTimer(stillRetry)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil
		}
	}
}

// keepStill writes the JPEG and tells the journal.
func (j *cutting) keepStill(ctx context.Context, b []byte) error {
	temp := filepath.Join(j.opt.Dir, string(j.job.ID)+".jtmp")
	if err := j.room(len(b)); err != nil {
		j.log.Warn("still not written", "err", err)
		return nil
	}
	if err := writeFile(temp, b); err != nil {
		j.log.Warn("still not written", "err", err)
		os.Remove(temp)
		return nil // a clip without still is fine
	}
	if err := publish(temp, j.jpeg()); err != nil {
		j.log.Warn("still not written", "err", err)
		return nil
	}
	edge.Crash("still renamed before row")
	return j.adoptStill(ctx)
}

func writeFile(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// adoptStill tells the journal of a still that is on disk, unless it knows.
func (j *cutting) adoptStill(ctx context.Context) error {
	if fi, err := os.Stat(j.jpeg()); err != nil || fi.Size() == 0 || fi.Size() > maxStillBytes {
		return nil
	}
	size, sum, err := digest(j.jpeg())
	if err != nil {
		j.log.Warn("still cannot be read", "err", err)
		return nil
	}
	f := j.file(edge.PartStill, j.jpeg(), size, sum)
	if !j.job.Still {
		if err := j.tell(ctx, "still ready", func(ctx context.Context) error { return j.opt.Jobs.StillReady(ctx, f) }); err != nil {
			return err
		}
	}
	j.still = f
	return nil
}
