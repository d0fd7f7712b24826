package galaxy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

const (
	answerWithin = 2 * time.Second
	askTries     = 3
	missesToLose = 3
	// groupOpen is how long after an account or event block its next one may come: nothing is asked in between. Behind a text
	// another group follows at once or not at all.
	groupOpen = 5 * time.Second
	groupNext = 500 * time.Millisecond
	leastPoll = 5 * time.Second
)

// polling is the settings of level 4; every is 0 when nothing is asked.
type polling struct {
	every time.Duration
	code  string
	zones []string
}

// readPolling reads the settings; the code is in a file that only the service can read.
func readPolling(s *panel.Settings) (p polling) {
	p.every = s.Duration("poll", 0)
	path := s.String("remote_code_file", "")
	list, _ := s.Any("poll_zones").([]any)
	if s.Has("poll_zones") && list == nil {
		s.Problem("poll_zones", "it is no list of zones", `write it as ["1011", "1012"]`)
	}
	for _, z := range list {
		zone, _ := z.(string)
		if !zoneOK(zone) {
			s.Problem("poll_zones", fmt.Sprintf("%v is no zone of a Galaxy", z), `write four digits in quotes: line, RIO, zone, such as "1011"`)
			continue
		}
		p.zones = append(p.zones, zone)
	}
	switch {
	case p.every == 0:
		return p
	case p.every < leastPoll:
		s.Problem("poll", fmt.Sprintf("%v is too often", p.every), "write 5s or more; 30s is usual")
	case path == "":
		s.Problem("remote_code_file", "a poll needs the panel's remote code", "name a file that holds it, readable by the service alone")
		return polling{}
	}
	code, err := secret(path)
	if err != nil {
		s.Problem("remote_code_file", err.Error(), "write the panel's remote code into it, 4 to 8 digits, and chmod 600 it")
		return polling{}
	}
	p.code = code
	return p
}

func secret(path string) (string, error) {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", path, errors.Unwrap(err))
	case !st.Mode().IsRegular() || st.Size() > 64:
		return "", fmt.Errorf("%s is no file with a code", path)
	case st.Mode().Perm()&0o077 != 0:
		return "", fmt.Errorf("%s can be read by others", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, errors.Unwrap(err))
	}
	code := strings.TrimSpace(string(b))
	if !codeOK(code) {
		return "", fmt.Errorf("%s holds no code", path) // what it holds is nobody's business
	}
	return code, nil
}

// asker asks the panel, one thing at a time: a login, then one query. What it waits for is in its state; due is when it must do
// something.
type asker struct {
	set     polling
	login   []byte
	phase   phase
	out     []byte // what was sent and is not answered yet
	query   query
	tries   int
	zone    int // of set.zones, whose turn it is
	groups  bool
	refused bool // the panel refused the login, and that was said
	due     *time.Timer
	block   edge.Stamp    // when the last block of a group came
	open    time.Duration // how long its next one may take; 0: none is expected
}

type phase byte

const (
	resting phase = iota
	loggingIn
	asking
)

func newAsker(p polling) *asker {
	a := &asker{set: p, groups: true}
	if p.every > 0 {
		a.login, _ = login(p.code).AppendBinary(nil) // codeOK has seen that it is short
	}
	return a
}

// start lets the first questions come soon: after a gap, how the panel is now is what is not known.
func (a *asker) start(m *panel.Meter) {
	a.due = time.NewTimer(time.Second)
	if a.set.every == 0 {
		a.due.Stop()
		return
	}
	m.Expect(missesToLose*a.set.every + askTries*answerWithin)
}

// group notes a block of an event group: while one is open nothing is asked, and what was asked is asked again behind it.
func (a *asker) group(fc FC, at edge.Stamp) {
	a.block, a.open = at, groupNext
	if fc == FCAccount || fc == FCEvent || fc == FCOldEvent {
		a.open = groupOpen
	}
	if a.phase != resting {
		a.later()
	}
}

// later drops what is under way and tries again soon, at a moment that the panel does not choose as well.
func (a *asker) later() {
	a.phase, a.out, a.tries = resting, nil, 0
	if a.set.every > 0 {
		a.due.Reset(100*time.Millisecond + rand.N(200*time.Millisecond))
	}
}

