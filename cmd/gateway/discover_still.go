package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/edge"
	"sitewatch/video"
	"sitewatch/video/motion"
	"sitewatch/video/rtsp"
)

// runEye keeps an eye while f runs, for pictures of cameras that give none by ONVIF. Without the program there are none of these.
func (s *discovery) runEye(ctx context.Context, f func(context.Context)) {
	path, err := eyePath()
	if err != nil {
		f(ctx)
		return
	}
	ectx, cancel := context.WithCancel(ctx)
	var g errgroup.Group
	defer g.Wait()
	defer cancel()
	s.eye = motion.New(motion.Options{Command: path, Clock: s.clock, Log: slog.New(slog.DiscardHandler)})
	g.Go(func() error {
		for ectx.Err() == nil { // a picture may end an eye
			if s.eye.Run(ectx); !pause(ectx, time.Second) {
				break
			}
		}
		return nil
	})
	f(ctx)
}

// keyframe is a picture that stands alone.
type keyframe struct {
	unit   video.AccessUnit
	params video.Params
}

// firstKeyframe is a sink that wants one.
type firstKeyframe chan keyframe

func (f firstKeyframe) OnUnit(u video.AccessUnit, p video.Params) {
	if u.Keyframe && u.Audio == nil {
		select {
		case f <- keyframe{u, p}:
		default:
		}
	}
}
func (firstKeyframe) Lost(context.Context, string) {}
func (firstKeyframe) Restored(context.Context)     {}

// Frozen is of no interest here.
func (firstKeyframe) Frozen(context.Context, string) {}

// Thawed is of no interest here.
func (firstKeyframe) Thawed(context.Context) {}

// streamPicture takes a picture out of a stream.
func (s *discovery) streamPicture(ctx context.Context, address, user, file string) ([]byte, error) {
	if s.eye == nil {
		return nil, errors.New("the program eye, which would take one out of the stream, is not beside gateway")
	}
	ctx, cancel := context.WithTimeout(ctx, 2*s.cmd.Timeout)
	first, failed := make(firstKeyframe, 1), make(chan error, 1)
	opt := rtsp.Options{ID: "discover", URL: address, User: user, PasswordFile: file, Sink: first, Clock: s.clock, Log: slog.New(slog.DiscardHandler)}
	var g errgroup.Group
	defer g.Wait()
	defer cancel()
	g.Go(func() error {
		err := rtsp.NewSource(opt).Run(ctx)
		for !errors.Is(err, rtsp.ErrRefused) && !errors.Is(err, rtsp.ErrBasic) && pause(ctx, 500*time.Millisecond) {
			err = rtsp.NewSource(opt).Run(ctx) // cameras that encode on demand are busy at first
		}
		failed <- err
		return nil
	})
	select {
	case k := <-first:
		return s.still(ctx, k)
	case err := <-failed:
		if errors.Is(err, context.DeadlineExceeded) {
			err = edge.WithHint(errors.New("no picture came from the stream"), "see the camera's own pages")
		}
		return nil, err
	}
}

// still waits for the eye, which may just have started.
func (s *discovery) still(ctx context.Context, k keyframe) ([]byte, error) {
	for {
		b, err := s.eye.Still(ctx, k.params, k.unit)
		if !errors.Is(err, motion.ErrNoEye) || !pause(ctx, 100*time.Millisecond) {
			return b, err
		}
	}
}
