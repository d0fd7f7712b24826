package main

import (
	"context"
	"math/rand/v2"
	"time"
)

// panelFaults is how bad the line is: for each, how many blocks of a hundred it befalls.
type panelFaults struct {
	Noise  int    `help:"Blocks of a hundred with stray bytes before them." default:"0"`
	Split  int    `help:"Blocks of a hundred with a pause inside." default:"0"`
	Drop   int    `help:"Blocks of a hundred that lose a byte." default:"0"`
	Parity int    `help:"Blocks of a hundred with wrong parity." default:"0"`
	Dup    int    `help:"Acknowledgements of a hundred that are lost, so that the panel repeats the block." default:"0"`
	Seed   uint64 `help:"Of the faults, so that a run can be repeated." default:"1"`
}

func (f panelFaults) hit(rnd *rand.Rand, percent int) bool {
	return percent > 0 && rnd.IntN(100) < percent
}

// send sends a block with what befalls it.
func (f panelFaults) send(ctx context.Context, l *panelLine, b []byte, baud int, rnd *rand.Rand) error {
	b = append([]byte{}, b...)
	if f.hit(rnd, f.Parity) {
		b[len(b)-1] ^= 1 << rnd.IntN(8)
	}
	if f.hit(rnd, f.Drop) {
		i := rnd.IntN(len(b))
		b = append(b[:i], b[i+1:]...)
	}
	if f.hit(rnd, f.Noise) {
		noise := make([]byte, 1+rnd.IntN(5))
		for i := range noise {
			noise[i] = byte(rnd.Uint32())
		}
		b = append(noise, b...)
	}
	if len(b) > 1 && f.hit(rnd, f.Split) {
		half := 1 + rnd.IntN(len(b)-1)
		if err := l.send(ctx, b[:half], baud); err != nil {
			return err
		}
		pause(ctx, 100*time.Millisecond)
		b = b[half:]
	}
	return l.send(ctx, b, baud)
}
