package modbus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

const (
	// slack is added to the silence between two frames when the line was not in order: adapters hold bytes back.
	slack = 15 * time.Millisecond
	// calm is how long a damaged answer must have ended before the next request.
	calm = 50 * time.Millisecond
	// patience is how long the line may keep on talking before it is spoken to nevertheless.
	patience = 250 * time.Millisecond
	// maxFlood is how much may come between two answers before the connection is given up.
	maxFlood = 64 << 10
)

var errFlood = edge.WithHint(
	fmt.Errorf("modbus: bytes come without end and none of them are an answer: %w", panel.ErrNotUnderstood),
	"check baud rate, format, and that A and B are not swapped; look for another master on the line")

// reply is how a request ended.
type reply struct {
	frame Frame
	raw   []byte
	asked time.Duration // when the request went out, on the monotonic clock
	at    edge.Stamp    // when the answer's last byte came
	fail  string        // why there is no answer; "": frame is it
	late  bool          // nothing whole has come: the answer may come yet
}

// wire asks on the line, one request at a time.
type wire struct {
	o     panel.SessionOptions
	port  panel.Port
	in    <-chan panel.Chunk
	col   collector
	char  time.Duration // 11 bits; 0: not a serial line
	last  time.Duration // when the last byte came or went, on the monotonic clock
	dirty bool          // the last exchange was not in order
	flood int           // bytes since the last answer
}

var errClosed = errors.New("modbus: the line is closed")

func newWire(o panel.SessionOptions, echo echoMode, baud int) *wire {
	w := &wire{o: o, col: collector{mode: echo, tcp: o.Port == panel.ModbusTCP}}
	if !w.col.tcp {
		w.char = 11 * time.Second / time.Duration(max(baud, 300))
	}
	return w
}

func (w *wire) now() time.Duration { return w.o.Clock.Now().Mono }

// gap is the silence before a request; Serial Line §2.5.1.1.
func (w *wire) gap() time.Duration {
	if w.char == 0 {
		return 0
	}
	d := max(w.char*7/2, 1750*time.Microsecond) // from the arrival, which is never before the byte's end
	if w.dirty {
		d += slack
	}
	return d
}

// ask sends the request when the line is quiet, and waits for the answer. An error is of the line.
func (w *wire) ask(ctx context.Context, req Request, timeout time.Duration) (reply, error) {
	if err := w.quiet(ctx); err != nil {
		return reply{}, err
	}
	w.col.begin(req)
	if _, err := w.port.Write(w.col.sent); err != nil {
		return reply{}, fmt.Errorf("ask slave %d: %w", req.Addr, err)
	}
	asked := w.now()
	w.last = asked
	t := time.NewTimer(timeout + w.char*time.Duration(requestLen+5+req.size()))
	defer t.Stop()
	v := waiting
	for {
		select {
		case <-ctx.Done():
			return reply{}, ctx.Err()
		case <-t.C:
			return w.failed(v), nil
		case c, ok := <-w.in:
			if !ok {
				return reply{}, errClosed
			}
			w.last = c.At.Mono
			switch v = w.col.push(c.Bytes(), c.Bad); v {
			case answered:
				w.dirty, w.flood = false, 0
				w.o.Meter.Frame(c.At)
				w.o.Meter.Noise(w.col.noise)
				return reply{frame: w.col.frame, raw: w.col.raw, asked: asked, at: c.At}, nil
			case misframed:
				w.o.Meter.Noise(w.col.noise)
				return reply{}, fmt.Errorf("modbus: what comes is no Modbus TCP: %w", panel.ErrNotUnderstood)
			case collided, flooded:
				if w.flood += w.col.noise; w.flood > maxFlood {
					return reply{}, errFlood
				}
				return w.failed(v), nil
			case damaged:
				if w.col.tcp {
					return w.failed(v), nil
				}
				t.Reset(calm)
			}
		}
	}
}

// failed is the reply when no answer has come.
func (w *wire) failed(v verdict) reply {
	w.dirty = true
	what, refused := w.col.rest()
	r := reply{fail: what, late: v == waiting && !refused}
	switch {
	case v == collided:
		r.fail = "what we send comes back changed: something else talks on the line"
	case v == flooded:
		r.fail = "far more bytes come than an answer has"
	case v == damaged && what == "":
		r.fail, refused = "the answer is not what was asked for", true
	case what == "":
		r.fail = "no answer"
	}
	if refused {
		w.o.Meter.Reject()
	} else {
		w.o.Meter.Noise(w.col.noise + len(w.col.buf))
	}
	return r
}

// quiet drops what comes until the line has been silent for long enough: a late answer is never taken for the next one's.
func (w *wire) quiet(ctx context.Context) error {
	start := w.now()
	for {
		now := w.now()
		wait := w.last + w.gap() - now
		if wait <= 0 || now-start > patience {
			if len(w.in) == 0 {
				return nil
			}
			wait = 0
		}
		if _, err := w.idle(ctx, wait); err != nil {
			return err
		}
	}
}

// idle waits for the time to pass, or for bytes, which nobody has asked for.
func (w *wire) idle(ctx context.Context, wait time.Duration) (heard bool, err error) {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case <-t.C:
		return false, nil
	case c, ok := <-w.in:
		if !ok {
			return false, errClosed
		}
		w.last, w.dirty = c.At.Mono, true
		w.o.Meter.Noise(c.N)
		if w.flood += c.N; w.flood > maxFlood {
			return true, errFlood
		}
		return true, nil
	}
}
