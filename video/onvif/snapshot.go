package onvif

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/jpeg"
	"net/http"

	"sitewatch/video"
)

// Snapshot fetches a JPEG of what a stream shows now. It is checked to be one, and its size is that of the picture in it.
func (d *Device) Snapshot(ctx context.Context, p Profile) ([]byte, video.Size, error) {
	ns := nsMedia
	if p.media2 {
		ns = nsMedia2
	}
	text, err := d.uri(ctx, ns, `<GetSnapshotUri xmlns="`+ns+`"><ProfileToken>`+escape(p.Token)+`</ProfileToken></GetSnapshotUri>`, "GetSnapshotUriResponse")
	if err != nil {
		return nil, video.Size{}, err
	}
	u, host := d.hosts().service(text)
	if u == nil {
		return nil, video.Size{}, fmt.Errorf("%w: it names no address for a picture", ErrMissing)
	}
	d.doubt("the address of a picture", host)
	rep, err := d.c.get(ctx, u.String(), maxSnapshotBytes)
	if err != nil {
		return nil, video.Size{}, err
	}
	if rep.status != http.StatusOK {
		return nil, video.Size{}, fmt.Errorf("onvif: the picture's address answers %d %s", rep.status, http.StatusText(rep.status))
	}
	size, err := pictureSize(rep.body)
	return rep.body, size, err
}

// pictureSize reads the head of a JPEG.
func pictureSize(b []byte) (s video.Size, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("onvif: the picture is no JPEG")
		}
	}()
	c, err := jpeg.DecodeConfig(bytes.NewReader(b))
	if err != nil || c.Width <= 0 || c.Height <= 0 || c.Width > maxPixels || c.Height > maxPixels {
		return s, errors.New("onvif: the picture is no JPEG")
	}
	return video.Size{Width: c.Width, Height: c.Height}, nil
}
