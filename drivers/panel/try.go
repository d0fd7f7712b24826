package panel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sitewatch/edge"
)

// Trial is a look at a panel's line without a gateway: for 'gateway check --listen' and 'gateway capture'.
type Trial struct {
	LineOptions // Sink and Report are not used
	For         time.Duration
	// Talk lets the session answer a panel that speaks by itself. What it says is still not stored and not acknowledged.
	Talk bool
	// Wire, when not nil, is told what comes and what goes, in its order. It is called by one goroutine at a time.
	Wire func(at edge.Stamp, sent bool, b []byte)
}

// Heard is what a trial has heard.
type Heard struct {
	Counts
	Arrives  string // in words, since the last good frame
	Expected string
}

// errTrial is why no signal of a trial is acknowledged.
var errTrial = errors.New("nothing is stored: this is only a look at the line")

type trialSink struct{}

func (trialSink) Signal(context.Context, ...edge.Signal) error { return errTrial }
func (trialSink) Settle(context.Context) error                 { return nil }

// Try opens the port once, lets a session of the driver talk on it for a while, and says what came. Nothing is stored, so no
// signal is acknowledged: the panel says it again to the gateway. To a panel that speaks by itself nothing is sent without Talk. The
// error says that the port could not be opened, or that what it gives cannot be read.
func (t Trial) Try(ctx context.Context) (Heard, error) {
	l, err := NewLine(t.LineOptions)
	if err != nil {
		return Heard{}, err
	}
	h := Heard{Expected: Expected(t.Driver, l.spec, l.set.serial.Baud, string(l.set.serial.Format))}
	open := l.tty
	switch l.spec.Kind {
	case TCPListen:
		return h, edge.WithHint(fmt.Errorf("panel %s dials the box, which cannot be tried without the gateway", t.Panel), "start it and see 'gateway status'")
	case TCPDial, ModbusTCP:
		open = l.dial
	}
	port, err := open(ctx)
	if err != nil {
		return h, err
	}
	l.o.Sink = trialSink{}
	ctx, cancel := context.WithTimeout(ctx, t.For)
	defer cancel()
	err = l.session(ctx, &trialPort{Port: port, t: &t, mute: !t.Driver.Polls && !t.Talk})
	port.Close()
	h.Counts, h.Arrives = l.meter.Counts(), l.meter.arrives()
	if ctx.Err() != nil {
		return h, nil
	}
	return h, err
}

// trialPort tells what passes through it.
type trialPort struct {
	Port
	t    *Trial
	mute bool
	mu   sync.Mutex
}

func (p *trialPort) Read(b []byte) (int, error) {
	n, err := p.Port.Read(b)
	p.tell(false, b[:max(0, n)])
	return n, err
}

func (p *trialPort) Write(b []byte) (int, error) {
	if p.mute {
		return len(b), nil
	}
	n, err := p.Port.Write(b)
	p.tell(true, b[:max(0, n)])
	return n, err
}

func (p *trialPort) tell(sent bool, b []byte) {
	if p.t.Wire == nil || len(b) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.t.Wire(p.t.Clock.Now(), sent, b)
}
