package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"

	"sitewatch/edge"
)

// Colours of what is drawn.
var (
	paper   = color.RGBA{255, 255, 255, 255}
	ink     = color.RGBA{60, 60, 60, 255}
	target  = color.RGBA{40, 140, 60, 255}
	nothing = color.RGBA{190, 190, 190, 255}
	other   = color.RGBA{230, 190, 60, 255}
	reports = color.RGBA{200, 50, 40, 255}
)

const (
	lineWidth  = 1200
	lineHeight = 106
	margin     = 10
)

// draw writes the timeline and the heat map of a file beside each other.
func (s *scored) draw(dir string) error {
	base := filepath.Join(dir, strings.TrimSuffix(s.name, filepath.Ext(s.name)))
	if err := writePNG(base+"-timeline.png", s.timeline()); err != nil {
		return err
	}
	return writePNG(base+"-heat.png", s.heat())
}

func writePNG(path string, img image.Image) error {
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return err
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return edge.WithHint(err, "name a folder that can be written to")
	}
	return nil
}

func paint(img *image.RGBA, r image.Rectangle, c color.Color) {
	draw.Draw(img, r, image.NewUniform(c), image.Point{}, draw.Over)
}

// timeline draws truth above (green: a target, yellow: a nuisance, grey: does not count) and what was found below, with a mark where it was told.
func (s *scored) timeline() image.Image {
	img := image.NewRGBA(image.Rect(0, 0, lineWidth, lineHeight))
	paint(img, img.Bounds(), paper)
	x := func(t float64) int {
		return margin + int(max(0, min(1, t/max(s.seconds, 0.001)))*float64(lineWidth-2*margin))
	}
	span := func(from, to float64, y0, y1 int, c color.Color) {
		paint(img, image.Rect(x(from), y0, max(x(to), x(from)+1), y1), c)
	}
	for _, t := range s.truth {
		switch {
		case t.Target:
			span(t.From, t.To, 10, 40, target)
		case t.Ignore:
			span(t.From, t.To, 10, 40, nothing)
		default:
			span(t.From, t.To, 30, 40, other)
		}
	}
	for _, f := range s.spans() {
		span(f[0], f[1], 44, 74, reports)
		span(f[2], f[2], 44, 80, ink)
	}
	paint(img, image.Rect(margin, 41, lineWidth-margin, 43), ink)
	step := 1.0
	for s.seconds/step > 60 {
		step *= 5
		if s.seconds/step > 60 {
			step *= 2
		}
	}
	for n := 0; float64(n)*step <= s.seconds; n++ {
		h := 4
		if n%10 == 0 {
			h = 8
		}
		at := x(float64(n) * step)
		paint(img, image.Rect(at, 82, at+1, 82+h), ink)
		if n%5 == 0 {
			label(img, at, 91, fmt.Sprint(int(float64(n)*step)))
		}
	}
	return img
}

// digits are three by five dots each, row by row, and a dot is two pixels wide and high: a font would be a dependency for ten signs.
var digits = [10]uint16{0b111_101_101_101_111, 0b010_110_010_010_111, 0b111_001_111_100_111, 0b111_001_111_001_111, 0b101_101_111_001_001,
	0b111_100_111_001_111, 0b111_100_111_101_111, 0b111_001_001_001_001, 0b111_101_111_101_111, 0b111_101_111_001_111}

func label(img *image.RGBA, x, y int, number string) {
	const dot = 2
	x = max(0, min(lineWidth-4*dot*len(number), x-2*dot*len(number)))
	for _, d := range number {
		for i := range 15 {
			if digits[d-'0']>>(14-i)&1 != 0 {
				paint(img, image.Rect(x+i%3*dot, y+i/3*dot, x+(i%3+1)*dot, y+(i/3+1)*dot), ink)
			}
		}
		x += 4 * dot
	}
}

// heat draws where something moved over the first picture of the file: the redder, the longer.
func (s *scored) heat() image.Image {
	const w, h = 640, 360
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	paint(img, img.Bounds(), nothing)
	if still, err := jpeg.Decode(bytes.NewReader(s.trial.Still)); err == nil {
		b := still.Bounds()
		img = image.NewRGBA(image.Rect(0, 0, w, max(1, w*b.Dy()/b.Dx())))
		for i := range img.Rect.Dx() * img.Rect.Dy() {
			x, y := i%img.Rect.Dx(), i/img.Rect.Dx()
			g := color.GrayModel.Convert(still.At(b.Min.X+x*b.Dx()/img.Rect.Dx(), b.Min.Y+y*b.Dy()/img.Rect.Dy())).(color.Gray).Y
			img.Set(x, y, color.Gray{g/2 + 64})
		}
	}
	iw, ih := img.Rect.Dx(), img.Rect.Dy()
	count, most := make([]int, iw*ih), 1
	for _, b := range s.trial.Boxes {
		for y := int(b.Y0) * ih / 65535; y < int(b.Y1)*ih/65535; y++ {
			for x := int(b.X0) * iw / 65535; x < int(b.X1)*iw/65535; x++ {
				count[y*iw+x]++
				most = max(most, count[y*iw+x])
			}
		}
	}
	for i, n := range count {
		if n == 0 {
			continue
		}
		f := float64(n) / float64(most)
		paint(img, image.Rect(i%iw, i/iw, i%iw+1, i/iw+1), color.NRGBA{255, uint8(220 * (1 - f)), 0, uint8(60 + 120*f)})
	}
	return img
}
