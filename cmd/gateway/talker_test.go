package main

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// panelWait is how long a panel waits for an answer before it says a block again (SIA DC-03).
const panelWait = 2500 * time.Millisecond

// mark is what the test itself puts on the line behind the last word of a dead gateway.
const mark = 0xEE

// talker is a panel that always has something to report. It follows the protocol: each block is said until it is acked, and
// only then the next. No two of its blocks are the same.
type talker struct {
	t     testing.TB
	l     *line
	every int           // one block of so many is of the zone that has a camera; 0: none
	pause time.Duration // after each ack

	acks  chan struct{}      // from the reader; more than ever are under way
	marks chan struct{}      // likewise
	cuts  chan chan struct{} // somebody has killed the gateway
	quit  chan struct{}
	ended sync.WaitGroup
	once  sync.Once

	mu    sync.Mutex
	acked []spokenBlock // in order
}

// spokenBlock is a block that was acked, and the lane that its event goes by.
type spokenBlock struct {
	raw  []byte
	lane string
}

func newTalker(t testing.TB, link string, every int, pause time.Duration) *talker {
	t.Helper()
	k := &talker{t: t, l: plug(t, link), every: every, pause: pause,
		acks: make(chan struct{}, 256), marks: make(chan struct{}, 1), cuts: make(chan chan struct{}), quit: make(chan struct{})}
	k.ended.Go(k.listen)
	k.ended.Go(k.talk)
	t.Cleanup(k.stop)
	return k
}

// stop ends the panel and pulls the plug; a block that is not acked yet stays so.
func (k *talker) stop() {
	k.hush()
	k.l.unplug()
	k.ended.Wait()
}

// hush ends the talking and leaves the line plugged in.
func (k *talker) hush() { k.once.Do(func() { close(k.quit) }) }

// cut tells the panel that the gateway is dead, and returns when nothing is left on the line of what they said to each other.
// An answer that the gateway gave before it died has counted. The panel then repeats what is open.
func (k *talker) cut() {
	done := make(chan struct{})
	select {
	case k.cuts <- done:
		<-done
	case <-k.quit:
	}
}

// said returns what has been acked so far.
func (k *talker) said() []spokenBlock {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.acked[:len(k.acked):len(k.acked)]
}

// listen takes the answers off the line: an ack is 00 38 C7. Anything else, a reject for one, is no answer, and what it was
// for is said again.
func (k *talker) listen() {
	buf := make([]byte, 256)
	var last [3]byte
	for {
		n, err := k.l.f.Read(buf)
		if err != nil {
			return // unplugged
		}
		for _, c := range buf[:n] {
			last = [3]byte{last[1], last[2], c}
			switch {
			case last == [3]byte{0x00, 0x38, 0xC7}:
				k.acks <- struct{}{}
			case c == mark:
				k.marks <- struct{}{}
			}
		}
	}
}

func (k *talker) talk() {
	for n := 0; ; n++ {
		raw, lane := k.block(n)
		if !k.deliver(raw) {
			return
		}
		k.mu.Lock()
		k.acked = append(k.acked, spokenBlock{raw, lane})
		k.mu.Unlock()
		select {
		case <-time.After(k.pause):
		case done := <-k.cuts:
			k.clear()
			close(done)
		case <-k.quit:
			return
		}
	}
}

// block is the n-th: mostly a fire, for so many intruder alarms would be held, now and then a fault, which goes by the routine lane.
func (k *talker) block(n int) (raw []byte, lane string) {
	code, lane := fmt.Sprintf("FA%04d", 2000+n%1000), "urgent"
	switch {
	case k.every > 0 && n%k.every == 0:
		code = "FA1011"
	case n%5 == 4:
		code, lane = fmt.Sprintf("BT%04d", 2000+n%1000), "routine"
	}
	return galaxyBlock('N', fmt.Sprintf("ti%02d:%02d/va%d/%s", n/60%24, n%60, n, code)), lane
}

// deliver says raw until it is acked; false when the talker was told to stop.
func (k *talker) deliver(raw []byte) bool {
	said := 0 // to this gateway
	for {
		k.l.f.SetWriteDeadline(time.Now().Add(panelWait)) // a line that nobody reads fills up
		if _, err := k.l.f.Write(raw); err == nil {
			said++
		}
		patience := time.NewTimer(panelWait)
		select {
		case <-k.acks:
			// Each time that it was said may be answered, and an answer has no number: what belongs to this block must not be
			// taken for an answer to the next.
			for ; said > 1; said-- {
				select {
				case <-k.acks:
				case <-patience.C:
					said = 0
				}
			}
			return true
		case <-patience.C:
		case done := <-k.cuts:
			acked := k.clear()
			close(done)
			if acked {
				return true
			}
			said = 0
		case <-k.quit:
			return false
		}
	}
}

// clear takes what a dead gateway has still said, throws away what it has not read, and says whether an ack was there.
func (k *talker) clear() (acked bool) {
	if _, err := k.l.tty.Write([]byte{mark}); err != nil {
		k.t.Errorf("the line cannot be marked: %v", err)
		return false
	}
	for marked := false; !marked; {
		select {
		case <-k.marks:
			marked = true
		case <-k.quit:
			return false
		}
	}
	for len(k.acks) > 0 { // the reader was in order: all of them were before the mark
		<-k.acks
		acked = true
	}
	if err := control(k.l.tty, func(fd int) error { return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH) }); err != nil {
		k.t.Errorf("the line cannot be cleared: %v", err)
	}
	return acked
}

// control runs f on the descriptor of file.
func control(file *os.File, f func(fd int) error) error {
	rc, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := rc.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}
