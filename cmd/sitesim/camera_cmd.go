package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/edge"
)

// cameraCmd is a camera alone: a scene in which somebody walks by now and then, or a film.
type cameraCmd struct {
	Listen       string        `help:"Where the camera listens." default:"127.0.0.1:8554" placeholder:"HOST:PORT"`
	Name         string        `help:"Its name in the address: rtsp://HOST:PORT/NAME/main and /sub." default:"camera"`
	File         string        `help:"Film to show in a loop instead of a drawn scene; H.264 without B-pictures is sent as it is." type:"existingfile"`
	User         string        `help:"User that it asks for; none when empty."`
	PasswordFile string        `help:"File with that user's password." type:"existingfile"`
	WalkEvery    time.Duration `help:"How often somebody walks through the drawn scene." default:"1m"`
	Bad          string        `help:"Be a bad camera of that name, with a film of its own; \"list\" prints them." placeholder:"NAME"`
	ONVIF        string        `name:"onvif" help:"Where it speaks ONVIF, and answers searches on the loopback interface: streams, a picture, motion while somebody walks." placeholder:"HOST:PORT"`
	ONVIFMake    string        `name:"onvif-make" help:"Whose ONVIF it speaks." enum:"hikvision,axis,dahua" default:"hikvision"`
}

// Run is the camera until ctx ends.
func (c *cameraCmd) Run(ctx context.Context) error {
	if c.Bad != "" {
		return c.runBad(ctx)
	}
	if !edge.ValidID(c.Name) {
		return fmt.Errorf("--name %q: letters, digits and hyphens are possible, 32 at most", c.Name)
	}
	if (c.User == "") != (c.PasswordFile == "") {
		return errors.New("--user and --password-file belong together")
	}
	password := ""
	if c.PasswordFile != "" {
		b, err := os.ReadFile(c.PasswordFile)
		if err != nil {
			return err
		}
		password, _, _ = strings.Cut(string(b), "\n")
	}
	id := edge.CameraID(c.Name)
	s, err := newCameraServer(cameraOptions{Listen: c.Listen, Cameras: []cameraView{{id, c.Name}}, File: c.File, User: c.User, Password: password,
		Clock: edge.NewSystemClock(), Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	fmt.Printf("rtsp://%s/%s/main and /sub\n", s.Addr(), c.Name)
	walk := func() { s.Walk(id) }
	g, ctx := errgroup.WithContext(ctx)
	if c.ONVIF != "" {
		d, err := c.onvif(ctx, s.Addr(), password)
		if err != nil {
			return err
		}
		fmt.Println(d.device.URL())
		g.Go(func() error { return d.Run(ctx) })
		walk = func() { s.Walk(id); d.walk() }
	}
	g.Go(func() error { return s.Run(ctx) })
	g.Go(func() error { return c.runWalks(ctx, walk) })
	return g.Wait()
}

func (c *cameraCmd) runWalks(ctx context.Context, walk func()) error {
	if c.WalkEvery <= 0 {
		return nil
	}
	t := time.NewTicker(c.WalkEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			walk()
		case <-ctx.Done():
			return nil
		}
	}
}
