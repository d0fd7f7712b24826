// Package link is a slow line between two networks on one machine: rate, delay, a queue of so many bytes, loss and outages,
// for kernels without netem.
//
// It makes two network namespaces joined by TUN devices and carries the packets itself. It owns the namespaces and the
// devices; nothing of them has a name outside, so that nothing is left when the program ends in whatever way. It never
// looks into packets beyond their DSCP mark. Run and the methods beside it may be called from any goroutine. It needs root.
package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Side is one end of a link.
type Side int

// A is the box's side, B the SOC's.
const (
	A Side = iota
	B
)

// Options of a pair of networks.
type Options struct {
	Lines []Line // one device on each side for each
	TCP   string // congestion control of both sides; "": cubic, which Debian uses
	Seed  uint64 // of random loss
}

// Line is one of the lines between the two sides.
type Line struct {
	There, Back Traits // from A to B and from B to A
}

// Pair is two networks and the lines between them.
type Pair struct {
	spaces [2]*space
	lines  []*line
}

type line struct {
	fds  [2]int
	dirs [2]*direction // by the side they come from
}

// spareProcs is for all directions and what else the program does.
const spareProcs = 16

// mtu is Ethernet's.
const mtu = 1500

// New makes the networks. Nothing is carried before Run.
func New(o Options) (_ *Pair, err error) {
	p := &Pair{}
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	if o.TCP == "" {
		o.TCP = "cubic"
	}
	if err := withTCP(o.TCP, func() (err error) {
		for i := range p.spaces {
			if p.spaces[i], err = newSpace(); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	for i, l := range o.Lines {
		made := &line{fds: [2]int{-1, -1}}
		p.lines = append(p.lines, made)
		for side := range p.spaces {
			if made.fds[side], err = p.spaces[side].openTUN(Device(i), netip.PrefixFrom(Addr(i, Side(side)), 24), mtu); err != nil {
				made.fds[side] = -1
				return nil, err
			}
		}
		for side, t := range []Traits{l.There, l.Back} {
			if made.dirs[side], err = newDirection(made.fds[side], made.fds[1-side], t, o.Seed+uint64(2*i+side)); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

// Device is the name of a line's device on both sides.
func Device(line int) string { return fmt.Sprintf("line%d", line) }

// Addr is the address of a side on a line: 10.77.0.1 is A on the first, 10.77.0.2 is B.
func Addr(line int, s Side) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 77, byte(line), byte(1 + s)})
}

// Run carries packets until ctx ends.
func (p *Pair) Run(ctx context.Context) error {
	// A direction comes back from each wait in the kernel ahead of everybody, but then needs one of Go's processors, and
	// each of them may be held by a thread that the machine has put aside. So there are always more than threads that run.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(spareProcs, runtime.GOMAXPROCS(0))))
	g, ctx := errgroup.WithContext(ctx)
	for _, l := range p.lines {
		for _, d := range l.dirs {
			g.Go(func() error { return d.run(ctx) })
		}
	}
	return g.Wait()
}

// Close removes the devices. The networks go when the last process in them has ended. It comes after Run.
func (p *Pair) Close() error {
	var errs []error
	for _, l := range p.lines {
		for side := range l.fds {
			if l.fds[side] >= 0 {
				errs = append(errs, unix.Close(l.fds[side]))
			}
			if l.dirs[side] != nil {
				errs = append(errs, unix.Close(l.dirs[side].wake))
			}
		}
	}
	for _, s := range p.spaces {
		if s != nil {
			errs = append(errs, s.file.Close())
		}
	}
	return errors.Join(errs...)
}

// In calls f with its thread on that side: a socket that f opens and a process that it starts are of that network.
// What f starts in other goroutines is not.
func (p *Pair) In(s Side, f func() error) error { return p.spaces[s].do(f) }

// Path is what nsenter --net= takes to enter that side while this program runs.
func (p *Pair) Path(s Side) string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), p.spaces[s].file.Fd())
}

// Change gives a line other traits, in the direction that begins at side.
func (p *Pair) Change(line int, from Side, f func(*Traits)) { p.lines[line].dirs[from].change(f) }

// Counts returns what a line has done in the direction that begins at side.
func (p *Pair) Counts(line int, from Side) Counts {
	d := p.lines[line].dirs[from]
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sh.counts
}

// Late is how late the line's own work was: this share of its packets was handed over within that time after they were due.
func (p *Pair) Late(line int, from Side, share float64) time.Duration {
	d := p.lines[line].dirs[from]
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.late.quantile(share)
}
