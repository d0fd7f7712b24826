package uplink

import (
	"context"
	"slices"
	"sync"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

// command takes a command of the SOC. One that is known already is not done again: its outcome, if there is one, goes
// again. When too many wait the SOC keeps it and sends it with the next connection.
func (l *link) command(m *wire.Command) {
	if m.GetId() == "" || len(m.GetId()) > 64 {
		l.status.ignored()
		return
	}
	c := edge.Command{ID: edge.CommandID(m.GetId()), Kind: m.GetKind(), Camera: edge.CameraID(m.GetCamera()), Signer: m.GetSigner(),
		From: time.UnixMilli(m.GetFromUnixMs()).UTC(), To: time.UnixMilli(m.GetToUnixMs()).UTC(), Expires: time.UnixMilli(m.GetExpiresUnixMs()).UTC()}
	if !l.outcomes.begin(c.ID) {
		return
	}
	select {
	case l.commands <- c:
	default:
		l.outcomes.forget(c.ID)
	}
}

// runCommands does one command after the other; it goes on while the link is down.
func (c *Client) runCommands(ctx context.Context) error {
	for {
		select {
		case cmd := <-c.commands:
			state, outcome := c.do(ctx, cmd)
			if ctx.Err() != nil && state == edge.CommandUnknown {
				return nil
			}
			c.outcomes.done(&wire.CommandOutcome{Id: string(cmd.ID), State: string(state), Outcome: wire.Text(outcome)})
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *Client) do(ctx context.Context, cmd edge.Command) (edge.CommandState, string) {
	if c.o.Command == nil {
		return edge.CommandFailed, "not supported by this box"
	}
	return c.o.Command(ctx, cmd)
}

// outcomes remembers which commands this run of the program has seen, and what the SOC has yet to be told.
type outcomes struct {
	mu      sync.Mutex
	known   map[edge.CommandID]*wire.CommandOutcome // nil: being done
	order   []edge.CommandID                        // oldest first
	waiting []*wire.CommandOutcome
	change  chan struct{} // closed when something waits anew
}

// maxOutcomes bounds what is remembered; commands expire long before so many have come.
const maxOutcomes = 256

func newOutcomes() *outcomes {
	return &outcomes{known: map[edge.CommandID]*wire.CommandOutcome{}, change: make(chan struct{})}
}

// begin says whether id is new; the outcome of one that is done is told again.
func (o *outcomes) begin(id edge.CommandID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if old, ok := o.known[id]; ok {
		if old != nil {
			o.tell(old)
		}
		return false
	}
	o.known[id] = nil
	o.order = append(o.order, id)
	if len(o.order) > maxOutcomes {
		delete(o.known, o.order[0])
		o.order = o.order[1:]
	}
	return true
}

func (o *outcomes) forget(id edge.CommandID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.known, id)
	if n := len(o.order); n > 0 && o.order[n-1] == id {
		o.order = o.order[:n-1]
	}
}

func (o *outcomes) done(r *wire.CommandOutcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.known[edge.CommandID(r.GetId())]; ok {
		o.known[edge.CommandID(r.GetId())] = r
	}
	o.tell(r)
}

// again puts back what could not be sent.
func (o *outcomes) again(r *wire.CommandOutcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tell(r)
}

func (o *outcomes) tell(r *wire.CommandOutcome) {
	for _, w := range o.waiting {
		if w.GetId() == r.GetId() {
			return
		}
	}
	if len(o.waiting) == maxOutcomes {
		o.waiting = o.waiting[1:] // the SOC asks again for what it was not told
	}
	o.waiting = append(o.waiting, r)
	close(o.change)
	o.change = make(chan struct{})
}

func (o *outcomes) next() (*wire.CommandOutcome, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) == 0 {
		return nil, false
	}
	r := o.waiting[0]
	o.waiting = o.waiting[1:]
	return r, true
}

func (o *outcomes) changed() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.change
}

// told is an outcome that has been sent and may still be lost with its path.
type told struct {
	outcome *wire.CommandOutcome
	at      time.Duration // Mono
}

// maxTold bounds what a session that never hears an echo remembers.
const maxTold = 64

// tell sends the outcomes of commands that the SOC has not heard yet.
func (l *link) tell() error {
	for {
		o, ok := l.outcomes.next()
		if !ok {
			return nil
		}
		l.telling.Lock()
		if len(l.told) == maxTold {
			l.told = l.told[1:]
		}
		l.told = append(l.told, told{o, l.o.Clock.Now().Mono})
		l.telling.Unlock()
		if err := l.stream.Send(&wire.BoxMessage{Message: &wire.BoxMessage_Outcome{Outcome: o}}); err != nil {
			return l.sendError(err) // retell puts it back
		}
	}
}

// heardOutcomes drops what was told before a heartbeat that the SOC has answered: a stream keeps its order.
func (l *link) heardOutcomes(beat time.Duration) {
	l.telling.Lock()
	defer l.telling.Unlock()
	l.told = slices.DeleteFunc(l.told, func(t told) bool { return t.at <= beat })
}

// retell gives what may have been lost with the session to the next one, of whatever path.
func (l *link) retell() {
	l.telling.Lock()
	defer l.telling.Unlock()
	for _, t := range l.told {
		l.outcomes.again(t.outcome)
	}
}
