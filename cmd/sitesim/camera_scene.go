package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"sitewatch/edge"
)

const (
	sceneWidth, sceneHeight = 960, 540
	sceneRate               = 10 // pictures a second
	walkPictures            = 14 * sceneRate
	noiseBytes              = 1 << 20
)

// sceneArgs are for rtsptest.Encode: frames on stdin, an IDR a second.
func sceneArgs() []string {
	return []string{"-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", fmt.Sprintf("%dx%d", sceneWidth, sceneHeight), "-r", fmt.Sprint(sceneRate), "-i", "pipe:0",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-threads", "1", "-g", fmt.Sprint(sceneRate), "-sc_threshold", "0",
		"-crf", "27", "-maxrate", "900k", "-bufsize", "900k"}
}

// scene is a shop floor with shelves, the noise of a cheap sensor, the camera's name and the time. Somebody walks through it
// when told. It is drawn by one goroutine; walk may be called from any.
type scene struct {
	name  string
	back  []byte // I420, without noise
	frame []byte
	noise []byte
	rnd   *rand.Rand
	asked atomic.Bool
	step  int // of the walk; 0: nobody is there
}

func newScene(name string, seed uint64) *scene {
	s := &scene{name: name, rnd: rand.New(rand.NewPCG(seed, 17)), noise: make([]byte, noiseBytes)}
	s.back = make([]byte, sceneWidth*sceneHeight*3/2)
	s.frame = make([]byte, len(s.back))
	for i := range s.noise { // about normal, from -3 to 3
		s.noise[i] = byte(int8(s.rnd.IntN(3) + s.rnd.IntN(3) + s.rnd.IntN(3) - 3))
	}
	s.drawBackground(int(seed))
	return s
}

// walk lets somebody come in, unless somebody is there already.
func (s *scene) walk() { s.asked.Store(true) }

// draw makes the next frame.
func (s *scene) draw(now time.Time) []byte {
	copy(s.frame, s.back)
	if s.asked.Swap(false) && s.step == 0 {
		s.step = 1
	}
	if s.step > 0 {
		s.drawPerson(s.step)
		if s.step++; s.step > walkPictures {
			s.step = 0
		}
	}
	luma := s.frame[:sceneWidth*sceneHeight]
	at := s.rnd.IntN(noiseBytes)
	for i := range luma {
		luma[i] += s.noise[(at+i)&(noiseBytes-1)]
	}
	s.text(24, 20, 3, s.name)
	s.text(24, sceneHeight-44, 3, now.UTC().Format("2006-01-02 15:04:05"))
	return s.frame
}

// rect fills a rectangle, clipped to the picture.
func rect(pix []byte, x0, y0, x1, y1 int, y, u, v byte) {
	x0, y0, x1, y1 = max(0, x0), max(0, y0), min(sceneWidth, x1), min(sceneHeight, y1)
	for r := y0; r < y1; r++ {
		row := pix[r*sceneWidth:]
		for c := x0; c < x1; c++ {
			row[c] = y
		}
	}
	const cw = sceneWidth / 2
	ub, vb := pix[sceneWidth*sceneHeight:], pix[sceneWidth*sceneHeight*5/4:]
	for r := y0 / 2; r < y1/2; r++ {
		for c := x0 / 2; c < x1/2; c++ {
			ub[r*cw+c], vb[r*cw+c] = u, v
		}
	}
}

// drawBackground draws a wall, a floor of tiles and shelves full of boxes, a little different for each camera.
func (s *scene) drawBackground(variant int) {
	const horizon = sceneHeight * 2 / 5
	rect(s.back, 0, 0, sceneWidth, horizon, byte(110+10*variant%40), 126, 132)
	rect(s.back, 0, horizon, sceneWidth, sceneHeight, 0, 124, 134) // colour of the floor
	for y := horizon; y < sceneHeight; y++ {
		for x := range sceneWidth {
			s.back[y*sceneWidth+x] = byte(112 + ((y-horizon)/24+x/60+variant)%2*16 + (y-horizon)/10)
		}
	}
	for shelf := range 5 {
		x := 30 + shelf*190 + 12*variant
		rect(s.back, x, 90, x+130, horizon+70, 70, 122, 138)
		for row := range 3 {
			for box := range 4 {
				h := 34 + s.rnd.IntN(16)
				top := 96 + row*64
				rect(s.back, x+6+box*31, top+52-h, x+32+box*31, top+52, byte(90+s.rnd.IntN(110)), byte(90+s.rnd.IntN(76)), byte(90+s.rnd.IntN(76)))
			}
		}
	}
}

