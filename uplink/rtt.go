package uplink

import (
	"slices"
	"time"

	"sitewatch/edge"
)

// sample takes one measured round trip; the caller holds the mutex of lanes.
func (l *link) sample(took time.Duration) {
	switch {
	case took < 0:
	case l.rtt == 0:
		l.rtt = took
	default:
		l.rtt += (took - l.rtt) / 8
	}
}

// pending says whether the SOC owes an answer to something sent on this path, and since when; the caller holds the mutex of
// lanes.
func (l *link) pending() (since time.Duration, any bool) {
	since = forever
	for _, lane := range edge.EventLanes {
		if f := l.cursors[lane].flying; len(f) > 0 {
			since = min(since, f[0].at)
		}
	}
	if l.echoes && len(l.beats) > 0 {
		since = min(since, l.beats[0])
	}
	return since, since != forever
}

// heard notes that the SOC lives.
func (s *lanes) heard(l *link, now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.heard = max(l.heard, now)
}

// beating notes a heartbeat that is about to be sent, which the SOC may echo.
func (s *lanes) beating(l *link, at time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(l.beats) == missed { // the oldest will not be answered any more, or the SOC answers none
		l.beats = slices.Delete(l.beats, 0, 1)
	}
	l.beats = append(l.beats, at)
}

// echoed takes an answer to a heartbeat; one to no heartbeat of this session is ignored.
func (s *lanes) echoed(l *link, of, now time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(l.beats, of)
	if i < 0 {
		return false
	}
	l.echoes = true
	l.sample(now - of)
	l.beats = slices.Delete(l.beats, 0, i+1)
	return true
}
