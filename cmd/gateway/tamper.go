package main

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"sitewatch/edge"
)

// tamper is what a camera says of its picture, and what the eye sees of it, made quiet: the first word is news at once, its end when it has held for tamperSettle,
// so that a camera that changes its mind all the time costs a few events a minute. It may be used from any goroutine.
type tamper struct {
	mu sync.Mutex
	of map[edge.Kind]*tampered
}

// tampered is one kind of tamper of the camera.
type tampered struct {
	told  bool            // it is journalled and not restored
	heard bool            // the camera has said something since the start
	on    map[string]bool // rules of the camera that say so now
	fresh string          // a rule that says so and is not journalled
	off   edge.Stamp      // since when none says so
}

type tamperNews struct {
	kind edge.Kind
	said string // which rule of the camera
}

const (
	tamperSettle = 30 * time.Second
	tamperRules  = 32 // of one kind; a camera has one or two
	tamperIdle   = time.Hour
)

func (t *tamper) kind(k edge.Kind) *tampered {
	if t.of == nil {
		t.of = map[edge.Kind]*tampered{}
	}
	if t.of[k] == nil {
		t.of[k] = &tampered{on: map[string]bool{}}
	}
	return t.of[k]
}

// recall says that the journal has told of k before this start.
func (t *tamper) recall(k edge.Kind) { t.kind(k).told = true }

// take is one message: rule is active, or not, or was for a moment.
func (t *tamper) take(k edge.Kind, rule string, active, moment bool, at edge.Stamp) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.kind(k)
	s.heard = true
	switch {
	case active && (s.on[rule] || len(s.on) < tamperRules):
		s.on[rule] = true
	case !active:
		delete(s.on, rule)
	}
	if (active || moment) && !s.told {
		s.fresh = rule
	}
	if len(s.on) == 0 {
		s.off = at
	}
}

// due returns what is to be journalled now, and after how long to ask again.
func (t *tamper) due(now edge.Stamp) (news []tamperNews, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	wait = tamperIdle
	for k, s := range t.of {
		switch {
		case s.fresh != "":
			news = append(news, tamperNews{k, s.fresh})
			s.told, s.fresh = true, ""
		case s.told && s.heard && len(s.on) == 0:
			if quiet, ok := now.Since(s.off); ok && quiet >= tamperSettle {
				news = append(news, tamperNews{k.Restored(), ""})
				s.told = false
			} else {
				wait = min(wait, max(tamperSettle-quiet, time.Millisecond))
			}
		}
	}
	slices.SortFunc(news, func(a, b tamperNews) int { return cmp.Compare(a.kind, b.kind) })
	return news, wait
}
