package main

/*
#cgo pkg-config: libavcodec libavutil
#cgo CFLAGS: -O3 -Wall
#include "decoder.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"image"
	"unsafe"

	"sitewatch/video"
	"sitewatch/video/motion"
)

// decoder decodes one stream. It is used by one goroutine and must be closed.
type decoder struct {
	c      *C.eye_decoder
	grid   motion.Grid
	failed int // pictures in a row
}

// tolerate is how many pictures in a row may fail before the decoder shows what it can: a camera that breaks the rules
// in every picture is looked at all the same.
const tolerate = 60

var errDecode = errors.New("picture cannot be decoded")

// gridSide is how many cells the longer side of a picture has at most.
const gridSide = 128

// maxPixels bounds what the decoder allocates; Params bounds the sides.
const maxPixels = 8192 * 4352

// newDecoder opens a decoder; fast is for looking, not for showing.
func newDecoder(p video.Params, fast bool) (*decoder, error) {
	if !p.Valid() {
		return nil, video.ErrBadParams
	}
	config := p.Config()
	f := C.int(0)
	if fast {
		f = 1
	}
	codec := C.int(C.EYE_H264)
	if p.Codec == video.H265 {
		codec = C.EYE_H265
	}
	c := C.eye_open(codec, (*C.uint8_t)(&config[0]), C.int(len(config)), f, maxPixels)
	if c == nil {
		return nil, fmt.Errorf("no decoder for %v", p.Codec)
	}
	return &decoder{c: c}, nil
}

func (d *decoder) close() { C.eye_close(d.c) }

// picture is a decoded picture; it is valid until the decoder's next call.
type picture struct{ c C.eye_picture }

// key decodes one keyframe by itself.
func (d *decoder) key(unit []byte) (*picture, error) {
	if len(unit) == 0 || len(unit) > video.MaxUnitBytes {
		return nil, errDecode
	}
	var p picture
	return &p, failed(C.eye_key(d.c, (*C.uint8_t)(&unit[0]), C.int(len(unit)), &p.c))
}

func failed(code C.int) error {
	switch code {
	case 0:
		return nil
	case C.EYE_FORMAT:
		return fmt.Errorf("%w: pixel format is not YUV in planes", errDecode)
	}
	return fmt.Errorf("%w: %d", errDecode, int(code))
}

func (p *picture) damaged() bool { return p.c.damaged != 0 }

// Key is motion.Decoder.
func (d *decoder) Key(u *motion.Unit) (g motion.Grid, err error) {
	p, err := d.key(u.Data)
	if err == nil && p.damaged() {
		err = errDecode
	}
	if d.count(err) != nil {
		return g, err
	}
	g = d.shrink(p)
	g.Sharp = float64(C.eye_sharpness(&p.c))
	return g, nil
}

// count minds how it went.
func (d *decoder) count(err error) error {
	if err == nil {
		d.failed = 0
	} else if d.failed++; d.failed == tolerate {
		C.eye_strict(d.c, 0)
	}
	return err
}

// Next is motion.Decoder.
func (d *decoder) Next(u *motion.Unit, fresh bool, look func(pts video.Ticks90k, g motion.Grid)) error {
	return d.count(d.next(u, fresh, look))
}

func (d *decoder) next(u *motion.Unit, fresh bool, look func(pts video.Ticks90k, g motion.Grid)) error {
	if fresh {
		C.eye_flush(d.c)
	}
	if len(u.Data) == 0 || len(u.Data) > video.MaxUnitBytes {
		return errDecode
	}
	key := C.int(0)
	if u.Keyframe {
		key = 1
	}
	sent := failed(C.eye_send(d.c, (*C.uint8_t)(&u.Data[0]), C.int(len(u.Data)), key, C.int64_t(u.PTS)))
	for {
		var p picture
		code := C.eye_receive(d.c, &p.c)
		if code == C.EYE_NONE {
			return sent
		}
		if err := failed(code); err != nil {
			return err
		}
		if p.damaged() {
			return errDecode
		}
		g := d.shrink(&p)
		if u.Keyframe { // often enough
			g.Sharp = float64(C.eye_sharpness(&p.c))
		}
		look(video.Ticks90k(p.c.pts), g)
	}
}

// shrink makes the picture's brightness small: squares of pixels, so many that the longer side has gridSide of them at most.
func (d *decoder) shrink(p *picture) motion.Grid {
	w, h := int(p.c.width), int(p.c.height)
	side := min((max(w, h)+gridSide-1)/gridSide, w, h)
	if g := &d.grid; g.Width != w/side || g.Height != h/side {
		*g = motion.Grid{Width: w / side, Height: h / side, Cells: make([]uint16, (w/side)*(h/side))}
	}
	C.eye_grid(&p.c, (*C.uint16_t)(&d.grid.Cells[0]), C.int(d.grid.Width), C.int(d.grid.Height), C.int(side))
	return d.grid
}

// image copies the picture for the JPEG encoder, which takes all brightness from 0 to 255: what video calls black is 16
// and white 235 (ITU-R BT.601 §2.5.3), and would come out grey.
func (p *picture) image() (image.Image, error) {
	w, h := int(p.c.width), int(p.c.height)
	luma, chroma := identity, identity
	if p.c.full_range == 0 {
		luma, chroma = expandLuma, expandChroma
	}
	if p.c.chroma_w < 0 {
		img := image.NewGray(image.Rect(0, 0, w, h))
		p.copyPlane(0, img.Pix, img.Stride, w, h, &luma)
		return img, nil
	}
	ratio, ok := map[[2]C.int]image.YCbCrSubsampleRatio{
		{0, 0}: image.YCbCrSubsampleRatio444, {1, 0}: image.YCbCrSubsampleRatio422, {1, 1}: image.YCbCrSubsampleRatio420,
		{0, 1}: image.YCbCrSubsampleRatio440,
	}[[2]C.int{p.c.chroma_w, p.c.chroma_h}]
	if !ok {
		return nil, fmt.Errorf("%w: unknown subsampling", errDecode)
	}
	img := image.NewYCbCr(image.Rect(0, 0, w, h), ratio)
	cw, ch := img.CStride, len(img.Cb)/img.CStride
	p.copyPlane(0, img.Y, img.YStride, w, h, &luma)
	p.copyPlane(1, img.Cb, img.CStride, cw, ch, &chroma)
	p.copyPlane(2, img.Cr, img.CStride, cw, ch, &chroma)
	return img, nil
}

func (p *picture) copyPlane(i int, dst []byte, stride, w, h int, lut *[256]byte) {
	for y := range h {
		src := unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(p.c.plane[i]), y*int(p.c.stride[i]))), w)
		row := dst[y*stride : y*stride+w]
		for x, v := range src {
			row[x] = lut[v]
		}
	}
}

var (
	identity     = table(func(v int) int { return v })
	expandLuma   = table(func(v int) int { return ((v-16)*255 + 109) / 219 })
	expandChroma = table(func(v int) int { return ((v-128)*255 + (224*128 + 112)) / 224 })
)

func table(f func(int) int) (t [256]byte) {
	for v := range t {
		t[v] = byte(min(max(f(v), 0), 255))
	}
	return t
}
