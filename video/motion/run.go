package motion

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/edge"
	"sitewatch/video"
)

// LongestPause is what may pass between two runs: an eye that dies is back within a second, however many of its cameras have ended one
// before. Each of those is in quarantine, so that what is left to end the next one is less each time.
const LongestPause = 500 * time.Millisecond

// Run starts the eye and works with it until it dies or ctx ends. It always returns an error: the supervisor starts it again
// by calling Run again. Intervals that were open are closed then, because the next eye knows nothing of them.
func (e *Eye) Run(ctx context.Context) error {
	reports := make(chan report, maxReports) // deep enough for every camera to change twice while a disk hesitates
	var wg sync.WaitGroup
	wg.Go(func() {
		for r := range reports {
			if err := e.keepUsual(r); err != nil {
				e.opt.Log.Warn("a restart would end what is wrong with a picture: what it usually is could not be kept", "camera", r.camera, "err", err)
			}
			if e.opt.Reporter == nil {
				continue
			}
			if err := edge.Guard(func() error { r.tell(ctx, e.opt.Reporter); return nil })(); err != nil {
				e.opt.Log.Error("movement not reported", "camera", r.camera, "err", err)
			}
		}
	})
	defer wg.Wait()
	defer close(reports)
	say := func(rs []report) {
		for _, r := range rs {
			select {
			case reports <- r:
			default: // movement may be dropped, pictures of it are kept otherwise
				e.opt.Log.Warn("movement not reported", "camera", r.camera)
			}
		}
	}
	defer func() {
		now := e.opt.Clock.Now()
		say(append(e.stale(now, -1), e.unsee(now)...))
	}()
	err := e.runProcess(ctx, say)
	if ctx.Err() != nil {
		return ctx.Err() // it was told to stop: how its process ended is no news
	}
	if c, ok := e.blame(e.opt.Clock.Now()); ok {
		err = fmt.Errorf("%w; a picture of camera %s was in hand, which is not looked at for %v", err, c.camera, c.pause)
		if e.opt.Bugs != "" && len(c.units) > 0 {
			if path, kerr := e.keepBug(c); kerr != nil {
				e.opt.Log.Warn("the picture that ended an eye is not kept", "camera", c.camera, "err", kerr)
			} else {
				err = fmt.Errorf("%w: %s", err, path)
			}
		}
	}
	return err
}

func (e *Eye) runProcess(ctx context.Context, say func([]report)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	inR, inW, err := os.Pipe() // our own, because they take deadlines
	if err != nil {
		return fmt.Errorf("eye: %w", err)
	}
	defer inW.Close()
	g, gctx := errgroup.WithContext(ctx)
	outR, outW, err := newEar(gctx, e.opt.Pulse)
	if err != nil {
		return errors.Join(fmt.Errorf("eye: %w", err), inR.Close())
	}
	defer outR.Close()
	tail := &tail{}
	path, err := filepath.Abs(e.opt.Command) // the eye stands elsewhere
	if err != nil {
		return fmt.Errorf("eye: %w", err)
	}
	cmd := exec.CommandContext(ctx, path, e.opt.Args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inR, outW, tail
	cmd.Env = []string{} // nothing that it should know
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // signals to the gateway's group are not for it
	cmd.WaitDelay = 2 * time.Second
	err = cmd.Start()
	inR.Close()
	outW.Close()
	if err != nil {
		return edge.WithHint(fmt.Errorf("eye: %w", err), "the program eye belongs beside the gateway")
	}
	g.Go(edge.Guard(func() error { return e.runReader(bufio.NewReaderSize(outR, 64<<10), say) }))
	g.Go(edge.Guard(func() error { return e.runWriter(gctx, inW) }))
	g.Go(edge.Guard(func() error { return e.runStale(gctx, say) }))
	g.Go(edge.Guard(func() error { return e.awaitReady(gctx) }))
	g.Go(func() error { // whoever ends first ends the process, and that ends the rest
		<-gctx.Done()
		inW.Close()
		cancel()
		return nil
	})
	err = g.Wait()
	e.setUp(false) // the reader has heard all
	waitErr := cmd.Wait()
	if text := tail.text(); text != "" {
		return fmt.Errorf("eye ended: %w (%v): %s", err, waitErr, text)
	}
	return fmt.Errorf("eye ended: %w (%v)", err, waitErr)
}

// awaitReady gives up an eye that does not say that it is ready.
func (e *Eye) awaitReady(ctx context.Context) error {
	t := time.NewTimer(readyLimit)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return nil
	case <-t.C:
	}
	if !e.Status().Up {
		return fmt.Errorf("not ready within %v", readyLimit)
	}
	return nil
}

func (e *Eye) runReader(r *bufio.Reader, say func([]report)) error {
	m, err := ReadMessage(r)
	if err != nil {
		return err
	}
	ready, ok := m.(*Ready)
	if !ok || ready.Version != Version {
		return fmt.Errorf("%w: %T is not Ready of version %d", ErrPipe, m, Version)
	}
	e.setUp(true)
	e.opt.Log.Info("eye is ready", "build", ready.Build)
	for {
		m, err := ReadMessage(r)
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *Motion:
			say(e.moved(m))
		case *StillReply:
			e.answer(m)
		case *Scene:
			say(e.changed(m))
		case *Hand, *HandStill, *Done, *Tally:
			e.noted(m)
		default:
			return fmt.Errorf("%w: %T is not for the gateway", ErrPipe, m)
		}
	}
}

// runWriter writes what waits, as much of it at once as there is: each time wakes the eye. The eye learns a camera's parameters before its
// first picture and whenever they change.
func (e *Eye) runWriter(ctx context.Context, w *os.File) error {
	raw, err := w.SyscallConn()
	if err != nil {
		return err
	}
	opened := map[edge.CameraID]video.Params{}
	var buf []byte
	for {
		if buf = e.gather(buf[:0], opened); len(buf) > 0 {
			if err := e.write(w, raw, buf); err != nil {
				return err
			}
			if cap(buf) > 2*batchBytes {
				buf = nil // one huge picture is no reason to keep its size for ever
			}
			continue
		}
		select {
		case <-e.wake:
			runtime.Gosched() // the other cameras' pictures come on the same beat
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// batchBytes is from where on what waits is written before more is gathered, and batchTurns how many pictures of each camera: who comes
// meanwhile waits for all of them.
const (
	batchBytes = 256 << 10
	batchTurns = 4
)

// gather appends what waits.
func (e *Eye) gather(buf []byte, opened map[edge.CameraID]video.Params) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range e.orders() {
		buf = AppendMessage(buf, m)
	}
	for n := batchTurns * len(e.turns); n > 0 && len(e.turns) > 0 && len(buf) < batchBytes; n-- {
		q := e.next()
		if p, ok := opened[q.camera]; !ok || !p.Equal(q.params) {
			opened[q.camera] = q.params
			buf = AppendMessage(buf, &OpenCamera{Camera: q.camera, Params: q.params})
		}
		buf = AppendMessage(buf, &Unit{Camera: q.camera, Number: q.number, PTS: q.unit.PTS, Keyframe: q.unit.Keyframe, Lost: q.unit.Lost > 0, Data: q.unit.Data})
	}
	return buf
}

func (e *Eye) runStale(ctx context.Context, say func([]report)) error {
	t := time.NewTicker(staleCheck)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			say(e.stale(e.opt.Clock.Now(), staleAfter))
		case <-ctx.Done():
			return nil
		}
	}
}

// tail keeps the last words of a process.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if over := len(t.b) - stderrBytes; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
