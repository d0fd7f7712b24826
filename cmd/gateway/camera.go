package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/config"
	"sitewatch/edge/journal"
	"sitewatch/edge/local"
	"sitewatch/video"
	"sitewatch/video/clip"
	"sitewatch/video/motion"
	"sitewatch/video/ring"
	"sitewatch/video/rtsp"
	"sitewatch/video/segment"
)

// Bounds of one camera's ring. The margin is for the time between the alarm and the cutter's first look at the ring, a disk
// that hesitates included.
const (
	ringMargin     = 10 * time.Second
	ringLimitBytes = 32 << 20 // 20 s of 12 Mbit/s
	ringsBytes     = 1 << 30  // of all cameras together
)

// camera is one camera of the site: its main stream goes to the ring, its small one to the eye.
type camera struct {
	config.Camera
	box    *box
	ring   *ring.Ring
	writer *segment.Writer // nil: it is not recorded
	source *rtsp.Camera
	sub    *rtsp.Camera // nil: the main stream is watched
	scene  *scene
	own    *ownEvents // nil: the camera is not asked what it notices
}

// wireCameras makes the cameras, the eye that looks at them and the cutter.
func (b *box) wireCameras() error {
	if len(b.cfg.Cameras) == 0 {
		return nil
	}
	eye, err := eyePath()
	if err != nil {
		return err
	}
	b.motions = newMotions(b)
	var ids []edge.CameraID
	for _, c := range b.cfg.Cameras {
		ids = append(ids, c.ID)
	}
	b.eye = motion.NewPool(motion.Options{Command: eye, Log: b.log, Clock: b.clock, Reporter: b.motions, Bugs: filepath.Join(b.cfg.Data, "eye")}, ids)
	b.grades = newGrades(b)
	b.wireSegments()
	clips := map[edge.CameraID]clip.Camera{}
	for _, cfg := range b.cfg.Cameras {
		c := &camera{Camera: cfg, box: b, ring: ring.New(ring.Options{Keep: b.cfg.Clips.Before + ringMargin, LimitBytes: min(ringLimitBytes, ringsBytes/int64(len(b.cfg.Cameras)))})}
		if b.segments != nil {
			c.writer = b.segments.Writer(c.ID)
		}
		main := c.options(cfg.Main, mainSink{c})
		main.Lost = b.losses[journal.Loss{Kind: edge.KindCameraLost, Subject: string(cfg.ID)}]
		if c.source, err = rtsp.NewCamera(main); err != nil {
			return fmt.Errorf("camera %s: %w", cfg.ID, err)
		}
		if cfg.Sub != "" && cfg.Sub != cfg.Main {
			if c.sub, err = rtsp.NewCamera(c.options(cfg.Sub, subSink{c})); err != nil {
				return fmt.Errorf("camera %s: sub: %w", cfg.ID, err)
			}
		}
		c.scene = newScene(c)
		if cfg.ONVIF != "" {
			if c.own, err = newOwnEvents(c); err != nil {
				return fmt.Errorf("camera %s: onvif: %w", cfg.ID, err)
			}
		}
		b.cameras = append(b.cameras, c)
		clips[cfg.ID] = clip.Camera{Ring: c.ring, Trouble: c.source.Trouble}
	}
	b.cutter = clip.New(clip.Options{Dir: b.journal.ClipDir(), Cameras: clips, Jobs: b.journal, Eye: b.eye, Clock: b.clock, Log: b.log,
		Store: b.segments, Cutting: b.cutting, Growing: b.growing})
	return nil
}

func (c *camera) options(url string, sink rtsp.Sink) rtsp.Options {
	return rtsp.Options{ID: c.ID, URL: url, User: c.User, PasswordFile: c.PasswordFile, CAFile: c.CAFile, CertificateSHA256: c.CertificateSHA256,
		Basic: c.Basic, UDP: c.Transport == "udp", Sink: sink, Clock: c.box.clock, Log: c.box.log}
}

// mainSink fills the ring and says when the camera is gone and back.
type mainSink struct{ c *camera }

