package panel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/drivers/rs485"
	"sitewatch/edge"
)

// LineOptions of one panel's line.
type LineOptions struct {
	Panel    edge.PanelID
	Driver   Driver
	Port     string         // as in the configuration
	Settings map[string]any // as in the configuration
	Sink     Sink
	// Report journals what the line itself has to say: panel-lost, line-fault and their restores. The line repeats a report that
	// fails.
	Report   func(ctx context.Context, ev edge.Event) error
	Clock    edge.Clock
	Log      *slog.Logger
	Location *time.Location
	// Lost says that the journal's last word about this panel, from an earlier run, is that it is lost; Faulty the same of a
	// line-fault.
	Lost, Faulty bool
	// Open opens the serial port; nil: the device that Port names. For tests.
	Open func(context.Context) (Port, error)
}

type lineSettings struct {
	serial  rs485.Options
	silence time.Duration // no good frame for so long means lost; 0: the panel may be silent for ever
	given   bool          // silence stands in the settings
}

// Line keeps one panel connected for as long as Run runs. It opens the port, again and again if it must, runs a session
// of the driver on it, and reports when the panel is lost and when it is back.
//
// A serial panel is lost as soon as its adapter is gone or cannot be opened, a dialled one when the connection is down and
// dialling again at once fails. One that dials us may connect only to deliver: there, no connection is no loss.
type Line struct {
	o     LineOptions
	spec  PortSpec
	set   lineSettings
	meter *Meter
	log   *slog.Logger
	tty   func(context.Context) (Port, error) // opens a serial port

	mu      sync.Mutex
	state   State
	reason  string // why it is lost
	byFrame bool   // only a good frame ends the loss
	faulty  bool   // too many bad frames
	health  health
	pending []edge.Event // reports not journalled yet
	kick    chan struct{}
	opened  int // open ports or connections
	address string
}

// maxPending bounds the reports that wait while the journal refuses them. Above it the oldest pair of lost and restored
// goes: they cancel each other out.
const maxPending = 64

// NewLine checks the options and opens nothing.
func NewLine(o LineOptions) (*Line, error) {
	spec, err := ParsePort(o.Port)
	if err != nil {
		return nil, fmt.Errorf("panel %s: %w", o.Panel, err)
	}
	s := NewSettings(o.Settings)
	l := &Line{o: o, spec: spec, set: readLine(o.Driver, s), meter: newMeter(), kick: make(chan struct{}, 1), state: Starting}
	o.Driver.New(s, SessionOptions{})
	if p := s.Problems(); len(p) > 0 {
		return nil, edge.WithHint(fmt.Errorf("panel %s: %s: %s", o.Panel, p[0].Path, p[0].What), p[0].Hint)
	}
	l.set.serial.Clock = o.Clock
	l.log = o.Log.With("panel", o.Panel)
	if o.Lost {
		l.state, l.byFrame = Lost, o.Driver.Polls // a panel that is asked proves that it is there, and an open port does not
	}
	l.faulty, l.tty = o.Faulty, o.Open
	if l.tty == nil {
		l.tty = l.openSerial
	}
	return l, nil
}

// Run keeps the panel connected until ctx ends, and returns nil then.
func (l *Line) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.runReports(ctx) })
	g.Go(func() error { return l.runWatch(ctx) })
	g.Go(func() error {
		switch l.spec.Kind {
		case TCPListen:
			return l.runListen(ctx)
		case TCPDial, ModbusTCP:
			return l.runOne(ctx, l.dial)
		default:
			return l.runOne(ctx, l.tty)
		}
	})
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("panel %s: %w", l.o.Panel, err)
	}
	return nil
}

// runOne opens the port, runs a session on it and begins anew when it ends.
func (l *Line) runOne(ctx context.Context, open func(context.Context) (Port, error)) error {
	for retry := newRetry(l.spec.Kind); ctx.Err() == nil; {
		port, err := open(ctx)
		if err != nil {
			l.lost(err, false)
			retry.wait(ctx)
			continue
		}
		l.isOpen(+1, false)
		start := l.o.Clock.Now()
		err = l.session(ctx, port)
		port.Close()
		if ctx.Err() != nil {
			return nil
		}
		l.isOpen(-1, false)
		if l.spec.Kind == Serial || errors.Is(err, ErrNotUnderstood) {
			l.lost(err, errors.Is(err, ErrNotUnderstood))
		}
		l.log.Info("session ended", "err", err)
		if d, ok := l.o.Clock.Now().Since(start); ok && d >= healthy {
			retry.reset()
			if l.spec.Kind != Serial {
				continue // once at once: a server that closes an idle connection is not lost
			}
		}
		retry.wait(ctx)
	}
	return nil
}

func (l *Line) session(ctx context.Context, port Port) error {
	s := l.o.Driver.New(NewSettings(l.o.Settings), SessionOptions{
		Panel: l.o.Panel, Clock: l.o.Clock, Location: l.o.Location, Log: l.log, Meter: l.meter,
		Port: l.spec.Kind, Baud: l.set.serial.Baud,
	})
	if err := s.Run(ctx, meteredPort{port, l.meter, l.o.Clock}, l.o.Sink); err != nil {
		return err
	}
	return errors.New("the session ended")
}

// healthy is how long a connection must last for its failure to be a new trouble, not the old one.
const healthy = time.Minute

// retry is a jittered, growing wait. Its longest is short: while the port is closed, alarms wait in the panel.
type retry struct {
	next, max time.Duration
}

const firstWait = 200 * time.Millisecond

func newRetry(k PortKind) *retry {
	if k == Serial {
		return &retry{next: firstWait, max: 2 * time.Second} // looking whether a device is there costs nothing
	}
	return &retry{next: firstWait, max: 10 * time.Second}
}

func (r *retry) reset() { r.next = firstWait }

func (r *retry) wait(ctx context.Context) {
	d := r.next/2 + rand.N(r.next)/2
	r.next = min(2*r.next, r.max)
	sleep(ctx, d)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
