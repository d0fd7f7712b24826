package alarm

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/journal"
)

// Sink is the desk's place for one panel. Its calls are taken one after another.
type Sink struct {
	desk  *Desk
	panel edge.PanelID

	turn   chan struct{}       // holds one token: who has it may use what follows
	memory journal.PanelMemory // as on disk, when loaded
	past   *past               // likewise
	loaded bool
	said   map[time.Duration]spoken // by when the connection was opened, on the monotonic clock
}

func newSink(d *Desk, id edge.PanelID) *Sink {
	s := &Sink{desk: d, panel: id, turn: make(chan struct{}, 1), said: map[time.Duration]spoken{}}
	s.turn <- struct{}{}
	return s
}

func (s *Sink) take(ctx context.Context) error {
	select {
	case <-s.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Sink) give() { s.turn <- struct{}{} }

// load makes sure that memory is what the journal has. After a commit whose outcome is unknown it is read again, behind
// that commit.
func (s *Sink) load(ctx context.Context) error {
	if s.loaded {
		return nil
	}
	m, err := s.desk.opt.Journal.PanelMemory(ctx, s.panel)
	if err != nil {
		return err
	}
	points, alarms, err := s.desk.opt.Journal.PanelMeaning(ctx, s.panel)
	if err != nil {
		return err
	}
	now := s.desk.opt.Clock.Now()
	if err := s.recall(ctx, alarms, now); err != nil {
		return err
	}
	s.past = newPast(s.panel, &s.desk.tracker, s.desk.opt.Rules, points, alarms, now)
	s.memory, s.loaded = m, true
	return nil
}

// Signal journals what the signals mean, all in one transaction. Nil means that they are on disk, or were before: the
// driver may acknowledge. After an error it must not; the panel repeats itself and nothing is journalled twice.
func (s *Sink) Signal(ctx context.Context, sigs ...edge.Signal) error {
	if err := s.take(ctx); err != nil {
		return fmt.Errorf("signal of panel %s: %w", s.panel, err)
	}
	defer s.give()
	if err := s.signal(ctx, sigs); err != nil {
		s.loaded = false
		return fmt.Errorf("signal of panel %s: %w", s.panel, err)
	}
	if s.desk.opt.Disk != nil {
		return fmt.Errorf("signal of panel %s is not durable: %w", s.panel, s.desk.opt.Disk)
	}
	return nil
}

func (s *Sink) signal(ctx context.Context, sigs []edge.Signal) error {
	if err := s.load(ctx); err != nil {
		return err
	}
	c := call{b: journal.Batch{Panel: s.panel}, view: s.view(sigs)}
	for _, sig := range sigs {
		sig.Panel, sig.Key = s.panel, foldKey(sig.Key)
		if sig.State {
			var first, news bool
			if _, whole := setState(sig.Kind); whole && sig.Zone == "" {
				first, news = group(sig, c.view.states, s.desk.opt.Panels[s.panel])
			} else {
				sig, first, news = s.past.read(sig)
			}
			switch {
			case news, first && sig.Kind == edge.KindDeviceLost: // what has never answered is not how the point is, but trouble
				s.add(&c, sig)
			case first && s.desk.opt.Disk != nil && sig.Kind.Alarm():
				s.add(&c, sig) // a journal in memory begins empty: better an alarm that is known than one that nobody heard of
			case first:
				s.begin(&c, sig)
			}
			continue
		}
		resent, again, err := s.again(ctx, sig, c.b.Matched)
		if err != nil {
			return err
		}
		if resent > 0 {
			c.b.Matched = append(c.b.Matched, resent)
		}
		if again {
			s.desk.opt.Log.Debug("panel repeated itself", "panel", s.panel)
			if s.desk.opt.Disk != nil {
				s.memory.At = sig.At // it was not acked and goes on
			}
			if sig.Kind != edge.KindAmended && resent == 0 {
				s.said[sig.Opened.Mono] = spoken{s.memory.Event, sig.At}
				s.memory.EventAt = sig.At // the text comes after an ack that the panel has heard, however many were lost
			}
			continue
		}
		amends, ok := s.textOf(sig)
		switch {
		case sig.Kind == edge.KindAmended && (c.event > 0 || ok):
			if err := s.amend(ctx, &c, sig, amends); err != nil {
				return err
			}
		case sig.Kind == edge.KindAmended:
			sig.Kind = edge.KindUnknown // a text whose event nobody knows
			fallthrough
		default:
			s.add(&c, sig)
		}
	}
	return s.commit(ctx, &c, sigs)
}

// call is one call of Signal on its way to the journal.
type call struct {
	b     journal.Batch
	view  view
	event int // 1 + index of the batch's last event that a text may amend
}

// view is what the site is like when the signals come, and what the panel says itself in the same breath.
func (s *Sink) view(sigs []edge.Signal) view {
	v := view{states: s.desk.opt.Journal.Partitions(), modes: s.desk.opt.Journal.Modes(), says: map[edge.Kind]bool{}, moved: s.desk.video.moved}
	for _, sig := range sigs {
		panel := s.desk.opt.Panels[s.panel]
		v.says[kindOf(sig, panel, panel.Zones[sig.Zone])] = true
	}
	return v
}

// add puts the event of a signal into the batch, and those that follow from it behind it.
func (s *Sink) add(c *call, sig edge.Signal) {
	out := s.desk.tracker.track(sig, c.view.states)
	c.b.Partitions = append(c.b.Partitions, out.partitions...)
	changed := c.view.apply(out.partitions)
	c.event = len(c.b.Entries) + 1
	beside := s.past.judge(&out.event, sig, &c.view, changed, c.event)
	c.b.Entries = append(c.b.Entries, journal.Entry{Event: out.event, Key: sig.Key, Old: sig.Old, At: sig.At})
	for _, ev := range beside {
		c.b.Entries = append(c.b.Entries, journal.Entry{Event: ev, At: sig.At, Beside: true})
	}
}

// begin takes how a point was found: whether the site is set counts at once, without an event.
func (s *Sink) begin(c *call, sig edge.Signal) {
	out := s.desk.tracker.track(sig, c.view.states)
	c.b.Partitions = append(c.b.Partitions, out.partitions...)
	c.view.apply(out.partitions)
}

// amend puts a text into the batch. That of a reset says of what, and so may end an alarm: then the reset's own sentence says so.
func (s *Sink) amend(ctx context.Context, c *call, sig edge.Signal, amends edge.Seq) error {
	ev := amendment(sig, amends)
	if resetWord(ev.Text) != "" {
		var target edge.Event
		if c.event > 0 {
			target = c.b.Entries[c.event-1].Event
		} else {
			got, ok, err := s.event(ctx, amends)
			if err != nil {
				return err
			}
			if ok {
				target = got
			}
		}
		if target.Kind == edge.KindReset {
			if over := s.past.reset(&target, ev.Text); over != "" {
				ev.Why = target.Why + ". " + over
			}
		}
	}
	c.b.Entries = append(c.b.Entries, journal.Entry{Event: ev, Amends: c.event, Key: sig.Key, Old: sig.Old, At: sig.At})
	return nil
}

func (s *Sink) commit(ctx context.Context, c *call, sigs []edge.Signal) error {
	c.b.Meaning = s.past.take()
	seqs, err := s.desk.opt.Journal.Commit(ctx, c.b)
	if err != nil {
		return err
	}
	s.tellWatch(&c.b)
	if len(c.b.Entries) == 0 {
		s.matched(c.b.Matched, sigs)
		return nil
	}
	s.past.committed(c.b.Meaning, seqs)
	s.committed(c.b, seqs, c.event)
	if c.event > 0 {
		s.spoke(sigs[0].Opened, s.memory.Event, s.memory.EventAt)
	}
	for i, en := range c.b.Entries {
		if ev := en.Event; corroborates(ev.Kind) && ev.Corroborated == "" && len(ev.Cameras) > 0 && !en.Old {
			s.desk.video.watch(watched{seqs[i], en.At, ev.Why, ev.Cameras})
		}
	}
	if len(c.b.Meaning.Alarms) > 0 || len(c.b.Meaning.Modes) > 0 {
		s.desk.wake()
	}
	return nil
}

// tellWatch tells what of b changes how closely cameras are looked at.
func (s *Sink) tellWatch(b *journal.Batch) {
	if s.desk.opt.Watch == nil {
		return
	}
	var alarmed []edge.CameraID
	for _, en := range b.Entries {
		if ev := en.Event; ev.Kind.Alarm() && !ev.Kind.IsRestored() && !en.Old {
			alarmed = append(alarmed, ev.Cameras...)
		}
	}
	if len(alarmed) > 0 || len(b.Partitions) > 0 {
		s.desk.opt.Watch(alarmed)
	}
}

// again says whether sig is journalled already, and as which event when the panel re-sends it from its buffer: that is asked
// first, so that an event is re-sent once only, however soon. except are the events that this call has found.
func (s *Sink) again(ctx context.Context, sig edge.Signal, except []edge.Seq) (resent edge.Seq, again bool, err error) {
	if sig.Old && len(sig.Key) > 0 {
		seq, at, ok, err := s.desk.opt.Journal.Resent(ctx, s.panel, zoneOf(sig), sig.Key, except)
		if err != nil {
			return 0, false, err
		}
		if ok && within(sig.At, at, window(sig)) {
			return seq, true, nil
		}
	}
	return 0, repeats(sig, s.memory), nil
}

// matched makes what the panel has re-sent its last signals again, so that its retries of that are known too.
func (s *Sink) matched(seqs []edge.Seq, sigs []edge.Signal) {
	if len(seqs) == 0 {
		return
	}
	m := journal.PanelMemory{At: sigs[len(sigs)-1].At, Event: slices.Max(seqs)}
	m.EventAt = m.At
	for _, sig := range sigs {
		if len(sig.Key) > 0 {
			m.Keys = append(m.Keys, foldKey(sig.Key))
		}
	}
	s.memory = m
	s.desk.opt.Journal.Matched(s.panel, m.At, seqs...)
}

// spoken is the last event that came over one of a panel's connections.
type spoken struct {
	event edge.Seq
	at    edge.Stamp
}

// textOf returns the event that a text belongs to: the last one of its connection when another connection of the panel has
// spoken since, else the panel's last.
func (s *Sink) textOf(sig edge.Signal) (event edge.Seq, ok bool) {
	if e, known := s.said[sig.Opened.Mono]; known && e.event != s.memory.Event {
		return e.event, within(sig.At, e.at, textWithin)
	}
	m := s.memory
	return m.Event, m.Event > 0 && !m.Settled && within(sig.At, m.EventAt, textWithin)
}

// spoke remembers the last event of a connection for as long as a text may follow it.
func (s *Sink) spoke(opened edge.Stamp, event edge.Seq, at edge.Stamp) {
	for o, e := range s.said {
		if !within(at, e.at, textWithin) {
			delete(s.said, o)
		}
	}
	s.said[opened.Mono] = spoken{event, at}
}

// amendment has no why: the SOC folds in what an amendment says, and the event's own sentence shall stay.
func amendment(sig edge.Signal, amends edge.Seq) edge.Event {
	ev := edge.Event{Kind: edge.KindAmended, Panel: sig.Panel, Amends: amends, Text: clean(sig.Text, maxText), Raw: sig.Raw[:min(len(sig.Raw), maxRaw)]}
	ev.Occurred, _ = occurred(sig)
	return ev
}

// committed brings memory to what the commit has written.
func (s *Sink) committed(b journal.Batch, seqs []edge.Seq, event int) {
	m := journal.PanelMemory{Event: s.memory.Event, EventAt: s.memory.EventAt}
	for _, en := range b.Entries {
		if len(en.Key) > 0 {
			m.Keys = append(m.Keys, en.Key)
		}
		m.At = en.At
	}
	if event > 0 {
		m.Event, m.EventAt = seqs[event-1], b.Entries[event-1].At
	}
	s.memory = m
}

// Settle says that another frame has come since the last signal, so that the panel knows that we have it: the same frame
// again is news from now on. It is remembered at once and on disk within about a second.
func (s *Sink) Settle(ctx context.Context) error {
	if err := s.take(ctx); err != nil {
		return fmt.Errorf("settle panel %s: %w", s.panel, err)
	}
	defer s.give()
	if s.desk.opt.Disk != nil {
		return nil // nothing was acked: it knows nothing
	}
	if s.loaded && (s.memory.Settled || s.memory.Event == 0 && len(s.memory.Keys) == 0) {
		return nil
	}
	s.memory.Settled = true
	s.desk.opt.Journal.Settle(s.panel)
	return nil
}
