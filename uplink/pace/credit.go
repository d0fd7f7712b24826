package pace

import "time"

const (
	// MinWindow and MaxWindow bound what of a lane of events may be under way.
	MinWindow = 4 << 10
	MaxWindow = 256 << 10

	windowStep = 2 << 10
	// windowQueue is how much later than at best an ack may be before the window is too large. Less would be the time
	// that the receiver's disk takes, and not the line's.
	windowQueue = 10 * time.Millisecond
)

// Window is the credit of a lane of events: about a bandwidth-delay product, found by the delay of acks. It grows while
// acks come as early as ever although it was used up, and shrinks when they come late, because then its bytes stand in a
// queue and an urgent event behind them. The zero value is ready and small.
type Window struct {
	credit float64
	base   recent
	until  time.Duration // messages sent before this tell of an older credit
	full   bool          // it has been used up since then
	steady bool          // it has been too large once: it grows by steps
}

// Credit is how many bytes may be under way.
func (w *Window) Credit() int { return int(max(w.credit, MinWindow)) }

// Full says that there is more to send than the credit allows.
func (w *Window) Full() { w.full = true }

// Seed makes the window at least n bytes, for a line that is known.
func (w *Window) Seed(n int64) {
	w.credit = max(w.credit, float64(min(max(n, MinWindow), MaxWindow)))
}

// Acked says that at now the ack of a message handed over at sent has come.
func (w *Window) Acked(now, sent time.Duration) {
	took := now - sent
	if took <= 0 {
		return
	}
	w.base.add(now, took)
	if sent < w.until {
		return
	}
	base, _ := w.base.min()
	c := max(w.credit, MinWindow)
	late := took - base
	queue := c * late.Seconds() / took.Seconds() // bytes of the credit that stand in a queue
	switch {
	case late > windowQueue && queue > 2*windowStep:
		w.steady = true
		c -= max(windowStep, queue/2)
	case !w.full || late > windowQueue && queue > windowStep:
		w.full, w.until = false, now
		return
	case w.steady:
		c += windowStep
	default:
		c *= 2
	}
	w.credit = min(max(c, MinWindow), MaxWindow)
	w.full, w.until = false, now
}
