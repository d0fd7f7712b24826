package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"sitewatch/uplink/soc/ledger"
)

const (
	heartbeat    = 10 * time.Second
	writeTimeout = 10 * time.Second // a reader that takes longer is gone
	page         = 200
)

// sse is one open event stream.
type sse struct {
	*API
	w   http.ResponseWriter
	ctl *http.ResponseController

	alive string // what shows that the line is
}

// stream sends events as they are committed. An event that is amended comes again under its old index.
func (a *API) stream(w http.ResponseWriter, r *http.Request) {
	v, ok := query(w, r, "after", "alive")
	if !ok {
		return
	}
	if v.Has("alive") && v.Get("alive") != "event" {
		fail(w, http.StatusBadRequest, "alive may be event, or left out")
		return
	}
	after := ledger.Index(0)
	if v.Has("after") {
		if after, ok = index(v.Get("after")); !ok {
			fail(w, http.StatusBadRequest, notIndex)
			return
		}
	}
	if id := r.Header.Get("Last-Event-ID"); id != "" { // a browser that reconnects sends the old address with the newest id
		if after, ok = index(id); !ok {
			fail(w, http.StatusBadRequest, "Last-Event-ID is not an index: 0 or a positive number, in digits")
			return
		}
	}
	select {
	case a.streams <- struct{}{}:
		defer func() { <-a.streams }()
	default:
		w.Header().Set("Retry-After", "5")
		fail(w, http.StatusServiceUnavailable, "too many event streams are open")
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	if r.Method == http.MethodHead {
		return
	}
	// A page sees no comments: it has to ask for events. Others take the data of each for an event of a box.
	s := &sse{API: a, w: w, ctl: http.NewResponseController(w), alive: ": alive\n\n"}
	if v.Has("alive") {
		s.alive += "event: alive\ndata: {}\n\n"
	}
	if err := s.run(r.Context(), after); err != nil && r.Context().Err() == nil {
		a.o.Log.Info("an event stream ended", "err", err)
	}
}

// run sends what is there after the index, then what changes. An index that does not exist is from a ledger that was
// restored since: the reader is told to begin anew, for what comes now gets numbers that it takes for read.
func (s *sse) run(ctx context.Context, after ledger.Index) error {
	if err := s.write("retry: 1000\n\n"); err != nil {
		return err
	}
	changed := s.o.Ledger.Changed()
	top, at, err := s.head(ctx)
	if err != nil {
		return err
	}
	if after > top {
		err = s.write(fmt.Sprintf("event: reset\nid: %d\ndata: {\"head\":%d}\n\n", top, top))
	} else {
		err = s.past(ctx, after, top)
	}
	if err != nil {
		return err
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		evs, err := s.ask(ctx, func(ctx context.Context) ([]ledger.Event, error) { return s.o.Ledger.Changes(ctx, at, page) })
		if err != nil {
			return err
		}
		if err := s.send(evs); err != nil {
			return err
		}
		if len(evs) > 0 {
			at = evs[len(evs)-1].Change
			continue // until nothing is left: changed is looked at last, so nothing is missed
		}
		select {
		case <-changed:
			changed = s.o.Ledger.Changed()
		case <-beat.C:
			if err := s.write(s.alive); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// past sends what was amended since the reader last heard, and then everything after its index up to top.
func (s *sse) past(ctx context.Context, after, top ledger.Index) error {
	if after > 0 {
		change, err := s.bornAt(ctx, after) // never 0: there are no holes up to top
		if err != nil {
			return err
		}
		if err := s.pages(ctx, func(ctx context.Context) ([]ledger.Event, error) {
			evs, err := s.o.Ledger.Amended(ctx, after, change, page)
			if n := len(evs); n > 0 {
				change = evs[n-1].Change
			}
			return evs, err
		}); err != nil {
			return err
		}
	}
	if after >= top {
		return nil
	}
	return s.pages(ctx, func(ctx context.Context) ([]ledger.Event, error) {
		evs, err := s.o.Ledger.Events(ctx, ledger.Query{After: after, Through: top, Max: page})
		if n := len(evs); n > 0 {
			after = evs[n-1].Index
		}
		return evs, err
	})
}

// pages sends what next returns until that is nothing.
func (s *sse) pages(ctx context.Context, next func(context.Context) ([]ledger.Event, error)) error {
	for {
		evs, err := s.ask(ctx, next)
		if err != nil || len(evs) == 0 {
			return err
		}
		if err := s.send(evs); err != nil {
			return err
		}
	}
}

// ask gives one question to the ledger its time.
func (s *sse) ask(ctx context.Context, f func(context.Context) ([]ledger.Event, error)) ([]ledger.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	return f(ctx)
}

func (s *sse) head(ctx context.Context) (ledger.Index, ledger.Change, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	return s.o.Ledger.Head(ctx)
}

func (s *sse) bornAt(ctx context.Context, i ledger.Index) (ledger.Change, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	return s.o.Ledger.BornAt(ctx, i)
}

func (s *sse) send(evs []ledger.Event) error {
	if len(evs) == 0 {
		return nil
	}
	var out []byte
	for i := range evs {
		b, err := json.Marshal(present(&evs[i]))
		if err != nil {
			return err
		}
		out = fmt.Appendf(out, "id: %d\ndata: %s\n\n", evs[i].Index, b)
	}
	return s.write(string(out))
}

func (s *sse) write(text string) error {
	// The deadline is the connection's, so it is counted by the machine's clock whatever the Clock says.
	if err := s.ctl.SetWriteDeadline(s.o.Clock.Now().Wall.Add(writeTimeout)); err != nil {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.ctl.Flush()
}
