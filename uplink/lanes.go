package uplink

import (
	"context"
	"sync"
	"time"

	"sitewatch/edge"
)

// lanes is how far the lanes are, for all paths together, and which path carries them.
//
// The SOC's ack of a seq says that it has everything before it, too. That is only true because every session sends a lane
// without holes from what is acked: whatever path an event takes, the session has sent all before it or the SOC has acked it.
// An ack on any path therefore moves the lane for all of them. The journal is told by runKeep alone.
type lanes struct {
	mu      sync.Mutex
	epoch   uint64                     // counts rewinds: what an older session says of acks is void
	acked   [edge.Routine + 1]edge.Seq // by lane
	links   []*link                    // the sessions by path, nil where there is none
	steady  []time.Duration            // by path: see vital
	failed  []bool                     // by path: it has failed before
	best    int                        // the path that events take
	bulk    int                        // the path that files took last
	changed chan struct{}              // closed when a path comes, goes or becomes the best

	replayed [edge.Routine + 1]claim // what the SOC said when a lane was sent again from the beginning
	dirty    chan struct{}           // capacity 1: acked has moved
	rewinds  chan rewind             // unbuffered: a session waits for its rewind
}

// cursor is how far a lane is in one session.
type cursor struct {
	sent, acked edge.Seq
	flying      []flight // what has been sent and not acked in this session, oldest first
}

type flight struct {
	through edge.Seq
	bytes   int
	at      time.Duration // Mono of its sending
}

func newLanes(paths []Path, lost map[string]bool) *lanes {
	s := &lanes{links: make([]*link, len(paths)), steady: make([]time.Duration, len(paths)), failed: make([]bool, len(paths)),
		best: nowhere, bulk: nowhere, changed: make(chan struct{}), dirty: make(chan struct{}, 1), rewinds: make(chan rewind)}
	for i, p := range paths {
		s.failed[i] = lost[p.Name]
	}
	return s
}

// load takes the cursors from the journal; from now on lanes knows best.
func (s *lanes) load(ctx context.Context, o Outbox) error {
	for _, lane := range edge.EventLanes {
		at, err := o.Watermark(ctx, lane)
		if err != nil {
			return local("read the watermark", err)
		}
		s.acked[lane] = at
	}
	return nil
}

// mark is what a session must know from before its Hello: a SOC that lost nothing has at least this.
func (s *lanes) mark() (epoch uint64, acked [edge.Routine + 1]edge.Seq) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch, s.acked
}

// join adds a session. It is refused when a rewind has come since its Hello.
func (s *lanes) join(l *link, now time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.epoch != s.epoch {
		return errRewound
	}
	for _, lane := range edge.EventLanes {
		l.cursors[lane] = cursor{sent: s.acked[lane], acked: s.acked[lane]}
	}
	i := l.path.index
	l.heard = now
	s.links[i] = l
	s.steady[i] = now
	if s.failed[i] {
		s.steady[i] += 2 * l.beat
	}
	s.choose(now)
	s.tell()
	return nil
}

// leave ends a session and says when it was last heard. What was under way on it goes by another at once: see after.
func (s *lanes) leave(l *link, now time.Duration) (heard time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := l.path.index
	s.links[i], s.failed[i] = nil, true
	s.choose(now)
	s.tell()
	return l.heard
}

// watch is closed when a path comes, goes or becomes the best.
func (s *lanes) watch() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// tell wakes everybody who looks at the paths; the caller holds mu.
func (s *lanes) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
	for _, l := range s.links {
		l.kick()
	}
}

// kick makes the session's sender look again.
func (l *link) kick() {
	if l == nil {
		return
	}
	select {
	case l.moved <- struct{}{}:
	default:
	}
}

// vitals looks at all paths; the caller holds mu.
func (s *lanes) vitals(now time.Duration) []vital {
	vs := make([]vital, len(s.links))
	for i, l := range s.links {
		if l == nil {
			continue
		}
		v := vital{up: true, heard: l.heard, rtt: l.rtt, beat: l.beat}
		v.asked, v.pending = l.pending()
		if !v.sound(now) {
			s.steady[i] = now + v.settling()
		}
		v.steady = s.steady[i]
		vs[i] = v
	}
	return vs
}

// choose finds the path for events; the caller holds mu.
func (s *lanes) choose(now time.Duration) (wake time.Duration) {
	best, wake := pick(now, s.best, s.vitals(now), func(int) bool { return true })
	if best != s.best {
		s.best = best
		s.tell()
	}
	return wake
}

// turn says what the session may send now: everything when its path is the best, else the urgent events up to twin, for
// which the path that carried them has owed an ack for too long. After wake it may be more.
func (s *lanes) turn(l *link, now time.Duration) (best bool, twin edge.Seq, wake time.Duration) {
	if len(s.links) == 1 {
		return true, 0, forever
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	wake = s.choose(now)
	if s.best == l.path.index {
		return true, 0, wake
	}
	for _, o := range s.links {
		if o == nil || o == l {
			continue
		}
		patience := vital{rtt: o.rtt}.patience()
		for _, f := range o.cursors[edge.Urgent].flying {
			if f.through <= s.acked[edge.Urgent] {
				continue
			}
			if due := f.at + patience; due > now {
				wake = min(wake, due-now)
				break
			}
			twin = max(twin, f.through)
		}
	}
	return false, twin, wake
}

// after is where the session goes on in a lane: behind what it has sent and behind what is acked, by whatever path.
func (s *lanes) after(l *link, lane edge.Lane) (after edge.Seq, flights, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cur := &l.cursors[lane]
	for _, f := range cur.flying {
		bytes += f.bytes
	}
	return max(cur.sent, s.acked[lane]), len(cur.flying), bytes
}

// fly notes what the session is about to send.
func (s *lanes) fly(l *link, lane edge.Lane, f flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cur := &l.cursors[lane]
	cur.sent = f.through
	cur.flying = append(cur.flying, f)
	if lane != edge.Urgent {
		return
	}
	for _, o := range s.links {
		if o != l {
			o.kick() // it waits for the moment at which the twin is due
		}
	}
}

// land takes an ack and says when what it acks was sent; false when it is repeated, from the future, of another session or
// from before a rewind.
func (s *lanes) land(l *link, lane edge.Lane, through edge.Seq, now time.Duration) (sent time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cur := &l.cursors[lane]
	if l.epoch != s.epoch || through <= cur.acked || through > cur.sent {
		return 0, false
	}
	cur.acked, sent = through, now
	for len(cur.flying) > 0 && cur.flying[0].through <= through {
		sent = cur.flying[0].at
		cur.flying = cur.flying[1:]
	}
	l.sample(now - sent)
	l.kick()
	if through > s.acked[lane] {
		s.acked[lane] = through
		select {
		case s.dirty <- struct{}{}:
		default:
		}
	}
	return sent, true
}
