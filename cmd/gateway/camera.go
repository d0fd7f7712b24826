package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
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

	subLost atomic.Bool
}

// wireCameras makes the cameras, the eye that looks at them and the cutter.
func (b *box) wireCameras() error {
	b.wireSegments() // there may be something of cameras that are no more
	if len(b.cfg.Cameras) == 0 {
		return nil
	}
	eye, err := eyePath()
	if err != nil {
		return err
	}
	b.motions, b.pulse = newMotions(b), video.NewPulse()
	var ids []edge.CameraID
	for _, c := range b.cfg.Cameras {
		ids = append(ids, c.ID)
	}
	b.eye = motion.NewPool(motion.Options{Command: eye, Log: b.log, Clock: b.clock, Reporter: b.motions, Pulse: b.pulse, Bugs: filepath.Join(b.cfg.Data, "eye"),
		Usual: filepath.Join(b.cfg.Data, "usual")}, ids)
	if err := b.eye.Recall(b.stands); err != nil {
		b.log.Warn("what is wrong with a picture since before the start may be told anew", "err", err)
	}
	b.grades = newGrades(b)
	clips := map[edge.CameraID]clip.Camera{}
	for _, cfg := range b.cfg.Cameras {
		c := &camera{Camera: cfg, box: b, ring: ring.New(ring.Options{Keep: b.cfg.Clips.Before + ringMargin, LimitBytes: min(ringLimitBytes, ringsBytes/int64(len(b.cfg.Cameras)))})}
		if b.segments != nil {
			c.writer = b.segments.Writer(c.ID)
		}
		main := c.options(cfg.Main, mainSink{c})
		main.Audio = cfg.Audio
		main.Lost = b.losses[journal.Loss{Kind: edge.KindCameraLost, Subject: string(cfg.ID)}]
		main.Frozen = b.losses[journal.Loss{Kind: edge.KindCameraFrozen, Subject: string(cfg.ID)}]
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
		clips[cfg.ID] = clip.Camera{Ring: c.ring, Trouble: c.source.Trouble, Offset: c.offset}
	}
	b.cutter = clip.New(clip.Options{Dir: b.journal.ClipDir(), Cameras: clips, Jobs: b.journal, Eye: b.eye, Clock: b.clock, Log: b.log,
		Store: b.segments, Cutting: b.cutting, Growing: b.growing})
	return nil
}

// offset is how far the camera's own clock is ahead of the box's.
func (c *camera) offset() (ahead time.Duration, ok bool) {
	k := c.source.Clock()
	return k.Offset, k.Known
}

func (c *camera) options(url string, sink rtsp.Sink) rtsp.Options {
	return rtsp.Options{ID: c.ID, URL: url, User: c.User, PasswordFile: c.PasswordFile, CAFile: c.CAFile, CertificateSHA256: c.CertificateSHA256,
		Basic: c.Basic, UDP: c.Transport == "udp", Sink: sink, Pulse: c.box.pulse, Clock: c.box.clock, Log: c.box.log}
}

// mainSink fills the ring and says when the camera is gone and back.
type mainSink struct{ c *camera }

