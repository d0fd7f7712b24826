package motion

import (
	"context"
	"errors"
	"runtime"
	"slices"

	"sitewatch/edge"
	"sitewatch/video"
)

// camerasPerEye is how many cameras share an eye when there are processors for more: what ends one eye is none of the others' business.
const camerasPerEye = 4

// Pool is the eyes of a site: cameras are spread over them, and each ends and comes back alone.
type Pool struct {
	eyes []*Eye
	of   map[edge.CameraID]*Eye
}

// NewPool spreads the cameras over as many eyes as there are processors, if there are cameras for so many. It starts nothing.
func NewPool(opt Options, cameras []edge.CameraID) *Pool {
	p := &Pool{of: map[edge.CameraID]*Eye{}}
	for range max(1, min(runtime.NumCPU(), (len(cameras)+camerasPerEye-1)/camerasPerEye)) {
		p.eyes = append(p.eyes, New(opt))
	}
	for i, c := range cameras {
		p.of[c] = p.eyes[i%len(p.eyes)]
	}
	return p
}

// Eyes are the eyes; each has a Run of its own.
func (p *Pool) Eyes() []*Eye { return p.eyes }

// Push is Eye.Push of the camera's eye; a camera that NewPool was not told of is not looked at.
func (p *Pool) Push(camera edge.CameraID, u video.AccessUnit, params video.Params) {
	if e := p.of[camera]; e != nil {
		e.Push(camera, u, params)
	}
}

// Setup is Eye.Setup of the camera's eye.
func (p *Pool) Setup(camera edge.CameraID, grade Grade, urgent bool, opt ModelOptions) {
	if e := p.of[camera]; e != nil {
		e.Setup(camera, grade, urgent, opt)
	}
}

// Hint is Eye.Hint of the camera's eye.
func (p *Pool) Hint(camera edge.CameraID, at edge.Stamp) {
	if e := p.of[camera]; e != nil {
		e.Hint(camera, at)
	}
}

// Camera is Eye.Camera of the camera's eye.
func (p *Pool) Camera(camera edge.CameraID, now edge.Stamp) CameraStatus {
	if e := p.of[camera]; e != nil {
		return e.Camera(camera, now)
	}
	return CameraStatus{}
}

// Still asks the eye that has the least to do, and the next if that is not up or ends before it has begun. A picture that has ended an eye is
// not given to another.
func (p *Pool) Still(ctx context.Context, params video.Params, u video.AccessUnit) (jpeg []byte, err error) {
	picture := pictureOf(u)
	if slices.ContainsFunc(p.eyes, func(e *Eye) bool { return e.isDeadly(picture) }) {
		return nil, ErrDied
	}
	eyes := slices.Clone(p.eyes)
	slices.SortStableFunc(eyes, func(a, b *Eye) int { return a.waiting() - b.waiting() })
	for _, e := range eyes {
		if jpeg, err = e.Still(ctx, params, u); !errors.Is(err, ErrNoEye) {
			return jpeg, err
		}
	}
	return nil, err
}

// waiting is how many bytes of pictures wait for the eye.
func (e *Eye) waiting() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.bytes
}

// Status is that of all eyes together: up when all are.
func (p *Pool) Status() Status {
	s := Status{Up: true}
	for _, e := range p.eyes {
		o := e.Status()
		s.Up = s.Up && o.Up
		s.Starts += o.Starts
		s.Dropped += o.Dropped
		s.Moving += o.Moving
	}
	return s
}
