package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/edge"
	"sitewatch/video/rtsptest"
)

// cameraOptions describe the cameras of one address.
type cameraOptions struct {
	Listen         string // host:port; port 0 picks one
	Cameras        []cameraView
	File           string // a film that all of them show in a loop; "": each draws its own scene
	User, Password string // "": everybody may look
	Clock          edge.Clock
	Log            *slog.Logger
}

// cameraView is one camera: its pictures are at /ID/main and /ID/sub, and at /ID alone.
type cameraView struct {
	ID   edge.CameraID
	Name string // burnt into the drawn scene
}

// cameraServer is several cameras at one address. Both streams of a camera have the same pictures: encoding is what costs,
// and a gateway cannot tell.
type cameraServer struct {
	opt     cameraOptions
	server  *rtsptest.Server
	outlets map[edge.CameraID]*rtsptest.Camera
	scenes  map[edge.CameraID]*scene
}

// newCameraServer opens the port. Nobody sees a picture before Run, which must be called.
func newCameraServer(opt cameraOptions) (*cameraServer, error) {
	srv, err := rtsptest.Listen(rtsptest.Options{Addr: opt.Listen, User: opt.User, Password: opt.Password})
	if err != nil {
		return nil, err
	}
	s := &cameraServer{opt: opt, server: srv, outlets: map[edge.CameraID]*rtsptest.Camera{}, scenes: map[edge.CameraID]*scene{}}
	for i, c := range opt.Cameras {
		id := string(c.ID)
		s.outlets[c.ID] = srv.Camera(id, id+"/main", id+"/sub")
		if opt.File == "" {
			s.scenes[c.ID] = newScene(c.Name, uint64(i))
		}
	}
	return s, nil
}

// Addr returns host and port.
func (s *cameraServer) Addr() string { return s.server.Addr() }

// Walk makes somebody walk into the view of a camera. A film shows what it shows.
func (s *cameraServer) Walk(id edge.CameraID) {
	if sc := s.scenes[id]; sc != nil {
		sc.walk()
	}
}

// Fault makes a camera misbehave until it is told otherwise.
func (s *cameraServer) Fault(id edge.CameraID, f rtsptest.Fault) {
	if c := s.outlets[id]; c != nil {
		c.Set(f)
	}
}

// SetDown makes all of them unreachable, or reachable again.
func (s *cameraServer) SetDown(down bool) { s.server.SetDown(down) }

// Run shows pictures until ctx ends.
func (s *cameraServer) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.server.Run(ctx) })
	if s.opt.File != "" {
		g.Go(func() error { return s.runFilm(ctx) })
	} else {
		for id, sc := range s.scenes {
			g.Go(func() error { return s.runScene(ctx, id, sc) })
		}
	}
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return err
	} else if !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// runFilm shows the file on all cameras.
func (s *cameraServer) runFilm(ctx context.Context) error {
	film, err := probeFilm(ctx, s.opt.File)
	if err != nil {
		return err
	}
	if !film.copy {
		s.opt.Log.Info("the film is encoded anew while it plays", "why", film.why)
	}
	p := pacer{clock: s.opt.Clock, step: film.step}
	for ctx.Err() == nil { // ffmpeg's own loop does not go with its bitstream filters
		shown := 0
		err = rtsptest.Encode(ctx, nil, film.args(s.opt.File), func(nalus [][]byte) error {
			ts := p.next()
			shown++
			for _, c := range s.outlets {
				if err := c.Write(nalus, ts); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil && shown == 0 {
			err = errors.New("it has no pictures")
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("film %s: %w", s.opt.File, err)
		}
	}
	return ctx.Err()
}

// runScene draws, encodes and shows one camera's scene.
func (s *cameraServer) runScene(ctx context.Context, id edge.CameraID, sc *scene) error {
	p := pacer{clock: s.opt.Clock, step: 90000 / sceneRate}
	frames := &drawn{ctx: ctx, scene: sc, clock: s.opt.Clock, tick: time.NewTicker(time.Second / sceneRate)}
	defer frames.tick.Stop()
	err := rtsptest.Encode(ctx, frames, sceneArgs(), func(nalus [][]byte) error {
		return s.outlets[id].Write(nalus, p.next())
	})
	if err == nil && ctx.Err() == nil {
		err = errors.New("the encoder ended")
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("camera %s: %w", id, err)
	}
	return ctx.Err()
}

// pacer gives RTP times: one step after another while that agrees with the clock. Where it does not, because a film has another rate than it
// says or hesitates where it begins anew, the steps are a little longer or shorter until it does; an encoder that has been held up for longer
// makes a jump.
type pacer struct {
	clock edge.Clock
	step  int64
	begun bool
	start time.Duration
	last  int64
}

func (p *pacer) next() uint32 {
	now := p.clock.Now().Mono
	if !p.begun {
		p.begun, p.start = true, now
		return 0
	}
	elapsed := int64((now - p.start) * 9 / 100000) // ns to 1/90000 s
	p.last += p.step
	switch off := elapsed - p.last; {
	case off > 27000 || off < -27000:
		p.last = max(elapsed, p.last-p.step+1)
	case off > 9000:
		p.last += p.step / 16
	case off < -9000:
		p.last -= p.step / 16
	}
	return uint32(p.last)
}
