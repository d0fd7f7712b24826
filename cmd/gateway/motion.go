package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/alarm"
	"sitewatch/edge/config"
	"sitewatch/edge/journal"
	"sitewatch/edge/local"
	"sitewatch/video/motion"
)

// motions brings what the eyes see to the desk, counts it by camera for the status page, and keeps it to be searched.
type motions struct {
	box *box

	mu       sync.Mutex
	seen     map[edge.CameraID]uint64
	open     map[edge.CameraID]alarm.Verdict // of intervals that have not ended
	ended    []journal.Motion                // for the journal, at most endedMost
	unkept   uint64                          // that found no room in ended
	keepSoon chan struct{}
}

const (
	// motionWait bounds how long an interval waits for the journal; while it waits no other is taken.
	motionWait = 10 * time.Second
	// keepEvery is how much of what was only counted a power cut may cost: each time is a commit.
	keepEvery = 30 * time.Second
	endedMost = 1024
)

func newMotions(b *box) *motions {
	return &motions{box: b, seen: map[edge.CameraID]uint64{}, open: map[edge.CameraID]alarm.Verdict{}, keepSoon: make(chan struct{}, 1)}
}

// Motion makes an interval known when it begins: waiting for its end would tell the SOC of a burglar when he has gone.
func (m *motions) Motion(ctx context.Context, camera edge.CameraID, i motion.Interval) {
	if !i.Open {
		m.end(camera, i)
		return
	}
	wait, cancel := context.WithTimeout(ctx, motionWait)
	defer cancel()
	v, err := m.box.desk.Motion(wait, camera, i.From, i.To, i.Why)
	if err != nil && ctx.Err() == nil {
		m.box.log.Error("movement could not be journalled", "camera", camera, "err", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen[camera]++
	m.open[camera] = v
}

// sceneKinds are the events of what may be wrong with a picture.
var sceneKinds = map[motion.Trouble]edge.Kind{motion.Covered: edge.KindCameraCovered, motion.Moved: edge.KindCameraMoved, motion.Defocused: edge.KindCameraDefocused}

// Scene brings what the eye sees of a camera's picture to where the camera's own word goes.
func (m *motions) Scene(_ context.Context, camera edge.CameraID, c motion.SceneChange) {
	for _, cam := range m.box.cameras {
		if cam.ID == camera {
			cam.scene.see(c)
		}
	}
}

// end keeps an interval.
func (m *motions) end(camera edge.CameraID, i motion.Interval) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.open[camera]
	delete(m.open, camera)
	if len(m.ended) >= endedMost {
		m.unkept++ // the journal has not written for long: it has more to say about that than we
		return
	}
	m.ended = append(m.ended, journal.Motion{Camera: camera, From: i.From.Wall, To: i.To.Wall, Clock: i.From.ClockState(), Cells: i.Cells, Rule: v.Rule, Sent: v.Sent, Why: i.Why})
	if len(m.ended) >= endedMost/2 {
		select {
		case m.keepSoon <- struct{}{}:
		default:
		}
	}
}

// Run writes what has ended into the journal, now and then and at the end.
func (m *motions) Run(ctx context.Context) error {
	t := time.NewTicker(keepEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-m.keepSoon:
		case <-ctx.Done():
			m.keep(ctx)
			return ctx.Err()
		}
		m.keep(ctx)
	}
}

// keep writes what has ended into the journal. It is nobody else's to lose: whoever asks for it may have gone before it is written.
func (m *motions) keep(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), motionWait)
	defer cancel()
	m.mu.Lock()
	ended, unkept := m.ended, m.unkept
	m.ended, m.unkept = nil, 0
	m.mu.Unlock()
	if err := m.box.journal.AddMotions(ctx, ended); err != nil {
		unkept += uint64(len(ended))
	}
	if unkept > 0 {
		m.box.log.Warn("movement is not kept to be searched", "intervals", unkept)
	}
}

// of returns how many intervals a camera has had.
func (m *motions) of(camera edge.CameraID) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen[camera]
}

// motionRules gives the desk the rules of the configuration.
func motionRules(g *config.Gateway) (out []alarm.MotionRule) {
	for _, r := range g.Motion {
		rule := alarm.MotionRule{Name: r.Name, Cameras: r.Cameras, Roles: r.Roles, Send: r.Send}
		if r.When != "any" {
			set := r.When == "set"
			rule.Set = &set
		}
		if !r.Hours.Always() {
			rule.Hours = r.Hours.Hold
		}
		out = append(out, rule)
	}
	return out
}

// roles are what the cameras are there for.
func roles(g *config.Gateway) map[edge.CameraID]string {
	out := map[edge.CameraID]string{}
	for _, c := range g.Cameras {
		out[c.ID] = c.Role
	}
	return out
}

// searchMotions answers the local page. What has ended is found at once.
func (b *box) searchMotions(ctx context.Context, q local.MotionQuery) ([]local.Motion, error) {
	b.motions.keep(ctx)
	found, err := b.journal.Motions(ctx, journal.MotionQuery{Camera: q.Camera, From: q.From, To: q.To, Cells: q.Cells, Limit: q.Limit})
	if err != nil {
		return nil, err
	}
	out := make([]local.Motion, len(found))
	for i, m := range found {
		out[i] = local.Motion{Camera: m.Camera, From: m.From, To: m.To, Clock: m.Clock, Cells: fmt.Sprintf("%016x", m.Cells), Rule: m.Rule, Sent: m.Sent, Why: m.Why}
	}
	return out, nil
}
