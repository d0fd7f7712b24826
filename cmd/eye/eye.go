package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"image/jpeg"
	"io"
	"sync"

	"sitewatch/edge"
	"sitewatch/video"
	"sitewatch/video/motion"
)

const (
	maxCameras  = 64 // decoders of 12 MB
	jpegQuality = 85
)

// eye answers the gateway's messages.
type eye struct {
	out     *bufio.Writer
	cameras map[edge.CameraID]*watched
	buf     []byte
	holds   bool  // the gateway has been told what is in hand
	lost    error // why nothing can be said any more
}

// watched is one camera.
type watched struct {
	grader *motion.Grader
	dec    *decoder           // nil: no parameters yet, or none that can be decoded
	opens  *motion.OpenCamera // what the next unit is to be decoded with, if that is something else
}

// run speaks with the gateway until in ends, which calls ended at once: the decoder cannot be interrupted, and nobody is
// left who would want what it finds.
func run(in io.Reader, out io.Writer, build string, ended func()) error {
	e := &eye{out: bufio.NewWriterSize(out, 64<<10), cameras: map[edge.CameraID]*watched{}}
	defer e.close()
	if err := e.send(&motion.Ready{Version: motion.Version, Build: build}); err != nil {
		return err
	}
	messages := make(chan motion.Message, 1) // one is read while one is decoded
	stop := make(chan struct{})
	var readErr error
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(messages)
		r := bufio.NewReaderSize(in, 64<<10)
		for {
			m, err := motion.ReadMessage(r)
			if err != nil {
				if errors.Is(err, io.EOF) {
					ended()
				} else {
					readErr = err
				}
				return
			}
			select {
			case messages <- m:
			case <-stop:
				return
			}
		}
	})
	for m := range messages {
		if err := e.handle(m); err != nil {
			close(stop) // the reader may be waiting for a message still; the process ends with us
			return err
		}
	}
	wg.Wait()
	return readErr
}

func (e *eye) close() {
	for _, w := range e.cameras {
		if w.dec != nil {
			w.dec.close()
		}
	}
}

func (e *eye) send(m motion.Message) error {
	switch m.(type) {
	case *motion.Hand, *motion.HandStill:
		e.holds = true
	}
	e.buf = motion.AppendMessage(e.buf[:0], m)
	if _, err := e.out.Write(e.buf); err != nil {
		return err
	}
	return e.out.Flush()
}

// handle answers one message, and says when nothing of it is in hand any more. An error is the pipe's; a picture that cannot be decoded is none.
func (e *eye) handle(m motion.Message) error {
	if err := e.answer(m); err != nil || !e.holds {
		return err
	}
	e.holds = false
	return e.send(&motion.Done{})
}

func (e *eye) answer(m motion.Message) error {
	switch m := m.(type) {
	case *motion.OpenCamera:
		if w := e.camera(m.Camera); w != nil {
			w.opens = m
		}
		return e.lost
	case *motion.Setup:
		if w := e.camera(m.Camera); w != nil {
			w.grader.Setup(m.Grade, m.Options)
		}
		return e.lost
	case *motion.Recall:
		if w := e.camera(m.Camera); w != nil {
			w.grader.Recall(m)
		}
		return e.lost
	case *motion.Hint:
		if w := e.cameras[m.Camera]; w != nil {
			w.grader.Hint()
		}
		return e.lost
	case *motion.Unit:
		if w := e.cameras[m.Camera]; w != nil {
			if w.opens != nil { // parameters may end the eye as well as a picture
				if err := e.send(&motion.Hand{Number: m.Number}); err != nil {
					return err
				}
				w.open()
			}
			w.grader.Take(m)
		}
		return e.lost
	case *motion.StillRequest:
		if err := e.send(&motion.HandStill{ID: m.ID}); err != nil {
			return err
		}
		b, err := still(m.Params, m.Data)
		if err != nil {
			return e.send(&motion.StillReply{ID: m.ID, Data: []byte(err.Error())})
		}
		return e.send(&motion.StillReply{ID: m.ID, OK: true, Data: b})
	}
	return fmt.Errorf("%w: %T is not for an eye", motion.ErrPipe, m)
}

// camera returns the camera of that name, a new one if there is room; nil: there is none, and its units are not known.
func (e *eye) camera(id edge.CameraID) *watched {
	w := e.cameras[id]
	if w == nil && len(e.cameras) < maxCameras {
		w = &watched{grader: motion.NewGrader(id, func(m motion.Message) {
			if err := e.send(m); err != nil && e.lost == nil {
				e.lost = err
			}
		})}
		e.cameras[id] = w
	}
	return w
}

// open makes the decoder of the units that follow, which parses the parameters.
func (w *watched) open() {
	m := w.opens
	w.opens = nil
	dec, err := newDecoder(m.Params, true)
	if err != nil {
		return
	}
	if w.dec != nil {
		w.dec.close()
	}
	w.dec = dec
	w.grader.Open(dec, m.Params.Size)
}

// still decodes a keyframe with everything that makes it look right and compresses it.
func still(p video.Params, unit []byte) ([]byte, error) {
	dec, err := newDecoder(p, false)
	if err != nil {
		return nil, err
	}
	defer dec.close()
	pic, err := dec.key(unit)
	if err != nil {
		return nil, err
	}
	img, err := pic.image()
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	if err := jpeg.Encode(&buf, img, &jpeg.Options{Quality: jpegQuality}); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
