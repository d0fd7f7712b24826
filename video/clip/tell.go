package clip

import (
	"context"
	"time"
)

const (
	tellFirst = 100 * time.Millisecond
	tellMax   = 10 * time.Second
)

// tell brings something to the journal, again and again until it is there or ctx ends, whose error it returns. A journal that
// cannot write now is this clip's trouble: to end with it would cut short the others that are being cut.
func (j *cutting) tell(ctx context.Context, what string, f func(context.Context) error) error {
	wait := tellFirst
	for tries := 1; ; tries++ {
		err := f(ctx)
		if err == nil {
			if tries > 1 {
				j.log.Info("the journal has heard at last", "what", what, "tries", tries)
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if tries == 1 {
			j.log.Error("the journal refuses, tried again until it does not", "what", what, "err", err)
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
		wait = min(2*wait, tellMax)
	}
}
