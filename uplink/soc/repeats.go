package soc

import (
	"context"
	"fmt"
	"sync"
	"time"

	"sitewatch/edge"
)

const (
	repeatEvery = time.Minute
	maxRepeats  = 10_000 // keys at a time; lines of more are lost, as it is the log that is spared
)

// repeats keeps short what boxes can make the SOC log, however often they do it: of each key the first line at once, then one a
// minute that says how many more there were.
type repeats struct {
	clock edge.Clock
	mu    sync.Mutex
	said  map[string]*repeat
}

// repeat is what has been said of one key.
type repeat struct {
	tell func(msg string, args ...any)
	msg  string
	args []any         // of the newest line
	from time.Duration // Mono of the last line
	more int           // since then
}

// say logs a line, by tell, a method of the logger. key names what has happened, and to whom.
func (q *repeats) say(tell func(msg string, args ...any), key, msg string, args ...any) {
	if q.first(tell, key, msg, args) {
		tell(msg, args...)
	}
}

func (q *repeats) first(tell func(msg string, args ...any), key, msg string, args []any) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r := q.said[key]; r != nil {
		r.args = args
		r.more++
		return false
	}
	if len(q.said) >= maxRepeats {
		return false
	}
	if q.said == nil {
		q.said = map[string]*repeat{}
	}
	q.said[key] = &repeat{tell: tell, msg: msg, from: q.clock.Now().Mono}
	return true
}

// flush tells what has only been counted for a minute, and forgets what has not come again.
func (q *repeats) flush() {
	now := q.clock.Now().Mono
	var due []repeat
	q.mu.Lock()
	for key, r := range q.said {
		switch {
		case now-r.from < repeatEvery:
		case r.more == 0:
			delete(q.said, key)
		default:
			due = append(due, *r)
			r.from, r.more = now, 0
		}
	}
	q.mu.Unlock()
	for _, r := range due {
		r.tell(fmt.Sprintf("%s: %d more in %v, the last", r.msg, r.more, (now-r.from).Round(time.Second)), r.args...)
	}
}

// runRepeats flushes until ctx ends.
func (s *Server) runRepeats(ctx context.Context) {
	t := time.NewTicker(repeatEvery / 6)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s.repeats.flush()
		case <-ctx.Done():
			return
		}
	}
}