// OnUnit keeps what comes. The eye sees the pictures when the camera has no small stream, and the keyframes while that is lost.
func (m mainSink) OnUnit(u video.AccessUnit, p video.Params) {
	m.c.ring.Push(u, p)
	if m.c.writer != nil {
		m.c.writer.Push(u, p)
	}
	if u.Audio == nil && (m.c.sub == nil || u.Keyframe && m.c.subLost.Load()) {
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

// Frozen journals camera-frozen.
func (m mainSink) Frozen(ctx context.Context, reason string) {
	m.c.report(ctx, edge.KindCameraFrozen, fmt.Sprintf("Camera %s shows nothing new: %s", m.c.title(), reason))
}

// Thawed journals that it does again.
func (m mainSink) Thawed(ctx context.Context) {
	m.c.report(ctx, edge.KindCameraFrozen.Restored(), fmt.Sprintf("Camera %s shows new pictures again", m.c.title()))
}

// subSink shows the small stream to the eye. That it fails is worth a line in the log: the pictures of record still come.
type subSink struct{ c *camera }

// OnUnit shows the picture to the eye.
func (s subSink) OnUnit(u video.AccessUnit, p video.Params) { s.c.box.eye.Push(s.c.ID, u, p) }

// Lost logs that the main stream's keyframes alone are watched for movement.
func (s subSink) Lost(_ context.Context, reason string) {
	s.c.subLost.Store(true)
	s.c.box.log.Warn("no pictures of the small stream: keyframes of the main one are watched instead", "camera", s.c.ID, "err", reason)
}

// Restored logs that it is watched again.
func (s subSink) Restored(context.Context) {
	s.c.subLost.Store(false)
	s.c.box.log.Info("the small stream is back", "camera", s.c.ID)
}

// Frozen logs that the small stream shows nothing new; the main one says so by an event when it does neither.
func (s subSink) Frozen(_ context.Context, reason string) {
	s.c.box.log.Warn("the small stream shows nothing new", "camera", s.c.ID, "err", reason)
}

// Thawed logs that it does again.
func (s subSink) Thawed(context.Context) {
	s.c.box.log.Info("the small stream shows new pictures again", "camera", s.c.ID)
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
		RingBytes: r.Bytes, RingSeconds: r.Span.Seconds(), Motions: motions, Recording: c.recording(),
		Hint: s.Hint, Transport: s.Transport, Sound: s.Sound, Frozen: s.Frozen, Advice: append(s.Advice, c.gopAdvice(s)...),
		LostPackets: s.LostPackets, BadPackets: s.BadPackets, Clock: cameraClock(s.Clock)}
	if s.Units > 0 {
		st.Size = s.Size.String()
	}
	if c.sub != nil {
		sub := c.sub.Status()
		st.Sub = local.Stream{State: streamState(sub), Reason: sub.Trouble}
		if sub.Units > 0 {
			st.Sub.Codec, st.Sub.Size = sub.Codec.String(), sub.Size.String()
		}
	}
	if c.own != nil {
		st.ONVIF = c.own.status()
	}
	if st.State = streamState(s); st.State == local.StateConnected {
		st.Codec = s.Codec.String()
	}
	e := c.box.eye.Camera(c.ID, c.box.clock.Now())
	st.Eye = local.Eye{Grade: map[motion.Grade]string{motion.Watching: "watching", motion.Alert: "alert"}[e.Grade], Moving: e.Moving, Awake: e.Awake,
		Decoded: e.Decoded, Damaged: e.Damaged, LeftOut: e.LeftOut, Behind: e.Behind, Raise: e.Raise.Seconds(), Quarantine: e.Quarantined.Seconds()}
	if e.Behind {
		st.Advice = append(st.Advice, "the eyes are behind: its keyframes are looked at, and of its other pictures as many as the processors allow; give the cameras small sub streams")
	}
	return st
}

func streamState(s rtsp.Status) local.State {
	switch {
	case s.Lost:
		return local.StateLost
	case s.Units > 0:
		return local.StateConnected
	}
	return local.StateStarting
}

// gopMost is how far keyframes may be apart before it is advised against: so much earlier than wanted a clip may begin.
const gopMost = 10 * time.Second

// gopAdvice says that the ring cannot do what it should with keyframes that are so far apart.
func (c *camera) gopAdvice(s rtsp.Status) []string {
	switch limit := c.ring.LimitBytes(); {
	case s.GOPBytes > limit:
		return []string{fmt.Sprintf("from a keyframe to the next there are %d MB and %.0f s, and %d MB can be kept for before an alarm: set the camera to a keyframe every 2 s", s.GOPBytes>>20, s.GOP.Seconds(), limit>>20)}
	case s.GOP > gopMost:
		return []string{fmt.Sprintf("keyframes are %.0f s apart, and clips begin with one: set the camera to a keyframe every 2 s", s.GOP.Seconds())}
	}
	return nil
}

// cameraClock is what the status page says of a camera's own clock.
func cameraClock(c video.CameraClock) local.CameraClock {
	out := local.CameraClock{State: "unknown"}
	switch {
	case c.Unset:
		out.State = "unset"
	case c.Known:
		out = local.CameraClock{State: "known", OffsetSeconds: c.Offset.Seconds(), DriftPPM: c.DriftPPM, Steps: c.Steps}
	}
	return out
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