// drawPerson draws somebody in dark clothes who comes in on the left, stops in the middle and leaves on the right.
func (s *scene) drawPerson(step int) {
	const stop, stand = walkPictures * 2 / 5, walkPictures / 5
	moved := step
	if step > stop {
		moved = max(stop, step-stand)
	}
	x := -80 + moved*(sceneWidth+160)/(walkPictures-stand)
	y, swing := 180+10*(moved%60)/60, 0
	if step <= stop || step > stop+stand {
		swing = 14 * (moved%8 - 4) / 4
	}
	rect(s.frame, x-46, y+268, x+54, y+278, 70, 128, 128)            // shadow
	rect(s.frame, x-18-swing, y+160, x-2-swing, y+270, 38, 132, 122) // legs
	rect(s.frame, x+2+swing, y+160, x+18+swing, y+270, 42, 132, 122)
	rect(s.frame, x-30, y+52, x+30, y+164, 30, 134, 124) // coat
	rect(s.frame, x-42+swing, y+58, x-30+swing, y+140, 34, 134, 124)
	rect(s.frame, x+30-swing, y+58, x+42-swing, y+140, 34, 134, 124)
	rect(s.frame, x-16, y+10, x+16, y+50, 150, 112, 150) // head
	rect(s.frame, x-18, y, x+18, y+18, 28, 128, 128)     // cap
}

// text burns s in, white on what is there, with a dark shadow.
func (s *scene) text(x, y, scale int, text string) {
	for _, r := range text {
		glyph, ok := font[r]
		if !ok {
			glyph = font[' ']
			if upper, ok := font[r-'a'+'A']; ok && r >= 'a' && r <= 'z' {
				glyph = upper
			}
		}
		for col, bits := range glyph {
			for row := range 7 {
				if bits>>row&1 == 1 {
					px, py := x+col*scale, y+row*scale
					rect(s.frame, px+1, py+1, px+scale+1, py+scale+1, 20, 128, 128)
					rect(s.frame, px, py, px+scale, py+scale, 225, 128, 128)
				}
			}
		}
		x += 6 * scale
	}
}

// drawn is the scene as the encoder reads it: a frame at each tick.
type drawn struct {
	ctx   context.Context // of the encoder's run, which is all that a reader of bytes can be told by
	scene *scene
	clock edge.Clock
	tick  *time.Ticker
	left  []byte
}

func (d *drawn) Read(b []byte) (int, error) {
	if len(d.left) == 0 {
		select {
		case <-d.tick.C:
		case <-d.ctx.Done():
			return 0, io.EOF
		}
		d.left = d.scene.draw(d.clock.Now().Wall)
	}
	n := copy(b, d.left)
	d.left = d.left[n:]
	return n, nil
}

// font is five columns of seven dots a letter, the lowest bit on top.
var font = map[rune][5]byte{
	' ': {}, '-': {8, 8, 8, 8, 8}, ':': {0, 0x36, 0x36, 0, 0}, '.': {0, 0x60, 0x60, 0, 0},
	'0': {0x3E, 0x51, 0x49, 0x45, 0x3E}, '1': {0, 0x42, 0x7F, 0x40, 0}, '2': {0x42, 0x61, 0x51, 0x49, 0x46}, '3': {0x21, 0x41, 0x45, 0x4B, 0x31},
	'4': {0x18, 0x14, 0x12, 0x7F, 0x10}, '5': {0x27, 0x45, 0x45, 0x45, 0x39}, '6': {0x3C, 0x4A, 0x49, 0x49, 0x30}, '7': {0x01, 0x71, 0x09, 0x05, 0x03},
	'8': {0x36, 0x49, 0x49, 0x49, 0x36}, '9': {0x06, 0x49, 0x49, 0x29, 0x1E},
	'A': {0x7E, 0x11, 0x11, 0x11, 0x7E}, 'B': {0x7F, 0x49, 0x49, 0x49, 0x36}, 'C': {0x3E, 0x41, 0x41, 0x41, 0x22}, 'D': {0x7F, 0x41, 0x41, 0x22, 0x1C},
	'E': {0x7F, 0x49, 0x49, 0x49, 0x41}, 'F': {0x7F, 0x09, 0x09, 0x09, 0x01}, 'G': {0x3E, 0x41, 0x49, 0x49, 0x7A}, 'H': {0x7F, 0x08, 0x08, 0x08, 0x7F},
	'I': {0, 0x41, 0x7F, 0x41, 0}, 'J': {0x20, 0x40, 0x41, 0x3F, 0x01}, 'K': {0x7F, 0x08, 0x14, 0x22, 0x41}, 'L': {0x7F, 0x40, 0x40, 0x40, 0x40},
	'M': {0x7F, 0x02, 0x0C, 0x02, 0x7F}, 'N': {0x7F, 0x04, 0x08, 0x10, 0x7F}, 'O': {0x3E, 0x41, 0x41, 0x41, 0x3E}, 'P': {0x7F, 0x09, 0x09, 0x09, 0x06},
	'Q': {0x3E, 0x41, 0x51, 0x21, 0x5E}, 'R': {0x7F, 0x09, 0x19, 0x29, 0x46}, 'S': {0x46, 0x49, 0x49, 0x49, 0x31}, 'T': {0x01, 0x01, 0x7F, 0x01, 0x01},
	'U': {0x3F, 0x40, 0x40, 0x40, 0x3F}, 'V': {0x1F, 0x20, 0x40, 0x20, 0x1F}, 'W': {0x3F, 0x40, 0x38, 0x40, 0x3F}, 'X': {0x63, 0x14, 0x08, 0x14, 0x63},
	'Y': {0x07, 0x08, 0x70, 0x08, 0x07}, 'Z': {0x61, 0x51, 0x49, 0x45, 0x43},
}
