package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
)

// panelFaults is how bad the line is: for each number, how many messages of a hundred it befalls.
type panelFaults struct {
	Noise  int           `help:"Messages of a hundred with stray bytes before them." default:"0"`
	Split  int           `help:"Messages of a hundred with a pause inside." default:"0"`
	Drop   int           `help:"Messages of a hundred that lose a byte." default:"0"`
	Parity int           `help:"Messages of a hundred with a bit of their last byte turned over." default:"0"`
	Dup    int           `help:"Messages of a hundred that come twice: the Galaxy repeats them as if the acknowledgement had been lost." default:"0"`
	Mute   int           `help:"Messages of a hundred that never come; 100 is a panel without power." default:"0"`
	Slow   time.Duration `help:"Wait before each message." default:"0s"`
	Echo   bool          `help:"The adapter gives back what the gateway sends."`
	Baud   bool          `help:"Speak at another speed than the gateway: no byte is what it was, in both directions."`
	Seed   uint64        `help:"Of the faults, so that a run can be repeated." default:"1"`
}

// badLine is the faults of one line; they may be changed while it runs. It is used from several goroutines.
type badLine struct {
	mu  sync.Mutex
	f   panelFaults
	rnd *rand.Rand
}

func newBadLine(f panelFaults) *badLine { return &badLine{f: f, rnd: rand.New(rand.NewPCG(f.Seed, 1))} }

// now returns the present faults.
func (l *badLine) now() panelFaults {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f
}

func (l *badLine) hit(percent int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return percent > 0 && l.rnd.IntN(100) < percent
}

func (l *badLine) below(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rnd.IntN(n)
}

// set changes one fault, as a person types it: noise 30, echo on, slow 200ms.
func (l *badLine) set(words []string) error {
	const say = "say: fault noise|split|drop|parity|dup|mute 0-100, fault slow 200ms, fault echo|baud on|off"
	if len(words) != 2 {
		return fmt.Errorf("%s", say)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	v := reflect.ValueOf(&l.f).Elem().FieldByNameFunc(func(n string) bool { return n != "Seed" && strings.EqualFold(n, words[0]) })
	if !v.IsValid() {
		return fmt.Errorf("there is no fault %q: %s", words[0], say)
	}
	switch p := v.Addr().Interface().(type) {
	case *int:
		n, err := strconv.Atoi(words[1])
		if err != nil || n < 0 || n > 100 {
			return fmt.Errorf("%q is not a number from 0 to 100: %s", words[1], say)
		}
		*p = n
	case *time.Duration:
		d, err := time.ParseDuration(words[1])
		if err != nil || d < 0 {
			return fmt.Errorf("%q is not a time: %s", words[1], say)
		}
		*p = d
	case *bool:
		if words[1] != "on" && words[1] != "off" {
			return fmt.Errorf("%q is neither on nor off: %s", words[1], say)
		}
		*p = words[1] == "on"
	}
	return nil
}

// send sends a message with what befalls it.
func (l *badLine) send(ctx context.Context, to *panelLine, b []byte, baud int) error {
	f := l.now()
	pause(ctx, f.Slow)
	if len(b) == 0 || l.hit(f.Mute) {
		return ctx.Err()
	}
	b = append([]byte{}, b...)
	if l.hit(f.Parity) {
		b[len(b)-1] ^= 1 << l.below(8)
	}
	if l.hit(f.Drop) {
		i := l.below(len(b))
		b = append(b[:i], b[i+1:]...)
	}
	if l.hit(f.Noise) {
		noise := make([]byte, 1+l.below(5))
		for i := range noise {
			noise[i] = byte(l.below(256))
		}
		b = append(noise, b...)
	}
	if f.Baud {
		b = garble(b)
	}
	if len(b) > 1 && l.hit(f.Split) {
		half := 1 + l.below(len(b)-1)
		if err := to.send(ctx, b[:half], baud); err != nil {
			return err
		}
		pause(ctx, 100*time.Millisecond)
		b = b[half:]
	}
	return to.send(ctx, b, baud)
}

// garble is what a receiver makes of bytes that come at twice its speed: it samples every second bit, and two characters
// become one.
func garble(b []byte) []byte {
	out := make([]byte, 0, (len(b)+1)/2)
	for i := 0; i < len(b); i += 2 {
		c := byte(0x80)
		for bit := range 4 {
			c |= b[i] >> (2*bit + 1) & 1 << bit
		}
		if i+1 < len(b) {
			c ^= b[i+1] << 4
		}
		out = append(out, c)
	}
	return out
}
