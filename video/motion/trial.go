package motion

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/edge"
	"sitewatch/video"
)

// Trial is what an eye makes of a recording.
type Trial struct {
	Intervals         []TrialInterval
	Scenes            []Scene
	Boxes             []Box // where something moved, about once a second of movement
	Pictures, Decoded int
	Still             []byte         // JPEG of the first keyframe; nil: it was not wanted, or could not be decoded
	Length            video.Ticks90k // from the first picture to the last
	CPU               time.Duration  // of the eye's process, its start included
}

// TrialInterval is an interval in the recording's own time.
type TrialInterval struct {
	From, To, Reported video.Ticks90k // Reported: the newest picture that the eye had when it told
	Why                string
}

// TrialOptions say which eye and how it looks.
type TrialOptions struct {
	Command string
	Args    []string // none, but for tests
	Grade   Grade
	Model   ModelOptions
	Still   bool // a JPEG of the first keyframe is wanted
}

const trialCamera = "film"

// RunTrial gives an eye of its own the pictures of a recording, over the same pipe as a live camera's and as fast as it takes
// them. each calls take for every picture and returns its error.
func RunTrial(ctx context.Context, opt TrialOptions, each func(take func(video.AccessUnit, video.Params) error) error) (Trial, error) {
	path, err := filepath.Abs(opt.Command)
	if err != nil {
		return Trial{}, fmt.Errorf("eye: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tail := &tail{}
	cmd := exec.CommandContext(ctx, path, opt.Args...)
	cmd.Stderr, cmd.Env, cmd.Dir, cmd.WaitDelay = tail, []string{}, "/", 2*time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		return Trial{}, fmt.Errorf("eye: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return Trial{}, fmt.Errorf("eye: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return Trial{}, edge.WithHint(fmt.Errorf("eye: %w", err), "the program eye belongs beside the gateway")
	}
	var t Trial
	var source error // of the recording, which the eye is not to be blamed for
	g, _ := errgroup.WithContext(ctx)
	g.Go(func() error {
		err := t.read(bufio.NewReaderSize(out, 64<<10))
		if err != nil {
			cancel() // nobody reads any more
		}
		return errors.Join(err, in.Close()) // the eye ends with that
	})
	g.Go(func() error {
		var err error
		source, err = t.write(in, opt, each)
		if err != nil || source != nil {
			cancel()
		}
		return err
	})
	err = g.Wait()
	waitErr := cmd.Wait()
	if s := cmd.ProcessState; s != nil {
		t.CPU = s.UserTime() + s.SystemTime()
	}
	switch {
	case source != nil:
		return t, source
	case err != nil:
		return t, fmt.Errorf("eye: %w (%v) %s", err, waitErr, tail.text())
	}
	return t, nil
}

// write sends the recording. The still at the end is answered in order: with its answer everything has been.
func (t *Trial) write(in io.Writer, opt TrialOptions, each func(func(video.AccessUnit, video.Params) error) error) (source, pipe error) {
	w := bufio.NewWriterSize(in, 256<<10)
	var buf []byte
	send := func(m Message) error {
		buf = AppendMessage(buf[:0], m)
		_, pipe = w.Write(buf)
		return pipe
	}
	if send(&Setup{Camera: trialCamera, Grade: opt.Grade, Options: opt.Model}) != nil {
		return nil, pipe
	}
	var open video.Params
	still := StillRequest{ID: 1}
	number := uint32(0)
	source = each(func(u video.AccessUnit, p video.Params) error {
		if !p.Equal(open) {
			open = p
			if err := send(&OpenCamera{Camera: trialCamera, Params: p}); err != nil {
				return err
			}
		}
		if u.Keyframe && still.Data == nil {
			still.Params, still.Data = p, u.Data
		}
		t.Length = max(t.Length, u.PTS)
		number++
		t.Pictures++
		return send(&Unit{Camera: trialCamera, Number: number, PTS: u.PTS, Keyframe: u.Keyframe, Lost: u.Lost > 0, Data: u.Data})
	})
	switch {
	case pipe != nil:
		return nil, pipe
	case source != nil:
		return source, nil
	case still.Data == nil:
		return errors.New("no keyframe: nothing can be decoded"), nil
	}
	if !opt.Still {
		still.Data = nil // which is answered as well
	}
	if send(&still) == nil {
		pipe = w.Flush()
	}
	return nil, pipe
}

func (t *Trial) read(r io.Reader) error {
	for {
		m, err := ReadMessage(r)
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed) {
				return errors.New("it died")
			}
			return err
		}
		switch m := m.(type) {
		case *Ready:
			if m.Version != Version {
				return fmt.Errorf("%w: version %d", ErrPipe, m.Version)
			}
		case *Motion:
			t.moved(m)
		case *Scene:
			t.Scenes = append(t.Scenes, *m)
		case *Hand:
			t.Decoded++
		case *StillReply:
			if m.OK {
				t.Still = m.Data
			}
			return nil
		}
	}
}

func (t *Trial) moved(m *Motion) {
	if m.State == Start {
		t.Intervals = append(t.Intervals, TrialInterval{m.PTS, m.PTS, m.At, m.Why})
	}
	if n := len(t.Intervals); n > 0 {
		t.Intervals[n-1].To = max(t.Intervals[n-1].To, m.PTS)
	}
	if m.State != End {
		t.Boxes = append(t.Boxes, m.Box)
	}
}
