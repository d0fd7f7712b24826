package main

import (
	"context"
	"sync"
	"time"

	"sitewatch/edge"
	"sitewatch/video/motion"
)

// motions brings what the eyes see to the desk, and counts it by camera for the status page.
type motions struct {
	box *box

	mu   sync.Mutex
	seen map[edge.CameraID]uint64
}

// motionWait bounds how long an interval waits for the journal; while it waits no other is taken.
const motionWait = 10 * time.Second

// Motion makes an interval known when it begins: waiting for its end would tell the SOC of a burglar when he has gone.
func (m *motions) Motion(ctx context.Context, camera edge.CameraID, i motion.Interval) {
	if !i.Open {
		return
	}
	m.mu.Lock()
	m.seen[camera]++
	m.mu.Unlock()
	wait, cancel := context.WithTimeout(ctx, motionWait)
	defer cancel()
	if err := m.box.desk.Motion(wait, camera, i.From, i.To, i.Why); err != nil && ctx.Err() == nil {
		m.box.log.Error("movement could not be journalled", "camera", camera, "err", err)
	}
}

// of returns how many intervals a camera has had.
func (m *motions) of(camera edge.CameraID) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen[camera]
}
