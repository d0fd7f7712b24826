package paneltest_test

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"sitewatch/drivers/panel"
	"sitewatch/drivers/paneltest"
	"sitewatch/edge"
)

// This is a whole driver, for whoever writes one: a panel that sends 0A ZONE STATE SUM and wants 06 for it, within two seconds. In a
// folder of its own the parts would be frame.go, message.go, session.go and acme.go.

// frame.go: bytes to frame, pure.

type acmeFrame struct {
	zone   byte
	active bool
}

const acmeBytes = 4

var errAcmeShort, errAcmeBad = errors.New("acme: not complete"), errors.New("acme: no frame here")

func decodeAcme(b []byte) (f acmeFrame, err error) {
	switch {
	case len(b) > 0 && b[0] != 0x0A:
		return f, errAcmeBad
	case len(b) < acmeBytes:
		return f, errAcmeShort
	case b[0]+b[1]+b[2] != b[3] || b[2] > 1:
		return f, errAcmeBad
	}
	return acmeFrame{b[1], b[2] == 1}, nil
}

// message.go: frame to signal.

func (f acmeFrame) signal() edge.Signal {
	s := edge.Signal{Kind: edge.KindIntruder, Zone: edge.ZoneID(strconv.Itoa(int(f.zone)))}
	if !f.active {
		s.Kind = s.Kind.Restored()
	}
	return s
}

// session.go: the conversation.

const (
	acmePatience = 2 * time.Second        // of the panel
	acmeQuiet    = 200 * time.Millisecond // a frame comes in one go: after such a pause what is left of it is noise
)

type acmeSession struct {
	o     panel.SessionOptions
	first []byte // the first frame since the port was opened
}

func (s *acmeSession) Run(ctx context.Context, port panel.Port, sink panel.Sink) error {
	opened := s.o.Clock.Now()
	return panel.RunPump(ctx, port, s.o.Clock, func(ctx context.Context, in <-chan panel.Chunk) error {
		var buf []byte
		var last edge.Stamp
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case c, ok := <-in:
				if !ok {
					return nil // the port has failed, and RunPump says why
				}
				if d, ok := c.At.Since(last); ok && d > acmeQuiet {
					buf = s.noise(buf, len(buf))
				}
				buf, last = append(buf, c.Bytes()...), c.At
				for len(buf) > 0 {
					f, err := decodeAcme(buf)
					if err == errAcmeShort {
						break
					}
					if err != nil {
						buf = s.noise(buf, 1)
						continue
					}
					if err := s.take(ctx, port, sink, f, bytes.Clone(buf[:acmeBytes]), c.At, opened); err != nil {
						return err
					}
					buf = buf[acmeBytes:]
				}
			}
		}
	})
}

func (s *acmeSession) noise(buf []byte, n int) []byte {
	s.o.Meter.Noise(n)
	return buf[n:]
}

// take stores and then acknowledges. What cannot be stored, or was stored too late, gets no answer: the panel says it again.
func (s *acmeSession) take(ctx context.Context, port panel.Port, sink panel.Sink, f acmeFrame, raw []byte, at, opened edge.Stamp) error {
	s.o.Meter.Frame(at)
	sig := f.signal()
	if s.first == nil {
		s.first = raw
	}
	sig.Raw, sig.Key, sig.At, sig.Opened, sig.First = raw, raw, at, opened, bytes.Equal(raw, s.first)
	if err := sink.Signal(ctx, sig); err != nil {
		s.o.Meter.Unacked()
		return ctx.Err()
	}
	if age, ok := s.o.Clock.Now().Since(at); !ok || age > acmePatience {
		s.o.Meter.Unacked()
		return nil
	}
	_, err := port.Write([]byte{0x06})
	return err
}

// acme.go: the driver's place in the list.

var acme = panel.Driver{
	Name: "acme", Title: "Acme 8, RS-485",
	Ports: []panel.PortKind{panel.Serial},
	Line:  panel.LineFormat{Baud: 9600, Format: "8N1"},
	New:   func(_ *panel.Settings, o panel.SessionOptions) panel.Session { return &acmeSession{o: o} },
}

// acme_test.go.

func TestAcme(t *testing.T) { paneltest.Run(t, acme) }

// TestAcmeMangled: the panel repeats every two seconds until it is answered; its sum is weak, so the mangler must not fool it.
func TestAcmeMangled(t *testing.T) {
	paneltest.Mangle(t, paneltest.Mangled{
		Driver: acme, Says: []string{"1", "2", "3", "4"},
		Name: func(s edge.Signal) string { return string(s.Zone) },
		Talk: func(c *paneltest.Cable, says []string) (acked []string) {
			for _, name := range says {
				zone, _ := strconv.Atoi(name)
				for range 20 {
					c.Discard()
					c.Send([]byte{0x0A, byte(zone), 1, 0x0A + byte(zone) + 1})
					if bytes.Contains(c.Hear(acmePatience), []byte{0x06}) {
						acked = append(acked, name)
						break
					}
					c.Pause(acmePatience)
				}
			}
			return acked
		},
		Fooled: func(sent, came []byte) bool {
			if len(sent) == 1 {
				return !bytes.Equal(sent, came)
			}
			for at := range came {
				if f, err := decodeAcme(came[at:]); err == nil && f.zone != sent[1] {
					return true
				}
			}
			return false
		},
	})
}
