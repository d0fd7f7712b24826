package main

import (
	"context"
	"math"
	"sync"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/config"
	"sitewatch/video/motion"
)

// grades decides how closely each camera is looked at: alert while a partition of it is set, while a zone of it is in alarm, and while
// an operator asks for its pictures; watching otherwise.
type grades struct {
	box  *box
	look map[edge.CameraID]motion.ModelOptions

	mu      sync.Mutex
	alarmed map[edge.CameraID]time.Duration // until then, by Mono
	asked   map[edge.CameraID]time.Duration
}

const (
	alarmTime  = 10 * time.Minute // a camera is looked at closely for so long after an alarm of its zone
	askedTime  = 5 * time.Minute
	gradesTick = 5 * time.Second // how late the end of it may be noticed
)

func newGrades(b *box) *grades {
	g := &grades{box: b, look: map[edge.CameraID]motion.ModelOptions{}, alarmed: map[edge.CameraID]time.Duration{}, asked: map[edge.CameraID]time.Duration{}}
	for _, c := range b.cfg.Cameras {
		g.look[c.ID] = lookOptions(c.Look)
	}
	return g
}

// Watch is told by the desk of alarms and of what is set. The eyes hear of it within the call, which does not wait for them.
func (g *grades) Watch(alarmed []edge.CameraID) {
	now := g.box.clock.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range alarmed {
		g.alarmed[c] = now.Mono + alarmTime
		g.box.eye.Hint(c, now) // alert may sleep: not now, and with each alarm anew
	}
	g.apply(now.Mono)
}

// Ask notes that an operator wants to see a camera.
func (g *grades) Ask(camera edge.CameraID) {
	now := g.box.clock.Now().Mono
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked[camera] = now + askedTime
	g.apply(now)
}

// apply tells the eyes; g.mu is held.
func (g *grades) apply(now time.Duration) {
	for c, look := range g.look {
		urgent := g.alarmed[c] > now
		grade := motion.Watching
		if urgent || g.asked[c] > now || g.box.desk.CameraSet(c) {
			grade = motion.Alert
		}
		g.box.eye.Setup(c, grade, urgent, look)
	}
}

// Run ends what an alarm or an operator began.
func (g *grades) Run(ctx context.Context) error {
	t := time.NewTicker(gradesTick)
	defer t.Stop()
	for {
		g.Watch(nil)
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lookOptions is a camera's configuration as the eye wants it.
func lookOptions(l config.Look) motion.ModelOptions {
	o := motion.ModelOptions{Sensitivity: map[string]float64{"low": 0.5, "normal": 1, "high": 2}[l.Sensitivity], MinSize: l.MinSize / 100}
	add := func(ps []config.Polygon, mask bool) {
		for _, p := range ps {
			a := motion.Area{Mask: mask}
			for _, c := range p {
				a.Points = append(a.Points, motion.Point{X: uint16(math.Round(c[0] * math.MaxUint16)), Y: uint16(math.Round(c[1] * math.MaxUint16))})
			}
			o.Areas = append(o.Areas, a)
		}
	}
	add(l.Regions, false)
	add(l.Masks, true)
	return o
}
