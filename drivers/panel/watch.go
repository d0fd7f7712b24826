package panel

import (
	"context"
	"fmt"
	"time"

	"sitewatch/edge"
)

// runWatch ends a loss at the first good frame, begins one after too long a silence or when only garbage comes, and reports
// a line that is bad.
func (l *Line) runWatch(ctx context.Context) error {
	t := time.NewTimer(l.patience())
	defer t.Stop()
	look := time.NewTicker(slotSpan)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.meter.heard:
			l.isOpen(0, true)
			t.Reset(l.patience())
		case <-l.meter.change:
			t.Reset(l.patience())
		case <-t.C:
			if l.canBeSilent() {
				l.lost(fmt.Errorf("no frame has come for %v: %s", l.patience(), l.wrong()), true)
			}
			t.Reset(l.patience())
		case <-look.C:
			l.judge()
		}
	}
}

// patience is how long no good frame may come.
func (l *Line) patience() time.Duration {
	d := l.set.silence
	if e := l.meter.expected(); e > 0 && !l.set.given {
		d = e
	}
	if d == 0 {
		return 1<<63 - 1
	}
	return d
}

// canBeSilent says that a silence is the panel's: of a port that is not open, why it is not is the better reason.
func (l *Line) canBeSilent() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.opened > 0 || l.spec.Kind == TCPListen || l.state != Lost
}

// wrong says what arrives and what was expected.
func (l *Line) wrong() string {
	return l.meter.arrives() + "; expected " + Expected(l.o.Driver, l.spec, l.set.serial.Baud, string(l.set.serial.Format))
}

// Expected says what a driver waits for on a port, in words.
func Expected(d Driver, spec PortSpec, baud int, format string) string {
	what := d.Title
	if spec.Kind == Serial {
		what += fmt.Sprintf(", at %d baud, %s", baud, format)
	}
	return what
}

// judge closes a slot of the line's history and reports what it shows. While the panel is lost there is no line-fault beside
// that: one fault is one event.
func (l *Line) judge() {
	l.mu.Lock()
	l.health.roll(l.meter.Counts())
	lost := l.state == Lost
	// What strangers send to an open TCP port is not the panel's, and there is no speed to be wrong.
	garbled := l.health.garbled() && l.spec.Kind != TCPListen
	if !lost && !garbled {
		l.judgeFault()
	}
	l.mu.Unlock()
	if garbled && !lost {
		l.lost(fmt.Errorf("%s", l.wrong()), true)
	}
}

// judgeFault begins or ends a line-fault; l.mu is held.
func (l *Line) judgeFault() {
	is, s := l.health.faulty(l.faulty)
	if is == l.faulty {
		return
	}
	l.faulty = is
	if !is {
		l.log.Info("line is good again", "good", s.good, "bad", s.bad)
		l.report(edge.KindLineFault.Restored(), fmt.Sprintf("The line to the panel is good again: %d good and %d bad frames in 5 min.", s.good, s.bad))
		return
	}
	l.log.Warn("line is bad", "good", s.good, "bad", s.bad)
	l.report(edge.KindLineFault, fmt.Sprintf("The line to the panel is bad: %d of %d frames in 5 min were damaged. Check the wiring, the termination and what runs beside the cable.", s.bad, s.good+s.bad))
}
