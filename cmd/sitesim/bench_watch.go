package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// sample is one alarm: when its last byte left the panel, how long it took to the SOC's commit, and how much of that was until
// the panel had its ack, so until the alarm was on the box's disk.
type sample struct {
	At, Took, Acked time.Duration
}

// benchWatch reads the SOC's event stream, which tells of an event after its commit.
type benchWatch struct {
	site *benchSite

	mu      sync.Mutex
	samples []sample
	kinds   map[string][]time.Duration // when events of each kind came
	changed chan struct{}              // closed and made anew with every event
}

// run reads until ctx ends.
func (w *benchWatch) run(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, benchSOC+"/api/v1/events/stream?after=0", nil)
	if err != nil {
		return err
	}
	resp, err := w.site.client.Do(req)
	if err != nil {
		return fmt.Errorf("the SOC's event stream: %w", err)
	}
	defer resp.Body.Close()
	sc := bufio.NewScanner(resp.Body)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		now := w.site.clock.Now().Mono
		data, ok := strings.CutPrefix(sc.Text(), "data:")
		var e struct{ Kind, Raw string }
		if !ok || json.Unmarshal([]byte(data), &e) != nil {
			continue
		}
		w.mu.Lock()
		w.kinds[e.Kind] = append(w.kinds[e.Kind], now)
		if s, ok := w.site.panel.arrived(e.Raw, now); ok {
			w.samples = append(w.samples, s)
		}
		close(w.changed)
		w.changed = make(chan struct{})
		w.mu.Unlock()
	}
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(errors.New("the SOC's event stream ended"), sc.Err())
}

// wait returns when there says so, which is asked again with each event.
func (w *benchWatch) wait(ctx context.Context, within time.Duration, what string, there func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("%s: not within %s", what, within))
	defer cancel()
	for {
		w.mu.Lock()
		changed, ok := w.changed, there()
		w.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// since returns when the first event of the kind came after that time, and waits for it.
func (w *benchWatch) since(ctx context.Context, kind string, after, within time.Duration) (at time.Duration, err error) {
	err = w.wait(ctx, within, "an event "+kind+" at the SOC", func() bool {
		i := slices.IndexFunc(w.kinds[kind], func(t time.Duration) bool { return t > after })
		if i >= 0 {
			at = w.kinds[kind][i]
		}
		return i >= 0
	})
	return at, err
}

// take returns the samples since the last take.
func (w *benchWatch) take() []sample {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.samples
	w.samples = nil
	return s
}

// uploaded is how many bytes of clips the SOC has taken.
func (s *benchSite) uploaded(ctx context.Context) (float64, error) {
	b, err := s.get(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	for l := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(l, "sitewatch_soc_upload_bytes_total "); ok {
			return strconv.ParseFloat(strings.TrimSpace(v), 64)
		}
	}
	return 0, errors.New("the SOC's metrics do not tell upload bytes")
}

// quantile of how long the samples took; 0.99 of 1000 is the 990th.
func quantile(ss []sample, q float64) time.Duration {
	if len(ss) == 0 {
		return 0
	}
	took := make([]time.Duration, len(ss))
	for i, s := range ss {
		took[i] = s.Took
	}
	slices.Sort(took)
	return took[int(float64(len(took)-1)*q)]
}