// rest waits for the next round, or asks on at once when there is more of this one.
func (a *asker) rest(more bool) {
	a.phase, a.out, a.tries = resting, nil, 0
	if more {
		a.due.Reset(100 * time.Millisecond)
		return
	}
	a.groups = true
	a.due.Reset(a.set.every)
}

// ask sends the next thing, or the last one again.
func (s *session) ask(ctx context.Context) error {
	a := s.asker
	if a.open > 0 {
		if d, ok := s.o.Clock.Now().Since(a.block); ok && d < a.open {
			a.due.Reset(a.open - d)
			return nil
		}
		a.open = 0
	}
	if !s.col.empty() {
		a.due.Reset(200 * time.Millisecond) // a block is on its way
		return nil
	}
	switch {
	case a.phase == resting:
		a.phase, a.out, a.tries = loggingIn, a.login, 0
	case a.tries >= askTries:
		s.o.Log.Debug("the panel does not answer a question", "query", a.query.data)
		a.rest(false)
		return nil
	case a.phase == asking:
		a.phase, a.out = loggingIn, a.login // a login is good for one query
	}
	a.tries++
	a.due.Reset(answerWithin)
	return s.write(a.out)
}

// answered takes a block that may answer what was asked, and says whether it did.
func (s *session) answered(ctx context.Context, f Frame, raw []byte, at edge.Stamp) (mine bool, err error) {
	a := s.asker
	switch {
	case a.phase == resting:
		return false, nil
	case a.phase == loggingIn && f.FC == FCConfig:
		if n, ok := level(f.Data); !ok || n < 4 {
			s.o.Log.Debug("the panel's SIA level is below 4", "answer", clean(f.Data))
		}
		a.refused = false
		if err := s.answer(f, at); err != nil {
			return true, err
		}
		return true, s.sendQuery()
	case a.phase == loggingIn && (f.FC == FCReject || f.FC == FCAltReject):
		if !a.refused {
			s.o.Log.Warn("the panel refuses the remote code: correct remote_code_file, or set level 4 in menu 56")
		}
		a.refused = true
		a.rest(false)
		return true, nil
	case a.phase == asking && (f.FC == FCControl || f.FC == FCExtended):
		err := s.said(ctx, f, raw, at)
		a.rest(s.nextQuery())
		return true, err
	case a.phase == asking && (f.FC == FCReject || f.FC == FCAltReject): // an ack says nothing: it may be the echo of ours
		a.rest(s.nextQuery())
		return true, nil
	}
	return false, nil
}

func (s *session) sendQuery() error {
	a := s.asker
	if a.groups {
		a.query = askGroups()
	} else if len(a.set.zones) > 0 {
		a.query, _ = askZone(a.set.zones[a.zone%len(a.set.zones)]) // readPolling has seen that it is one
	}
	a.phase = asking
	a.out, _ = a.query.frame().AppendBinary(nil) // a query is short
	a.due.Reset(answerWithin)
	return s.write(a.out)
}

// nextQuery goes on to a zone after the groups: one in each round.
func (s *session) nextQuery() (more bool) {
	a := s.asker
	if !a.groups {
		a.zone++
	}
	more, a.groups = a.groups && len(a.set.zones) > 0, false
	return more
}

// said passes on what the panel answered. It is acknowledged when it asks for that, stored or not: it is how things are, and is
// asked again.
func (s *session) said(ctx context.Context, f Frame, raw []byte, at edge.Stamp) error {
	sigs, ok := groupsSaid(f.Data)
	if !ok {
		sigs, ok = zoneSaid(f.Data)
	}
	if !ok {
		s.o.Log.Debug("answer that says nothing we know", "data", clean(f.Data))
	}
	for i := range sigs {
		sigs[i].At, sigs[i].Raw, sigs[i].Opened = at, raw, s.opened
	}
	if len(sigs) > 0 {
		if err := s.sink.Signal(ctx, sigs...); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			s.o.Log.Debug("how the panel is could not be stored; it is asked again", "err", err)
		}
	}
	return s.answer(f, at)
}
