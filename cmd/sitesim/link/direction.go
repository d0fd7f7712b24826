package link

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// direction carries packets from one device to another through a shaper.
type direction struct {
	in, out int // TUN devices
	wake    int // eventfd: the traits have changed, or it is over

	mu   sync.Mutex
	sh   *shaper
	late lateness
	pool [][]byte // used by run only
}

func newDirection(in, out int, t Traits, seed uint64) (*direction, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	return &direction{in: in, out: out, wake: wake, sh: newShaper(t, seed)}, nil
}

// monotonic is the kernel's clock that timers of ppoll run on.
func monotonic() time.Duration {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail: the clock is there and ts is ours
	return time.Duration(ts.Nano())
}

// poke ends the present wait of run.
func (d *direction) poke() {
	unix.Write(d.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // full: then it wakes anyhow
}

// change gives the direction other traits.
func (d *direction) change(f func(*Traits)) {
	d.mu.Lock()
	d.sh.change(monotonic(), f)
	d.mu.Unlock()
	d.poke()
}

// run carries packets until ctx ends. It has a thread of its own, ahead of all others where the kernel allows it: what
// it is late is an error of every figure that is measured through it.
func (d *direction) run(ctx context.Context) error {
	runtime.LockOSThread() // never unlocked: the thread ends with its priority
	unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 10, Flags: unix.SCHED_FLAG_RESET_ON_FORK}, 0)
	stop := context.AfterFunc(ctx, d.poke)
	defer stop()
	buf := make([]byte, 1<<16)
	fds := []unix.PollFd{{Fd: int32(d.in), Events: unix.POLLIN}, {Fd: int32(d.wake), Events: unix.POLLIN}}
	for ctx.Err() == nil {
		wait, err := d.deliver()
		if err != nil {
			return err
		}
		var ts *unix.Timespec // nil: until something comes
		if wait >= 0 {
			t := unix.NsecToTimespec(int64(wait))
			ts = &t
		}
		if _, err := unix.Ppoll(fds, ts, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for packets: %w", err)
		}
		if fds[1].Revents != 0 {
			unix.Read(d.wake, buf[:8])
		}
		if err := d.take(buf); err != nil {
			return err
		}
	}
	return nil
}

// take reads what the sender has handed over, but no more than a few packets: others may be due meanwhile.
func (d *direction) take(buf []byte) error {
	for range 8 {
		n, err := unix.Read(d.in, buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("read from the device: %w", err)
		case n < 20 || buf[0]>>4 != 4:
			continue // not IPv4: the kernel looking for routers and neighbours
		}
		d.mu.Lock()
		d.sh.offer(append(d.buffer(), buf[:n]...), monotonic())
		d.mu.Unlock()
	}
	return nil
}

// buffer is empty and has room for a packet. The memory of packets is used again: to ask for new one may mean to wait for a
// thread of the program that the machine has put aside.
func (d *direction) buffer() []byte {
	n := len(d.pool)
	if n == 0 {
		return make([]byte, 0, 2048)
	}
	b := d.pool[n-1]
	d.pool = d.pool[:n-1]
	return b
}

// deliver writes what is due and returns how long nothing is; negative: until a packet comes.
func (d *direction) deliver() (wait time.Duration, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		now := monotonic()
		p, due, ok := d.sh.arrived(now)
		if !ok {
			break
		}
		d.late.add(now - due)
		_, err := unix.Write(d.out, p)
		d.pool = append(d.pool, p[:0])
		if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINVAL) {
			return 0, fmt.Errorf("write to the device: %w", err)
		}
	}
	at, ok := d.sh.next()
	if !ok {
		return -1, nil
	}
	return max(0, at-monotonic()), nil
}

// lateness counts how many microseconds after their time packets were handed over, in steps of 10 up to 20 ms.
type lateness struct {
	steps [2000]uint64
	n     uint64
}

const lateStep = 10 * time.Microsecond

func (l *lateness) add(d time.Duration) {
	l.steps[min(int(max(d, 0)/lateStep), len(l.steps)-1)]++
	l.n++
}

// quantile is the time within which this share of the packets was handed over.
func (l *lateness) quantile(share float64) time.Duration {
	var sum uint64
	for i, n := range l.steps {
		if sum += n; sum > 0 && float64(sum) >= share*float64(l.n) {
			return time.Duration(i+1) * lateStep
		}
	}
	return 0
}
