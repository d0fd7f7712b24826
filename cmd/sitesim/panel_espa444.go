package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Control characters of ESPA 4.4.4. They are written down here a second time: a panel that shared the driver's tables would
// share its mistakes.
const (
	espaSOH = 0x01
	espaSTX = 0x02
	espaETX = 0x03
	espaEOT = 0x04
	espaENQ = 0x05
	espaACK = 0x06
	espaNAK = 0x15
	espaRS  = 0x1E
	espaUS  = 0x1F
)

// Habits of the panel.
const (
	espaTries = 3   // of a block in one turn
	espaTurn  = 8   // blocks in one turn
	espaQueue = 256 // calls that wait; more are refused
)

// espaOptions of a fake panel. What is zero has a default.
type espaOptions struct {
	Own, Other byte          // stations: '1' the panel, '2' the gateway
	Poll       time.Duration // between polls
	Patience   time.Duration // for an answer
	Log        *slog.Logger
	// Acked is told of each call that the other side has acknowledged. It may be nil.
	Acked func(espaCall)
}

// espaCall is a message to a pager.
type espaCall struct {
	Address, Text  string
	Type, Priority byte // '1' reset, '2' speech, '3' standard; '1' alarm, '2' high, '3' normal
}

// espaCounts is what the panel has done.
type espaCounts struct {
	Raised, Acked, Polls, Answered uint64
	Refused                        map[byte]uint64 // NAKs by their digit; 0 without one
	Unanswered                     uint64
	Waiting                        int
}

// espaPeer is a small working fire panel with a paging output: Control Station of its line, and Temporary Master whenever it
// has something to say. It polls the gateway, selects it, sends its calls, repeats what is refused or not answered, and keeps
// what could not be delivered for the next turn.
type espaPeer struct {
	o    espaOptions
	more chan struct{} // capacity 1: a call was raised

	mu     sync.Mutex
	queue  []espaCall
	counts espaCounts
	mute   bool
	silent bool // nobody answers, and that was said
}

// newEspaPeer makes the panel; Run needs a line.
func newEspaPeer(o espaOptions) *espaPeer {
	if o.Own == 0 {
		o.Own = '1'
	}
	if o.Other == 0 {
		o.Other = '2'
	}
	if o.Poll == 0 {
		o.Poll = time.Second
	}
	if o.Patience == 0 {
		o.Patience = 1500 * time.Millisecond
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &espaPeer{o: o, more: make(chan struct{}, 1), counts: espaCounts{Refused: map[byte]uint64{}}}
}

var errEspaUsage = errors.New(`say: call TYPE PRIORITY TEXT..., with TYPE 1 reset, 2 speech, 3 standard and PRIORITY 1 alarm, 2 high, 3 normal; or to ADDRESS TYPE PRIORITY TEXT...; or mute on, mute off. For example: call 3 1 FIRE ZONE 03 STOCKROOM`)

// Do does what is typed.
func (p *espaPeer) Do(words []string) error {
	call := espaCall{Address: "1"}
	switch {
	case len(words) == 2 && words[0] == "mute" && (words[1] == "on" || words[1] == "off"):
		p.mu.Lock()
		defer p.mu.Unlock()
		p.mute = words[1] == "on"
		return nil
	case len(words) > 1 && words[0] == "to":
		call.Address, words = words[1], words[1:]
	case len(words) == 0 || words[0] != "call":
		return errEspaUsage
	}
	if len(words) < 3 || !espaDigit(words[1]) || !espaDigit(words[2]) {
		return errEspaUsage
	}
	call.Type, call.Priority, call.Text = words[1][0], words[2][0], strings.Join(words[3:], " ")
	for _, s := range []string{call.Address, call.Text} {
		if strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7E }) {
			return fmt.Errorf("%q has other characters than those of ISO 646", s)
		}
	}
	if len(call.Address) > 16 || len(call.Text) > 128 {
		return errors.New("an address has at most 16 characters and a text 128")
	}
	return p.raise(call)
}

func espaDigit(s string) bool { return len(s) == 1 && s[0] >= '1' && s[0] <= '3' }

func (p *espaPeer) raise(c espaCall) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == espaQueue {
		return fmt.Errorf("%d calls wait already", espaQueue)
	}
	p.queue = append(p.queue, c)
	p.counts.Raised++
	select {
	case p.more <- struct{}{}:
	default:
	}
	return nil
}

// Counts returns what the panel has done so far.
func (p *espaPeer) Counts() espaCounts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts
	c.Refused = map[byte]uint64{}
	for k, n := range p.counts.Refused {
		c.Refused[k] = n
	}
	c.Waiting = len(p.queue)
	return c
}

// block encodes the call.
func (c espaCall) block() []byte {
	b := []byte{espaSOH, '1', espaSTX, '1', espaUS}
	b = append(b, c.Address...)
	b = append(b, espaRS, '2', espaUS)
	b = append(b, c.Text...)
	b = append(b, espaRS, '4', espaUS, c.Type, espaRS, '6', espaUS, c.Priority, espaETX)
	x := byte(0)
	for _, v := range b[1:] {
		x ^= v
	}
	return append(b, x&0x7F)
}

