package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/journal"
	"sitewatch/video/motion"
)

// scene is whether a camera shows what it should, by its own word and by the eye's: either is enough, and both must be over.
type scene struct {
	c      *camera
	tamper tamper
	wake   chan struct{} // the state has changed; one suffices

	mu     sync.Mutex
	eyeWhy map[edge.Kind]string // what the eye said last
}

func newScene(c *camera) *scene {
	s := &scene{c: c, wake: make(chan struct{}, 1), eyeWhy: map[edge.Kind]string{}}
	now := c.box.clock.Now()
	seen := c.box.eye.Camera(c.ID, now).Troubles // that the eye goes on with
	for t, k := range sceneKinds {
		if !c.box.stands(c.ID, t) {
			continue
		}
		s.tamper.recall(k)
		if slices.Contains(seen, t) {
			s.tamper.take(k, byEye, true, false, now)
		} else if c.ONVIF == "" { // only the eye can have said so, and this one cannot end it: it says so again, or it is over
			s.tamper.take(k, byEye, false, false, now)
		}
	}
	return s
}

// stands says whether the journal has told of a trouble before this start, and not of its end.
func (b *box) stands(camera edge.CameraID, t motion.Trouble) bool {
	return b.losses[journal.Loss{Kind: sceneKinds[t], Subject: string(camera)}]
}

// byEye is the rule of what the eye sees.
const byEye = "the eye"

// see takes what the eye sees.
func (s *scene) see(c motion.SceneChange) {
	k := sceneKinds[c.Trouble]
	s.mu.Lock()
	s.eyeWhy[k] = c.Why
	s.mu.Unlock()
	s.take(k, byEye, !c.Over, false, c.At)
}

// take is tamper.take, which waits for nothing.
func (s *scene) take(k edge.Kind, rule string, active, moment bool, at edge.Stamp) {
	s.tamper.take(k, rule, active, moment, at)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run journals what the state makes news, in order.
func (s *scene) Run(ctx context.Context) error {
	for {
		news, wait := s.tamper.due(s.c.box.clock.Now())
		for _, n := range news {
			s.c.report(ctx, n.kind, s.why(n))
		}
		if len(news) > 0 {
			continue
		}
		t := time.NewTimer(wait)
		select {
		case <-s.wake:
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

var tamperWords = map[edge.Kind]string{edge.KindCameraCovered: "its picture is covered", edge.KindCameraMoved: "it shows another scene", edge.KindCameraDefocused: "its picture is out of focus"}

func (s *scene) why(n tamperNews) string {
	title := s.c.title()
	if n.kind.IsRestored() {
		return fmt.Sprintf("Camera %s: no more is it said that %s", title, tamperWords[n.kind.Base()])
	}
	if n.said == byEye {
		s.mu.Lock()
		defer s.mu.Unlock()
		return fmt.Sprintf("Camera %s: %s (%s)", title, tamperWords[n.kind], s.eyeWhy[n.kind])
	}
	return fmt.Sprintf("Camera %s says that %s (%s)", title, tamperWords[n.kind], n.said)
}
