package main

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/edge"
	"sitewatch/video/onviftest"
)

// onvifCamera is what a camera says of itself by ONVIF.
type onvifCamera struct {
	device *onviftest.Device
	walked chan struct{} // holds one token: somebody has come in
}

var onvifMakes = map[string]onviftest.Make{"hikvision": onviftest.Hikvision, "axis": onviftest.Axis, "dahua": onviftest.Dahua}

// onvif opens the ports; streams are at rtsp. The film, or the scene without anybody, is its picture.
func (c *cameraCmd) onvif(ctx context.Context, rtsp, password string) (*onvifCamera, error) {
	clock := edge.NewSystemClock()
	snapshot := sceneSnapshot(c.Name, clock)
	size := [2]int{sceneWidth, sceneHeight}
	if c.File != "" {
		b, err := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-i", c.File, "-frames:v", "1", "-f", "image2", "-c:v", "mjpeg", "pipe:1").Output()
		if err != nil {
			return nil, err
		}
		conf, err := jpeg.DecodeConfig(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		snapshot, size = func() []byte { return b }, [2]int{conf.Width, conf.Height}
	}
	stream := func(token, path string) onviftest.Stream {
		return onviftest.Stream{Token: token, Name: path, Codec: "H264", Width: size[0], Height: size[1], FPS: sceneRate, URI: "rtsp://" + rtsp + "/" + c.Name + "/" + path}
	}
	sub := stream("Profile_2", "sub")
	sub.Width, sub.Height = size[0]/2, size[1]/2 // it is not, but cameras have a smaller one
	d, err := onviftest.Listen(ctx, onviftest.Options{Addr: c.ONVIF, User: c.User, Password: password, Make: onvifMakes[c.ONVIFMake], Name: c.Name, Serial: "SIM-" + c.Name,
		Streams: []onviftest.Stream{stream("Profile_1", "main"), sub}, Snapshot: snapshot, Clock: clock, Discovery: []string{"lo"}})
	if err != nil {
		return nil, err
	}
	return &onvifCamera{device: d, walked: make(chan struct{}, 1)}, nil
}

// walk says that somebody comes in.
func (o *onvifCamera) walk() {
	select {
	case o.walked <- struct{}{}:
	default:
	}
}

// Run answers until ctx ends, and says motion as long as somebody walks.
func (o *onvifCamera) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return o.device.Run(ctx) })
	g.Go(func() error {
		for {
			select {
			case <-o.walked:
			case <-ctx.Done():
				return nil
			}
			o.device.Motion(true)
			t := time.NewTimer(walkPictures * time.Second / sceneRate)
			select {
			case <-t.C:
			case <-ctx.Done():
			}
			t.Stop()
			o.device.Motion(false)
		}
	})
	return g.Wait()
}

// sceneSnapshot draws the scene anew for each picture.
func sceneSnapshot(name string, clock edge.Clock) func() []byte {
	var mu sync.Mutex
	sc := newScene(name, 0)
	return func() []byte {
		mu.Lock()
		defer mu.Unlock()
		i420 := sc.draw(clock.Now().Wall)
		const n = sceneWidth * sceneHeight
		img := &image.YCbCr{Y: i420[:n], Cb: i420[n : n*5/4], Cr: i420[n*5/4:], YStride: sceneWidth, CStride: sceneWidth / 2,
			SubsampleRatio: image.YCbCrSubsampleRatio420, Rect: image.Rect(0, 0, sceneWidth, sceneHeight)}
		var b bytes.Buffer
		if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 80}); err != nil {
			return nil
		}
		return b.Bytes()
	}
}
