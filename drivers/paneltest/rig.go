package paneltest

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

// rig is one session on one line.
type rig struct {
	t    *testing.T
	line net.Conn
	sink *sink
	out  chan []byte // what the session wrote
	got  []byte      // of out, not yet expected
	g    errgroup.Group
	stop context.CancelFunc
	end  error
}

func newRig(t *testing.T, d panel.Driver, settings map[string]any) *rig {
	ours, theirs := net.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	r := &rig{t: t, line: theirs, sink: &sink{}, out: make(chan []byte, 4096), stop: stop}
	s := panel.NewSettings(settings)
	session := d.New(s, panel.SessionOptions{Panel: "p", Clock: edge.NewSystemClock(), Location: time.UTC, Log: slog.New(slog.DiscardHandler)})
	if p := s.Problems(); len(p) > 0 && settings != nil {
		for _, p := range p {
			if p.Path != "settings.baud" {
				t.Errorf("setting: %v", p)
			}
		}
	}
	r.g.Go(func() error {
		r.end = session.Run(ctx, ours, r.sink)
		ours.Close()
		return nil
	})
	r.g.Go(func() error {
		defer close(r.out)
		for {
			b := make([]byte, 256)
			n, err := theirs.Read(b)
			if n > 0 {
				r.out <- b[:n]
			}
			if err != nil {
				return nil
			}
		}
	})
	return r
}

// close ends the session and waits for it.
func (r *rig) close() {
	r.stop()
	r.line.Close()
	r.g.Wait()
	if r.end == nil {
		r.t.Error("Run returned nil: it must say why it ended")
	}
}

// send writes as the mode does; a session that ended takes no more bytes.
func (r *rig) send(b []byte, m mode) bool {
	for _, p := range m.pieces(b) {
		if len(p) == 0 {
			continue
		}
		if _, err := r.line.Write(p); err != nil {
			return false
		}
		synctest.Wait()
	}
	return true
}

// written collects what has been sent until want bytes are there or the time is over.
func (r *rig) written(want int, wait time.Duration) []byte {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for len(r.got) < want {
		select {
		case b, ok := <-r.out:
			if !ok {
				return r.got
			}
			r.got = append(r.got, b...)
		case <-timer.C:
			return r.got
		}
	}
	return r.got
}

func (r *rig) expect(s panel.Step, quiet time.Duration) string {
	switch s.Word {
	case "silence":
		if got := r.written(1, quiet); len(got) > 0 {
			return fmt.Sprintf("% X was sent, want nothing for %v", got, quiet)
		}
		return ""
	case "settled":
		if !r.sink.takeSettled() {
			return "the sink was not told that the last signal is settled"
		}
		return ""
	case "signal":
		if !eventually(r.sink.any) {
			return "no signal came"
		}
		sigs := r.sink.take()
		r.sink.put(sigs[1:])
		return differs(sigs[0], s.Facts)
	}
	return fmt.Sprintf("%q is not something to expect: signal, silence, settled", s.Word)
}

// eventually waits for cond as long as a panel would.
func eventually(cond func() bool) bool {
	for range patience / (10 * time.Millisecond) {
		synctest.Wait()
		if cond() {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return cond()
}
