package panel

import (
	"context"
	"time"

	"sitewatch/edge"
)

// State is what is known of the connection to a panel.
type State string

const (
	Starting  State = "starting"
	Connected State = "connected" // the port is open; a panel that dials us may be silent
	Lost      State = "lost"
)

// Stats is what the status page shows of a line.
type Stats struct {
	Panel       edge.PanelID
	Driver      string
	Port        string
	State       State
	Reason      string // why it is lost
	Connections int    // open ports or TCP connections
	Address     string // where a tcp-listen port really listens
	Faulty      bool   // too many frames are bad
	History     []Minute
	Counts
}

// Stats returns the present figures.
func (l *Line) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{
		Panel: l.o.Panel, Driver: l.o.Driver.Name, Port: l.o.Port, State: l.state, Reason: l.reason,
		Connections: l.opened, Address: l.address, Faulty: l.faulty, History: l.health.history(), Counts: l.meter.Counts(),
	}
}

// lost notes that the panel is lost for a reason. byFrame: opening the port again is no proof that it is back.
func (l *Line) lost(err error, byFrame bool) {
	reason := err.Error() // with the hint, if there is one
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byFrame = l.byFrame || byFrame
	l.reason = reason
	if l.state == Lost {
		return
	}
	l.state = Lost
	l.log.Warn("panel lost", "err", err)
	l.report(edge.KindPanelLost, "The box has lost the panel: "+reason+".")
}

// isOpen notes that a port was opened or closed, or, with frame, that a good frame has come. A loss ends by the one that
// proves its end: a frame that was heard just before the adapter went does not.
func (l *Line) isOpen(change int, frame bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened += change
	if change > 0 {
		kick(l.meter.change) // a silence is counted from here
	}
	if change < 0 || (l.state == Lost && frame != l.byFrame) {
		return
	}
	switch l.state {
	case Lost:
		l.log.Info("panel is back")
		l.health.forget()
		l.report(edge.KindPanelLost.Restored(), "The box has the panel again.")
	case Starting:
		l.log.Info("panel connected", "port", l.o.Port)
	}
	l.state, l.reason, l.byFrame = Connected, "", false
}

// report queues an event; l.mu is held.
func (l *Line) report(kind edge.Kind, why string) {
	if len(l.pending) >= maxPending {
		l.forgetPair()
	}
	l.pending = append(l.pending, edge.Event{Kind: kind, Panel: l.o.Panel, Why: why, Occurred: l.o.Clock.Now().Wall})
	kick(l.kick)
}

// forgetPair drops the oldest two reports of one kind that stand side by side: something and its end. There are such: nothing is
// said of the line's quality while the panel is lost, so that a loss and its end have nothing between them.
func (l *Line) forgetPair() {
	for i := range len(l.pending) - 1 {
		if l.pending[i].Kind.Base() == l.pending[i+1].Kind.Base() {
			l.pending = append(l.pending[:i], l.pending[i+2:]...)
			return
		}
	}
}

// runReports journals the reports in order, each until it is done: a full or slow journal must not lose the word that a
// panel is lost, and must not keep the line from being opened again.
func (l *Line) runReports(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.kick:
		}
		for retry := (&retry{next: firstWait, max: 10 * time.Second}); ctx.Err() == nil; {
			l.mu.Lock()
			if len(l.pending) == 0 {
				l.mu.Unlock()
				break
			}
			ev := l.pending[0]
			l.pending = l.pending[1:]
			l.mu.Unlock()
			if err := l.o.Report(ctx, ev); err != nil {
				l.log.Error("report is not journalled yet", "kind", ev.Kind, "err", err)
				l.mu.Lock()
				l.pending = append([]edge.Event{ev}, l.pending...)
				l.mu.Unlock()
				retry.wait(ctx)
				continue
			}
			retry.reset()
		}
	}
}
