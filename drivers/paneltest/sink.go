package paneltest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

// sink keeps what it gets; it can hold a signal back or refuse it.
type sink struct {
	mu      sync.Mutex
	hold    chan struct{} // not nil: Signal waits until it is closed
	err     error
	all     []edge.Signal
	settled bool
	n       int
	inside  int
}

func (s *sink) Signal(ctx context.Context, sigs ...edge.Signal) error {
	s.mu.Lock()
	s.n++
	s.inside++
	err, hold := s.err, s.hold
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.inside--
		s.mu.Unlock()
	}()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, sigs...)
	s.settled = false
	return nil
}

// holdBack makes the next signals wait for c; those that wait now are let go.
func (s *sink) holdBack(c chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hold != nil {
		close(s.hold)
	}
	s.hold = c
}

func (s *sink) Settle(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled = true
	return nil
}

func (s *sink) take() []edge.Signal {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.all
	s.all = nil
	return all
}

func (s *sink) any() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all) > 0
}

func (s *sink) put(sigs []edge.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(sigs, s.all...)
}

func (s *sink) takeSettled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.settled
	s.settled = false
	return was
}

func (s *sink) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func (s *sink) waiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inside > 0
}

// works lets signals be stored again.
func (s *sink) works() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = nil
}

// setErr does what a "! sink fails" or "! sink works" line says.
func (s *sink) setErr(step panel.Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = nil
	if step.Word == "sink" && len(step.Facts) == 1 && step.Facts[0].Key == "fails" {
		s.err = errors.New("the disk is full")
	}
}

// differs compares a signal with what a transcript says of it; what it does not mention may be anything, except that a
// signal is sound, new and without a user unless it says otherwise.
func differs(s edge.Signal, facts []panel.Fact) string {
	have := map[string]string{
		"kind": string(s.Kind), "code": s.Code, "partition": string(s.Partition), "zone": string(s.Zone), "user": s.User,
		"text": s.Text, "key": string(s.Key), "old": strconv.FormatBool(s.Old), "suspect": strconv.FormatBool(s.Suspect != ""),
		"first": strconv.FormatBool(s.First), "dated": strconv.FormatBool(s.Dated), "said": s.Said.UTC().Format("2006-01-02T15:04:05"),
		"raw": fmt.Sprintf("%X", s.Raw), "state": strconv.FormatBool(s.State), "active": strconv.FormatBool(s.Active),
	}
	want := map[string]string{"old": "false", "suspect": "false", "user": "", "text": ""}
	for _, f := range facts {
		want[f.Key] = f.Value
		if f.Bare {
			want[f.Key] = "true"
		}
	}
	for k, w := range want {
		h, ok := have[k]
		if !ok {
			return fmt.Sprintf("%q is not a fact of a signal", k)
		}
		if h != w {
			return fmt.Sprintf("signal has %s=%q, want %q (%+v)", k, h, w, s)
		}
	}
	if len(s.Raw) == 0 || s.At.Wall.IsZero() {
		return "signal lacks its raw bytes or its arrival"
	}
	return ""
}
