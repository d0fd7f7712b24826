package motion

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
	"weak"

	"sitewatch/edge"
	"sitewatch/video"
)

// culprit is the picture that an eye had in hand when it died, with those before it that it needs; units is empty when they are gone.
type culprit struct {
	camera edge.CameraID
	pause  time.Duration
	params video.Params
	units  []queued
}

// holding is what an eye has in hand.
type holding uint8

const (
	nothing holding = iota
	aUnit
	aStill
)

// blame finds the picture that the eye had in hand, and puts its camera into quarantine. It is called before the next eye is up.
func (e *Eye) blame(now edge.Stamp) (c culprit, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	holds := e.holds
	if e.holds = nothing; holds != aUnit {
		return c, false
	}
	w := e.cameras[e.owners[e.hand%owned]]
	if w == nil {
		return c, false
	}
	c.camera = e.owners[e.hand%owned]
	if i := slices.IndexFunc(w.kept, func(q queued) bool { return q.number == e.hand }); i >= 0 {
		c.params, c.units = w.kept[i].params, w.kept[:i+1]
	}
	c.pause = w.quarantine(now.Mono)
	return c, true
}

// asked is a still that somebody waits for.
type asked struct {
	picture *byte
	reply   chan StillReply // closed when the eye has ended
}

// deadlyMost is how many pictures that have ended an eye as a still are remembered, the newest ones.
const deadlyMost = 16

// pictureOf names the picture, as long as somebody holds it; nil for one without bytes.
func pictureOf(u video.AccessUnit) *byte {
	if len(u.Data) == 0 {
		return nil
	}
	return &u.Data[0]
}

// isDeadly says whether an eye is not to be asked for a still of the picture, because it has ended this one or has no bytes.
func (e *Eye) isDeadly(picture *byte) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return picture == nil || slices.Contains(e.deadly[:], weak.Make(picture))
}

// maxBugs is how many files there are in Options.Bugs at most, the newest ones; each holds at most two GOPs.
const maxBugs = 8

// keepBug writes the pictures as a stream that any player reads, for whoever mends the decoder.
func (e *Eye) keepBug(c culprit) (path string, err error) {
	if err := os.MkdirAll(e.opt.Bugs, 0o700); err != nil {
		return "", err
	}
	ext := map[video.Codec]string{video.H264: "h264", video.H265: "h265"}[c.params.Codec]
	path = filepath.Join(e.opt.Bugs, fmt.Sprintf("%s-%s.%s", e.opt.Clock.Now().Wall.UTC().Format("20060102T150405.000"), c.camera, ext))
	var b []byte
	start := []byte{0, 0, 0, 1}
	for _, s := range c.params.Sets() {
		b = append(append(b, start...), s...)
	}
	for _, q := range c.units {
		for n := range q.unit.NALUs() {
			b = append(append(b, start...), n...)
		}
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return "", errors.Join(err, os.Remove(path))
	}
	return path, e.sweepBugs()
}

func (e *Eye) sweepBugs() error {
	files, err := os.ReadDir(e.opt.Bugs)
	if err != nil {
		return err
	}
	slices.SortFunc(files, func(a, b os.DirEntry) int { return cmp.Compare(b.Name(), a.Name()) }) // by time, the newest first
	for _, f := range files[min(maxBugs, len(files)):] {
		err = errors.Join(err, os.Remove(filepath.Join(e.opt.Bugs, f.Name())))
	}
	return err
}
