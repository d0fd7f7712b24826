package clip

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sitewatch/edge"
)

// shorterBy is how much less a clip that was cut again may be than what was there before.
const shorterBy = 500 * time.Millisecond

// kept is where what an earlier run has left waits until the clip that is cut again proves to be no less.
func (j *cutting) kept() string { return filepath.Join(j.opt.Dir, string(j.job.ID)+".ktmp") }

// leftover looks at a file of an earlier run. One that is of no use is removed.
func (j *cutting) leftover(path string) (s salvaged, ok bool, err error) {
	s, err = salvage(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err != nil {
		j.log.Warn("clip leftover is of no use", "err", err)
		if err := os.Remove(path); err != nil {
			return s, false, j.disk(err)
		}
		return s, false, nil
	}
	return s, true, nil
}

// keep puts the longest of what earlier runs have left where cutting does not touch it, and remembers it.
func (j *cutting) keep() error {
	s, there, err := j.leftover(j.temp())
	if err != nil {
		return err
	}
	before, had, err := j.leftover(j.kept())
	if err != nil {
		return err
	}
	switch {
	case there && (!had || s.end > before.end):
		if err := os.Rename(j.temp(), j.kept()); err != nil {
			return j.disk(err)
		}
		j.left = &s
	case had:
		j.left = &before
	}
	return nil
}

// less says whether a clip that was cut again has less than what was left.
func (j *cutting) less(fact edge.ClipFact) bool {
	return j.left != nil && fact.To.Sub(fact.From)+shorterBy < j.left.end.Duration()
}

// sealLeft makes what was left the clip.
func (j *cutting) sealLeft(ctx context.Context) error {
	j.reasons = []string{"cut short by a restart of the gateway"}
	return j.seal(ctx, j.kept(), j.left.fact())
}

// giveUp ends a clip that cannot be cut: what an earlier run has left is better than none.
func (j *cutting) giveUp(ctx context.Context, reason string) {
	os.Remove(j.temp()) // best effort, as below: sweep finds it otherwise
	var lost *lostError
	if j.left != nil && !errors.As(j.sealLeft(ctx), &lost) {
		return // it is the clip, or the next Run tries again
	}
	os.Remove(j.kept())
	j.lose(ctx, reason)
}

// fact is what is known of a file that another run has written.
func (s *salvaged) fact() edge.ClipFact {
	return edge.ClipFact{From: s.note.First, To: s.note.First.Add(s.end.Duration()), Codec: s.codec, Audio: s.audio, Width: s.size.Width, Height: s.size.Height}
}
