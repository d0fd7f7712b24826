package link

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

const msec = time.Millisecond

// packet has this size, a number that tells it from others, and this DSCP.
func packet(size, number, dscp int) []byte {
	b := make([]byte, size)
	b[0], b[1], b[4], b[5] = 0x45, byte(dscp<<2), byte(number>>8), byte(number)
	return b
}

func number(p []byte) int { return int(p[4])<<8 | int(p[5]) }

// drain returns what arrives until then, as "number@time".
func drain(s *shaper, until time.Duration) (got []string) {
	for {
		p, due, ok := s.arrived(until)
		if !ok {
			return got
		}
		got = append(got, fmt.Sprintf("%d@%v", number(p), due))
	}
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestPacketsTakeTheLineOneAfterTheOther(t *testing.T) {
	s := newShaper(Traits{Rate: 1_000_000, Delay: 25 * msec}, 1) // 125 bytes take 1 ms
	s.offer(packet(125, 1, 0), 0)
	s.offer(packet(250, 2, 0), 0)
	s.offer(packet(125, 3, 0), 10*msec) // the line is idle again
	want(t, drain(s, 25*msec))
	want(t, drain(s, 26*msec), "1@26ms")
	want(t, drain(s, time.Second), "2@28ms", "3@36ms")
	if _, ok := s.next(); ok {
		t.Error("something is under way on an empty line")
	}
}

func TestLatenessOfTheCallerIsNotAddedUp(t *testing.T) {
	s := newShaper(Traits{Rate: 1_000_000}, 1)
	for i := range 100 {
		s.offer(packet(125, i, 0), 0)
	}
	// Asked only once in a while, the line has sent as much as if it had been asked all the time.
	n := 0
	for now := 7 * msec; now <= 100*msec; now += 31 * msec {
		n += len(drain(s, now))
		if n != int(now/msec) {
			t.Errorf("at %v %d packets have come, want one a millisecond", now, n)
		}
	}
}

func TestQueueDropsWhatDoesNotFit(t *testing.T) {
	s := newShaper(Traits{Rate: 1_000_000, Queue: 300}, 1)
	for i := range 5 { // one on the line, two wait, two are too many
		s.offer(packet(125, i, 0), 0)
	}
	want(t, drain(s, time.Second), "0@1ms", "1@2ms", "2@3ms")
	if s.counts.Full != 2 || s.counts.QueueMost != 250 {
		t.Errorf("counts are %+v, want 2 dropped and 250 bytes waiting at most", s.counts)
	}
	s.offer(packet(125, 9, 0), time.Second)
	want(t, drain(s, 2*time.Second), "9@1.001s")
}

func TestExpeditedGoesFirstButInterruptsNothing(t *testing.T) {
	s := newShaper(Traits{Rate: 1_000_000, Priority: true}, 1)
	for i := range 3 {
		s.offer(packet(125, i, 8), 0)
	}
	s.offer(packet(125, 10, 46), 500*time.Microsecond)
	s.offer(packet(125, 11, 46), 1500*time.Microsecond)
	want(t, drain(s, time.Second), "0@1ms", "10@2ms", "11@3ms", "1@4ms", "2@5ms")

	s = newShaper(Traits{Rate: 1_000_000}, 1) // a router that knows no marks
	s.offer(packet(125, 0, 8), 0)
	s.offer(packet(125, 1, 8), 0)
	s.offer(packet(125, 10, 46), 0)
	want(t, drain(s, time.Second), "0@1ms", "1@2ms", "10@3ms")
}

// A caller that comes late may not let a marked packet overtake what was sent before it came.
func TestExpeditedComesNoEarlierThanItCame(t *testing.T) {
	s := newShaper(Traits{Rate: 1_000_000, Priority: true}, 1)
	s.rest.push(packet(125, 0, 0), 0)
	s.first.push(packet(125, 10, 46), 5*msec)
	s.waiting = 250
	want(t, drain(s, time.Second), "0@1ms", "10@6ms")
}

func TestLossIsAsOftenAsSaidAndTheSameEachTime(t *testing.T) {
	lost := func(seed uint64) (n uint64, which []string) {
		s := newShaper(Traits{Loss: 0.005}, seed)
		for i := range 60_000 {
			s.offer(packet(20, i, 0), time.Duration(i)*msec)
			which = append(which, drain(s, time.Duration(i)*msec)...)
		}
		return s.counts.Lost, which
	}
	n, first := lost(7)
	if n < 240 || n > 360 { // 300, and 3.5 standard deviations
		t.Errorf("%d of 60000 packets lost at 0.5 %%", n)
	}
	if _, again := lost(7); !slices.Equal(first, again) {
		t.Error("the same seed lost other packets")
	}
	if _, other := lost(8); slices.Equal(first, other) {
		t.Error("another seed lost the same packets")
	}
}

func TestRateStepHoldsFromTheNextPacket(t *testing.T) {
	s := newShaper(Traits{Rate: 10_000_000}, 1)
	for i := range 4 {
		s.offer(packet(1250, i, 0), 0) // 1 ms each
	}
	s.change(1500*time.Microsecond, func(t *Traits) { t.Rate = 1_000_000 })
	want(t, drain(s, time.Second), "0@1ms", "1@2ms", "2@12ms", "3@22ms")
}

func TestShorterDelayReordersNothing(t *testing.T) {
	s := newShaper(Traits{Rate: 1_000_000, Delay: 50 * msec}, 1)
	s.offer(packet(125, 0, 0), 0)
	s.offer(packet(125, 1, 0), 0)
	s.change(1*msec, func(t *Traits) { t.Delay = 10 * msec })
	want(t, drain(s, time.Second), "0@51ms", "1@51ms")
}

func TestOutageLosesAllThatIsUnderWay(t *testing.T) {
	s := newShaper(Traits{Rate: 1_000_000, Delay: 10 * msec, Queue: 1000}, 1)
	for i := range 4 {
		s.offer(packet(125, i, 0), 0)
	}
	s.change(2*msec, func(t *Traits) { t.Down = true }) // two are in the air, one on the line, one waits
	s.offer(packet(125, 4, 0), 3*msec)
	want(t, drain(s, 100*msec))
	s.change(200*msec, func(t *Traits) { t.Down = false })
	s.offer(packet(125, 5, 0), 200*msec)
	want(t, drain(s, time.Second), "5@211ms")
	if s.counts.WhenDown != 5 || s.counts.Packets != 1 || s.waiting != 0 {
		t.Errorf("counts are %+v with %d bytes waiting, want 5 lost, 1 carried and none waiting", s.counts, s.waiting)
	}
}

func TestNoLimitsAtAll(t *testing.T) {
	s := newShaper(Traits{}, 1)
	for i := range 1000 {
		s.offer(packet(1500, i, 0), msec)
	}
	if n := len(drain(s, msec)); n != 1000 {
		t.Errorf("%d of 1000 packets came at once", n)
	}
}

func TestUnits(t *testing.T) {
	for in, want := range map[string]Rate{"2mbit": 2e6, "256kbit/s": 256e3, "1.5Mbit/s": 1.5e6, "0": 0, "800bit": 800, "1 Gbit/s": 1e9} {
		var r Rate
		if err := r.UnmarshalText([]byte(in)); err != nil || r != want {
			t.Errorf("rate %q is %d, %v, want %d", in, r, err, want)
		}
	}
	for in, want := range map[string]Size{"256KiB": 256 << 10, "256kB": 256e3, "1MiB": 1 << 20, "100B": 100, "0": 0} {
		var s Size
		if err := s.UnmarshalText([]byte(in)); err != nil || s != want {
			t.Errorf("size %q is %d, %v, want %d", in, s, err, want)
		}
	}
	var p Share
	if err := p.UnmarshalText([]byte("0.5%")); err != nil || p != 0.005 {
		t.Errorf("share 0.5%% is %v, %v", p, err)
	}
	for _, bad := range []string{"", "2", "-1mbit", "2mb", "x", "1e9bit", "101%"} {
		if new(Rate).UnmarshalText([]byte(bad)) == nil || new(Share).UnmarshalText([]byte(bad)) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if got := fmt.Sprint(Rate(2e6), Rate(256e3), Rate(0), Size(256<<10), Size(1000), Share(0.005)); got != "2 Mbit/s 256 kbit/s unlimited 256 KiB 1000 B 0.5%" {
		t.Errorf("they are shown as %q", got)
	}
}

func TestLateness(t *testing.T) {
	var l lateness
	if l.quantile(0.99) != 0 {
		t.Error("late without a packet")
	}
	for range 99 {
		l.add(3 * time.Microsecond)
	}
	l.add(time.Hour)
	if a, b := l.quantile(0.99), l.quantile(1); a != 10*time.Microsecond || b != 20*msec {
		t.Errorf("got %v and %v, want the first step and the last", a, b)
	}
}
