package rtsp

import (
	"context"
)

// runHealth tells the sink. Every connection begins with a keyframe, and so does what follows a loss: the first usable
// unit after a silence of LostAfter is a keyframe or continues pictures that were only late.
func (c *Camera) runHealth(ctx context.Context) error {
	known := c.opt.Lost
	for {
		c.mu.Lock()
		wait := c.last.Mono + c.opt.LostAfter - c.opt.Clock.Now().Mono
		c.lost = wait <= 0 || known
		lost, reason := c.lost, c.reason()
		c.mu.Unlock()
		if !lost {
			if !sleep(ctx, wait) {
				return ctx.Err()
			}
			continue
		}
		if !known {
			c.opt.Sink.Lost(ctx, reason)
		}
		known = false
		select {
		case <-c.back:
		case <-ctx.Done():
			return ctx.Err()
		}
		c.mu.Lock()
		c.lost = false
		c.mu.Unlock()
		select { // a second unit may have signalled meanwhile
		case <-c.back:
		default:
		}
		c.opt.Sink.Restored(ctx)
	}
}

func (c *Camera) reason() string {
	if c.trouble != nil {
		return c.trouble.Error()
	}
	if c.source != nil {
		if why := c.source.why(); why != nil {
			return "no usable picture came: " + why.Error()
		}
	}
	return "no usable picture came"
}