// OnUnit keeps the picture; the eye sees it when the camera has no small stream.
func (m mainSink) OnUnit(u video.AccessUnit, p video.Params) {
	m.c.ring.Push(u, p)
	if m.c.writer != nil {
		m.c.writer.Push(u, p)
	}
	if m.c.sub == nil {
		m.c.box.eye.Push(m.c.ID, u, p)
	}
}

// Lost journals camera-lost.
func (m mainSink) Lost(ctx context.Context, reason string) {
	m.c.report(ctx, edge.KindCameraLost, fmt.Sprintf("Camera %s gives no pictures: %s", m.c.title(), reason))
}

// Restored journals that pictures are back.
func (m mainSink) Restored(ctx context.Context) {
	m.c.report(ctx, edge.KindCameraLost.Restored(), fmt.Sprintf("Camera %s gives pictures again", m.c.title()))
}

// subSink shows the small stream to the eye. That it fails is worth a line in the log: the pictures of record still come.
type subSink struct{ c *camera }

// OnUnit shows the picture to the eye.
func (s subSink) OnUnit(u video.AccessUnit, p video.Params) { s.c.box.eye.Push(s.c.ID, u, p) }

// Lost logs that nobody watches this camera for movement.
func (s subSink) Lost(_ context.Context, reason string) {
	s.c.box.log.Warn("no pictures of the small stream: movement is not seen", "camera", s.c.ID, "err", reason)
}

// Restored logs that it is watched again.
func (s subSink) Restored(context.Context) {
	s.c.box.log.Info("the small stream is back", "camera", s.c.ID)
}

func (c *camera) title() string {
	if c.Name != "" && c.Name != string(c.ID) {
		return fmt.Sprintf("%s (%s)", c.Name, c.ID)
	}
	return string(c.ID)
}

// reportRetry is the pause before the journal is told again.
const reportRetry = time.Second

// report journals the state of a camera, with the time at which it was so. The camera tells a change once only, so it is tried
// again until the journal has it or ctx ends; a change back waits its turn, and both are journalled in order (P8). Pictures
// come meanwhile: this is not their goroutine.
func (c *camera) report(ctx context.Context, k edge.Kind, why string) {
	c.box.reportState(ctx, edge.Event{Kind: k, Cameras: []edge.CameraID{c.ID}, Occurred: c.box.clock.Now().Wall, Why: why})
}

func (b *box) reportState(ctx context.Context, ev edge.Event) {
	for said := false; ; said = true {
		err := b.desk.Report(ctx, ev)
		if err == nil || ctx.Err() != nil {
			return
		}
		if !said {
			b.log.Error("the state of a camera could not be journalled, tried again", "cameras", ev.Cameras, "err", err)
		}
		t := time.NewTimer(reportRetry)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

func (c *camera) status(motions uint64) local.Camera {
	s, r := c.source.Status(), c.ring.Stats()
	st := local.Camera{ID: c.ID, Name: c.Name, State: local.StateStarting, Reason: s.Trouble, LastPicture: s.LastUnit.Wall,
		RingBytes: r.Bytes, RingSeconds: r.Span.Seconds(), Motions: motions, Recording: c.recording()}
	if c.own != nil {
		st.ONVIF = c.own.status()
	}
	switch {
	case s.Lost:
		st.State = local.StateLost
	case s.Units > 0:
		st.State, st.Codec = local.StateConnected, s.Codec.String()
	}
	e := c.box.eye.Camera(c.ID, c.box.clock.Now())
	st.Eye = local.Eye{Grade: map[motion.Grade]string{motion.Watching: "watching", motion.Alert: "alert"}[e.Grade], Moving: e.Moving, Awake: e.Awake,
		Decoded: e.Decoded, Damaged: e.Damaged, Quarantine: e.Quarantined.Seconds()}
	return st
}

// cutting tells the SOC, for show, that a clip is being cut.
func (b *box) cutting(c edge.ClipRef) {
	if client := b.client.Load(); client != nil {
		client.Cutting(c.ID, c.Camera)
	}
}

// growing lets the SOC have a clip while it is being cut.
func (b *box) growing(g clip.Growth) {
	b.cuts.Grew(edge.ClipFile{ID: g.Ref.ID, Camera: g.Ref.Camera, Seq: g.Seq, Path: g.Path, SizeBytes: g.SizeBytes})
}