// Run is the panel on an open line, until ctx ends or the line fails.
func (p *espaPeer) Run(ctx context.Context, line io.ReadWriteCloser) error {
	in := make(chan byte, 1024) // what does not fit is dropped: nobody says that much to a panel
	over := make(chan struct{})
	var g errgroup.Group
	g.Go(func() error {
		<-over
		return line.Close() // ends the Read
	})
	g.Go(func() error {
		defer close(in)
		b := make([]byte, 64)
		for {
			n, err := line.Read(b)
			for _, v := range b[:n] {
				select {
				case in <- v & 0x7F:
				default:
				}
			}
			if err != nil {
				return err
			}
		}
	})
	err := p.talk(ctx, &espaLine{in: in, out: line, patience: p.o.Patience})
	close(over)
	lineErr := g.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(err, lineErr)
}

func (p *espaPeer) talk(ctx context.Context, l *espaLine) error {
	t := time.NewTicker(p.o.Poll)
	defer t.Stop()
	for {
		p.mu.Lock()
		mute, waiting := p.mute, len(p.queue) > 0
		p.mu.Unlock()
		var err error
		switch {
		case mute:
		case waiting:
			err = p.deliver(ctx, l)
		default:
			err = p.poll(ctx, l)
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		case <-p.more:
		}
	}
}

// poll asks the gateway whether it has something to say: it gives the line back.
func (p *espaPeer) poll(ctx context.Context, l *espaLine) error {
	a, err := l.ask(ctx, espaEOT, p.o.Other, espaENQ)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Polls++
	if a.what == espaEOT {
		p.counts.Answered++
	}
	p.note(a, a.what == espaEOT)
	return nil
}

// note logs the first silence, and its end.
func (p *espaPeer) note(a espaAnswer, good bool) {
	if a.what == 0 {
		p.counts.Unanswered++
	}
	switch {
	case a.what == 0 && !p.silent:
		p.o.Log.Warn("nobody answers the panel")
		p.silent = true
	case good && p.silent:
		p.o.Log.Info("the gateway answers again")
		p.silent = false
	}
}

// deliver polls itself, so that it has the turn, selects the gateway and sends what waits.
func (p *espaPeer) deliver(ctx context.Context, l *espaLine) error {
	a, err := l.ask(ctx, p.o.Own, espaENQ, p.o.Other, espaENQ)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.note(a, a.what == espaACK)
	p.mu.Unlock()
	for range espaTurn {
		if a.what != espaACK {
			break
		}
		p.mu.Lock()
		var call espaCall
		some := len(p.queue) > 0
		if some {
			call = p.queue[0]
		}
		p.mu.Unlock()
		if !some {
			break
		}
		if a, err = p.send(ctx, l, call); err != nil {
			return err
		}
	}
	if _, err := l.out.Write([]byte{espaEOT}); err != nil {
		return fmt.Errorf("end the turn: %w", err)
	}
	return nil
}

// send sends one call until it is acknowledged, three times at most.
func (p *espaPeer) send(ctx context.Context, l *espaLine, c espaCall) (a espaAnswer, err error) {
	for range espaTries {
		if a, err = l.ask(ctx, c.block()...); err != nil {
			return a, err
		}
		p.mu.Lock()
		p.note(a, a.what == espaACK)
		switch a.what {
		case espaACK:
			p.counts.Acked++
			p.queue = p.queue[1:]
		case espaNAK:
			p.counts.Refused[a.digit]++
		}
		p.mu.Unlock()
		if a.what == espaACK {
			if p.o.Acked != nil {
				p.o.Acked(c)
			}
			return a, nil
		}
	}
	return a, nil
}

// espaLine is the panel's end of the line.
type espaLine struct {
	in       <-chan byte
	out      io.Writer
	patience time.Duration
}

// espaAnswer is what came: ACK, NAK with its digit if it had one, EOT, or 0 for nothing.
type espaAnswer struct {
	what, digit byte
}

// ask sends b and waits for the answer.
func (l *espaLine) ask(ctx context.Context, b ...byte) (a espaAnswer, err error) {
	for len(l.in) > 0 {
		<-l.in // what came too late
	}
	if _, err := l.out.Write(b); err != nil {
		return a, fmt.Errorf("send to the gateway: %w", err)
	}
	t := time.NewTimer(l.patience)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return espaAnswer{}, ctx.Err()
		case <-t.C:
			return espaAnswer{}, nil
		case v, ok := <-l.in:
			switch {
			case !ok:
				return espaAnswer{}, io.ErrUnexpectedEOF
			case v == espaACK, v == espaEOT, v == espaNAK:
				a.what = v
				return a, nil
			case v >= '0' && v <= '9':
				a.digit = v
			}
		}
	}
}
