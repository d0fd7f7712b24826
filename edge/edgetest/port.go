package edgetest

import (
	"io"
	"sync"
)

// Port is a line to a panel with faults on order: each fault befalls one message in one direction. The line must hand
// over a message at a time, as net.Pipe does.
type Port struct {
	inner io.ReadWriteCloser

	mu       sync.Mutex
	in, out  []Fault
	mute     bool
	leftover []byte // of a message that was longer than the reader's buffer
}

// Fault makes of a message what arrives; nothing arrives of an empty one.
type Fault func(msg []byte) []byte

// Pass lets a message through, to put faults in later ones.
func Pass(msg []byte) []byte { return msg }

// Lose loses a whole message.
func Lose([]byte) []byte { return nil }

// Repeat makes a message arrive twice.
func Repeat(msg []byte) []byte { return append(append([]byte{}, msg...), msg...) }

// Drop loses the byte at i, counted from the end when negative.
func Drop(i int) Fault {
	return func(msg []byte) []byte {
		if i < 0 {
			i += len(msg)
		}
		if i < 0 || i >= len(msg) {
			return msg
		}
		return append(append([]byte{}, msg[:i]...), msg[i+1:]...)
	}
}

// Flip turns the bits of mask over in the byte at i.
func Flip(i int, mask byte) Fault {
	return func(msg []byte) []byte {
		msg = append([]byte{}, msg...)
		if i < len(msg) {
			msg[i] ^= mask
		}
		return msg
	}
}

// Truncate lets only the first n bytes arrive.
func Truncate(n int) Fault { return func(msg []byte) []byte { return msg[:min(n, len(msg))] } }

// Prefix puts noise before a message.
func Prefix(noise ...byte) Fault {
	return func(msg []byte) []byte { return append(append([]byte{}, noise...), msg...) }
}

// NewPort is a line without faults.
func NewPort(inner io.ReadWriteCloser) *Port { return &Port{inner: inner} }

// OnRead orders faults for the next messages that are read, one each.
func (p *Port) OnRead(f ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.in = append(p.in, f...)
}

// OnWrite orders faults for the next messages that are written, one each.
func (p *Port) OnWrite(f ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = append(p.out, f...)
}

// Mute cuts the line in both directions without a word, or joins it again.
func (p *Port) Mute(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute = on
}

// fault takes the next fault of a direction.
func (p *Port) fault(q *[]Fault, msg []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mute {
		return nil
	}
	if len(*q) > 0 {
		msg, *q = (*q)[0](msg), (*q)[1:]
	}
	return msg
}

// Read returns what arrives of the next message.
func (p *Port) Read(b []byte) (int, error) {
	for len(p.leftover) == 0 {
		buf := make([]byte, 4096)
		n, err := p.inner.Read(buf)
		if n > 0 {
			p.leftover = p.fault(&p.in, buf[:n])
		}
		if err != nil && len(p.leftover) == 0 {
			return 0, err
		}
	}
	n := copy(b, p.leftover)
	p.leftover = p.leftover[n:]
	return n, nil
}

// Write says that all of b was written, whatever arrives.
func (p *Port) Write(b []byte) (int, error) {
	if msg := p.fault(&p.out, b); len(msg) > 0 {
		if _, err := p.inner.Write(msg); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// Close closes the line.
func (p *Port) Close() error { return p.inner.Close() }
