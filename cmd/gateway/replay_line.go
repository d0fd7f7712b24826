package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/drivers/panel"
)

// replayPatience is how long the driver may take to send what the transcript has.
const replayPatience = 2400 * time.Millisecond

// runOn plays the transcript to the session over a pipe. It is no test: what differs from the transcript is said, and the play goes
// on.
func (r *replay) runOn(ctx context.Context, session panel.Session, tr panel.Transcript) error {
	ours, theirs := net.Pipe()
	sent := make(chan []byte, 1024)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var g errgroup.Group
	g.Go(func() error {
		defer ours.Close()
		if err := session.Run(ctx, ours, r); err != nil && ctx.Err() == nil {
			r.say("the session ended: " + err.Error())
		}
		return nil
	})
	g.Go(func() error {
		defer close(sent)
		for {
			b := make([]byte, 1024)
			n, err := theirs.Read(b)
			if err != nil {
				return nil
			}
			sent <- b[:n]
		}
	})
	r.play(ctx, theirs, tr, sent)
	stop()
	theirs.Close()
	for range sent {
		// what it said after the end
	}
	return g.Wait()
}

func (r *replay) play(ctx context.Context, line net.Conn, tr panel.Transcript, sent <-chan []byte) {
	var got []byte
	for _, s := range tr.Steps {
		if ctx.Err() != nil {
			return
		}
		switch s.Op {
		case panel.Comment:
			r.say("# " + s.Note)
		case panel.Receive:
			r.clock.wait(ctx, s.Wait)
			r.say(fmt.Sprintf("< % X%s", s.Bytes, note(s)))
			if _, err := line.Write(s.Bytes); err != nil {
				return
			}
		case panel.Send:
			got = hearUntil(sent, got, len(s.Bytes), replayPatience)
			switch {
			case bytes.HasPrefix(got, s.Bytes):
				r.say(fmt.Sprintf("> % X%s", s.Bytes, note(s)))
				got = got[len(s.Bytes):]
			default:
				r.say(fmt.Sprintf("> % X   here the transcript has % X", got, s.Bytes))
				got = nil
			}
		case panel.Expect:
			if s.Word == "silence" {
				for _, f := range s.Facts {
					if d, err := time.ParseDuration(f.Key); err == nil {
						r.clock.wait(ctx, d)
					}
				}
			}
		case panel.Fault:
			r.mu.Lock()
			r.fails = s.Word == "sink" && len(s.Facts) == 1 && s.Facts[0].Key == "fails"
			r.mu.Unlock()
		}
	}
	if got = hearUntil(sent, got, 1, time.Second); len(got) > 0 && !r.polls { // who asks, asks on
		r.say(fmt.Sprintf("> % X   behind the end of the transcript", got))
	}
}

// hearUntil collects what is sent until there is as much as want, or the time is over.
func hearUntil(sent <-chan []byte, got []byte, want int, wait time.Duration) []byte {
	t := time.NewTimer(wait)
	defer t.Stop()
	for len(got) < want {
		select {
		case b, ok := <-sent:
			if !ok {
				return got
			}
			got = append(got, b...)
		case <-t.C:
			return got
		}
	}
	return got
}

func note(s panel.Step) string {
	if s.Note == "" {
		return ""
	}
	return strings.Repeat(" ", 3) + "# " + s.Note
}

func (r *replay) say(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintln(r.out, line)
}
