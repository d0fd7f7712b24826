package panel

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"sitewatch/drivers/rs485"
	"sitewatch/edge"
)

// Chunk is what one Read gave, with the stamp of its arrival.
type Chunk struct {
	At  edge.Stamp
	N   int
	Bad bool // the last byte was damaged on the line
	Buf [64]byte
}

// Bytes returns the bytes of the chunk.
func (c *Chunk) Bytes() []byte { return c.Buf[:c.N] }

// chunksAhead bounds what is read while a commit takes its time: 4 KiB, several times what any of the panels sends
// without hearing from us. When it is full, the reader waits and the kernel's buffer holds the rest.
const chunksAhead = 64

// RunPump reads port in a goroutine of its own while talk handles what was read, so that the stamps are those of the
// arrival however long a commit takes. The channel is closed after the last chunk when the port fails; talk should then
// finish what it has and return nil. RunPump returns when both have ended: with talk's error if there is one, else with
// the port's. It closes port.
func RunPump(ctx context.Context, port Port, clock edge.Clock, talk func(ctx context.Context, in <-chan Chunk) error) error {
	in := make(chan Chunk, chunksAhead)
	over := make(chan struct{}) // talk has ended
	var lineErr error
	var g errgroup.Group
	g.Go(func() error {
		defer close(in)
		for {
			var c Chunk
			n, err := port.Read(c.Buf[:])
			c.N, c.At, c.Bad = n, clock.Now(), errors.Is(err, rs485.ErrBadByte)
			if n > 0 {
				select {
				case in <- c:
				case <-over:
					return nil
				}
			}
			if err != nil && !c.Bad {
				lineErr = err
				return nil
			}
		}
	})
	g.Go(func() error {
		select { // Close is what ends the Read above
		case <-ctx.Done():
		case <-over:
		}
		port.Close()
		return nil
	})
	err := talk(ctx, in)
	close(over)
	g.Wait()
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return lineErr
}
