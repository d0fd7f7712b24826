package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// maxUnread is how much of what a panel says waits for a gateway that is not there. On a real line nothing waits; a
// gateway that is there has less than this unread.
const maxUnread = 1024

// peerLine is the panel's end of a pty as a peer uses it, with the faults of the line.
type peerLine struct {
	*panelLine
	ctx  context.Context // ends a paced write; a Write has none of its own
	bad  *badLine
	baud int
}

// Read returns what the gateway has sent. With an adapter that echoes, the gateway gets it back.
func (l *peerLine) Read(b []byte) (int, error) {
	n, err := l.master.Read(b)
	f := l.bad.now()
	if f.Echo && n > 0 {
		if _, werr := l.master.Write(b[:n]); err == nil {
			err = werr
		}
	}
	if f.Baud {
		n = copy(b, garble(b[:n]))
	}
	return n, err
}

// Write sends one message at the line's speed.
func (l *peerLine) Write(b []byte) (int, error) {
	if n, err := l.unread(); err == nil && n > maxUnread {
		l.forget()
	}
	times := 1
	if l.bad.hit(l.bad.now().Dup) {
		times = 2
	}
	for range times {
		if err := l.bad.send(l.ctx, l.panelLine, b, l.baud); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// Close takes the pty away.
func (l *peerLine) Close() error {
	l.close()
	return nil
}

// unread is how many bytes the gateway has not read.
func (l *panelLine) unread() (n int, err error) {
	err = ptyControl(l.slave, func(fd int) error {
		n, err = unix.IoctlGetInt(fd, unix.TIOCINQ)
		return err
	})
	return n, err
}

// forget drops what nobody read, and what a killed gateway left: its lock on the pty, which we hold open.
func (l *panelLine) forget() {
	ptyControl(l.slave, func(fd int) error {
		return errors.Join(unix.IoctlSetInt(fd, unix.TIOCNXCL, 0), unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH))
	})
}

// runPeer runs a peer on a pty that link points at, until ctx ends. A peer that gives up on its line gets it again.
func runPeer(ctx context.Context, p peer, link string, baud int, bad *badLine, log *slog.Logger) error {
	line, err := openPanelLine(link)
	if err != nil {
		return fmt.Errorf("panel's pty: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return line.runUnlock(ctx) })
	g.Go(func() error {
		<-ctx.Done()
		line.close()
		return nil
	})
	g.Go(func() error {
		for ctx.Err() == nil {
			line.master.SetReadDeadline(time.Time{})
			err := p.Run(ctx, &keptOpen{&peerLine{line, ctx, bad, baud}, sync.Once{}})
			if ctx.Err() != nil || errors.Is(err, os.ErrClosed) {
				return nil
			}
			log.Warn("the panel starts again", "err", err)
			pause(ctx, time.Second)
		}
		return nil
	})
	return g.Wait()
}

// keptOpen is a line whose Close ends a Read under way and keeps the pty.
type keptOpen struct {
	*peerLine
	once sync.Once
}

// Close ends a Read under way.
func (k *keptOpen) Close() error {
	k.once.Do(func() { k.master.SetReadDeadline(time.Unix(1, 0)) })
	return nil
}

// runUnlock lets the next gateway open a pty whose last one was killed: we hold it open, so the kernel keeps its lock. Two
// gateways at a time are still kept apart by the file lock of theirs.
func (l *panelLine) runUnlock(ctx context.Context) error {
	for ctx.Err() == nil {
		pause(ctx, time.Second)
		ptyControl(l.slave, func(fd int) error { return unix.IoctlSetInt(fd, unix.TIOCNXCL, 0) })
	}
	return nil
}

// runTypedPeer does what is typed: "fault ..." is for the line, everything else for the peer.
func runTypedPeer(ctx context.Context, in io.Reader, p peer, bad *badLine) error {
	return runTyped(ctx, in, func(line string) error {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
			return nil
		case words[0] == "fault":
			return bad.set(words[1:])
		}
		return p.Do(words)
	})
}
